//! Reading of the files that a Python hardware map includes or names.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::map::section::Findings;

/// Largest number of times that an import reads a further file.
const MOST_FILES: usize = 4096;

/// Largest size of these files together, in bytes.
const MOST_BYTES: usize = 32 << 20;

/// The further files of a map. All paths are relative to the folder of the map.
pub(super) struct Files<'r> {
    read: &'r mut dyn FnMut(&Path) -> io::Result<String>,
    /// Folder of the map, for messages.
    folder: PathBuf,
    /// Path of each file that was read, with the byte offset at which its text begins. The map
    /// itself is the first one.
    paths: Vec<(usize, PathBuf)>,
    bytes: usize,
}

/// A file that was read.
pub(super) struct Opened {
    pub(super) text: Rc<str>,
    /// Byte offset at which the text begins.
    pub(super) begin: usize,
    pub(super) path: PathBuf,
}

impl<'r> Files<'r> {
    /// Returns the files of the map that is called `file`, which `read` reads.
    pub(super) fn new(file: &str, read: &'r mut dyn FnMut(&Path) -> io::Result<String>) -> Self {
        let file = Path::new(file);
        let own = file.file_name().map(PathBuf::from).unwrap_or_default();
        Self {
            read,
            folder: file.parent().map(Path::to_owned).unwrap_or_default(),
            paths: vec![(0, own)],
            bytes: 0,
        }
    }

    /// Path of the file that has the byte offset `at`.
    pub(super) fn path(&self, at: usize) -> &Path {
        let after = self.paths.partition_point(|(begin, _)| *begin <= at);
        &self.paths[after.saturating_sub(1)].1
    }

    /// Returns the path of the file that is called `name` in the file that has the byte offset
    /// `from`. Names are relative to the folder of the file in which they stand.
    pub(super) fn named(&self, from: usize, name: &str) -> PathBuf {
        let folder = self.path(from).parent().unwrap_or(Path::new(""));
        let path = folder.join(name);
        let parts = path.components();
        parts.filter(|part| *part != Component::CurDir).collect()
    }

    /// Returns a path as it is shown in messages.
    pub(super) fn shown(&self, path: &Path) -> String {
        self.folder.join(path).display().to_string()
    }

    /// Reads a file, and adds its text to `findings`.
    ///
    /// # Errors
    /// A description of the reason for which the file is not read.
    pub(super) fn open(
        &mut self,
        path: PathBuf,
        findings: &mut Findings<'_>,
    ) -> Result<Opened, String> {
        let shown = self.shown(&path);
        if self.paths.len() > MOST_FILES {
            let what = format!("{shown:?} is not read: an import reads {MOST_FILES} files at most");
            return Err(what);
        }
        let text =
            (self.read)(&path).map_err(|error| format!("{shown:?} cannot be read: {error}"))?;
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MOST_BYTES {
            return Err(format!(
                "the files up to {shown:?} have {} bytes together, and no more than {MOST_BYTES} \
                 are imported",
                self.bytes
            ));
        }
        let text: Rc<str> = text.into();
        let begin = findings.add(text.clone(), shown);
        self.paths.push((begin, path.clone()));
        Ok(Opened { text, begin, path })
    }
}
