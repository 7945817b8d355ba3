//! The import of a dirfile, which is a folder with a file `format`, as a capture.

use std::path::Path;

use clap::Args;
use jiff::Unit;
use jiff::civil::{Date, date};
use twotone::exchange::{
    ExchangeError, ImportSettings, ImportedCapture, StampDate, import_dirfile,
};
use twotone::hal::legible;
use twotone::input::shown;

use super::Exit;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};

/// The options of `twotone import` for dirfiles.
#[derive(Debug, Args)]
pub(crate) struct DirfileImport {
    /// For a dirfile, the date of its first stamp by the board's clock: YYYY-MM-DD, or `unknown`
    /// for samples without times. If it is absent, the date of the files is used, if their times
    /// agree with the stamps.
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    date: Option<StampDate>,
}

/// True if a path is that of a dirfile.
pub(crate) fn is_dirfile(path: &Path) -> bool {
    path.join("format").is_file()
}

fn parse_date(text: &str) -> Result<StampDate, String> {
    if text == "unknown" {
        return Ok(StampDate::Unknown);
    }
    let parsed: Date = text
        .parse()
        .map_err(|_| "a date such as 2026-11-30, or `unknown`")?;
    let since = parsed.since((Unit::Day, date(1970, 1, 1)));
    let since = since.map_err(|error| error.to_string())?;
    Ok(StampDate::Day(i64::from(since.get_days())))
}

impl DirfileImport {
    /// True if the date is given.
    pub(crate) fn is_given(&self) -> bool {
        self.date.is_some()
    }

    pub(crate) fn run(self, dirfile: &Path, out: &Path, json: bool) -> Exit {
        let interrupt = Interrupt::watch("interrupted: removing what was written");
        let settings = ImportSettings {
            date: self.date.unwrap_or_default(),
            command: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            stop: interrupt.first.clone(),
        };
        match import_dirfile(dirfile, out, &settings) {
            Ok(imported) => tell(&imported, json),
            Err(error @ ExchangeError::Cancelled) => {
                complain(&error.to_string());
                Exit::Interrupted
            }
            Err(error) => Exit::usage(&legible(&error.to_string())),
        }
    }
}

/// Prints the result.
fn tell(imported: &ImportedCapture, json: bool) -> Exit {
    for doubt in &imported.doubts {
        complain(&format!("WARNING: {}", legible(doubt)));
    }
    for missing in &imported.missing {
        let (file, reason) = (legible(&missing.file), &missing.reason);
        complain(&format!("not imported: {file}: {reason}"));
    }
    if json {
        say_json(imported);
    } else {
        for board in &imported.boards {
            for module in &board.modules {
                say(&format!(
                    "{} module {}: {} samples of {} channels; {} without a time",
                    legible(&board.name),
                    module.module,
                    module.samples,
                    module.channels,
                    module.timeless
                ));
            }
        }
        say(&format!("run directory: {}", shown(&imported.out)));
    }
    if imported.missing.is_empty() {
        Exit::Well
    } else {
        Exit::SomeFailed
    }
}
