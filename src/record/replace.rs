//! Files that appear in one step: in the place of another, or where there was none.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

#[cfg(feature = "arrow")]
use super::RecordError;

/// Replaces the file at `path` by one with the content that `fill` writes. After a loss of power
/// either the old file or the new one is there, and once this function has returned, the new one.
/// Only the owner can read the file, unless `fill` sets other permissions.
///
/// # Errors
/// If the file cannot be written. The old file then remains.
pub(crate) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = NamedTempFile::new_in(folder)?;
    fill(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Gives a temporary file, which must be in the folder of `path`, its name. Another file that has
/// got this name in the meantime is not replaced.
///
/// # Errors
/// [`RecordError::Exists`] if there is something at `path`, and [`RecordError::Io`] if the file
/// cannot be written to the disk.
#[cfg(feature = "arrow")]
pub(crate) fn publish_new(file: NamedTempFile, path: &Path) -> Result<(), RecordError> {
    // Another program may have written by the path, and perhaps into a new file.
    let written = File::open(file.path()).and_then(|file| file.sync_all());
    written.map_err(RecordError::io("write", file.path()))?;
    file.persist_noclobber(path)
        .map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => RecordError::Exists {
                path: path.to_owned(),
            },
            _ => RecordError::io("create", path)(failed.error),
        })?;
    let folder = folder_of(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(RecordError::io("write", folder))
}

/// Returns the folder that has an entry for `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
