//! `cargo xtask soak`: runs the long tests, which take hours, load the computer, or kill programs.
//! To tune a board is to set a tone on the resonance of each detector.

use std::time::Duration;

use crate::workspace::{Workspace, cargo};
use crate::{Result, child};

/// Longest time for the build and for the last steps of a test, in addition to the time of the test
/// itself.
const EXTRA_TIME: Duration = Duration::from_secs(30 * 60);

/// Longest time for each board of the load test on a slow computer. The test tunes each board
/// eleven times.
const EACH_BOARD: Duration = Duration::from_secs(30);

/// Longest time to kill each of the three commands once.
const EACH_KILL: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Let boards and clients come and go for this many minutes, up to a week. It is an hour if no
    /// option is given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: Option<u64>,
    /// Tune this many boards, a tenth of which fail in turn.
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    boards: Option<u64>,
    /// Kill each of tune, sweep and capture this many times.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    kills: Option<u64>,
}

/// A long test: its module, the environment variable with its number (of minutes, boards or kills),
/// this number, and its time limit.
struct Soak {
    module: &'static str,
    variable: &'static str,
    number: u64,
    limit: Duration,
}

impl Args {
    fn soaks(&self) -> Vec<Soak> {
        let minutes = match (self.minutes, self.boards, self.kills) {
            (None, None, None) => Some(60),
            (minutes, ..) => minutes,
        };
        let soak = |module, variable, number: Option<u64>, each: Duration| {
            let number = number?;
            let times = u32::try_from(number).unwrap_or(u32::MAX);
            Some(Soak {
                module,
                variable,
                number,
                limit: each.saturating_mul(times) + EXTRA_TIME,
            })
        };
        let minute = Duration::from_secs(60);
        [
            soak("comes_and_goes", "TWOTONE_SOAK_MINUTES", minutes, minute),
            soak("load", "TWOTONE_SOAK_BOARDS", self.boards, EACH_BOARD),
            soak("killed", "TWOTONE_SOAK_KILLS", self.kills, EACH_KILL),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Runs the requested tests, one after the other. Returns false if one failed.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let mut is_well = true;
    for soak in args.soaks() {
        let mut command = cargo();
        command
            .current_dir(&workspace.root)
            .args(["test", "--locked", "--package", "twotone"])
            .args(["--test", "soak", "--", "--nocapture", soak.module])
            .env(soak.variable, soak.number.to_string());
        is_well &= child::run(&mut command, soak.limit)?.success();
    }
    Ok(is_well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: [Option<u64>; 3], expected: &[(&str, u64)]) {
        let [minutes, boards, kills] = asked;
        let args = Args {
            minutes,
            boards,
            kills,
        };
        let soaks = args.soaks();
        let found: Vec<_> = soaks
            .iter()
            .map(|soak| (soak.module, soak.number))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_requested_tests_run_and_one_hour_by_default() {
        check([None; 3], &[("comes_and_goes", 60)]);
        check([Some(5), None, None], &[("comes_and_goes", 5)]);
        check([None, Some(1000), None], &[("load", 1000)]);
        check(
            [Some(1), Some(10), Some(3)],
            &[("comes_and_goes", 1), ("load", 10), ("killed", 3)],
        );
    }
}
