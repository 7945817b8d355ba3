//! Run directories, each of which holds the files of one run (a tune, a sweep or a capture). A run
//! directory appears under its name in one step, when all of its files are complete.

use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tempfile::TempDir;

use super::publish::{publish_or_beside, sync_folders};
use super::room::Room;
use super::{Manifest, RecordError};

/// The file of a run directory that holds the manifest: the origin of the run, and the state of
/// each board.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The folder of a run directory that holds the sweeps, with one Arrow or CSV file per board.
pub const SWEEPS_FOLDER: &str = "sweeps";
/// The folder of a run directory that holds captured samples. It has one folder per board, with one
/// Arrow file per module.
pub const SAMPLES_FOLDER: &str = "samples";
/// The folder of a run directory that holds the counters of a capture, with one Arrow file per
/// board.
pub const COUNTERS_FOLDER: &str = "counters";

/// The file of a run directory that holds the result of a capture, as `twotone capture --json`
/// prints it.
pub const CAPTURE_FILE: &str = "capture.json";

/// A run directory that is being written: a hidden folder beside its final place.
/// [`RunDirectory::commit`] moves the complete folder to that place. If the value is dropped
/// before, the folder is removed. A program that is killed leaves the hidden folder
/// (`.NAME.xxxxxx.partial`), which may be deleted.
///
/// If a parent folder is renamed while the run is written, the hidden folder is found at its new
/// path.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    hidden: TempDir,
    /// The open hidden folder, independent of its present path.
    folder: File,
    /// True if a file was created to be written incrementally.
    has_created: AtomicBool,
}

impl RunDirectory {
    /// Prepares a run directory that is to appear at `path`. Call this before the measurement, so
    /// that an unusable path is found first. Missing parent folders are made.
    ///
    /// # Errors
    /// [`RecordError::Exists`] if anything has this name already, even an empty folder.
    /// [`RecordError::Name`] if `path` does not end in a name. [`RecordError::Io`] if the parent
    /// folder cannot be made or written to.
    pub fn prepare(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        let Some(name) = path.file_name() else {
            let reason = "it names no directory to create";
            return Err(RecordError::Name { path, reason });
        };
        // `symlink_metadata` also finds a symbolic link to nothing, which occupies the name too.
        if path.symlink_metadata().is_ok() {
            return Err(RecordError::Exists { path });
        }
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let parent = parent_of(&path);
        fs::create_dir_all(parent).map_err(RecordError::io("create", parent))?;
        let hidden = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .tempdir_in(parent)
            .map_err(RecordError::io("create a run directory in", parent))?;
        let folder = File::open(hidden.path()).map_err(RecordError::io("open", hidden.path()))?;
        Ok(Self {
            path,
            hidden,
            folder,
            has_created: AtomicBool::new(false),
        })
    }

    /// Returns the final path of the run.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the free space of the file system of the hidden folder, or `None` if the file system
    /// does not report it.
    pub fn room(&self) -> Option<Room> {
        Room::of(&self.folder)
    }

    /// Checks that the hidden folder still exists, even if it was moved.
    ///
    /// # Errors
    /// [`RecordError::Gone`] if the folder was removed.
    pub fn is_there(&self) -> Result<(), RecordError> {
        self.hidden_path()
            .map(drop)
            .ok_or_else(|| self.gone_error())
    }

