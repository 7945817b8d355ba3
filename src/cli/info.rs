//! `twotone info`: version, clock and housekeeping (temperatures and supply voltages) of every
//! board of a map.
//!
//! Each value is requested separately, so that a request that fails or hangs does not prevent the
//! answers to the others.

mod asked;
mod properties;
mod shown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use twotone::Array;
use twotone::hal::{ModuleId, Reading};
use twotone::identity::{Identity, Listening};
use twotone::map::BoardEntry;
use twotone::record::Failure;

use super::interrupt::Interrupt;
use super::job;
use super::output::{say, say_json};
use super::table::Table;
use super::{Exit, limits, load_map};
use asked::found;
use properties::PropertyError;

/// The arguments of `twotone info`.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The hardware map. It is not needed with --host and --site: a daemon has a map of its own.
    map: Option<PathBuf>,
    /// Print every sensor and rail, not just the hottest one.
    #[arg(long)]
    readings: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    boards: Vec<BoardReport>,
}

#[derive(Debug, Serialize)]
struct BoardReport {
    name: String,
    address: String,
    /// The serial number in the map.
    serial: Option<String>,
    /// Result of the check that the board is the one in the map, by its own report and by its
    /// packets.
    identity: Option<Identity>,
    error: Option<Failure>,
    /// True if the board has answered, even with an invalid answer.
    #[serde(skip)]
    answered: bool,
    #[serde(flatten)]
    found: Option<Found>,
}

/// Answers of a board, and the errors of the requests that failed.
#[derive(Debug, Serialize)]
struct Found {
    kind: String,
    firmware: Option<String>,
    /// True if the board has a clock that can be read.
    #[serde(skip)]
    has_clock: bool,
    clock: Option<ClockReport>,
    clock_error: Option<Failure>,
    housekeeping: Vec<Reading>,
    housekeeping_error: Option<Failure>,
    modules: Vec<ModuleReport>,
    /// Properties of the board as a whole that its kind has.
    properties: properties::Values,
    /// Properties that could not be read.
    property_errors: Vec<PropertyError>,
    /// Warnings that the board sent with its answers, in its own words.
    board_warnings: Vec<String>,
    /// Remarks about facts that the board did not report about itself.
    doubts: Vec<String>,
    /// Abilities that the server of the board lacks.
    lacks: Vec<String>,
    /// Number of requests that were repeated.
    repeats: u32,
}

#[derive(Debug, Serialize)]
struct ClockReport {
    year: u8,
    day: u16,
    second_of_day: f64,
    source: Option<String>,
    recent: Option<bool>,
}

#[derive(Debug, Serialize)]
struct ModuleReport {
    module: ModuleId,
    /// True if the map lists the module, or lists no modules at all.
    #[serde(skip)]
    is_asked_for: bool,
    channels: u16,
    sample_rate_hz: Option<f64>,
    nco_hz: Option<f64>,
    full_scale_dbm: Option<f64>,
    /// Properties of the module that the kind of the board has.
    properties: properties::Values,
    /// Reason why the frequency of the NCO is not known.
    error: Option<Failure>,
}

impl Info {
    /// Path of the hardware map on the command line.
    pub(crate) fn map(&self) -> Option<&Path> {
        self.map.as_deref()
    }

    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match load_map(self.map.as_deref()) {
            Ok(map) => map,
            Err(exit) => return exit,
        };
        if let Err(why) = limits::enough_for(&map) {
            return Exit::usage(&why);
        }
        let interrupt = Interrupt::watch("");
        let connections = job::connections();
        let asked = interrupt.unless(async {
            let listening = Listening::to_all(&map);
            // A board that lacks a module of the map, since it is not set up yet, is shown too.
            let array = Array::connect_kept(&map.of_boards_alone(), &connections).await;
            let asking: Vec<_> = array
                .boards()
                .iter()
                .map(|board| {
                    let handle = board.handle().clone();
                    let name = board.name().to_owned();
                    let entry = map.board(&name).cloned();
                    let found = async move { found(&handle, entry.as_ref()).await };
                    (name, tworoutine::spawn(found))
                })
                .collect();
            let mut answers = BTreeMap::new();
            for (name, answer) in asking {
                let answer = match answer.await {
                    Ok(answer) => answer.map_err(|error| Failure::from(&error)),
                    Err(ended) => Err(asked::ended(&ended)),
                };
                answers.insert(name, answer);
            }
            let identities = array.identities_of(&map, listening).await;
            (array, answers, identities)
        });
        let Some((array, mut answers, identities)) = asked else {
            return Exit::Interrupted;
        };
        let boards = map.boards().iter().map(|entry| {
            let answer = answers.remove(&entry.name).unwrap_or_else(|| {
                let failure = array.failure(&entry.name).map(Failure::from);
                Err(failure.unwrap_or_else(|| Failure::of_words("it did not answer")))
            });
            let mut board = BoardReport::of(entry, array.reached(&entry.name), answer);
            let identity = identities.iter().find(|found| found.name == entry.name);
            board.identity = identity.cloned();
            board
        });
        let boards: Vec<BoardReport> = boards.collect();
        let another =
            |board: &BoardReport| board.identity.as_ref().is_some_and(Identity::is_another);
        let report = Report {
            ok: boards
                .iter()
                .all(|board| board.is_whole() && !another(board)),
            boards,
        };
        if json {
            say_json(&report);
        } else {
            say(report.table(self.readings).trim_end());
            say(report.identities().trim_end());
        }
        match report.ok {
            true => Exit::Well,
            false if report.boards.iter().all(|board| !board.answered) => Exit::NothingReachable,
            false => Exit::SomeFailed,
        }
    }
}

impl BoardReport {
    fn of(entry: &BoardEntry, answered: bool, answer: Result<Found, Failure>) -> Self {
        let (found, error) = match answer {
            Ok(found) => (Some(found), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            name: entry.name.clone(),
            address: entry.address().to_string(),
            serial: entry.serial.clone(),
            identity: None,
            error,
            answered,
            found,
        }
    }

    /// True if all requested values are known.
    fn is_whole(&self) -> bool {
        self.found.as_ref().is_some_and(|found| {
            found.clock.is_some() == found.has_clock
                && found.housekeeping_error.is_none()
                && found.housekeeping.iter().all(|one| one.value.is_some())
                && found
                    .modules
                    .iter()
                    .all(|one| !one.is_asked_for || one.error.is_none())
                && found.property_errors.iter().all(|one| one.is_refused)
                && found.doubts.is_empty()
        })
    }
}

impl Report {
    /// Table of the serial number of each board: in the map, in the report of the board, and in its
    /// packets.
    fn identities(&self) -> String {
        let heading = [
            "board",
            "serial in map",
            "says",
            "in packets",
            "mac",
            "identity",
        ];
        let mut table = Table::new(heading);
        for board in &self.boards {
            let Some(found) = &board.identity else {
                continue;
            };
            let serials = found
                .packet_serials
                .iter()
                .map(|serial| format!("{serial:04}"));
            table.row([
                board.name.clone(),
                board.serial.clone().unwrap_or_default(),
                found.said_serial.clone().unwrap_or_default(),
                serials.collect::<Vec<_>>().join(" "),
                found.mac.clone().unwrap_or_default(),
                match found.is_another() {
                    true => "ANOTHER BOARD".to_owned(),
                    false => found.to_string(),
                },
            ]);
            if found.is_another() {
                table.note(found.to_string());
            }
        }
        table.to_string()
    }
}
