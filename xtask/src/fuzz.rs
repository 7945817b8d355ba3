//! `cargo xtask fuzz`: runs every reader of twotone on randomly changed inputs, each reader for a
//! number of seconds.

use std::time::Duration;

use crate::workspace::{Workspace, cargo};
use crate::{Result, child};

/// Longest time for the build and for the shortening of an input that fails.
const EXTRA_TIME: Duration = Duration::from_secs(30 * 60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target, up to a week.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Run only this target; may be given several times. An unknown name lists all targets.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Seed of the inputs, which also depend on the corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the program `twotone-fuzz`. Returns false if an input failed. The input is then stored in
/// the corpus, unless the process crashed.
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
    // If no target (a function that tests one reader) is chosen, all targets run. The corpus has a
    // folder for each target. So their number is known, although xtask does not depend on the
    // package with the targets.
    let corpora = workspace.root.join("fuzz/corpus");
    let all = || std::fs::read_dir(&corpora).map_or(1, Iterator::count);
    let targets = match args.target.len() {
        0 => all(),
        chosen => chosen,
    };
    let limit = Duration::from_secs(args.seconds.saturating_mul(targets as u64)) + EXTRA_TIME;
    let status = child::run(&mut command, limit)?;
    if !status.success() && status.code().is_none() {
        eprintln!(
            "xtask: a signal ended the process: its last input is in `{}`, in the file of its \
            target",
            scratch.display()
        );
    }
    Ok(status.success())
}
