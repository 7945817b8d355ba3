//! Exchange of results with other programs: a capture goes out as a dirfile of the GetData library
//! or as a G3 file, and a dirfile of the Python client of CRS boards comes in as a capture.
//! `docs/exchange.md` describes the fields. The tones of a tune go out and come in as bias
//! dictionaries: see [`bias`].
//!
//! A *capture* is a run directory with the sample streams of boards. Its *manifest* is the file
//! with the origin of the run and the state of each board.

pub mod bias;
mod calendar;
mod capture;
mod dirfile;
mod error;
mod g3;
mod names;
mod script;
mod stamps;
mod tuned;

use std::path::PathBuf;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use twotone_hal::ModuleId;

use crate::record::MissingFile;

pub use dirfile::{
    ImportSettings, ImportedBoard, ImportedCapture, ImportedModule, StampDate, export_dirfile,
    import_dirfile,
};
pub use error::ExchangeError;
pub use g3::{G3Settings, export_g3};
pub use names::field_name;

/// Settings of an export.
#[derive(Debug, Clone, Default)]
pub struct ExportSettings {
    /// Names of the boards to export. If the list is empty, all boards of the capture.
    pub boards: Vec<String>,
    /// Modules to export. If the list is empty, all modules of the capture.
    pub modules: Vec<ModuleId>,
    /// Token that ends the export when it is cancelled. Nothing is then written.
    pub stop: CancellationToken,
}

/// Result of an export.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Exported {
    /// The path that was written.
    pub out: PathBuf,
    /// Boards that were written, in the order of the manifest.
    pub boards: Vec<ExportedBoard>,
    /// Sentences about the capture that a reader of the result must know: those of its manifest,
    /// and what the format cannot express.
    pub doubts: Vec<String>,
    /// Files of the capture that are not in the result, or not completely.
    pub missing: Vec<MissingFile>,
}

/// A board in the result of an export.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExportedBoard {
    /// Name of the board in the map of the capture.
    pub name: String,
    /// Serial number of the board, if the capture has it.
    pub serial: Option<String>,
    /// Modules that were written.
    pub modules: Vec<ExportedModule>,
}

/// A module in the result of an export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportedModule {
    /// The module.
    pub module: ModuleId,
    /// Number of channels.
    pub channels: usize,
    /// Number of channels with values in hertz.
    pub calibrated: usize,
    /// Number of channels with the id of a detector.
    pub detectors: usize,
    /// Number of samples of each channel.
    pub samples: u64,
    /// Number of samples of each channel that were lost between them.
    pub lost: u64,
    /// Number of samples without a time.
    pub timeless: u64,
}

impl Exported {
    /// True if nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }
}
