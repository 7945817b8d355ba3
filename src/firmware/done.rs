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
    /// If the file cannot be read, has another content, belongs to another image, or could not be
    /// written later.
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
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                let why = format!("it is no file of a roll-out ({error}): name another file");
                failed(&path, why)
            })?,
        };
        if content.sha256 != image.sha256() {
            let release = &content.release;
            let why = format!(
                "it belongs to another image, of release {release}: name another file, or remove it"
            );
            return Err(failed(&path, why));
        }
        let done = Self { path, content };
        // A file that cannot be written is found now, and not after a board was flashed.
        match done.temporary() {
            Ok(_) => Ok(done),
            Err(error) => Err(failed(&done.path, format!("it cannot be written: {error}"))),
        }
    }

    /// True if the file lists the board as flashed or verified.
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
        self.temporary()?.persist(&self.path)?;
        fs::File::open(self.folder())?.sync_all()
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Writes the content into a file beside the one of the roll-out.
    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new_in(self.folder())?;
        serde_json::to_writer_pretty(&mut file, &self.content)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}

fn failed(path: &Path, message: impl ToString) -> DoneError {
    DoneError {
        path: path.to_owned(),
        message: message.to_string(),
    }
}
