//! Image files and their descriptions.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use twotone_hal::FirmwareImage;

use super::Release;
use crate::input;
use crate::map::BoardKind;
use crate::transport::{BoardPlace, FirmwareOptions};

/// Largest image that is read, in bytes.
const IMAGE_BYTES: u64 = 1 << 28;

/// Description of an image, in the form of its file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    kind: String,
    release: String,
    file: PathBuf,
    sha256: String,
    size: u64,
    oldest: Option<String>,
}

/// Firmware image that agrees with its description.
///
/// The description is a file in TOML beside the image:
///
/// ```toml
/// kind = "crs"          # kind of the boards, as in hardware maps
/// release = "1.8.0"     # as boards report it
/// file = "boot.bin"     # relative to the description
/// size = 21364736       # bytes
/// sha256 = "9f86d0..."  # of the file, 64 hexadecimal digits
/// oldest = "1.7.0"      # optional: oldest release from which boards can be flashed
/// ```
#[derive(Debug, Clone)]
pub struct Image {
    path: PathBuf,
    image: FirmwareImage,
    release: Release,
    sha256: String,
    oldest: Option<Release>,
}

/// Reason that an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", input::shown(.path))]
pub struct ImageFileError {
    path: PathBuf,
    message: String,
}

impl Image {
    /// Reads the image whose description is the file at `path`.
    ///
    /// # Errors
    /// If a file cannot be read, the description is not valid, or the image has another size or
    /// another digest.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ImageFileError> {
        let path = path.as_ref();
        let refuse = |path: &Path, message: String| ImageFileError {
            path: path.to_owned(),
            message,
        };
        let failed = |message: String| refuse(path, message);
        let text = input::read_text(path, input::PARAMS_BYTES).map_err(|error| {
            // Users may give the image itself instead of its description.
            let hint = "name the description of the image, a file in TOML with the keys kind, \
                        release, file, size and sha256";
            failed(format!("{error}; {hint}"))
        })?;
        let described: Description =
            toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if BoardKind::named(&described.kind).is_none() {
            return Err(failed(format!(
                "there is no board kind {:?}",
                described.kind
            )));
        }
        let release = |text: &str| {
            let why = || failed(format!("{text:?} is not a release such as 1.8.0"));
            Release::parse(text).ok_or_else(why)
        };
        let oldest = described.oldest.as_deref().map(release).transpose()?;
        let release = release(&described.release)?;
        let file = path.parent().unwrap_or(Path::new("")).join(&described.file);
        let bytes = input::read(&file, IMAGE_BYTES);
        let bytes = bytes.map_err(|error| refuse(&file, error.to_string()))?;
        if bytes.len() as u64 != described.size {
            let (found, size) = (bytes.len(), described.size);
            let why = format!("{found} bytes, but its description says {size}");
            return Err(refuse(&file, why));
        }
        let sha256 = hex_sha256(&bytes);
        if !described.sha256.eq_ignore_ascii_case(&sha256) {
            let expected = described.sha256;
            let why =
                format!("its SHA-256 digest is {sha256}, but its description says {expected}");
            return Err(refuse(&file, why));
        }
        let image = FirmwareImage {
            kind: described.kind,
            release: release.to_string(),
            bytes: bytes.into(),
        };
        Ok(Self {
            path: file,
            image,
            release,
            sha256,
            oldest,
        })
    }

    /// The file of the image.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The image, in the form that boards accept.
    pub fn image(&self) -> &FirmwareImage {
        &self.image
    }

    /// Release of the image.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// SHA-256 digest of the image, 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Returns the reason that no board can be flashed with the image, or `None` if its form is
    /// right.
    pub fn fault(&self) -> Option<String> {
        let shown = input::shown(&self.path);
        let of = BoardKind::named(&self.image.kind).and_then(|kind| kind.family().firmware);
        let Some(of) = of else {
            let kind = &self.image.kind;
            return Some(format!(
                "{shown}: boards of the kind {kind} cannot be flashed over the network"
            ));
        };
        let any_board = BoardPlace {
            serial: Some("0"),
            ..BoardPlace::default()
        };
        let boards = of(&[("image", any_board)], &FirmwareOptions::default());
        let refused = boards.first()?.check(&self.image).err()?;
        Some(format!("{shown}: {}", refused.causes()))
    }

    /// Returns the reason that a board which runs the release `running` cannot be flashed with this
    /// image, or `None` if it can. If `running` is `None` or cannot be compared, the image may be
    /// older than the firmware, so `allow_older` is required.
    pub fn refuses(&self, running: Option<&str>, allow_older: bool) -> Option<String> {
        let to = &self.release;
        let Some(running) = running.filter(|running| !running.is_empty()) else {
            return (!allow_older).then(|| {
                "the board does not answer, so that the release that runs is not known and may be a \
                 later one. If an earlier call said KEEP THE POWER ON for it, do not switch it off. \
                 Otherwise start it and wait until it answers, or allow older releases \
                 (--allow-older)"
                    .to_owned()
            });
        };
        let Some(from) = Release::parse(running) else {
            return (!allow_older)
                .then(|| format!("{running:?} runs, which may be a later release than {to}"));
        };
        if let Some(oldest) = &self.oldest
            && from < *oldest
        {
            return Some(format!(
                "{from} runs, but the image needs at least {oldest}"
            ));
        }
        (from > *to && !allow_older).then(|| format!("{from} runs, which is later than {to}"))
    }
}

/// Returns the SHA-256 digest in hexadecimal digits.
pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