    /// Returns the present path of the hidden folder, or `None` if it was removed.
    fn hidden_path(&self) -> Option<PathBuf> {
        let own = self.folder.metadata().ok()?;
        let is_it = |path: &Path| {
            let found = path.symlink_metadata();
            found.is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino()))
        };
        let known = self.hidden.path();
        if is_it(known) {
            return Some(known.to_owned());
        }
        let now = fs::read_link(format!("/proc/self/fd/{}", self.folder.as_raw_fd())).ok()?;
        is_it(&now).then_some(now)
    }

    fn gone_error(&self) -> RecordError {
        RecordError::Gone {
            path: self.hidden.path().to_owned(),
        }
    }

    /// Writes `value` as indented JSON into `file`. NaN and infinities, which JSON does not have,
    /// become null.
    ///
    /// # Errors
    /// Those of [`RunDirectory::write`], and [`RecordError::Format`] if `value` cannot be written
    /// as JSON.
    pub fn write_json(&self, file: &str, value: &impl Serialize) -> Result<(), RecordError> {
        self.write(file, |writer| fill_json(writer, file, value))
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// Those of [`RunDirectory::write_json`].
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), RecordError> {
        self.write_json(MANIFEST_FILE, manifest)
    }

    /// Writes `file`, a relative path of plain names, with the content from `fill`. When the method
    /// returns, the file is on disk. A file that cannot be written completely is removed, so that
    /// its space is free again.
    ///
    /// # Errors
    /// [`RecordError::Name`] if `file` leads out of the run directory or was written before,
    /// [`RecordError::Io`] if the file system refuses, [`RecordError::Gone`] if the folder is gone,
    /// or the error of `fill`.
    pub fn write(
        &self,
        file: &str,
        fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let mut created = self.open(file)?;
        let path = created.path.clone();
        let written = fill(&mut created.writer).and_then(|()| created.finish());
        if written.is_err() {
            // The caller needs the error of the write, so an error of the removal is ignored.
            let _ = fs::remove_file(path);
        }
        written
    }

    /// Creates `file`, a relative path of plain names, to be written incrementally.
    ///
    /// # Errors
    /// [`RecordError::Name`] if `file` leads out of the run directory or was written before,
    /// [`RecordError::Io`] if the file system refuses, [`RecordError::Gone`] if the folder is gone.
    pub fn create(&self, file: &str) -> Result<RunFile, RecordError> {
        let created = self.open(file);
        self.has_created
            .fetch_or(created.is_ok(), Ordering::Relaxed);
        created
    }

    /// Returns the kernel's number of the device with the run directory.
    pub(super) fn device(&self) -> Option<u64> {
        self.folder.metadata().ok().map(|found| found.dev())
    }

    /// True if the directory has files that were written incrementally.
    pub(super) fn has_created(&self) -> bool {
        self.has_created.load(Ordering::Relaxed) && self.is_there().is_ok()
    }

    /// Removes `file`, so that its space is free again.
    pub(super) fn remove(&self, file: &str) {
        if let Some(folder) = self.hidden_path() {
            // A failure is ignored here: the next attempt to write the file will return an error.
            let _ = fs::remove_file(folder.join(file));
        }
    }

    /// Renames `file` to `to`, and replaces a file with this name.
    pub(super) fn rename(&self, file: &str, to: &str) -> Result<(), RecordError> {
        let folder = self.hidden_path().ok_or_else(|| self.gone_error())?;
        let path = folder.join(to);
        fs::rename(folder.join(file), &path).map_err(RecordError::io("write", &path))
    }

    fn open(&self, file: &str) -> Result<RunFile, RecordError> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let name = |reason| RecordError::Name {
            path: file.into(),
            reason,
        };
        if file.is_empty() || !Path::new(file).components().all(plain) {
            return Err(name("a file of a run lies within its directory"));
        }
        let path = self
            .hidden_path()
            .ok_or_else(|| self.gone_error())?
            .join(file);
        let folder = parent_of(&path);
        fs::create_dir_all(folder).map_err(RecordError::io("create", folder))?;
        let created = File::options().write(true).create_new(true).open(&path);
        let file = match created {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(name("this run has that file already"));
            }
            other => other.map_err(RecordError::io("create", &path))?,
        };
        Ok(RunFile {
            writer: BufWriter::new(file),
            path,
            flushed: 0,
        })
    }

    /// Keeps the files that were written until now in the hidden folder, because the run cannot be
    /// completed. `cause` is the reason. Returns [`RecordError::Kept`], which names the folder, or
    /// [`RecordError::Gone`] if the folder was removed.
    pub fn keep(self, cause: RecordError) -> RecordError {
        let Some(kept) = self.hidden_path() else {
            return self.gone_error();
        };
        // Without this, the folder would be removed when `self` is dropped.
        let _ = self.hidden.keep();
        RecordError::Kept {
            kept,
            cause: Box::new(cause),
        }
    }

    /// Moves the complete run to its place in one step, makes sure that it is on disk, and returns
    /// its path.
    ///
    /// # Errors
    /// In each of these cases except for the last, no file is lost, and the error names
    /// the place of the run.
    /// * [`RecordError::Taken`]: something else has taken the name in the meantime. The run is
    ///   beside it, and does not replace it.
    /// * [`RecordError::Moved`]: the parent folder was moved in the meantime. The run is in the
    ///   moved folder.
    /// * [`RecordError::Kept`]: the file system refuses the move, or does not confirm it.
    /// * [`RecordError::Gone`]: the folder was removed, with all of its files.
    pub fn commit(self) -> Result<PathBuf, RecordError> {
        let Some(hidden) = self.hidden_path() else {
            return Err(self.gone_error());
        };
        let is_moved = hidden != self.hidden.path();
        let wanted = match self.path.file_name() {
            Some(name) if is_moved => parent_of(&hidden).join(name),
            _ => self.path.clone(),
        };
        let published = sync_folders(&hidden)
            .map_err(RecordError::io("write", &hidden))
            .and_then(|()| {
                publish_or_beside(&hidden, &wanted).map_err(RecordError::io("create", &wanted))
            });
        let kept = match published {
            Ok(kept) => kept,
            Err(cause) => return Err(self.keep(cause)),
        };
        let Self { path, hidden, .. } = self;
        // The folder has its new name now. It must not be removed when `hidden` is dropped.
        let _ = hidden.keep();
        let parent = parent_of(&kept);
        let synced = File::open(parent).and_then(|folder| folder.sync_all());
        if let Err(cause) = synced.map_err(RecordError::io("write", parent)) {
            let cause = Box::new(cause);
            return Err(RecordError::Kept { kept, cause });
        }
        match () {
            () if is_moved => Err(RecordError::Moved { path, kept }),
            () if kept != path => Err(RecordError::Taken { path, kept }),
            () => Ok(path),
        }
    }
}

