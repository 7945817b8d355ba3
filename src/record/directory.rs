//! A directory that appears all at once.

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

/// The manifest's file in a run directory.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The folder of a run directory that holds the sweeps, one Arrow file a board.
pub const SWEEPS_FOLDER: &str = "sweeps";
/// The folder of a run directory that holds captured samples: a folder a board, an Arrow file a
/// module.
pub const SAMPLES_FOLDER: &str = "samples";
/// The folder of a run directory that holds the counters of a capture, one Arrow file a board.
pub const COUNTERS_FOLDER: &str = "counters";

/// The file of a run directory that holds the result of a capture, as `twotone capture --json`
/// prints it.
pub const CAPTURE_FILE: &str = "capture.json";

/// A run directory in the making: a hidden folder beside the place where it will be. It appears
/// there whole on [`RunDirectory::commit`]. Dropped before, it is removed; a program that is
/// killed outright leaves the hidden folder (`.NAME.xxxxxx.partial`), which may be deleted.
///
/// If somebody renames the folders above meanwhile, the hidden folder is found in its new place.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    hidden: TempDir,
    /// The hidden folder itself, at whatever path it is now.
    folder: File,
    /// True if a file was created to be written bit by bit.
    has_created: AtomicBool,
}

impl RunDirectory {
    /// Makes sure that a run can be written to `path`, before anything is measured for it. Folders
    /// above it that are missing are made.
    ///
    /// # Errors
    /// [`RecordError::Exists`] if anything has that name already, be it an empty folder;
    /// [`RecordError::Name`] if it is no name; [`RecordError::Io`] if the folder it is to lie in
    /// cannot be made or written to.
    pub fn prepare(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        let Some(name) = path.file_name() else {
            let reason = "it names no directory to create";
            return Err(RecordError::Name { path, reason });
        };
        // A dangling symbolic link occupies the name too.
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

    /// Path that the run will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Room that its file system has; `None` if that does not say it.
    pub fn room(&self) -> Option<Room> {
        Room::of(&self.folder)
    }

    /// Makes sure that the folder that it is written into still exists, wherever it is.
    ///
    /// # Errors
    /// [`RecordError::Gone`] if somebody has removed it.
    pub fn is_there(&self) -> Result<(), RecordError> {
        self.hidden_path()
            .map(drop)
            .ok_or_else(|| self.gone_error())
    }

    /// Path of the hidden folder now; `None` if it was removed.
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

    /// Writes `value` as JSON into `file`, indented. Numbers that JSON does not have (NaN,
    /// infinities) become null.
    ///
    /// # Errors
    /// Those of [`RunDirectory::write`], and [`RecordError::Format`] if `value` has no JSON.
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

    /// Writes `file`, a relative path of plain names, with the content from `fill`. It is on disk
    /// when this returns. A file that cannot be written whole is removed, and gives its room back.
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
            // The first error is returned, and not one of the removal.
            let _ = fs::remove_file(path);
        }
        written
    }

    /// Creates `file`, a relative path of plain names, to be written bit by bit.
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

    /// The device that it lies on, as the kernel numbers them.
    pub(super) fn device(&self) -> Option<u64> {
        self.folder.metadata().ok().map(|found| found.dev())
    }

    /// True if it has files that were written bit by bit.
    pub(super) fn has_created(&self) -> bool {
        self.has_created.load(Ordering::Relaxed) && self.is_there().is_ok()
    }

    /// Removes `file`, and gives its room back.
    pub(super) fn remove(&self, file: &str) {
        if let Some(folder) = self.hidden_path() {
            // If it stays, the next attempt to write it returns an error.
            let _ = fs::remove_file(folder.join(file));
        }
    }

    /// Gives `file` the name `to`, which another may have.
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
    /// [`RecordError::Gone`].
    pub fn keep(self, cause: RecordError) -> RecordError {
        let Some(kept) = self.hidden_path() else {
            return self.gone_error();
        };
        // The folder stays when this is dropped.
        let _ = self.hidden.keep();
        RecordError::Kept {
            kept,
            cause: Box::new(cause),
        }
    }

    /// Puts the run in its place, at once and on disk, and returns the path of it.
    ///
    /// # Errors
    /// In each case but the last nothing is lost, and the error names the place of the run instead.
    /// * [`RecordError::Taken`]: something else has taken the name in the meantime. It is not
    ///   touched, and the run lies beside it.
    /// * [`RecordError::Moved`]: somebody has moved the folder that it was to lie in. The run lies
    ///   there.
    /// * [`RecordError::Kept`]: the file system refuses.
    /// * [`RecordError::Gone`]: somebody has removed the folder with what was written.
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
        // It has moved: there is nothing left to remove under its old name.
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

/// A file of a run that is being written. It is on disk once [`RunFile::finish`] has returned; one
/// that is dropped before stays in the run as far as it was written.
#[derive(Debug)]
pub struct RunFile {
    writer: BufWriter<File>,
    path: PathBuf,
    /// Its length when it was flushed last.
    flushed: u64,
}

impl RunFile {
    /// Takes back everything that was written since the last flush, and gives its room back. A part
    /// of something that could not be written whole leaves no trace then.
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

    /// Brings it to disk.
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
