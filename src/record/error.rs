//! Reasons that a record could not be written or read.

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
    /// Something took the name while the run was being made. The run is whole, and kept.
    #[error(
        "`{}` was taken by something else in the meantime; this run lies whole in `{}`",
        shown(path),
        shown(kept)
    )]
    Taken {
        /// The name.
        path: PathBuf,
        /// Place of the run instead.
        kept: PathBuf,
    },
    /// The folder that the run was to lie in was moved while the run was being made. The run is
    /// whole, and kept.
    #[error(
        "the folder of `{}` was moved in the meantime; this run lies whole in `{}`",
        shown(path),
        shown(kept)
    )]
    Moved {
        /// The name that it was to have.
        path: PathBuf,
        /// Place of the run instead.
        kept: PathBuf,
    },
    /// The folder that the run was written into is not there any more, nor anything in it.
    #[error(
        "the folder of this run, `{}`, is gone with what was in it: it was removed in the meantime, or \
         its disk was unmounted",
        shown(path)
    )]
    Gone {
        /// Place of the folder.
        path: PathBuf,
    },
    /// A run that could not be completed or put in its place. What was written of it is kept.
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
        /// Reason that it cannot.
        reason: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", shown(path))]
    Io {
        /// Operation that was tried.
        action: &'static str,
        /// Path that it was tried on.
        path: PathBuf,
        /// Reason of the file system.
        source: io::Error,
    },
    /// A value has no form in the format of the file, or a file is not of that format.
    #[error("cannot {action} `{file}`: {source}")]
    Format {
        /// Operation that was tried.
        action: &'static str,
        /// The file, within its run directory.
        file: String,
        /// Reason of its failure.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl RecordError {
    /// Place of the run all the same, if the error is one that has it.
    pub fn kept(&self) -> Option<&Path> {
        match self {
            Self::Taken { kept, .. } | Self::Moved { kept, .. } | Self::Kept { kept, .. } => {
                Some(kept)
            }
            _ => None,
        }
    }

    /// Kind of the error: a name that is taken or of no use is an invalid argument, all else failed
    /// storage.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Exists { .. } | Self::Name { .. } => ErrorKind::InvalidArgument,
            Self::Kept { cause, .. } => cause.kind(),
            _ => ErrorKind::Storage,
        }
    }

    /// The operation that failed in words, if the error is of one, and the message without it.
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

    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn format<'a, E: Into<Box<dyn StdError + Send + Sync>>>(
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

/// A name that is taken or of no use is an invalid argument, all else failed storage.
impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        // Whatever a file system does, nothing is executed on a board.
        Self::new(error.kind(), error.to_string()).certainty_is(Certainty::NotExecuted)
    }
}
