//! Reasons that a record could not be written or read. A record is the directory of one run, with
//! the files of the run.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use twotone_hal::{Certainty, Error, ErrorKind};

use crate::input::shown;

/// Reason that a record could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A file, a folder or a link has the name of the run already.
    #[error(
        "`{}` exists already, and runs are never overwritten: choose another name",
        shown(path)
    )]
    Exists {
        /// The name.
        path: PathBuf,
    },
    /// Another program has used the name of the run while the run was being written. The run is
    /// complete, and kept under another name.
    #[error(
        "`{}` was taken by something else in the meantime; this run lies whole in `{}`",
        shown(path),
        shown(kept)
    )]
    Taken {
        /// The name.
        path: PathBuf,
        /// Actual place of the run.
        kept: PathBuf,
    },
    /// The parent folder was moved while the run was being written. The run is complete, and kept
    /// in the moved folder.
    #[error(
        "the folder of `{}` was moved in the meantime; this run lies whole in `{}`",
        shown(path),
        shown(kept)
    )]
    Moved {
        /// Intended path of the run.
        path: PathBuf,
        /// Actual place of the run.
        kept: PathBuf,
    },
    /// The folder of the run no longer exists, and its files are lost.
    #[error(
        "the folder of this run, `{}`, is gone with what was in it: it was removed in the meantime, or \
         its disk was unmounted",
        shown(path)
    )]
    Gone {
        /// Place of the folder.
        path: PathBuf,
    },
    /// The run could not be completed or put in its place. The files that were written are kept.
    #[error("{cause}{}", kept_in_words(kept))]
    Kept {
        /// Place of the run.
        kept: PathBuf,
        /// Reason that it could not be completed or put in its place.
        cause: Box<Self>,
    },
    /// A path that cannot name a run directory or a file in one.
    #[error("`{}` cannot be used: {reason}", shown(path))]
    Name {
        /// The path.
        path: PathBuf,
        /// Reason that the path cannot be used.
        reason: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", shown(path))]
    Io {
        /// Operation that failed.
        action: &'static str,
        /// Path of the operation.
        path: PathBuf,
        /// Reason of the file system.
        source: io::Error,
    },
    /// A value cannot be written in the format of a file, or a file does not have that format.
    #[error("cannot {action} `{file}`: {source}")]
    Format {
        /// Operation that failed.
        action: &'static str,
        /// The file, within its run directory.
        file: String,
        /// Reason of the failure.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl RecordError {
    /// Returns the actual place of the run, if the error names it.
    pub fn kept(&self) -> Option<&Path> {
        match self {
            Self::Taken { kept, .. } | Self::Moved { kept, .. } | Self::Kept { kept, .. } => {
                Some(kept)
            }
            _ => None,
        }
    }

    /// Returns the kind of the error. [`RecordError::Exists`] and [`RecordError::Name`] are invalid
    /// arguments, [`RecordError::Kept`] has the kind of its cause, and every other error is a
    /// storage error.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Exists { .. } | Self::Name { .. } => ErrorKind::InvalidArgument,
            Self::Kept { cause, .. } => cause.kind(),
            _ => ErrorKind::Storage,
        }
    }

    /// Returns the operation that failed, in words, if the error has one, and the message without
    /// the operation.
    pub(super) fn parts(&self) -> (Option<String>, String) {
        match self {
            Self::Io {
                action,
                path,
                source,
            } => {
                let operation = format!("{action} `{}`", shown(path));
                (Some(operation), source.to_string())
            }
            Self::Format {
                action,
                file,
                source,
            } => (Some(format!("{action} `{file}`")), source.to_string()),
            Self::Kept { kept, cause } => {
                let (operation, message) = cause.parts();
                (operation, message + &kept_in_words(kept))
            }
            _ => (None, self.to_string()),
        }
    }

    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn format<'a, E: Into<Box<dyn StdError + Send + Sync>>>(
        action: &'static str,
        file: &'a str,
    ) -> impl FnOnce(E) -> Self + use<'a, E> {
        move |source| Self::Format {
            action,
            file: file.to_owned(),
            source: source.into(),
        }
    }
}

fn kept_in_words(kept: &Path) -> String {
    format!("; what was written until then is kept in `{}`", shown(kept))
}

/// Converts the error. [`RecordError::Exists`] and [`RecordError::Name`] are invalid arguments,
/// [`RecordError::Kept`] has the kind of its cause, and every other error is a storage error.
impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        // The operation concerned files only, so it was certainly not executed on a board.
        Self::new(error.kind(), error.to_string()).certainty_is(Certainty::NotExecuted)
    }
}
