//! `cargo xtask bench NAME`: runs a benchmark.
//!
//! Each benchmark is a bench target of the crate that it measures, or of the root package if it
//! measures several crates. A new benchmark needs a row in [`BENCHES`].

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::workspace::{Workspace, cargo};
use crate::{Result, child, test};

/// Longest time of a benchmark, its build included.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// A benchmark.
pub(crate) struct Bench {
    /// Name on the command line.
    name: &'static str,
    pub(crate) package: &'static str,
    /// The bench target in that package.
    pub(crate) target: &'static str,
    /// Features beyond the default ones.
    features: &'static [&'static str],
    /// Use of Python.
    python: Python,
    about: &'static str,
}

/// Use of Python by a benchmark. The environment variable of this name holds the interpreter.
enum Python {
    No,
    /// Without Python some rows are empty.
    Uses(&'static str),
    /// Without Python nothing is measured.
    Needs(&'static str),
}

/// The benchmarks.
pub(crate) const BENCHES: [Bench; 10] = [
    Bench {
        name: "array",
        package: "twotone",
        target: "array",
        features: &[],
        python: Python::No,
        about: "a tune of simulated farms of 1 to 256 boards: wall time, CPU time and memory",
    },
    Bench {
        name: "capture",
        package: "twotone",
        target: "capture",
        features: &[],
        python: Python::No,
        about: "the default sample streams of 4 boards, written to disk for a minute",
    },
    Bench {
        name: "codec",
        package: "twotone-wire",
        target: "codec",
        features: &["server"],
        python: Python::No,
        about: "time per tone to encode and decode a board's requests and answers",
    },
    Bench {
        name: "farm",
        package: "twotone-sim",
        target: "farm",
        features: &[],
        python: Python::No,
        about: "time to start a simulated farm, its memory, and the cost of its sample streams",
    },
    Bench {
        name: "numerics",
        package: "twotone-algorithms",
        target: "numerics",
        features: &[],
        python: Python::No,
        about: "time of the fits of an array and of the searches of a wide sweep",
    },
    Bench {
        name: "physics",
        package: "twotone-physics",
        target: "physics",
        features: &[],
        python: Python::No,
        about: "time per channel and sample of the simulated detectors",
    },
    Bench {
        name: "rfmux",
        package: "twotone",
        target: "rfmux",
        features: &[],
        python: Python::Needs(test::python::VARIABLE),
        about: "the same tune by this program and by the Python client rfmux, and the calls of \
            both",
    },
    Bench {
        name: "serve",
        package: "twotone",
        target: "serve",
        features: &[],
        python: Python::No,
        about: "a tune by the daemon and without it, and 256 boards that it holds for ten minutes",
    },
    Bench {
        name: "stream",
        package: "twotone-transport",
        target: "stream",
        features: &[],
        python: Python::Uses(test::python::VARIABLE),
        about: "rate of packets of a receiver of sample streams, beside that of a bare loop of \
            recvmmsg",
    },
    Bench {
        name: "tworoutine",
        package: "tworoutine",
        target: "compare",
        features: &[],
        // The package is independent of this project, so its variable has another name.
        python: Python::Uses("TWOROUTINE_PYTHON"),
        about: "cost of calling one function with and without await, beside other libraries",
    },
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the benchmark; without it, all are listed.
    name: Option<String>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// Arguments for the benchmark.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs a benchmark. Returns false if it failed. A row that misses its limit is not a failure.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let Some(name) = &args.name else {
        print!("{}", list());
        return Ok(true);
    };
    let bench = BENCHES
        .iter()
        .find(|bench| bench.name == name)
        .ok_or_else(|| format!("no benchmark `{name}`; there are\n{}", list()))?;
    let mut command = command(workspace, bench, args)?;
    if !args.json {
        return Ok(child::run(&mut command, LIMIT)?.success());
    }
    let output = child::output(&mut command)?;
    if !output.status.success() {
        return Err(format!(
            "{name} ended with {}",
            child::ending(output.status)
        ));
    }
    println!("{}", report(&output.stdout)?);
    Ok(true)
}

fn command(workspace: &Workspace, bench: &Bench, args: &Args) -> Result<Command> {
    let mut command = cargo();
    command
        .current_dir(&workspace.root)
        .args(["bench", "--quiet", "--locked"]);
    command.args(["--package", bench.package, "--bench", bench.target]);
    if !bench.features.is_empty() {
        command.arg("--features").arg(bench.features.join(","));
    }
    command.arg("--");
    if args.json {
        command.arg("--json");
    }
    command.args(&args.rest);
    let variable = match bench.python {
        Python::No => return Ok(command),
        Python::Uses(variable) | Python::Needs(variable) => variable,
    };
    match (test::python::prepare(workspace)?, &bench.python) {
        (Some(interpreter), _) => drop(command.env(variable, interpreter)),
        (None, Python::Needs(_)) => return Err(test::python::MISSING.to_owned()),
        (None, _) => eprintln!(
            "{}: the rows that need Python stay empty",
            test::python::MISSING
        ),
    }
    Ok(command)
}

/// Returns the output of a benchmark. It is an error if the output is not one report.
fn report(stdout: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(stdout);
    let report: Value = serde_json::from_str(text.trim())
        .map_err(|error| format!("the benchmark did not print one JSON object: {error}"))?;
    let shaped = report["bench"].is_string()
        && report["conditions"].is_object()
        && report["rows"].is_array();
    if shaped {
        Ok(text.trim().to_owned())
    } else {
        Err("the JSON object that the benchmark printed is not a report".to_owned())
    }
}

fn list() -> String {
    BENCHES
        .iter()
        .map(|bench| format!("  {:<12}{}\n", bench.name, bench.about))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_object_of_the_right_shape() {
        let good = br#"{"bench":"x","conditions":{},"rows":[]}"#;
        assert_eq!(
            report(good).as_deref(),
            Ok(r#"{"bench":"x","conditions":{},"rows":[]}"#)
        );
        for bad in [
            "",
            "done\n{}",
            "{}",
            r#"{"bench":"x","conditions":{},"rows":[]} {}"#,
        ] {
            assert!(report(bad.as_bytes()).is_err(), "{bad:?} is no report");
        }
    }

    #[test]
    fn names_are_sorted_and_single() {
        assert!(BENCHES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
