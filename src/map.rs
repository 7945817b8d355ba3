//! The hardware map: the boards of an array, their addresses, the feedlines and detectors on their
//! modules, and the power that each module may put out. A map is a TOML file, which
//! `docs/hardware-map.md` describes.
//!
//! **All powers are at the board's output connector**, before the attenuation on the way to the
//! detectors.
//!
//! ```
//! use twotone::map::HardwareMap;
//! let text = r#"
//! [[board]]
//! name = "b0042"
//! kind = "crs"
//! serial = "0042"
//!
//! [[board.module]]
//! number = 1
//! feedline = "w3-f1"
//! f_min_hz = 4.0e9
//! f_max_hz = 4.5e9
//! "#;
//! let map = HardwareMap::parse(text, "lab.toml").unwrap();
//! assert_eq!(map.boards()[0].address().to_string(), "rfmux0042.local:80");
//!
//! let error = HardwareMap::parse(&text.replace("serial", "serail"), "lab.toml").unwrap_err();
//! assert!(error.to_string().starts_with(
//!     "lab.toml:5:1: unknown key `serail` in [[board]]; did you mean `serial`?"
//! ));
//! ```

mod address;
mod check;
mod entry;
mod error;
#[cfg(feature = "sim")]
mod farm;
mod only;
mod params;
mod place;
mod plausible;
mod properties;
mod read;
#[cfg(feature = "cli")]
mod rfmux;
mod section;
mod sources;
mod suggest;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;
pub(crate) use twotone_hal::same_serial;

pub(crate) use check::unique_values;
pub use entry::{
    BoardEntry, CONSERVATIVE_COLD_ATTENUATION_DB, CONSERVATIVE_MAX_TONE, CONSERVATIVE_MAX_TOTAL,
    CONSERVATIVE_START_POWER, DetectorEntry, ModuleEntry, SafeState,
};
pub use error::{MapError, Problem};
pub use params::{load_params, parse_params, read_params};
pub use place::Place;
pub use plausible::{HIGHEST_TONE, LOWEST_TONE, implausible_hz};
#[cfg(feature = "cli")]
pub use rfmux::{Imported, import_rfmux};
pub use twotone_transport::Host;
pub use twotone_transport::{
    BoardFamily, BoardKind, BoardPlan, Conflict, ModulePlan, PropertyMap, UsualStream,
};

use crate::input;

/// The boards and detectors of an array, after these checks: names, addresses and serial numbers
/// are unique, powers and frequencies are in range, and every detector is on a module of its board.
/// If the board lists no modules, this is any module that boards of its kind can have.
#[derive(Debug, Clone)]
pub struct HardwareMap {
    boards: Vec<BoardEntry>,
    detectors: Vec<DetectorEntry>,
    file: String,
    text: String,
}

impl HardwareMap {
    /// Reads the map in the file at `path`. No board is contacted.
    ///
    /// # Errors
    /// As [`input::read_text`], or as [`HardwareMap::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, MapError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let text = input::read_text(path, input::MAP_BYTES)
            .map_err(|error| MapError::unreadable(&file, &error))?;
        Self::parse(&text, &file)
    }

    /// Reads the map in `text`. `file_name` is the name of the text in errors.
    ///
    /// # Errors
    /// All problems of the map, each with its line and column. At most a hundred problems
    /// are listed.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, MapError> {
        let (boards, detectors) = read::map(text, file_name)?;
        Ok(Self {
            boards,
            detectors,
            file: file_name.to_owned(),
            text: text.to_owned(),
        })
    }

    /// Returns the map of these boards and detectors, for programs that write maps.
    ///
    /// # Errors
    /// As [`HardwareMap::parse`], with places in the TOML text that is made from these
    /// entries. If they cannot be written as TOML, the error is a single problem without a place.
    pub fn new(boards: Vec<BoardEntry>, detectors: Vec<DetectorEntry>) -> Result<Self, MapError> {
        Self::parse(&write(&boards, &detectors)?, "new map")
    }

    /// The boards, in the order of the map.
    pub fn boards(&self) -> &[BoardEntry] {
        &self.boards
    }

    /// Returns the board called `name`.
    pub fn board(&self, name: &str) -> Option<&BoardEntry> {
        self.boards.iter().find(|board| board.name == name)
    }

    /// The detectors that the map lists, in the order of the map. The list may be empty.
    pub fn detectors(&self) -> &[DetectorEntry] {
        &self.detectors
    }

    /// The name of the map's file, as the caller gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The unchanged text from which the map was read, with its comments.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the map as TOML, with every default written out. Reading this text gives an equal
    /// map.
    pub fn to_toml(&self) -> String {
        // This cannot fail: only a board without a TOML form cannot be written, and each board was
        // read from TOML.
        write(&self.boards, &self.detectors).unwrap_or_else(|_| self.text.clone())
    }
}

/// Two maps are equal if their boards and detectors are equal. File and text do not count.
impl PartialEq for HardwareMap {
    fn eq(&self, other: &Self) -> bool {
        self.boards == other.boards && self.detectors == other.detectors
    }
}

fn write(boards: &[BoardEntry], detectors: &[DetectorEntry]) -> Result<String, MapError> {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        board: &'a [BoardEntry],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        detector: &'a [DetectorEntry],
    }
    toml::to_string(&Written {
        board: boards,
        detector: detectors,
    })
    .map_err(|error| MapError::whole("new map", error.to_string()))
}
