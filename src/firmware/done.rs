//! File with the boards that a roll-out has finished.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Image;
use crate::input;
use crate::map::same_serial;
use crate::record::{UtcTime, folder_of, replace};

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
    /// The boards by their serial numbers, because another board can have the same name later.
    boards: BTreeMap<String, DoneBoard>,
}

/// A board that is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DoneBoard {
    name: String,
    at: UtcTime,
}

/// Content of a file of an earlier version, which names the boards.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    #[serde(rename = "release")]
    _release: String,
    #[serde(rename = "sha256")]
    _sha256: String,
    #[serde(rename = "boards")]
    _boards: BTreeMap<String, UtcTime>,
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
    /// If the file cannot be read, has another content, or belongs to another image.
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
                let why = match serde_json::from_str::<Earlier>(&text) {
                    Ok(_) => "it is of an earlier version, and has no serial numbers of boards: \
                              remove it. The flashes are then read back, and only those that \
                              differ are written"
                        .to_owned(),
                    Err(_) => {
                        format!("it is no file of a roll-out ({error}): name another file")
                    }
                };
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
        Ok(Self { path, content })
    }

    /// Checks that the file can be written, so that this is known before a board is flashed.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check_writable(&self) -> Result<(), DoneError> {
        let written = tempfile::tempfile_in(folder_of(&self.path));
        written
            .map(drop)
            .map_err(|error| failed(&self.path, format!("it cannot be written: {error}")))
    }

    /// True if the file lists the board with this serial number as flashed or verified.
    pub fn is_done(&self, serial: &str) -> bool {
        self.content.boards.contains_key(&same_serial(serial))
    }

    /// Adds a board, and writes the file.
    ///
    /// # Errors
    /// If the file cannot be written. The board is added in memory nevertheless.
    pub fn add(&mut self, serial: &str, name: &str) -> Result<(), DoneError> {
        let board = DoneBoard {
            name: name.to_owned(),
            at: UtcTime::now(),
        };
        self.content.boards.insert(same_serial(serial), board);
        let written = replace(&self.path, |file| {
            serde_json::to_writer_pretty(&mut *file, &self.content)?;
            file.write_all(b"\n")
        });
        written.map_err(|error| failed(&self.path, error))
    }
}

fn failed(path: &Path, message: impl ToString) -> DoneError {
    DoneError {
        path: path.to_owned(),
        message: message.to_string(),
    }
}
