//! `cargo xtask fuzz`: runs every reader on mutated inputs, each for a number of seconds.

use std::time::Duration;

use crate::workspace::{Workspace, cargo};
use crate::{Result, child};

/// Time that the build may take, and that each target may take to shorten a failing input.
const BESIDE: Duration = Duration::from_secs(30 * 60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how many seconds each target is run, up to a week.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// This target alone; may be given again. A name that is none has all of them told.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// The inputs follow from this number and from the corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the program of `fuzz/`; false if an input failed, which is then in the corpus.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let scratch = workspace.target.join("fuzz");
    let mut command = cargo();
    command
        .current_dir(&workspace.root)
        .args(["run", "--locked", "--package", "twotone-fuzz", "--"])
        .args(["--seconds", &args.seconds.to_string()])
        .args(["--seed", &args.seed.to_string()])
        .arg("--scratch")
        .arg(&scratch);
    for target in &args.target {
        command.args(["--target", target]);
    }
    // As many targets as there are corpora, unless some are chosen.
    let corpora = workspace.root.join("fuzz/corpus");
    let all = || std::fs::read_dir(&corpora).map_or(1, Iterator::count);
    let targets = match args.target.len() {
        0 => all(),
        chosen => chosen,
    };
    let limit = Duration::from_secs(args.seconds.saturating_mul(targets as u64)) + BESIDE;
    let status = child::run(&mut command, limit)?;
    if !status.success() && status.code().is_none() {
        eprintln!(
            "xtask: the process was ended: what it read is in `{}`, a file for each target",
            scratch.display()
        );
    }
    Ok(status.success())
}
