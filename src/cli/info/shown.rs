//! Table that `twotone info` prints, with the answers of the boards of a map.

use std::collections::BTreeMap;

use twotone::campaign::{board_warnings_in_words, repeats_in_words};
use twotone::hal::{Reading, ReadingUnit};

use super::properties::Properties;
use super::{ClockReport, Found, Report};
use crate::cli::table::Table;

/// Text for an unknown value in a table.
const UNKNOWN: &str = "unknown";
/// Cell of a board that has no clock.
const NO_CLOCK: &str = "none";

impl Report {
    pub(super) fn table(&self, readings: bool) -> String {
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
                let error = board.error.as_ref().map(ToString::to_string);
                table.note(error.unwrap_or_default());
                continue;
            };
            let mut cells = vec![board.name.clone(), board.address.clone()];
            cells.extend(found.cells());
            table.row(cells);
            for reading in found.housekeeping.iter().filter(|_| readings) {
                if let Some(value) = reading.value {
                    let unit = unit(reading.unit);
                    table.note(format!("{} {} {unit}", reading.name, figure(value, 3)));
                }
            }
            found.settings().for_each(|text| table.note(text));
            let sentences = found.sentences().into_iter();
            sentences.for_each(|text| table.note(text));
        }
        table.to_string()
    }
}

impl Found {
    /// Cells of the board's row in the table, from the column `firmware` on.
    fn cells(&self) -> [String; 6] {
        let unknown = || UNKNOWN.to_owned();
        let clock = match &self.clock {
            Some(clock) => clock.cell(),
            None if self.has_clock => unknown(),
            None => NO_CLOCK.to_owned(),
        };
        let (first, last) = (self.modules.first(), self.modules.last());
        let modules = first.zip(last);
        let modules = modules.map(|(first, last)| format!("{}-{}", first.module, last.module));
        let rate = first.map(|first| {
            let rate = first.sample_rate_hz;
            rate.map_or_else(unknown, |rate| format!("{rate:.2}"))
        });
        [
            self.firmware.clone().unwrap_or_else(unknown),
            clock,
            modules.unwrap_or_default(),
            first.map_or_else(String::new, |first| first.channels.to_string()),
            rate.unwrap_or_default(),
            self.hottest(),
        ]
    }

    /// Cell with the highest of the known temperatures.
    fn hottest(&self) -> String {
        let celsius = |reading: &&Reading| reading.unit == ReadingUnit::Celsius;
        let temperatures = || self.housekeeping.iter().filter(celsius);
        let values = temperatures().filter_map(|reading| reading.value);
        let hottest = values
            .filter(|value| value.is_finite())
            .max_by(f64::total_cmp);
        match hottest {
            Some(hottest) => figure(hottest, 1),
            None if temperatures().next().is_some() || self.housekeeping_error.is_some() => {
                UNKNOWN.to_owned()
            }
            None => String::new(),
        }
    }

    /// Returns a sentence about the properties of the board, and one for each module with its NCO
    /// and its properties.
    fn settings(&self) -> impl Iterator<Item = String> + '_ {
        let of_board = Properties::in_words(&self.properties).into_iter();
        let modules = self.modules.iter().filter(|module| module.is_asked_for);
        let of_modules = modules.filter_map(|module| {
            let values = Properties::in_words(&module.properties)?;
            let nco = module.nco_hz.map(|hz| format!("NCO {:.3} MHz, ", hz / 1e6));
            let nco = nco.unwrap_or_default();
            Some(format!("module {}: {nco}{values}", module.module))
        });
        of_board.chain(of_modules)
    }

    /// Returns remarks about every unknown value, with the reason, and about everything else that
    /// an operator must know.
    fn sentences(&self) -> Vec<String> {
        let mut sentences = self.doubts.clone();
        if let Some(why) = &self.clock_error {
            sentences.push(format!("clock: unknown ({})", why.cause()));
        }
        match &self.clock {
            Some(clock) if clock.recent.is_none() => {
                sentences
                    .push("clock: the board does not say if its time code is alive".to_owned());
            }
            _ => {}
        }
        if let Some(why) = &self.housekeeping_error {
            sentences.push(format!("sensors and rails: unknown ({})", why.cause()));
        }
        // Readings that fail for the same reason share a line.
        let mut failed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for reading in &self.housekeeping {
            if let Some(why) = &reading.problem {
                let name = format!("{} ({})", reading.name, unit(reading.unit));
                failed.entry(why).or_default().push(name);
            }
        }
        for (why, names) in failed {
            sentences.push(format!("not read: {}: {why}", names.join(", ")));
        }
        for module in &self.modules {
            if let Some(why) = &module.error {
                let number = module.module;
                sentences.push(format!("module {number}: NCO unknown ({})", why.cause()));
            }
        }
        sentences.extend(self.lacks.iter().map(|lack| format!("lacks {lack}")));
        let mut unknown: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in &self.property_errors {
            let of = one.module.map(|module| format!(" of module {module}"));
            let name = format!("{}{}", one.property, of.unwrap_or_default());
            let same = unknown.entry(one.error.cause().to_string()).or_default();
            same.push(name);
        }
        for (why, names) in unknown {
            sentences.push(format!("not read: {}: {why}", names.join(", ")));
        }
        sentences.extend(board_warnings_in_words(&self.board_warnings));
        sentences.extend(repeats_in_words(self.repeats));
        sentences
    }
}

impl ClockReport {
    fn cell(&self) -> String {
        let source = self.source.as_deref().unwrap_or("source unknown");
        match self.recent {
            Some(true) => source.to_owned(),
            Some(false) => format!("{source} (not running)"),
            None => format!("{source} (running?)"),
        }
    }
}

/// Formats a number with `decimals` decimals. A number of a million or more, which no working
/// sensor reports, is in scientific notation.
fn figure(value: f64, decimals: usize) -> String {
    match value.abs() < 1e6 {
        true => format!("{value:.decimals$}"),
        false => format!("{value:.decimals$e}"),
    }
}

fn unit(unit: ReadingUnit) -> &'static str {
    match unit {
        ReadingUnit::Celsius => "C",
        ReadingUnit::Volts => "V",
        ReadingUnit::Amperes => "A",
        _ => "",
    }
}
