//! `twotone export`: writes a run directory in the format of another program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use twotone::exchange::{
    ExchangeError, ExportSettings, Exported, G3Settings, export_dirfile, export_g3,
};
use twotone::hal::legible;
use twotone::input::shown;

use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::selection::Selection;
use super::tune::parse_seconds;
use super::{Exit, bias};

/// The arguments of `twotone export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The run directory.
    run: PathBuf,
    /// Format to write.
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// Path to write. Nothing may have this name yet.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// Length of a scan of a G3 file in seconds. If it is absent: 10, or 0.1 for fast streams.
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    scan_seconds: Option<f64>,
}

/// Format of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A capture as a folder of the GetData library, with the fields that rfmux writes.
    Dirfile,
    /// The tune as bias dictionaries of rfmux, in JSON.
    Bias,
    /// A capture as a file of the software of SPT, which needs a Python with spt3g (or so3g) and
    /// pyarrow: python3, or the one in TWOTONE_PYTHON.
    G3,
}

/// The object of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    format: Format,
    #[serde(flatten)]
    exported: Exported,
}

impl Export {
    pub(crate) fn run(self, json: bool) -> Exit {
        let interrupt = Interrupt::watch("interrupted: removing what was written");
        let settings = ExportSettings {
            boards: self.selection.boards().to_vec(),
            modules: self.selection.modules().to_vec(),
            stop: interrupt.first.clone(),
        };
        let exported = match self.to {
            Format::Dirfile => export_dirfile(&self.run, &self.out, &settings),
            Format::Bias => return bias::export(&self.run, &self.out, &self.selection, json),
            Format::G3 => export_g3(&self.run, &self.out, &settings, &self.g3()),
        };
        match exported {
            Ok(exported) => {
                let format = self.to;
                tell(&Report { format, exported }, json)
            }
            Err(ExchangeError::Cancelled) => {
                complain(&ExchangeError::Cancelled.to_string());
                Exit::Interrupted
            }
            Err(error) => Exit::usage(&legible(&error.to_string())),
        }
    }
}

impl Export {
    fn g3(&self) -> G3Settings {
        let python = std::env::var_os("TWOTONE_PYTHON");
        G3Settings {
            python: python.unwrap_or_else(|| "python3".into()).into(),
            scan_s: self.scan_seconds,
        }
    }
}

/// Prints the result.
fn tell(report: &Report, json: bool) -> Exit {
    let exported = &report.exported;
    for doubt in &exported.doubts {
        complain(&format!("WARNING: {}", legible(doubt)));
    }
    for missing in &exported.missing {
        let (file, reason) = (legible(&missing.file), &missing.reason);
        complain(&format!("not exported completely: {file}: {reason}"));
    }
    if json {
        say_json(report);
    } else {
        for board in &exported.boards {
            for module in &board.modules {
                say(&format!(
                    "{} module {}: {} samples of {} channels, {} calibrated; {} lost, {} without a time",
                    legible(&board.name),
                    module.module,
                    module.samples,
                    module.channels,
                    module.calibrated,
                    module.lost,
                    module.timeless
                ));
            }
        }
        say(&format!("written to {}", shown(&exported.out)));
    }
    if exported.is_whole() {
        Exit::Well
    } else {
        Exit::SomeFailed
    }
}
