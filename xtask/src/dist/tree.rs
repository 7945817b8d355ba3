//! A tree of files in memory, which can be written to disk with fixed modes and times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::Result;

/// A tree of files, by their relative paths. It contains the folders of these files, and those in
/// `empty_folders`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<PathBuf, Content>,
    empty_folders: BTreeSet<PathBuf>,
}

/// Content of a file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_program: bool,
}

impl Tree {
    /// Puts a file that is not executable into the tree.
    pub(crate) fn put(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let (bytes, is_program) = (bytes.into(), false);
        self.files
            .insert(path.into(), Content { bytes, is_program });
    }

    /// Puts a program or a script into the tree.
    pub(crate) fn put_program(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let (bytes, is_program) = (bytes.into(), true);
        self.files
            .insert(path.into(), Content { bytes, is_program });
    }

    /// Puts an empty folder into the tree.
    pub(crate) fn put_empty_folder(&mut self, path: impl Into<PathBuf>) {
        self.empty_folders.insert(path.into());
    }

    /// Puts a file of another tree into this one.
    pub(crate) fn adopt(&mut self, path: impl Into<PathBuf>, content: &Content) {
        self.files.insert(path.into(), content.clone());
    }

    /// Returns the files with their paths, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &Content)> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_path(), content))
    }

    /// Writes the tree into a new folder. All files and folders have the modes that they have in a
    /// package, and the time `epoch`, in seconds since 1970. The modes and the time do not depend
    /// on the umask and the clock of this computer.
    pub(crate) fn write(&self, folder: &Path, epoch: u64) -> Result<()> {
        let failed = |path: &Path, error| format!("cannot write {}: {error}", path.display());
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        for (path, content) in &self.files {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, &content.bytes))
                .map_err(|error| failed(&path, error))?;
            let mode = if content.is_program { 0o755 } else { 0o644 };
            settle(&path, mode, epoch).map_err(|error| failed(&path, error))?;
        }
        for place in &self.empty_folders {
            let path = folder.join(place);
            fs::create_dir_all(&path).map_err(|error| failed(&path, error))?;
        }
        // The modes and times of folders are set last, because each new entry changes the time of
        // its folder.
        for place in self.folders() {
            let path = folder.join(place);
            settle(&path, 0o755, epoch).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Returns the paths of all folders. The first one is that of the top folder, which is the
    /// empty path.
    pub(crate) fn folders(&self) -> Vec<&Path> {
        let above_files = self.files.keys().flat_map(|path| path.ancestors().skip(1));
        let others = self.empty_folders.iter().flat_map(|path| path.ancestors());
        let folders: BTreeSet<_> = above_files.chain(others).collect();
        folders.into_iter().collect()
    }
}

fn settle(path: &Path, mode: u32, epoch: u64) -> std::io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch);
    let times = FileTimes::new().set_accessed(time).set_modified(time);
    File::open(path)?.set_times(times)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn modes_and_times_are_those_of_a_package() {
        let scratch = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.put_program("bin/it", "#!/bin/sh\n");
        tree.put("share/doc/it/README", "read");
        tree.put_empty_folder("etc/it");
        let folder = scratch.path().join("tree");
        tree.write(&folder, 1_700_000_000).unwrap();
        for (path, mode) in [
            ("", 0o755),
            ("bin", 0o755),
            ("etc/it", 0o755),
            ("bin/it", 0o755),
            ("share/doc", 0o755),
            ("share/doc/it/README", 0o644),
        ] {
            let found = fs::metadata(folder.join(path)).unwrap();
            assert_eq!(found.mode() & 0o7777, mode, "{path}");
            assert_eq!(found.mtime(), 1_700_000_000, "{path}");
        }
    }
}
