//! Records of the flashes that were begun on this computer and are not known to be complete.
//!
//! A record is a file for each board. It is written before the flash is changed, and removed when
//! the flash was read back. So after a crash, a kill or a loss of power of this computer, each
//! later call finds it, with any image and in any folder. The records in the folder of a user's
//! state are found only by later calls of this user, and not by the daemon.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::input;
use crate::map::{BoardEntry, same_serial};
use crate::record::{UtcTime, folder_of, replace};

/// Environment variable with the folder of the records.
const VARIABLE: &str = "TWOTONE_FLASHES";

/// Folder of the records of this computer.
const OF_SYSTEM: &str = "/var/lib/twotone/flashes";

/// Folder of the records of a user, in the folder of the user's state.
const OF_USER: &str = "twotone/flashes";

/// Flash that was begun, and is not known to be complete. The fields that could not be read are
/// `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unfinished {
    /// Name of the board in the map.
    pub board: String,
    /// Kind of the board, as in the map.
    pub kind: String,
    /// Serial number of the board.
    pub serial: String,
    /// Serial number of the crate of the board.
    #[serde(rename = "crate")]
    pub crate_serial: Option<String>,
    /// Release that was being written.
    pub release: Option<String>,
    /// SHA-256 digest of the image that was being written.
    pub sha256: Option<String>,
    /// Time at which the flash was begun.
    pub since: Option<UtcTime>,
    /// Text with which a program can take control of the board without a restart.
    pub control: Option<String>,
    /// File of the record, if it is not in the folder of the records of this computer.
    #[serde(skip)]
    pub(super) file: Option<PathBuf>,
}

impl Unfinished {
    /// Returns a description for people, without the name of the board.
    pub fn words(&self) -> String {
        let release = self.release.as_deref().unwrap_or("unknown");
        let since = self.since.map(|since| format!(" at {since}"));
        let since = since.unwrap_or_default();
        let file = self.file.as_deref();
        let file = file.map(|file| format!(" (record {})", input::shown(file)));
        let file = file.unwrap_or_default();
        format!(
            "a flash of release {release} was begun{since} and is not known to be complete{file}"
        )
    }

    /// True if the record is that of this board.
    pub(crate) fn is_of(&self, entry: &BoardEntry) -> bool {
        let serial = entry.serial.as_deref().map(same_serial);
        self.kind == entry.kind.name() && serial == Some(same_serial(&self.serial))
    }

    fn file_name(kind: &str, serial: &str) -> String {
        format!("{kind}-{}.json", same_serial(serial))
    }
}

/// Records of the flashes that were begun on this computer.
#[derive(Debug, Clone)]
pub struct Flashes {
    /// All of them are read, and the first one that can be written is written.
    folders: Vec<PathBuf>,
}

impl Flashes {
    /// The records in the usual place: the folder that the environment variable `TWOTONE_FLASHES`
    /// names, or else `/var/lib/twotone/flashes`, and `twotone/flashes` in the folder of the user's
    /// state for users who cannot write there.
    pub fn usual() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(folder) = variable(VARIABLE) {
            return Self::in_folder(folder);
        }
        let state = variable("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.or_else(|| {
            Some(
                PathBuf::from(variable("HOME")?)
                    .join(".local")
                    .join("state"),
            )
        });
        let of_user = state.map(|state| state.join(OF_USER));
        let folders = [Some(PathBuf::from(OF_SYSTEM)), of_user];
        Self {
            folders: folders.into_iter().flatten().collect(),
        }
    }

    /// The records in a folder, which is made when the first one is written.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folders: vec![folder.into()],
        }
    }

    /// Returns the latest record of each board. A file that cannot be read is a record without
    /// details. A folder that cannot be read is named in the log.
    pub fn all(&self) -> Vec<Unfinished> {
        let mut records: BTreeMap<_, Unfinished> = BTreeMap::new();
        for record in self.folders.iter().flat_map(|folder| read_all(folder)) {
            let board = (record.kind.clone(), same_serial(&record.serial));
            match records.get(&board) {
                Some(other) if other.since >= record.since => {}
                _ => drop(records.insert(board, record)),
            }
        }
        records.into_values().collect()
    }

    /// Writes a record. When this method returns, the record survives a loss of power.
    ///
    /// # Errors
    /// If no folder can be written. The error names the folder.
    pub fn begin(&self, record: &Unfinished) -> io::Result<()> {
        let mut failed = io::Error::other("there is no folder for it");
        for folder in &self.folders {
            match write(folder, record) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let folder = input::shown(folder);
                    failed = io::Error::new(error.kind(), format!("{folder}: {error}"));
                }
            }
        }
        Err(failed)
    }

    /// Removes the records of a board, if there are any.
    ///
    /// # Errors
    /// If a record cannot be removed. The error names the first such file.
    pub fn end(&self, kind: &str, serial: &str) -> io::Result<()> {
        let ends = self.folders.iter().map(|folder| {
            let path = folder.join(Unfinished::file_name(kind, serial));
            let removed = fs::remove_file(&path).and_then(|()| File::open(folder)?.sync_all());
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let path = input::shown(&path);
                    Err(io::Error::new(error.kind(), format!("{path}: {error}")))
                }
                _ => Ok(()),
            }
        });
        // A record that stays in one folder must not keep those in the others.
        ends.fold(Ok(()), io::Result::and)
    }
}

