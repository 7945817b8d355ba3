//! The release that is deployed: an archive that `cargo xtask dist` has made. The archive contains
//! a description of itself, the manifest (`MANIFEST.toml`).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::site::is_plain;
use crate::{Result, child};

/// An archive whose manifest has been read.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) archive: PathBuf,
    /// Number of bytes of the archive.
    pub(crate) length: u64,
    /// Number of bytes of the unpacked archive.
    pub(crate) unpacked: u64,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub(crate) sum: String,
    pub(crate) manifest: Manifest,
}

/// The part of `MANIFEST.toml` that a deployment needs.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: String,
    pub(crate) program_version: String,
    /// Target triple of rustc for which the program was built.
    pub(crate) target: String,
    pub(crate) profile: String,
    /// Oldest glibc that the program runs with. `None` if it needs none.
    pub(crate) glibc: Option<String>,
    /// Format number of the state folder `/var/lib/twotone`.
    pub(crate) state_format: u32,
}

impl Release {
    pub(crate) fn read(archive: &Path) -> Result<Self> {
        let unreadable = |error| format!("cannot read {}: {error}", archive.display());
        let mut file = File::open(archive).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        // The last four bytes of a gzip file contain the unpacked size modulo 4 GiB.
        let mut end = [0; 4];
        file.seek(SeekFrom::End(-4))
            .and_then(|_| file.read_exact(&mut end))
            .map_err(unreadable)?;
        let mut tar = Command::new("tar");
        tar.args([
            "--extract",
            "--gzip",
            "--to-stdout",
            "--wildcards",
            "--file",
        ])
        .arg(archive)
        .arg("twotone-*/MANIFEST.toml");
        let manifest = said(&mut tar)?;
        let manifest: Manifest = toml::from_str(&manifest)
            .map_err(|error| format!("{}: MANIFEST.toml: {error}", archive.display()))?;
        if !is_version(&manifest.version) {
            return Err(format!(
                "{}: `{}` is no version",
                archive.display(),
                manifest.version
            ));
        }
        let sum = said(Command::new("sha256sum").arg("--").arg(archive))?;
        // `sha256sum` prints a backslash first if the name of the file contains special characters.
        let sum = sum.trim_start_matches('\\').get(..64).unwrap_or_default();
        Ok(Self {
            archive: archive.to_owned(),
            length,
            unpacked: u32::from_le_bytes(end).into(),
            sum: sum.to_owned(),
            manifest,
        })
    }

    /// Returns the processor that the program is built for, as `uname -m` prints it.
    pub(crate) fn machine(&self) -> &str {
        self.manifest.target.split('-').next().unwrap_or_default()
    }
}

/// True if a text has the format of a version, so that it can be used as the name of a folder.
pub(crate) fn is_version(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit())
        && is_plain(text, "._~+-")
        && !text.ends_with(".part")
}

fn said(command: &mut Command) -> Result<String> {
    let output = child::output(command)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let name = command.get_program().to_string_lossy().into_owned();
            Err(format!(
                "{name} ended with {}",
                child::ending(output.status)
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_names_of_folders_that_nothing_else_has() {
        for good in ["0.1.0", "0.1.0~20261122T210421.34ef050", "1.2.3+x"] {
            assert!(is_version(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "current",
            "1/2",
            "1 2",
            "1;2",
            "0.1.0.part",
            "-1",
            "1\n",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