/// A file of a run that is being written. The file is on disk when [`RunFile::finish`] has
/// returned. If the value is dropped before, the part that was written stays in the run.
#[derive(Debug)]
pub struct RunFile {
    writer: BufWriter<File>,
    path: PathBuf,
    /// Length of the file at the last flush.
    flushed: u64,
}

impl RunFile {
    /// Removes everything that was written to the file since the last flush. Its space is free
    /// again, and no incomplete part remains.
    ///
    /// # Errors
    /// [`RecordError::Io`] if the file system refuses.
    pub fn rewind(&mut self) -> Result<(), RecordError> {
        let (again, flushed) = (self.writer.get_ref().try_clone(), self.flushed);
        let rewind = || {
            let file = std::mem::replace(&mut self.writer, BufWriter::new(again?));
            let (mut file, _) = file.into_parts();
            file.set_len(flushed)?;
            file.seek(SeekFrom::Start(flushed)).map(drop)
        };
        rewind().map_err(RecordError::io("write", &self.path))
    }

    /// Writes the file to disk and closes it.
    ///
    /// # Errors
    /// [`RecordError::Io`] if the file system refuses.
    pub fn finish(self) -> Result<(), RecordError> {
        self.writer
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .map_err(RecordError::io("write", &self.path))
    }
}

impl Write for RunFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()?;
        self.flushed = self.writer.stream_position()?;
        Ok(())
    }
}

/// Writes `value` as indented JSON into the writer of `file`.
pub(super) fn fill_json(
    writer: &mut impl Write,
    file: &str,
    value: &impl Serialize,
) -> Result<(), RecordError> {
    serde_json::to_writer_pretty(&mut *writer, value)
        .map_err(RecordError::format("write", file))?;
    writeln!(writer).map_err(RecordError::format("write", file))
}

pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
