//! The files of a capture that are exported.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use twotone_hal::ModuleId;

use super::{ExchangeError, ExportSettings};
use crate::record::{Manifest, MissingFile, RecordError, SAMPLES_FOLDER, SampleReader};

/// A capture, with the files of the selected boards and modules.
pub(super) struct Captured {
    pub(super) manifest: Manifest,
    /// Boards in the order of the manifest, each with its files in the order of their modules.
    pub(super) boards: Vec<(String, Vec<SampleFile>)>,
    /// Sentences of the manifest about these boards.
    pub(super) doubts: Vec<String>,
    /// Files that the capture itself lacks.
    pub(super) missing: Vec<MissingFile>,
}

/// A file with the samples of a module.
#[derive(Debug, Clone)]
pub(super) struct SampleFile {
    pub(super) module: ModuleId,
    /// Path of the file within the run directory.
    pub(super) file: String,
    pub(super) path: PathBuf,
}

impl SampleFile {
    /// Opens the file.
    pub(super) fn open(&self) -> Result<SampleReader<File>, RecordError> {
        // Only regular files are opened, so that no pipe can block the program.
        let found = self.path.metadata();
        let found = found.map_err(RecordError::io("read", &self.path))?;
        if !found.is_file() {
            return Err(RecordError::format("read", &self.file)("it is no file"));
        }
        let opened = File::open(&self.path).map_err(RecordError::io("read", &self.path))?;
        SampleReader::new(opened, &self.file)
    }
}

impl Captured {
    /// Finds the files of the capture in the run directory `run`.
    ///
    /// # Errors
    /// If the manifest cannot be read, if the run is no capture, or if it lacks a selected board or
    /// has no selected module.
    pub(super) fn find(run: &Path, settings: &ExportSettings) -> Result<Self, ExchangeError> {
        let manifest = Manifest::read(run)?;
        let folder = run.join(SAMPLES_FOLDER);
        if !folder.is_dir() {
            let reason = "it is no capture: it has no folder `samples`";
            return Err(ExchangeError::source(run, reason));
        }
        let mut names = names_in(&folder)?;
        let order = |name: &String| {
            let mut records = manifest.boards.iter();
            records
                .position(|record| record.name == *name)
                .unwrap_or(usize::MAX)
        };
        names.sort_by_key(|name| (order(name), name.clone()));
        if let Some(absent) = settings.boards.iter().find(|name| !names.contains(name)) {
            let reason = format!("it has no samples of a board `{absent}`");
            return Err(ExchangeError::source(run, reason));
        }
        let is_selected =
            |name: &String| settings.boards.is_empty() || settings.boards.contains(name);
        let mut boards = Vec::new();
        for name in names.into_iter().filter(is_selected) {
            let mut files = files_in(&folder, &name)?;
            let modules = &settings.modules;
            files.retain(|file| modules.is_empty() || modules.contains(&file.module));
            if !files.is_empty() {
                boards.push((name, files));
            }
        }
        let has = |module| {
            let mut files = boards.iter().flat_map(|(_, files)| files);
            files.any(|file| file.module == module)
        };
        if let Some(absent) = settings.modules.iter().find(|module| !has(**module)) {
            let reason = format!("it has no samples of a module {absent} of the selected boards");
            return Err(ExchangeError::source(run, reason));
        }
        if boards.is_empty() {
            let reason = "it has no samples of the selected boards and modules";
            return Err(ExchangeError::source(run, reason));
        }
        let of_board = |name: &String| {
            let record = manifest.boards.iter().find(|record| record.name == *name);
            let warnings = record.map_or(&[][..], |record| &record.warnings);
            let in_words = |text: &String| format!("{name}: {text}");
            warnings.iter().map(in_words).collect::<Vec<_>>()
        };
        let doubts = boards.iter().flat_map(|(name, _)| of_board(name)).collect();
        // A file of samples or counters has the name of its board.
        let is_of = |file: &str, name: &str| {
            let mut parts = file.split('/').skip(1);
            parts
                .next()
                .is_some_and(|part| part.trim_end_matches(".arrow") == name)
        };
        let mut missing = manifest.missing.clone();
        missing.retain(|one| {
            let mut others = manifest.boards.iter();
            let other = others.find(|record| is_of(&one.file, &record.name));
            other.is_none_or(|other| boards.iter().any(|(name, _)| *name == other.name))
        });
        Ok(Self {
            manifest,
            boards,
            doubts,
            missing,
        })
    }
}

/// Returns the names in a folder that are text, sorted.
fn names_in(folder: &Path) -> Result<Vec<String>, RecordError> {
    let entries = fs::read_dir(folder).map_err(RecordError::io("read", folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RecordError::io("read", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn files_in(folder: &Path, board: &str) -> Result<Vec<SampleFile>, RecordError> {
    let of_board = folder.join(board);
    if !of_board.is_dir() {
        return Ok(Vec::new());
    }
    let names = names_in(&of_board)?.into_iter();
    let mut files: Vec<_> = names
        .filter_map(|name| {
            let number = name.strip_prefix("module-")?.strip_suffix(".arrow")?;
            Some(SampleFile {
                module: ModuleId::new(number.parse().ok()?).ok()?,
                file: format!("{SAMPLES_FOLDER}/{board}/{name}"),
                path: of_board.join(&name),
            })
        })
        .collect();
    files.sort_by_key(|file| file.module);
    Ok(files)
}
