//! `twotone info`: what every board of a map is, and how it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use twotone::Array;
use twotone::hal::{Batch, BoardHandle, BoardTime, Reading, ReadingUnit, Result};
use twotone::map::BoardEntry;

use super::interrupt::Interrupt;
use super::output::{say, say_json};
use super::table::Table;
use super::{Exit, load_map};

/// The arguments of `twotone info`.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The hardware map.
    map: PathBuf,
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
    /// As the map has it.
    serial: Option<String>,
    error: Option<String>,
    #[serde(flatten)]
    found: Option<Found>,
}

/// What a board answered.
#[derive(Debug, Serialize)]
struct Found {
    kind: String,
    firmware: String,
    clock: BoardTime,
    housekeeping: Vec<Reading>,
    modules: Vec<ModuleReport>,
}

#[derive(Debug, Serialize)]
struct ModuleReport {
    module: u8,
    channels: u16,
    sample_rate_hz: f64,
    nco_hz: f64,
    full_scale_dbm: Option<f64>,
}

impl Info {
    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match load_map(&self.map) {
            Ok(map) => map,
            Err(exit) => return exit,
        };
        let interrupt = Interrupt::watch("");
        let asked = interrupt.unless(async {
            let array = Array::connect(&map).await;
            let asking: Vec<_> = array
                .boards()
                .iter()
                .map(|board| {
                    let handle = board.handle().clone();
                    let name = board.name().to_owned();
                    (name, tworoutine::spawn(async move { found(&handle).await }))
                })
                .collect();
            let mut answers = BTreeMap::new();
            for (name, answer) in asking {
                let answer = match answer.await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                answers.insert(name, answer);
            }
            (array, answers)
        });
        let Some((array, mut answers)) = asked else {
            return Exit::Interrupted;
        };
        let boards = map.boards().iter().map(|entry| {
            let answer = answers.remove(&entry.name).unwrap_or_else(|| {
                let failure = array.failure(&entry.name);
                Err(failure.map_or_else(|| "it did not answer".to_owned(), ToString::to_string))
            });
            BoardReport::of(entry, answer)
        });
        let boards: Vec<BoardReport> = boards.collect();
        let report = Report {
            ok: boards.iter().all(|board| board.found.is_some()),
            boards,
        };
        if json {
            say_json(&report);
        } else {
            say(report.table(self.readings).trim_end());
        }
        match report.ok {
            true => Exit::Well,
            false if report.boards.iter().all(|board| board.found.is_none()) => {
                Exit::NothingReachable
            }
            false => Exit::SomeFailed,
        }
    }
}

/// Asks a board everything in one batch.
async fn found(board: &BoardHandle) -> Result<Found> {
    let described = board.describe().await?;
    let mut batch = Batch::new();
    let clock = batch.read_clock();
    let housekeeping = batch.read_housekeeping();
    let ncos: Vec<_> = described
        .modules
        .iter()
        .map(|module| batch.read_nco(module.module))
        .collect();
    let replies = board.run(&batch).await?;
    let modules = described.modules.iter().zip(ncos).map(|(module, nco)| {
        let full_scale_dbm = module.full_scale.0;
        ModuleReport {
            module: module.module.number(),
            channels: module.channels,
            sample_rate_hz: module.sample_rate.0,
            nco_hz: replies.get(nco).frequency.0,
            full_scale_dbm: full_scale_dbm.is_finite().then_some(full_scale_dbm),
        }
    });
    Ok(Found {
        kind: described.kind.clone(),
        firmware: described.firmware.clone(),
        clock: replies.get(clock).clone(),
        housekeeping: replies.get(housekeeping).to_vec(),
        modules: modules.collect(),
    })
}

impl BoardReport {
    fn of(entry: &BoardEntry, answer: std::result::Result<Found, String>) -> Self {
        let (found, error) = match answer {
            Ok(found) => (Some(found), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            name: entry.name.clone(),
            address: entry.address().to_string(),
            serial: entry.serial.clone(),
            error,
            found,
        }
    }
}

impl Report {
    fn table(&self, readings: bool) -> String {
        let mut table = Table::new([
            "board",
            "address",
            "firmware",
            "clock",
            "modules",
            "channels",
            "rate/Hz",
            "hottest/C",
        ]);
        for board in &self.boards {
            let Some(found) = &board.found else {
                table.row([&board.name, &board.address]);
                table.note(board.error.clone().unwrap_or_default());
                continue;
            };
            let clock = match found.clock.recent {
                true => found.clock.source.clone(),
                false => format!("{} (not running)", found.clock.source),
            };
            let temperatures = found
                .housekeeping
                .iter()
                .filter(|reading| reading.unit == ReadingUnit::Celsius);
            let hottest = temperatures
                .map(|reading| reading.value)
                .max_by(f64::total_cmp);
            let first = found.modules.first();
            let (Some(first), Some(last)) = (first, found.modules.last()) else {
                table.row([&board.name, &board.address, &found.firmware, &clock]);
                continue;
            };
            table.row([
                board.name.clone(),
                board.address.clone(),
                found.firmware.clone(),
                clock,
                format!("{}-{}", first.module, last.module),
                first.channels.to_string(),
                format!("{:.2}", first.sample_rate_hz),
                hottest.map_or_else(String::new, |celsius| format!("{celsius:.1}")),
            ]);
            for reading in found.housekeeping.iter().filter(|_| readings) {
                let unit = match reading.unit {
                    ReadingUnit::Celsius => "C",
                    ReadingUnit::Volts => "V",
                    ReadingUnit::Amperes => "A",
                    _ => "",
                };
                table.note(format!("{} {:.3} {unit}", reading.name, reading.value));
            }
        }
        table.to_string()
    }
}
