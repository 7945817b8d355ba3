//! `twotone off`: all tones off, and read back that they are.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use twotone::hal::ModuleId;
use twotone::run::{HardwareState, Outcome, Runner};
use twotone::{Array, ArrayBoard};

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
    /// What else the board has, and the map does not list: it was left alone.
    not_in_map: Vec<ModuleId>,
}

#[derive(Debug, Serialize)]
struct ModuleReport {
    module: ModuleId,
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
                let mine = outcomes
                    .iter()
                    .filter(|outcome| outcome.board == entry.name);
                BoardReport::of(&entry.name, &array, mine)
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
        } else if !map.boards().iter().any(|board| array.reached(&board.name)) {
            Exit::NothingReachable
        } else {
            Exit::SomeFailed
        }
    }
}

impl BoardReport {
    fn of<'a>(name: &str, array: &Array, outcomes: impl Iterator<Item = &'a Outcome<()>>) -> Self {
        let modules: Vec<ModuleReport> = outcomes
            .map(|outcome| ModuleReport {
                module: outcome.module,
                off: outcome.is_well(),
                error: outcome.result.as_ref().err().map(ToString::to_string),
                hardware: outcome.hardware.clone(),
            })
            .collect();
        let error = array.failure(name).map(ToString::to_string);
        let described = array.answered(name).map(ArrayBoard::description);
        let not_in_map = described
            .iter()
            .flat_map(|described| &described.modules)
            .map(|described| described.module)
            .filter(|number| !modules.iter().any(|module| module.module == *number));
        Self {
            name: name.to_owned(),
            off: error.is_none() && modules.iter().all(|module| module.off),
            error,
            not_in_map: not_in_map.collect(),
            modules,
        }
    }

    fn tell(&self) {
        let name = &self.name;
        if let Some(error) = &self.error {
            return say(&format!("{name}: not known to be off: {error}"));
        }
        for module in self.modules.iter().filter(|module| !module.off) {
            let error = module.error.as_deref().unwrap_or("");
            let (number, left) = (module.module, &module.hardware);
            say(&format!("{name} module {number}: NOT off: {left}; {error}"));
        }
        let off = self.modules.iter().filter(|module| module.off);
        let off = listed(off.map(|module| module.module));
        match listed(self.not_in_map.iter().copied()) {
            _ if off.is_empty() => {}
            others if others.is_empty() => say(&format!("{name}: off, read back: module {off}")),
            others => say(&format!(
                "{name}: off, read back: module {off}; not in the map and left alone: {others}"
            )),
        }
    }
}

/// Numbers of modules, as a sentence has them.
fn listed(modules: impl Iterator<Item = ModuleId>) -> String {
    let numbers: Vec<_> = modules.map(|module| module.to_string()).collect();
    numbers.join(", ")
}
