//! File with the boards that a roll-out has finished.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Image;
use crate::input;
use crate::record::UtcTime;

/// Boards that a roll-out has finished, kept in a file. A roll-out that ended early continues with
/// the others.
#[derive(Debug, Clone)]
pub struct Done {
    path: PathBuf,
    content: Content,
}

/// Content of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    release: String,
    sha256: String,
    boards: BTreeMap<String, UtcTime>,
}

/// Reason that the file of a roll-out cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", input::shown(.path))]
pub struct DoneError {
    path: PathBuf,
    message: String,
}

impl Done {
    /// Reads the file of a roll-out of `image`. If the file does not exist, no board is done.
    ///
    /// # Errors
    /// If the file cannot be read, or belongs to another image.
    pub fn read(path: impl Into<PathBuf>, image: &Image) -> Result<Self, DoneError> {
        let path = path.into();
        let text = match input::read_text(&path, input::PARAMS_BYTES) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&path, error)),
        };
        let content = match text {
            None => Content {
                release: image.release().to_string(),
                sha256: image.sha256().to_owned(),
                boards: BTreeMap::new(),
            },
            Some(text) => serde_json::from_str(&text).map_err(|error| failed(&path, error))?,
        };
        if content.sha256 != image.sha256() {
            let release = &content.release;
            let why = format!(
                "it belongs to another image, of release {release}: name another file, or remove it"
            );
            return Err(failed(&path, why));
        }
        Ok(Self { path, content })
    }

    /// True if the board was flashed and verified.
    pub fn is_done(&self, board: &str) -> bool {
        self.content.boards.contains_key(board)
    }

    /// Adds a board, and writes the file.
    ///
    /// # Errors
    /// If the file cannot be written. The board is added in memory nevertheless.
    pub fn add(&mut self, board: &str) -> Result<(), DoneError> {
        self.content.boards.insert(board.to_owned(), UtcTime::now());
        let written = self.write();
        written.map_err(|error| failed(&self.path, error))
    }

    /// Replaces the file in one step, so that after a loss of power the old or the new file is
    /// complete.
    fn write(&self) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &self.content)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        fs::File::open(folder)?.sync_all()
    }
}

fn failed(path: &Path, message: impl ToString) -> DoneError {
    DoneError {
        path: path.to_owned(),
        message: message.to_string(),
    }
}
