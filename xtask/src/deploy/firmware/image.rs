//! An image of firmware that is sent to hosts.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::site::is_plain;
use crate::Result;

/// Folder of the images on a host.
const FOLDER: &str = "/var/lib/twotone/firmware";

/// Description of an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    pub(super) kind: String,
    pub(super) release: String,
    pub(super) file: PathBuf,
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) oldest: Option<String>,
}

/// An image, and its folder on the hosts.
pub(super) struct Image {
    pub(super) described: Described,
    pub(super) path: PathBuf,
    pub(super) folder: String,
}

impl Image {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        let described: Described = toml::from_str(&text).map_err(|error| failed(&error))?;
        let file = path.parent().unwrap_or(Path::new("")).join(&described.file);
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let sum = super::super::sum(&bytes)?;
        if bytes.len() as u64 != described.size || sum != described.sha256.to_ascii_lowercase() {
            let file = file.display();
            return Err(format!(
                "{file}: another size or SHA-256 than its description says"
            ));
        }
        let texts = [
            Some(&described.kind),
            Some(&described.release),
            described.oldest.as_ref(),
        ];
        if let Some(bad) = texts.into_iter().flatten().find(|it| !is_plain(it, "._-")) {
            return Err(failed(&format!(
                "`{bad}` has characters that no release or kind has"
            )));
        }
        let folder = format!("{FOLDER}/{}-{}", described.release, &sum[..12]);
        Ok(Self {
            described: Described {
                sha256: sum,
                ..described
            },
            path: file,
            folder,
        })
    }
}
