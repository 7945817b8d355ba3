//! Files of sweeps, by whose content their format is recognized.

use std::fs;
use std::path::{Path, PathBuf};

use twotone_hal::ModuleId;

use super::periscope;
use crate::input;
use crate::record::{MANIFEST_FILE, Manifest, RecordError, SWEEPS_FOLDER, SweepTable};

/// Sweeps to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct FitSource {
    /// Tables of sweeps, one for each board.
    pub tables: Vec<SourceTable>,
    /// Facts that make the result doubtful, a sentence each.
    pub doubts: Vec<String>,
}

/// The sweeps of a board.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTable {
    /// Name of the board, or of the file if it does not name the board.
    pub board: String,
    /// The sweeps.
    pub sweeps: SweepTable,
}

impl FitSource {
    /// Reads sweeps. `path` is a run directory, or a file of one of these forms:
    /// * `sweeps/BOARD.arrow` or `sweeps/BOARD.csv` of a run directory;
    /// * a file with the samples of a network analysis that Periscope has exported as CSV, such as
    ///   `NAME_module1_idx0_counts.csv`. It may be in counts, volts or dBm.
    ///
    /// `module` is the module of a Periscope file whose name does not contain the module.
    ///
    /// # Errors
    /// [`RecordError::Io`] if a file cannot be read or is larger than [`input::SWEEPS_BYTES`].
    /// [`RecordError::Format`] if a file has none of these forms, or is damaged; if a run directory
    /// has no sweeps or is of a later version; or if the module of a file is not known.
    pub fn read(path: impl AsRef<Path>, module: Option<ModuleId>) -> Result<Self, RecordError> {
        let path = path.as_ref();
        let mut doubts = Vec::new();
        let is_run = path.is_dir();
        let files = match is_run {
            true => of_run(path, &mut doubts)?,
            false => vec![path.to_owned()],
        };
        let mut tables = Vec::new();
        for file in files {
            let sweeps = match read_file(&file, module, &mut doubts) {
                Ok(sweeps) => sweeps,
                // The other boards of a run do not suffer.
                Err(error) if is_run => {
                    doubts.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if sweeps.points().is_empty() {
                let shown = input::shown(&file);
                let empty = RecordError::format("read", &shown)("it has no points");
                match is_run {
                    true => doubts.push(empty.to_string()),
                    false => return Err(empty),
                }
            }
            let name = file.file_stem().unwrap_or(file.as_os_str());
            let board = sweeps.provenance.get("board").cloned();
            tables.push(SourceTable {
                board: board.unwrap_or_else(|| name.to_string_lossy().into_owned()),
                sweeps,
            });
        }
        Ok(Self { tables, doubts })
    }
}

/// Returns the files of sweeps of a run directory, in order of their names.
fn of_run(run: &Path, doubts: &mut Vec<String>) -> Result<Vec<PathBuf>, RecordError> {
    let mut boards = Vec::new();
    if run.join(MANIFEST_FILE).exists() {
        let manifest = Manifest::read(run)?;
        for missing in manifest.missing {
            doubts.push(format!(
                "{} is missing: {}",
                missing.file, missing.reason.message
            ));
        }
        boards = manifest.boards;
    } else {
        doubts.push(format!(
            "{MANIFEST_FILE} is missing, so the run may be incomplete"
        ));
    }
    let folder = run.join(SWEEPS_FOLDER);
    let mut files: Vec<PathBuf> = Vec::new();
    if folder.is_dir() {
        let io = || RecordError::io("read", &folder);
        for entry in fs::read_dir(&folder).map_err(io())? {
            files.push(entry.map_err(io())?.path());
        }
    }
    files.retain(|file| {
        let extension = file.extension();
        extension.is_some_and(|extension| extension == "arrow" || extension == "csv")
    });
    for board in boards {
        let mut stems = files.iter().filter_map(|file| file.file_stem());
        if !stems.any(|stem| stem == board.name.as_str()) {
            let error = board.error.map(|error| format!(": {}", error.message));
            doubts.push(format!(
                "the run has no sweeps of {}{}",
                board.name,
                error.unwrap_or_default()
            ));
        }
    }
    files.sort();
    if files.is_empty() {
        let shown = input::shown(run);
        return Err(RecordError::format("read", &shown)("the run has no sweeps"));
    }
    Ok(files)
}

fn read_file(
    path: &Path,
    module: Option<ModuleId>,
    doubts: &mut Vec<String>,
) -> Result<SweepTable, RecordError> {
    let bytes = input::read(path, input::SWEEPS_BYTES).map_err(RecordError::io("read", path))?;
    let shown = input::shown(path);
    if bytes.starts_with(b"ARROW1") {
        #[cfg(feature = "arrow")]
        return SweepTable::read_arrow(std::io::Cursor::new(bytes), &shown);
        #[cfg(not(feature = "arrow"))]
        return Err(RecordError::format("read", &shown)(
            "this build of the program cannot read Arrow files (feature `arrow`)",
        ));
    }
    let wrong = |why: String| RecordError::format("read", &shown)(why);
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(wrong("it is neither an Arrow file nor text".to_owned()));
    };
    let text = text.trim_start_matches('\u{feff}');
    if periscope::is_one(text) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return periscope::read(text, &name, module, doubts).map_err(wrong);
    }
    SweepTable::read_csv(text, &shown)
}
