//! Releases that the boards of a map report.

use serde::Serialize;
use tworoutine::tworoutine;

use crate::Array;
use crate::map::{BoardKind, HardwareMap};
use crate::record::Failure;

/// Release of a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BoardRelease {
    /// Name of the board.
    pub name: String,
    /// Kind of the board, as in the map.
    pub kind: BoardKind,
    /// Serial number of the board, if the map has it.
    pub serial: Option<String>,
    /// Serial number of the board's crate, if the map has it.
    #[serde(rename = "crate")]
    pub crate_serial: Option<String>,
    /// True if boards of this kind can be flashed over the network.
    pub can_be_flashed: bool,
    /// Release that the board reports. `None` if it reports none.
    pub release: Option<String>,
    /// Reason that the release is not known.
    pub error: Option<Failure>,
}

/// Returns the release of each board of `map`, in the order of the map. Nothing is set.
#[tworoutine(Send)]
pub async fn list(map: &HardwareMap) -> Vec<BoardRelease> {
    let array = Array::connect(map).await;
    let releases = map.boards().iter().map(|entry| {
        let answered = array.answered(&entry.name);
        let release = answered.map(|board| board.description().firmware.clone());
        BoardRelease {
            name: entry.name.clone(),
            kind: entry.kind,
            serial: entry.serial.clone(),
            crate_serial: entry.crate_serial.clone(),
            can_be_flashed: entry.kind.family().firmware.is_some(),
            release: release.filter(|release| !release.is_empty()),
            error: array.failure(&entry.name).map(Failure::from),
        }
    });
    releases.collect()
}
