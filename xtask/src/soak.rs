//! `cargo xtask soak --minutes N`: boards and clients come and go for so long, and nothing may be left.

use std::time::Duration;

use crate::workspace::{Workspace, cargo};
use crate::{Result, child};

/// What the build and the end may take beside the minutes asked for.
const BESIDE: Duration = Duration::from_secs(30 * 60);

/// Minutes for which the test lets boards come and go; some seconds without it.
const VARIABLE: &str = "TWOTONE_SOAK_MINUTES";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how many minutes, up to a week.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
}

/// Runs the soak test; false if something was left.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let mut command = cargo();
    command
        .current_dir(&workspace.root)
        .args([
            "test",
            "--locked",
            "--package",
            "twotone",
            "--test",
            "soak",
            "--",
            "--nocapture",
        ])
        .env(VARIABLE, args.minutes.to_string());
    let limit = Duration::from_secs(60 * args.minutes) + BESIDE;
    let status = child::run(&mut command, limit)?;
    Ok(status.success())
}
