//! The steps of `cargo xtask test`. Most of them run a cargo command.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Outcome, Run, python};
use crate::advisories::{self, Checked};
use crate::dist::rehearsal::{self, Rehearsed};
use crate::workspace::cargo;
use crate::{child, licences, tidy};

/// Longest time of one command. It is much longer than any command needs, so that it ends only
/// commands that hang.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Builds without some features. Each must succeed. A row has a package and the arguments for
/// cargo.
const FEATURE_SETS: [(&str, &[&str]); 4] = [
    ("tworoutine", &["--all-targets", "--no-default-features"]),
    ("twotone", &["--lib", "--no-default-features"]),
    (
        "twotone",
        &["--lib", "--no-default-features", "--features", "sim"],
    ),
    (
        "twotone",
        &["--lib", "--no-default-features", "--features", "arrow"],
    ),
];

pub(super) fn format(run: &Run<'_>) -> Outcome {
    in_order(run, [cargo_with(&["fmt", "--all", "--check"])])
}

pub(super) fn tidy(run: &Run<'_>) -> Outcome {
    match tidy::run(run.workspace, &tidy::Args::default()) {
        Ok(true) => Outcome::Passed,
        Ok(false) => Outcome::Failed("see `cargo xtask tidy`".to_owned()),
        Err(error) => Outcome::Failed(error),
    }
}

pub(super) fn licences(run: &Run<'_>) -> Outcome {
    match licences::run(run.workspace) {
        Ok(true) => Outcome::Passed,
        Ok(false) => Outcome::Failed("see `cargo xtask licences`".to_owned()),
        Err(error) => Outcome::Failed(error),
    }
}

pub(super) fn advisories(run: &Run<'_>) -> Outcome {
    match advisories::check(run.workspace) {
        Ok(Checked::Against(true)) => Outcome::Passed,
        Ok(Checked::Against(false)) => Outcome::Failed("see `cargo xtask advisories`".to_owned()),
        Ok(Checked::NoDatabase) => Outcome::Skipped("no database of advisories".to_owned()),
        Err(error) => Outcome::Failed(error),
    }
}

pub(super) fn clippy(run: &Run<'_>) -> Outcome {
    let all = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    in_order(run, [cargo_with(&all)])
}

pub(super) fn features(run: &Run<'_>) -> Outcome {
    let commands = FEATURE_SETS.map(|(package, features)| {
        let mut command = cargo_with(&["clippy", "--locked", "--package", package]);
        command.args(features).args(["--", "-D", "warnings"]);
        command
    });
    in_order(run, commands)
}

pub(super) fn docs(run: &Run<'_>) -> Outcome {
    let mut command = cargo_with(&["doc", "--locked", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    in_order(run, [command])
}

pub(super) fn tests(run: &Run<'_>) -> Outcome {
    // This command builds the examples as programs, for the test that runs them. With `--examples`,
    // the test runner builds only their unit tests.
    let examples = cargo_with(&["build", "--locked", "--workspace", "--examples"]);
    let mut command = runner();
    command.args(["--lib", "--bins", "--examples"]);
    let need_python = python::tests(run.workspace);
    for target in run
        .workspace
        .tests()
        .filter(|target| !need_python.contains(&target.name))
    {
        command.args(["--test", &target.name]);
    }
    // On platforms without fibers (switchable stacks), the code that does not need fibers must
    // still work.
    let mut without_fibers = cargo_with(&["test", "--locked", "--package", "tworoutine"]);
    without_fibers.args(["--no-default-features", "--tests"]);
    in_order(run, [examples, command, without_fibers])
}

pub(super) fn doctests(run: &Run<'_>) -> Outcome {
    in_order(
        run,
        [cargo_with(&["test", "--locked", "--workspace", "--doc"])],
    )
}

pub(super) fn packages(run: &Run<'_>) -> Outcome {
    match rehearsal::run(run.workspace) {
        Ok(Rehearsed::Well) => Outcome::Passed,
        Ok(Rehearsed::LeftOut(why)) => Outcome::Skipped(why),
        Err(error) => Outcome::Failed(error),
    }
}

pub(super) fn python(run: &Run<'_>) -> Outcome {
    let tests = python::tests(run.workspace);
    if tests.is_empty() {
        return Outcome::Skipped("no test needs Python".to_owned());
    }
    match (run.python)() {
        Ok(Some(interpreter)) => {
            println!("{}", interpreter.display());
            Outcome::Passed
        }
        Ok(None) if run.ci => Outcome::Failed(format!("{}, and CI=true", python::MISSING)),
        Ok(None) => Outcome::Skipped(python::MISSING.to_owned()),
        Err(error) => Outcome::Failed(error),
    }
}

pub(super) fn interoperability(run: &Run<'_>) -> Outcome {
    let tests = python::tests(run.workspace);
    if tests.is_empty() {
        return Outcome::Skipped("no test needs Python".to_owned());
    }
    let left_out = format!("left out: {}", tests.join(", "));
    let interpreter = match (run.python)() {
        Ok(Some(interpreter)) => interpreter,
        Ok(None) if run.ci => return Outcome::Failed(left_out),
        Ok(None) => return Outcome::Skipped(left_out),
        Err(_) => return Outcome::Failed(format!("no Python environment; {left_out}")),
    };
    let mut command = runner();
    for test in &tests {
        command.args(["--test", test]);
    }
    // Tests that need Python may be marked as ignored, so that plain `cargo test` lists them as
    // ignored.
    if has_nextest() {
        command.args(["--run-ignored", "all"]);
    } else {
        command.args(["--", "--include-ignored"]);
    }
    command.env(python::VARIABLE, interpreter);
    in_order(run, [command])
}

/// Returns the command that runs tests, without the arguments that select tests. It is nextest if
/// that is installed, else `cargo test`.
pub(super) fn runner() -> Command {
    if has_nextest() {
        cargo_with(&[
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-fail-fast",
        ])
    } else {
        cargo_with(&["test", "--locked", "--workspace", "--no-fail-fast"])
    }
}

pub(super) fn has_nextest() -> bool {
    let mut version = cargo_with(&["nextest", "--version"]);
    let quiet = version.stdout(Stdio::null()).stderr(Stdio::null());
    child::run(quiet, LIMIT).is_ok_and(|status| status.success())
}

fn cargo_with(args: &[&str]) -> Command {
    let mut command = cargo();
    command.args(args);
    command
}

/// Runs commands until one fails.
pub(super) fn in_order(run: &Run<'_>, commands: impl IntoIterator<Item = Command>) -> Outcome {
    for mut command in commands {
        let words = command.get_args().map(|word| word.to_string_lossy());
        let line = words.collect::<Vec<_>>().join(" ");
        println!("cargo {line}");
        match child::run(command.current_dir(&run.workspace.root), LIMIT) {
            Ok(status) if status.success() => {}
            Ok(status) => return Outcome::Failed(child::ending(status)),
            Err(error) => return Outcome::Failed(error),
        }
    }
    Outcome::Passed
}
