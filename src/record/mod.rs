//! Run records: a directory per run with a manifest, the tune and the sweeps, written whole or
//! not at all, and never over another. Described in `docs/run-directory.md`.
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
mod calendar;
mod csv;
mod directory;
mod error;
mod manifest;
mod publish;
mod sweeps;
#[cfg(test)]
mod tests;

pub use calendar::UtcTime;
pub use directory::{MANIFEST_FILE, RunDirectory, SWEEPS_FOLDER};
pub use error::RecordError;
pub use manifest::{BoardRecord, FORMAT_VERSION, Manifest, MapRecord};
pub use sweeps::{SweepHead, SweepKind, SweepPoint, SweepTable};
