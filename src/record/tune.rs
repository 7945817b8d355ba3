//! The tune of a run directory, read back.

use std::path::Path;

use serde::Deserialize;
use twotone_algorithms::{ChannelOutcome, ReferenceTone};
use twotone_hal::ModuleId;

use super::RecordError;
use crate::input;

/// The file of a run directory that holds the tune.
pub const TUNE_FILE: &str = "tune.toml";

/// What a run has found out about the tones of its modules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TuneRecord {
    /// One entry for each module that was tuned.
    #[serde(default)]
    tune: Vec<ModuleTune>,
}

/// The tune of one module. Its calibrations hold in one phase epoch of the board only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModuleTune {
    /// The board's name in the map.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// Every tone on a resonance.
    #[serde(default)]
    pub channel: Vec<ChannelOutcome>,
    /// Tones off resonance.
    #[serde(default)]
    pub reference: Vec<ReferenceTone>,
}

impl TuneRecord {
    /// Reads the tune of the run directory `run`.
    ///
    /// # Errors
    /// [`RecordError::Io`] where there is none, [`RecordError::Format`] where it is no tune, and
    /// as [`Manifest::read`](super::Manifest::read).
    pub fn read(run: impl AsRef<Path>) -> Result<Self, RecordError> {
        // A later format is refused as such.
        super::Manifest::read(run.as_ref())?;
        let path = run.as_ref().join(TUNE_FILE);
        let text =
            input::read_text(&path, input::RECORD_BYTES).map_err(RecordError::io("read", &path))?;
        let shown = path.display().to_string();
        toml::from_str(&text).map_err(RecordError::format("read", &shown))
    }

    /// The tune of a module of the board that the map calls `board`.
    pub fn module(&self, board: &str, module: ModuleId) -> Option<&ModuleTune> {
        let mut all = self.tune.iter();
        all.find(|tune| tune.board == board && tune.module == module)
    }
}
