//! `twotone off`: switches all tones of the boards in a hardware map off, and reads back that they
//! are off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use twotone::campaign::{OffBoard, board_warnings_in_words};
use twotone::hal::ModuleId;

use super::campaign::campaign;
use super::interrupt::Interrupt;
use super::output::{say, say_json};
use super::tune::parse_seconds;
use super::{Exit, descriptors, limits, load_map};

/// The arguments of `twotone off`.
#[derive(Debug, Args)]
pub(crate) struct Off {
    /// The hardware map. It is not needed with --host and --site: a daemon has a map of its own.
    map: Option<PathBuf>,
    /// Longest time of each board in seconds. Boards that fail are asked again until then.
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = parse_seconds)]
    deadline: f64,
}

impl Off {
    /// Path of the hardware map on the command line.
    pub(crate) fn map(&self) -> Option<&Path> {
        self.map.as_deref()
    }

    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match load_map(self.map.as_deref()) {
            Ok(map) => map,
            Err(exit) => return exit,
        };
        if let Err(why) = limits::enough_to_switch_off(&map) {
            return Exit::usage(&why);
        }
        let interrupt = Interrupt::watch("interrupted: leaving with what is known");
        // Each board needs a few sockets. If the limit of open files is low, only some boards are
        // switched off at a time.
        let at_once = descriptors::at_once(&map);
        let report = campaign(map, &interrupt, json)
            .deadline(Duration::from_secs_f64(self.deadline))
            .concurrency(at_once)
            .off()
            .wait();
        if json {
            say_json(&report);
        } else {
            report.boards.iter().for_each(say_board);
        }
        report.completion().into()
    }
}

/// Prints the state of a board and of its modules.
fn say_board(board: &OffBoard) {
    let name = &board.name;
    if let Some(why) = &board.another {
        say(&format!("{name}: NOT THE BOARD OF THE MAP: {why}"));
    }
    if let Some(error) = &board.error {
        say(&format!("{name}: not known to be off: {error}"));
    }
    for module in board.modules.iter().filter(|module| !module.off) {
        let (number, left) = (module.module, module.hardware.to_string());
        let is_on = !module.hardware.left_on().is_empty();
        let off = if is_on {
            "NOT off"
        } else {
            "not known to be off"
        };
        // The text about the state of the module contains a reason, which is usually the same
        // error. The error is not printed twice.
        let error = module.error.as_ref().map(ToString::to_string);
        match error.filter(|error| !left.contains(error)) {
            Some(error) => {
                say(&format!("{name} module {number}: {off}: {left}; {error}"));
            }
            None => say(&format!("{name} module {number}: {off}: {left}")),
        }
    }
    for module in &board.modules {
        for text in board_warnings_in_words(&module.board_warnings) {
            say(&format!("{name} module {}: {text}", module.module));
        }
    }
    let off = board.modules.iter().filter(|module| module.off);
    let off = listed(off.map(|module| module.module));
    match listed(board.not_in_map.iter().copied()) {
        _ if off.is_empty() => {}
        others if others.is_empty() => say(&format!("{name}: off, read back: module {off}")),
        others => say(&format!(
            "{name}: off, read back: module {off}; not in the map and left alone: {others}"
        )),
    }
}

/// Returns the numbers of modules as a list for a sentence.
fn listed(modules: impl Iterator<Item = ModuleId>) -> String {
    let numbers: Vec<_> = modules.map(|module| module.to_string()).collect();
    numbers.join(", ")
}
