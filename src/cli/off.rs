//! `twotone off`: all tones off, and read back that they are.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use twotone::Array;
use twotone::run::{HardwareState, Outcome, Runner};

use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::tune::parse_seconds;
use super::{Exit, load_map};

/// The arguments of `twotone off`.
#[derive(Debug, Args)]
pub(crate) struct Off {
    /// The hardware map.
    map: PathBuf,
    /// How long each module may take, in seconds. Boards that fail are asked again until then.
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = parse_seconds)]
    deadline: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    boards: Vec<BoardReport>,
}

#[derive(Debug, Serialize)]
struct BoardReport {
    name: String,
    off: bool,
    error: Option<String>,
    modules: Vec<ModuleReport>,
}

#[derive(Debug, Serialize)]
struct ModuleReport {
    module: u8,
    off: bool,
    error: Option<String>,
    hardware: HardwareState,
}

impl Off {
    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match load_map(&self.map) {
            Ok(map) => map,
            Err(exit) => return exit,
        };
        let interrupt = Interrupt::watch("interrupted: leaving with what is known");
        let Some(array) = interrupt.unless(Array::connect(&map)) else {
            complain("nothing was switched off, and nothing is known of what is on");
            return Exit::SomeFailed;
        };
        let outcomes = Runner::new()
            .deadline(Duration::from_secs_f64(self.deadline))
            .cancel(interrupt.first.clone())
            .off(array.targets())
            .wait();
        let boards: Vec<BoardReport> = map
            .boards()
            .iter()
            .map(|entry| {
                let failed = array.failure(&entry.name);
                let mine = outcomes
                    .iter()
                    .filter(|outcome| outcome.board == entry.name);
                BoardReport::of(&entry.name, failed.map(ToString::to_string), mine)
            })
            .collect();
        let report = Report {
            ok: boards.iter().all(|board| board.off),
            boards,
        };
        if json {
            say_json(&report);
        } else {
            report.boards.iter().for_each(BoardReport::tell);
        }
        if report.ok {
            Exit::Well
        } else if array.boards().is_empty() {
            Exit::NothingReachable
        } else {
            Exit::SomeFailed
        }
    }
}

impl BoardReport {
    fn of<'a>(
        name: &str,
        error: Option<String>,
        outcomes: impl Iterator<Item = &'a Outcome<()>>,
    ) -> Self {
        let modules: Vec<ModuleReport> = outcomes
            .map(|outcome| ModuleReport {
                module: outcome.module.number(),
                off: outcome.is_well(),
                error: outcome.result.as_ref().err().map(ToString::to_string),
                hardware: outcome.hardware.clone(),
            })
            .collect();
        let off = error.is_none() && modules.iter().all(|module| module.off);
        Self {
            name: name.to_owned(),
            off,
            error,
            modules,
        }
    }

    fn tell(&self) {
        match &self.error {
            Some(error) => say(&format!("{}: not known to be off: {error}", self.name)),
            None if self.off => say(&format!("{}: off, read back", self.name)),
            None => {
                for module in self.modules.iter().filter(|module| !module.off) {
                    let error = module.error.as_deref().unwrap_or("");
                    let (name, number, left) = (&self.name, module.module, &module.hardware);
                    say(&format!("{name} module {number}: NOT off: {left}; {error}"));
                }
            }
        }
    }
}
