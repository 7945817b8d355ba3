//! `twotone setup`: sets the properties that a map has for its boards and modules, and reads them
//! back.

use std::path::{Path, PathBuf};

use clap::Args;
use twotone::campaign::{
    SetupBoard, SetupReport, SetupSetting, SetupStatus, board_warnings_in_words,
    taken_over_in_words,
};
use twotone::hal::PropertyValue;
use twotone::identity::Identity;
use twotone::map::HardwareMap;

use super::Exit;
use super::access::Access;
use super::campaign::campaign;
use super::exit::complain_of_refusal;
use super::interrupt::Interrupt;
use super::output::{say, say_json};
use super::selection::Selection;
use super::table::Table;
use crate::serve::{Claim, Use};

/// The arguments of `twotone setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// The hardware map. With --host, that of the daemon if it is absent.
    map: Option<PathBuf>,
    /// Set nothing: say what differs from the map.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    part: Selection,
    #[command(flatten)]
    access: Access,
}

impl Setup {
    /// Path of the hardware map on the command line.
    pub(crate) fn map(&self) -> Option<&Path> {
        self.map.as_deref()
    }

    /// Returns the boards that are set up, and how they are used. Properties of a board concern all
    /// of its modules.
    pub(crate) fn claim(&self, map: &HardwareMap) -> Result<Claim, String> {
        let uses = match self.dry_run {
            true => Use::Asks,
            false => Use::Sets,
        };
        Ok(Claim::of_boards(&self.part.part_of(map)?, uses))
    }

    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match self.part.of(self.map.as_deref()) {
            Ok(map) => map,
            Err(why) => return Exit::usage(&why),
        };
        if !map.boards().iter().any(|board| board.has_properties()) {
            return Exit::usage(&format!(
                "{}: the map has no properties to set, such as `analog_bank` of a board or \
                 `dac_scale_dbm` of a module",
                map.file()
            ));
        }
        let interrupt = Interrupt::watch("interrupted: leaving with what is known");
        let campaign = campaign(map, &interrupt, json).access(self.access.checks());
        let report = match campaign.setup(self.dry_run).wait() {
            Ok(report) => report,
            Err(error) => return complain_of_refusal(&error),
        };
        if json {
            say_json(&report);
        } else if !report.boards.is_empty() {
            say(table(&report).trim_end());
        }
        report.completion().into()
    }
}

/// Returns the table of a report: a line for each property, with remarks below it.
fn table(report: &SetupReport) -> String {
    let heading = [
        "board", "module", "property", "in map", "before", "after", "status",
    ];
    let mut table = Table::new(heading);
    for board in &report.boards {
        if board.setup.settings.is_empty() {
            table.row([&board.name]);
        }
        for setting in &board.setup.settings {
            table.row(cells(&board.name, setting));
            let error = setting.error.iter();
            error.for_each(|error| table.note(error.to_string()));
        }
        sentences(board).for_each(|text| table.note(text));
    }
    let mut text = table.to_string();
    if report.dry_run {
        text.push_str("dry run: nothing was set on any board\n");
    }
    text
}

fn cells(board: &str, setting: &SetupSetting) -> [String; 7] {
    let shown = |value: &Option<PropertyValue>| {
        let text = value.as_ref().map(ToString::to_string);
        text.unwrap_or_else(|| "unknown".to_owned())
    };
    let module = setting.module.map(|module| module.to_string());
    let after = match setting.status {
        SetupStatus::Differs => String::new(),
        _ => shown(&setting.after),
    };
    [
        board.to_owned(),
        module.unwrap_or_default(),
        setting.property.clone(),
        setting.wanted.to_string(),
        shown(&setting.before),
        after,
        setting.status.as_str().to_owned(),
    ]
}

/// Returns the remarks about a board as a whole.
fn sentences(board: &SetupBoard) -> impl Iterator<Item = String> + '_ {
    let error = board.error.iter().map(ToString::to_string);
    let taken = board.taken_over.iter().map(taken_over_in_words);
    let doubts = board.doubts.iter().cloned();
    let unknown = board.identity.as_ref().and_then(Identity::doubt);
    let warnings = board_warnings_in_words(&board.setup.board_warnings);
    error
        .chain(taken)
        .chain(doubts)
        .chain(unknown)
        .chain(warnings)
}
