//! `cargo xtask test`: runs every check, in order. Developers and CI run the same command.
//!
//! A new check needs an entry in [`STEPS`]. All checks share one build profile and one target
//! folder. The Python environment is made in a thread while the first checks compile.

pub(crate) mod hosts;
pub(crate) mod python;
mod steps;

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::workspace::Workspace;

/// A check.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Run<'_>) -> Outcome,
}

/// The checks: first the quick ones, then those that need no compiled code, then those that run
/// compiled code.
const STEPS: [Step; 13] = [
    Step {
        name: "format",
        about: "the sources are formatted",
        run: steps::format,
    },
    Step {
        name: "tidy",
        about: "the invariants of the workspace hold",
        run: steps::tidy,
    },
    Step {
        name: "licences",
        about: "the licence of every dependency is allowed",
        run: steps::licences,
    },
    Step {
        name: "advisories",
        about: "no dependency is known to be vulnerable",
        run: steps::advisories,
    },
    Step {
        name: "clippy",
        about: "all targets, warnings are errors",
        run: steps::clippy,
    },
    Step {
        name: "features",
        about: "packages compile with fewer features",
        run: steps::features,
    },
    Step {
        name: "docs",
        about: "the documentation builds without warnings",
        run: steps::docs,
    },
    Step {
        name: "tests",
        about: "unit, property and end-to-end tests",
        run: steps::tests,
    },
    Step {
        name: "doctests",
        about: "the examples in the documentation run",
        run: steps::doctests,
    },
    Step {
        name: "packages",
        about: "what is shipped can be packed, installed and removed",
        run: steps::packages,
    },
    Step {
        name: "hosts",
        about: "throw-away hosts are deployed to",
        run: hosts::run,
    },
    Step {
        name: "python",
        about: "a Python environment for the tests that need it",
        run: steps::python,
    },
    Step {
        name: "interoperability",
        about: "tests that need Python",
        run: steps::interoperability,
    },
];

/// Result of a check.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(why) => write!(f, "FAILED   {why}"),
            Self::Skipped(why) => write!(f, "skipped  {why}"),
        }
    }
}

/// Context that all checks share.
struct Run<'a> {
    workspace: &'a Workspace,
    /// True in CI, where a missing Python is an error.
    ci: bool,
    /// Makes the Python environment and returns its interpreter. Returns `None` on a machine
    /// without Python, or the error if the environment cannot be made.
    python: &'a dyn Fn() -> Result<Option<PathBuf>>,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Continue after a step that failed.
    #[arg(long)]
    keep_going: bool,
    /// Run only these steps.
    #[arg(value_parser = STEPS.map(|step| step.name))]
    steps: Vec<String>,
}

/// Runs the steps. Returns false if one failed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let chosen =
        |step: &&Step| args.steps.is_empty() || args.steps.iter().any(|it| it == step.name);
    let chosen: Vec<&Step> = STEPS.iter().filter(chosen).collect();
    let wants_python = chosen
        .iter()
        .any(|step| ["python", "interoperability"].contains(&step.name))
        && !python::tests(workspace).is_empty();

    let results = thread::scope(|scope| {
        let making = wants_python.then(|| scope.spawn(|| python::prepare(workspace)));
        let made = std::cell::OnceCell::new();
        let making = std::cell::Cell::new(making);
        let python = || {
            let join = || match making.take().map(thread::ScopedJoinHandle::join) {
                Some(Ok(prepared)) => prepared,
                Some(Err(_)) => Err("making the Python environment panicked".to_owned()),
                None => Ok(None),
            };
            made.get_or_init(join).clone()
        };
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        in_turn(
            &chosen,
            args.keep_going,
            &Run {
                workspace,
                ci,
                python: &python,
            },
        )
    });
    Ok(summary(&results))
}

/// A check with its result and the time that it took.
type Finished<'a> = (&'a Step, Outcome, Duration);

fn in_turn<'a>(chosen: &[&'a Step], keep_going: bool, run: &Run<'_>) -> Vec<Finished<'a>> {
    let mut results: Vec<Finished<'a>> = Vec::new();
    let mut stop = None;
    for (index, step) in chosen.iter().enumerate() {
        if let Some(failed) = stop {
            let why = format!("not reached: {failed} failed");
            results.push((step, Outcome::Skipped(why), Duration::ZERO));
            continue;
        }
        println!(
            "\n==> {}/{} {}: {}",
            index + 1,
            chosen.len(),
            step.name,
            step.about
        );
        let start = Instant::now();
        let outcome = (step.run)(run);
        let took = start.elapsed();
        println!("<== {}: {outcome} ({:.1} s)", step.name, took.as_secs_f64());
        if matches!(outcome, Outcome::Failed(_)) && !keep_going {
            stop = Some(step.name);
        }
        results.push((step, outcome, took));
    }
    results
}

/// Prints a table of the checks and a line that counts them by result. Returns true if no check
/// failed.
fn summary(results: &[Finished<'_>]) -> bool {
    println!("\n{:<18}{:>8}  result", "step", "time");
    for (step, outcome, took) in results {
        println!("{:<18}{:>6.1} s  {outcome}", step.name, took.as_secs_f64());
    }
    let (passed, failed, skipped) = count(results);
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}

/// Counts the checks that passed, that failed and that were skipped.
fn count(results: &[Finished<'_>]) -> (usize, usize, usize) {
    results.iter().fold(
        (0, 0, 0),
        |(passed, failed, skipped), (_, outcome, _)| match outcome {
            Outcome::Passed => (passed + 1, failed, skipped),
            Outcome::Failed(_) => (passed, failed + 1, skipped),
            Outcome::Skipped(_) => (passed, failed, skipped + 1),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Step = Step {
        name: "good",
        about: "",
        run: |_| Outcome::Passed,
    };
    const BAD: Step = Step {
        name: "bad",
        about: "",
        run: |_| Outcome::Failed("so".to_owned()),
    };
    const IDLE: Step = Step {
        name: "idle",
        about: "",
        run: |_| Outcome::Skipped("so".to_owned()),
    };

    #[track_caller]
    fn check(steps: &[Step], keep_going: bool, expected: (usize, usize, usize)) {
        let workspace = Workspace::here().expect("tests run in the workspace");
        let python = || Ok(None);
        let run = Run {
            workspace: &workspace,
            ci: false,
            python: &python,
        };
        let results = in_turn(&steps.iter().collect::<Vec<_>>(), keep_going, &run);
        assert_eq!(count(&results), expected);
    }

    #[test]
    fn a_failed_step_ends_the_run_unless_it_keeps_going() {
        check(&[GOOD, IDLE, GOOD], false, (2, 0, 1));
        check(&[GOOD, BAD, GOOD, BAD], false, (1, 1, 2));
        check(&[GOOD, BAD, GOOD, BAD], true, (2, 2, 0));
        check(&[], false, (0, 0, 0));
    }
}
