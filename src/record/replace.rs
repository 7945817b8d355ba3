//! Replacement of a file in one step.

use std::fs::File;
use std::io;
use std::path::Path;

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
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    fill(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Returns the folder that has an entry for `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
