//! Records of runs (tunes, sweeps and captures of many boards): a directory for each run. It has a
//! *manifest*, which is a file with the origin of the run and the state of each board, and the
//! results: the tune, the sweeps or the captured samples. The directory appears under its name in
//! one step, and never replaces another. `docs/run-directory.md` describes its files.
//!
//! ```
//! use twotone::record::RunDirectory;
//! # let parent = tempfile::tempdir().unwrap();
//! # let path = parent.path().join("2026-11-22-night");
//! let run = RunDirectory::prepare(&path).unwrap();    // before anything else is done
//! run.write_json("result.json", &["measured"]).unwrap();
//! assert!(!path.exists());
//! run.commit().unwrap();                              // all at once
//! assert!(path.join("result.json").exists());
//! assert!(RunDirectory::prepare(&path).is_err());     // never overwritten
//! ```

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "arrow")]
mod batch_file;
mod calendar;
#[cfg(feature = "arrow")]
mod counters;
mod csv;
mod directory;
mod error;
mod failure;
mod manifest;
mod publish;
mod recorded;
mod replace;
mod room;
#[cfg(feature = "arrow")]
mod sample_reader;
#[cfg(feature = "arrow")]
mod samples;
mod sweeps;
#[cfg(test)]
mod tests;
mod tune;

pub(crate) use self::csv::unix_lines;
pub use calendar::UtcTime;
#[cfg(feature = "arrow")]
pub use counters::{CounterRow, CounterWriter};
pub use directory::{
    CAPTURE_FILE, COUNTERS_FOLDER, MANIFEST_FILE, RunDirectory, RunFile, SAMPLES_FOLDER,
    SWEEPS_FOLDER,
};
pub use error::RecordError;
pub use failure::Failure;
pub use manifest::{BoardRecord, FORMAT_VERSION, Manifest, MapRecord};
pub use recorded::{Content, MissingFile, Recorded, Weight};
#[cfg(feature = "arrow")]
pub(crate) use replace::publish_new;
pub(crate) use replace::{folder_of, replace};
pub use room::Room;
#[cfg(feature = "arrow")]
pub use sample_reader::{SampleHead, SampleReader};
#[cfg(feature = "arrow")]
pub(crate) use samples::polar;
#[cfg(feature = "arrow")]
pub use samples::{SampleColumns, SampleRows, SampleWriter};
pub use sweeps::{SweepHead, SweepKind, SweepPoint, SweepTable, SweptLine};
pub use tune::{DetectorStatus, DetectorTune, ModuleTune, TUNE_FILE, TuneRecord};
