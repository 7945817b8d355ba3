//! `cargo xtask bench NAME`: runs a benchmark.
//!
//! Each benchmark is a bench target of the crate that it measures. If it measures several crates,
//! it is a bench target of the root package. A new benchmark needs a row in [`BENCHES`].

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::workspace::{Workspace, cargo};
use crate::{Result, child, dist, test};

/// Longest time of a benchmark, its build included.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// A benchmark.
pub(crate) struct Bench {
    /// Name on the command line.
    name: &'static str,
    pub(crate) package: &'static str,
    /// Name of the bench target in that package.
    pub(crate) target: &'static str,
    /// Features beyond the default ones.
    features: &'static [&'static str],
    needs: Needs,
    about: &'static str,
}

/// Requirement of a benchmark in addition to the compiled program.
enum Needs {
    Nothing,
    /// A Python interpreter, named by this environment variable. Without the interpreter some rows
    /// are empty.
    PythonForSomeRows(&'static str),
    /// A Python interpreter, named by this environment variable. Without the interpreter nothing is
    /// measured.
    Python(&'static str),
    /// Throw-away control hosts on this computer, and an archive to deploy to them. Without the
    /// hosts the benchmark is left out.
    Hosts,
}

/// Pairs of benchmarks that run one after the other. The command line names the first one of a
/// pair.
const AFTER: [(&str, &str); 1] = [("serve", "deploy")];

/// The benchmarks.
pub(crate) const BENCHES: [Bench; 11] = [
    Bench {
        name: "array",
        package: "twotone",
        target: "array",
        features: &[],
        needs: Needs::Nothing,
        about: "a tune of simulated farms of 1 to 256 boards: wall time, CPU time and memory",
    },
    Bench {
        name: "capture",
        package: "twotone",
        target: "capture",
        features: &[],
        needs: Needs::Nothing,
        about: "the default sample streams of 4 boards, written to disk for a minute",
    },
    Bench {
        name: "codec",
        package: "twotone-wire",
        target: "codec",
        features: &["server"],
        needs: Needs::Nothing,
        about: "time per tone to encode and decode a board's requests and answers",
    },
    Bench {
        name: "deploy",
        package: "xtask",
        target: "deploy",
        features: &[],
        needs: Needs::Hosts,
        about: "a deployment to one throw-away host, to eight, and again: seconds and bytes sent",
    },
    Bench {
        name: "farm",
        package: "twotone-sim",
        target: "farm",
        features: &[],
        needs: Needs::Nothing,
        about: "time to start a simulated farm, its memory, and the cost of its sample streams",
    },
    Bench {
        name: "numerics",
        package: "twotone-algorithms",
        target: "numerics",
        features: &[],
        needs: Needs::Nothing,
        about: "time of the fits of an array and of the searches of a wide sweep",
    },
    Bench {
        name: "physics",
        package: "twotone-physics",
        target: "physics",
        features: &[],
        needs: Needs::Nothing,
        about: "time per channel and sample of the simulated detectors",
    },
    Bench {
        name: "rfmux",
        package: "twotone",
        target: "rfmux",
        features: &[],
        needs: Needs::Python(test::python::VARIABLE),
        about: "the same tune by this program and by the Python client rfmux, and the calls of \
            both",
    },
    Bench {
        name: "serve",
        package: "twotone",
        target: "serve",
        features: &[],
        needs: Needs::Nothing,
        about: "a tune by the daemon and without it, and 256 boards that it holds for ten minutes; \
            then `deploy`",
    },
    Bench {
        name: "stream",
        package: "twotone-transport",
        target: "stream",
        features: &[],
        needs: Needs::PythonForSomeRows(test::python::VARIABLE),
        about: "rate of packets of a receiver of sample streams, beside that of a bare loop of \
            recvmmsg",
    },
    Bench {
        name: "tworoutine",
        package: "tworoutine",
        target: "compare",
        features: &[],
        // The package `tworoutine` is independent of this project, so its variable has another
        // name.
        needs: Needs::PythonForSomeRows("TWOROUTINE_PYTHON"),
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

/// Runs a benchmark, and the benchmarks that follow it in [`AFTER`]. Returns false if one failed. A
/// measurement that misses its limit is not a failure.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let Some(name) = &args.name else {
        print!("{}", list());
        return Ok(true);
    };
    let bench =
        named(name).ok_or_else(|| format!("no benchmark `{name}`; there are\n{}", list()))?;
    let after = AFTER.iter().filter(|(first, _)| first == name);
    let after = after.filter_map(|(_, then)| named(then));
    let mut commands = Vec::new();
    for bench in std::iter::once(bench).chain(after) {
        // The commands of all benchmarks are made before the first one is run, so that a missing
        // requirement is reported at once.
        commands.extend(command(workspace, bench, args)?);
    }
    if !args.json {
        for mut command in commands {
            if !child::run(&mut command, LIMIT)?.success() {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let mut reports = Vec::new();
    for mut command in commands {
        let output = child::output(&mut command)?;
        if !output.status.success() {
            return Err(format!(
                "{name} ended with {}",
                child::ending(output.status)
            ));
        }
        reports.push(report(&output.stdout)?);
    }
    if let Some(report) = joined(reports) {
        println!("{report}");
    }
    Ok(true)
}

fn named(name: &str) -> Option<&'static Bench> {
    BENCHES.iter().find(|bench| bench.name == name)
}

/// Returns the command of a benchmark, or `None` if this computer cannot run it.
fn command(workspace: &Workspace, bench: &Bench, args: &Args) -> Result<Option<Command>> {
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
    match bench.needs {
        Needs::Nothing => {}
        Needs::Hosts => {
            if let Some(why) = test::hosts::hindrance(false)? {
                eprintln!("left out: the rows of deployments: {why}");
                return Ok(None);
            }
            command.env(test::hosts::VARIABLE, archive(workspace)?);
        }
        Needs::Python(variable) => match test::python::prepare(workspace)? {
            Some(interpreter) => drop(command.env(variable, interpreter)),
            None => return Err(test::python::MISSING.to_owned()),
        },
        Needs::PythonForSomeRows(variable) => match test::python::prepare(workspace)? {
            Some(interpreter) => drop(command.env(variable, interpreter)),
            None => eprintln!(
                "{}: the rows that need Python stay empty",
                test::python::MISSING
            ),
        },
    }
    Ok(Some(command))
}

/// Returns the path of the archive to deploy: the one that the environment variable names, or else
/// that of the checked-out commit. The latter is made if it does not exist.
fn archive(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(test::hosts::VARIABLE) {
        return Ok(given.into());
    }
    let variable = test::hosts::VARIABLE;
    let path = dist::archive_path(workspace)
        .map_err(|error| format!("{error}; or name an archive in {variable}"))?;
    if !path.is_file() {
        let program = std::env::current_exe();
        let program = program.map_err(|error| format!("this program has no path: {error}"))?;
        let mut dist = Command::new(program);
        // Standard output is only for the report of the benchmark.
        dist.arg("dist").stdout(std::io::stderr());
        if !child::run(&mut dist, LIMIT)?.success() {
            return Err(format!(
                "`cargo xtask dist` failed; or name an archive in {variable}"
            ));
        }
    }
    Ok(path)
}

/// Joins the reports of several benchmarks. The joined report has the name of the first report and
/// the rows of all. The conditions of each further report are stored under the name of that report.
fn joined(reports: Vec<Value>) -> Option<Value> {
    let mut reports = reports.into_iter();
    let mut first = reports.next()?;
    for other in reports {
        let name = other["bench"].as_str().unwrap_or_default();
        first["conditions"][name] = other["conditions"].clone();
        if let (Some(rows), Some(more)) = (first["rows"].as_array_mut(), other["rows"].as_array()) {
            rows.extend_from_slice(more);
        }
    }
    Some(first)
}

/// Returns the report that a benchmark has printed. It is an error if its output is not one report.
fn report(stdout: &[u8]) -> Result<Value> {
    let text = String::from_utf8_lossy(stdout);
    let report: Value = serde_json::from_str(text.trim())
        .map_err(|error| format!("the benchmark did not print one JSON object: {error}"))?;
    let shaped = report["bench"].is_string()
        && report["conditions"].is_object()
        && report["rows"].is_array();
    if shaped {
        Ok(report)
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
        assert_eq!(report(good).unwrap()["bench"], "x");
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
    fn reports_of_one_name_are_one_report() {
        let one = |name: &str, row: u64| serde_json::json!({"bench": name, "conditions": {"of": name}, "rows": [row]});
        assert_eq!(joined(Vec::new()), None);
        assert_eq!(joined(vec![one("a", 1)]), Some(one("a", 1)));
        let both = joined(vec![one("a", 1), one("b", 2)]).unwrap();
        assert_eq!(both["bench"], "a");
        assert_eq!(both["rows"], serde_json::json!([1, 2]));
        assert_eq!(
            both["conditions"],
            serde_json::json!({"of": "a", "b": {"of": "b"}})
        );
    }

    #[test]
    fn benchmarks_that_follow_others_are_there() {
        for (first, then) in AFTER {
            assert!(named(first).is_some() && named(then).is_some(), "{then}");
        }
    }

    #[test]
    fn names_are_sorted_and_single() {
        assert!(BENCHES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
