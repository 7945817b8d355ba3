//! Inputs for fuzzing that are stored in the repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

/// An input with its file.
#[derive(Debug, Clone)]
pub struct Input {
    /// Absolute path of the file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Inputs of one target.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The inputs: those in the folder of the target, followed by golden files, which real
    /// programs have written. The files of each folder are sorted by their paths.
    pub inputs: Vec<Input>,
}

/// Folder of this package.
fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Corpus {
    /// Folder with the inputs of a target.
    pub fn folder(target: &Target) -> PathBuf {
        home().join("corpus").join(target.name)
    }

    /// Reads the inputs of a target: those in its folder, and the golden files that the target
    /// names.
    ///
    /// # Errors
    /// If a folder or a file cannot be read.
    pub fn read(target: &Target) -> io::Result<Self> {
        let mut paths = files(&Self::folder(target))?;
        for (folder, ending) in target.golden {
            let golden = files(&home().join("..").join(folder))?;
            paths.extend(golden.into_iter().filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.ends_with(ending)
            }));
        }
        let read = paths.into_iter().map(|path| {
            let bytes = fs::read(&path)?;
            Ok(Input { path, bytes })
        });
        Ok(Self {
            inputs: read.collect::<io::Result<_>>()?,
        })
    }

    /// Stores an input that failed. Returns the path of its file, whose name is a hash of the
    /// input.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(target: &Target, input: &[u8]) -> io::Result<PathBuf> {
        // FNV-1a: a hash that is not cryptographic suffices for the name of a file.
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        let path = Self::folder(target).join(format!("found-{hash:016x}"));
        fs::write(&path, input)?;
        Ok(path)
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let say =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    let entries = fs::read_dir(folder).map_err(say)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
