//! Reasons that nothing was exported or imported.

use std::path::PathBuf;

use crate::input::shown;
use crate::record::RecordError;

/// Reason that nothing was exported or imported. No file was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The source is not what the command needs.
    #[error("`{}`: {reason}", shown(path))]
    Source {
        /// Path of the source.
        path: PathBuf,
        /// Reason, in words.
        reason: String,
    },
    /// Another program, which the work needs, cannot do it.
    #[error("`{}`: {reason}", shown(program))]
    Program {
        /// Path of the program.
        program: PathBuf,
        /// Reason, in words.
        reason: String,
    },
    /// The work was cancelled.
    #[error("interrupted: nothing was written")]
    Cancelled,
}

impl ExchangeError {
    pub(super) fn program(program: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Program {
            program: program.into(),
            reason: reason.into(),
        }
    }

    pub(super) fn source(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Source {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
