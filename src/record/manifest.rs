//! Manifest of a run, which is a tune, a sweep or a capture of many boards: versions, hardware map,
//! parameters, times, and the result of each board.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Failure, MANIFEST_FILE, MissingFile, RecordError, UtcTime};
use crate::campaign::BoardSetup;
use crate::input;
use crate::lock::Holder;
use crate::map::HardwareMap;

/// Version of the run directory's format. It changes if a reader of the old format would
/// misunderstand the new one.
pub const FORMAT_VERSION: u32 = 2;

/// The manifest of a run, `manifest.json` in its directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the program that wrote the manifest.
    pub format_version: u32,
    /// The version of twotone.
    pub twotone_version: String,
    /// The command line, beginning with the program.
    pub command: Vec<String>,
    /// Name of the computer that ran the program.
    pub host: String,
    /// The operator's note.
    pub note: Option<String>,
    /// Seed of the random numbers of a simulation, if the campaign was given one.
    pub seed: Option<u64>,
    /// Time at which the run began.
    pub started: UtcTime,
    /// Time at which the run ended.
    pub ended: UtcTime,
    /// The hardware map.
    pub map: MapRecord,
    /// The parameters, with every default written out.
    pub parameters: serde_json::Value,
    /// Every board of the map, in its order.
    pub boards: Vec<BoardRecord>,
    /// Files that could not be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingFile>,
    /// Sentences about a run directory that is not at the intended path: the intended path, and
    /// the reason. Empty if the run directory is at the intended path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The hardware map of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRecord {
    /// Name of the file, as the user gave it.
    pub file: String,
    /// SHA-256 of `text`, in hexadecimal.
    pub sha256: String,
    /// The unchanged text.
    pub text: String,
}

/// Result of a board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardRecord {
    /// Name of the board in the map.
    pub name: String,
    /// Serial number that the board reported, or else the one in the map.
    pub serial: Option<String>,
    /// Result of the check that the board which answered is the one in the map, in words. `None`
    /// if this was not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Firmware release that the board reported. `None` if it did not report one, or was not
    /// reached.
    pub firmware: Option<String>,
    /// Sentences about facts that the board did not report about itself, and about the assumptions
    /// in their place.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Program that had locked the board, if this run took the board over from another program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<Holder>,
    /// Properties that were set before the run. `None` if the map has none for the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<BoardSetup>,
    /// Status of the board: `ok`, `some_failed`, `failed` or `unreachable`. In a capture without
    /// this board it is `not_captured`.
    pub status: String,
    /// Error of the board, if it had one. Run directories of formats before 2 have only a sentence
    /// here.
    pub error: Option<Failure>,
    /// All problems of the board other than `error`, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Number of channels with each status.
    pub channels: BTreeMap<String, usize>,
}

/// Returns the name of this computer.
fn host() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

impl MapRecord {
    /// Makes the record of `map`.
    pub fn of(map: &HardwareMap) -> Self {
        let digest = Sha256::digest(map.text());
        Self {
            file: map.file().to_owned(),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            text: map.text().to_owned(),
        }
    }
}

impl Manifest {
    /// Makes the manifest of a run that began at `started` and ends now, on this computer, by this
    /// version of twotone. The caller fills in the note, the seed and the boards.
    /// [`RunDirectory::record`](super::RunDirectory::record) fills in the missing files and the
    /// remarks.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the parameters cannot be written as JSON.
    pub fn new(
        command: impl IntoIterator<Item = String>,
        map: &HardwareMap,
        parameters: &impl Serialize,
        started: UtcTime,
    ) -> Result<Self, RecordError> {
        let parameters = serde_json::to_value(parameters)
            .map_err(RecordError::format("write", MANIFEST_FILE))?;
        Ok(Self {
            map: MapRecord::of(map),
            ..Self::without_map(command.into_iter().collect(), parameters, started)
        })
    }

    /// Makes the manifest of a run without a hardware map, such as the import of a file of another
    /// program. `parameters` is the source, and the settings of the import.
    pub fn without_map(
        command: Vec<String>,
        parameters: serde_json::Value,
        started: UtcTime,
    ) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            twotone_version: env!("CARGO_PKG_VERSION").to_owned(),
            command,
            host: host(),
            note: None,
            seed: None,
            started,
            ended: UtcTime::now(),
            map: MapRecord {
                file: String::new(),
                sha256: String::new(),
                text: String::new(),
            },
            parameters,
            boards: Vec::new(),
            missing: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Reads the manifest of the run directory `run`.
    ///
    /// # Errors
    /// [`RecordError::Io`] if the file cannot be read, [`RecordError::Format`] if it is no manifest
    /// or has a later format.
    pub fn read(run: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = run.as_ref().join(MANIFEST_FILE);
        let text =
            input::read(&path, input::MANIFEST_BYTES).map_err(RecordError::io("read", &path))?;
        let shown = path.display().to_string();
        // The version is read first, because a later format may have other fields.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let version: Version =
            serde_json::from_slice(&text).map_err(RecordError::format("read", &shown))?;
        if version.format_version > FORMAT_VERSION {
            let later = format!(
                "it is of format {}, and this twotone knows up to {FORMAT_VERSION}: update twotone",
                version.format_version
            );
            return Err(RecordError::format("read", &shown)(later));
        }
        serde_json::from_slice(&text).map_err(RecordError::format("read", &shown))
    }

    /// Returns the origin of the data of `board`, as names and values for the metadata of its
    /// files: versions, command, map and board.
    pub fn provenance(&self, board: &str) -> BTreeMap<String, String> {
        let record = self.boards.iter().find(|record| record.name == board);
        let entries = [
            ("format_version", Some(self.format_version.to_string())),
            ("twotone_version", Some(self.twotone_version.clone())),
            ("command", Some(self.command.join(" "))),
            ("host", Some(self.host.clone())),
            ("note", self.note.clone()),
            ("seed", self.seed.map(|seed| seed.to_string())),
            ("started", Some(self.started.to_string())),
            (
                "map_sha256",
                Some(self.map.sha256.clone()).filter(|hash| !hash.is_empty()),
            ),
            ("board", Some(board.to_owned())),
            ("serial", record.and_then(|record| record.serial.clone())),
            (
                "firmware",
                record.and_then(|record| record.firmware.clone()),
            ),
        ];
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}