/// Reads all records of a folder.
fn read_all(folder: &Path) -> Vec<Unfinished> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    match entries {
        Ok(entries) => entries.iter().filter_map(|one| read(&one.path())).collect(),
        // Usually there has been no flash.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let folder = input::shown(folder);
            tracing::warn!(
                folder,
                %error,
                "the records of flashes cannot be read: KEEP THE POWER ON of boards that do not \
                 answer"
            );
            Vec::new()
        }
    }
}

/// Reads a record. `None` for a file of another kind, such as a temporary one.
fn read(path: &Path) -> Option<Unfinished> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let (kind, serial) = name.split_once('-')?;
    let text = match input::read_text(path, input::PARAMS_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        text => text,
    };
    let record = text.and_then(|text| Ok(serde_json::from_str::<Unfinished>(&text)?));
    let record = record.unwrap_or_else(|error| {
        tracing::warn!(file = input::shown(path), %error, "the record of a flash is damaged");
        Unfinished {
            board: name.to_owned(),
            kind: kind.to_owned(),
            serial: serial.to_owned(),
            ..Unfinished::default()
        }
    });
    let is_elsewhere = folder_of(path) != Path::new(OF_SYSTEM);
    Some(Unfinished {
        file: is_elsewhere.then(|| path.to_owned()),
        ..record
    })
}

/// Writes a record, and makes its folder if that is missing.
fn write(folder: &Path, record: &Unfinished) -> io::Result<()> {
    make(folder)?;
    let path = folder.join(Unfinished::file_name(&record.kind, &record.serial));
    replace(&path, |file| {
        // The daemon, which has a user of its own, reads the records too.
        file.set_permissions(Permissions::from_mode(0o644))?;
        serde_json::to_writer_pretty(&mut *file, record)?;
        file.write_all(b"\n")
    })
}

/// Makes a folder that everybody can read, and those above it. When this function returns, they
/// survive a loss of power.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    make(above)?;
    match fs::create_dir(folder) {
        // Another program may have made it in between.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => {
            made?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
    }
    // The name of a new folder is in the folder above.
    File::open(above)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(serial: &str) -> Unfinished {
        Unfinished {
            board: format!("b{serial}"),
            kind: String::from("crs"),
            serial: serial.to_owned(),
            release: Some(String::from("1.8.0")),
            since: Some(UtcTime::now()),
            control: Some(String::from("127.0.0.1:9 127.0.0.2")),
            ..Unfinished::default()
        }
    }

    #[test]
    fn a_record_stays_until_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let flashes = Flashes::in_folder(folder.path().join("a/b"));
        assert!(flashes.all().is_empty());
        flashes.begin(&record("0007")).unwrap();
        flashes.begin(&record("x-8")).unwrap();
        flashes.begin(&record("7")).unwrap();
        let mut all = flashes.all();
        all.sort_by(|one, other| one.serial.cmp(&other.serial));
        let serials: Vec<_> = all.iter().map(|one| one.serial.as_str()).collect();
        // A serial number with other zeros is the same board.
        assert_eq!(serials, ["7", "x-8"]);
        flashes.end("crs", "007").unwrap();
        flashes.end("crs", "9").unwrap();
        assert_eq!(flashes.all().len(), 1);
    }

    #[test]
    fn the_latest_record_of_a_board_counts_and_all_of_them_end() {
        let [one, other] = [0, 1].map(|_| tempfile::tempdir().unwrap());
        let [first, second] = [&one, &other].map(|folder| Flashes::in_folder(folder.path()));
        let both = Flashes {
            folders: [&one, &other].map(|folder| folder.path().to_owned()).into(),
        };
        let times = ["2026-11-22T21:04:21Z", "2026-11-22T21:04:22Z"];
        let [earlier, later] = times.map(|time| {
            let since = serde_json::from_str(&format!("\"{time}\"")).unwrap();
            Unfinished {
                since: Some(since),
                ..record("7")
            }
        });
        for (in_first, in_second) in [(&earlier, &later), (&later, &earlier)] {
            first.begin(in_first).unwrap();
            second.begin(in_second).unwrap();
            let all = both.all();
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].since, later.since);
        }
        // It says where the record is, so that a person can remove it.
        let words = both.all()[0].words();
        let file = one.path().join("crs-7.json");
        assert!(words.contains(file.to_str().unwrap()), "{words}");
        // A record that cannot be removed is an error, and the others are removed.
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let kept = both.end("crs", "7").unwrap_err().to_string();
        assert!(kept.contains("crs-7.json"), "{kept}");
        assert!(second.all().is_empty());
    }

    #[test]
    fn each_new_folder_can_be_read_by_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        Flashes::in_folder(&path).begin(&record("7")).unwrap();
        for (path, expected) in [
            (path.clone(), 0o755),
            (folder.path().join("a"), 0o755),
            (path.join("crs-7.json"), 0o644),
        ] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, expected);
        }
    }

    #[test]
    fn a_damaged_record_is_one_without_details() {
        let folder = tempfile::tempdir().unwrap();
        let flashes = Flashes::in_folder(folder.path());
        flashes.begin(&record("7")).unwrap();
        let file = folder.path().join("crs-7.json");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        let all = flashes.all();
        assert_eq!((all[0].kind.as_str(), all[0].serial.as_str()), ("crs", "7"));
        assert_eq!(all[0].release, None);
        // A temporary file is none.
        fs::write(folder.path().join(".tmpabc"), &text).unwrap();
        assert_eq!(flashes.all().len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let failed = Flashes::in_folder(file.join("flashes")).begin(&record("7"));
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("file/flashes"), "{text}");
    }
}
