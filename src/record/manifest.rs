//! Manifest of a run: versions, map, parameters, times, and the result of each board.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Failure, MANIFEST_FILE, MissingFile, RecordError, UtcTime};
use crate::input;
use crate::lock::Holder;
use crate::map::HardwareMap;

/// The version of the run directory's format. It changes when a reader of the old one would
/// misunderstand the new.
pub const FORMAT_VERSION: u32 = 2;

/// The manifest of a run, `manifest.json` in its directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// The version of twotone.
    pub twotone_version: String,
    /// The command line, the program first.
    pub command: Vec<String>,
    /// The computer that ran it.
    pub host: String,
    /// The operator's note.
    pub note: Option<String>,
    /// Seed of everything that was drawn at random.
    pub seed: Option<u64>,
    /// Time at which the run began.
    pub started: UtcTime,
    /// Time at which the run ended.
    pub ended: UtcTime,
    /// The hardware map.
    pub map: MapRecord,
    /// The parameters, every default written out.
    pub parameters: serde_json::Value,
    /// Every board of the map, in its order.
    pub boards: Vec<BoardRecord>,
    /// Files that could not be written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingFile>,
    /// Remarks on the place where the run lies, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The hardware map of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRecord {
    /// The file, as it was named.
    pub file: String,
    /// SHA-256 of `text`, in hexadecimal.
    pub sha256: String,
    /// The text, to the byte.
    pub text: String,
}

/// Result of a board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardRecord {
    /// Its name in the map.
    pub name: String,
    /// Its serial number, as it says itself or, if it does not, as the map has it.
    pub serial: Option<String>,
    /// Result of the check that it is the board of the map, in words; `None` if this was not
    /// checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Its firmware release, as it says itself. `None` if it does not say it, or was not reached.
    pub firmware: Option<String>,
    /// Facts that it did not tell about itself, with the assumptions in their place.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Program that it was taken over from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<Holder>,
    /// Its status, in the words of the run's result.
    pub status: String,
    /// Its error, if it had one. Versions before format 2 wrote a sentence.
    pub error: Option<Failure>,
    /// Everything else that was less than well, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Number of channels that ended with each status.
    pub channels: BTreeMap<String, usize>,
}

impl MapRecord {
    /// The record of `map`.
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
    /// The manifest of a run that began at `started` and ends now, on this computer, by this
    /// version. Note, seed and boards are the caller's to fill in.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the parameters have no JSON.
    pub fn new(
        command: impl IntoIterator<Item = String>,
        map: &HardwareMap,
        parameters: &impl Serialize,
        started: UtcTime,
    ) -> Result<Self, RecordError> {
        let parameters = serde_json::to_value(parameters)
            .map_err(RecordError::format("write", MANIFEST_FILE))?;
        Ok(Self {
            format_version: FORMAT_VERSION,
            twotone_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.into_iter().collect(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            note: None,
            seed: None,
            started,
            ended: UtcTime::now(),
            map: MapRecord::of(map),
            parameters,
            boards: Vec::new(),
            missing: Vec::new(),
            remarks: Vec::new(),
        })
    }

    /// Reads the manifest of the run directory `run`.
    ///
    /// # Errors
    /// [`RecordError::Io`] if there is none, [`RecordError::Format`] if it is no manifest
    /// or one of a later format.
    pub fn read(run: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path = run.as_ref().join(MANIFEST_FILE);
        let text =
            input::read(&path, input::MANIFEST_BYTES).map_err(RecordError::io("read", &path))?;
        let shown = path.display().to_string();
        // The version comes first: a later format may have other fields.
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

    /// Entries about the origin of the data files of `board`, as names and values.
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
            ("map_sha256", Some(self.map.sha256.clone())),
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
