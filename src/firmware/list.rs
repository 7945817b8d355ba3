//! Releases that the boards of a map report.

use serde::Serialize;
use tworoutine::tworoutine;
use twotone_hal::PowerLoss;

use super::Unfinished;
use crate::Array;
use crate::identity::Listening;
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
    /// True if another board than that of the map is at the address. Its release is not reported.
    pub is_another: bool,
    /// Flash of the board that was begun on this computer, and is not known to be complete. If the
    /// board reports a release, it has started since, so that its flash is complete.
    pub unfinished: Option<Unfinished>,
    /// Effect that a loss of power would have on the board now: `harmless`, or `unknown` for a
    /// board that does not answer and whose flash is not known to be complete.
    pub power_loss: &'static str,
    /// Reason that the release is not known.
    pub error: Option<Failure>,
}

impl BoardRelease {
    /// Returns the flash that was begun, if the board has not started since.
    pub fn may_not_start(&self) -> Option<&Unfinished> {
        let unfinished = self.unfinished.as_ref();
        unfinished.filter(|_| self.release.is_none())
    }
}

/// Returns the release of each board of `map`, in the order of the map. `begun` are the flashes
/// that were begun on this computer: those of [`Flashes::all`](super::Flashes::all). Nothing is
/// set. The identity of the boards is checked, for which their sample streams are listened to for
/// up to a second.
#[tworoutine(Send)]
pub async fn list(map: &HardwareMap, begun: &[Unfinished]) -> Vec<BoardRelease> {
    let listening = Listening::begin(map);
    let array = Array::connect_identified(map, listening).await;
    let releases = map.boards().iter().map(|entry| {
        let identity = array.identity(&entry.name);
        let is_another = identity.is_some_and(|identity| identity.is_another());
        let answered = array.answered(&entry.name).filter(|_| !is_another);
        let release = answered.map(|board| board.description().firmware.clone());
        let release = release.filter(|release| !release.is_empty());
        let unfinished = begun.iter().find(|one| one.is_of(entry)).cloned();
        let power_loss = match unfinished.is_some() && release.is_none() {
            true => PowerLoss::Unknown,
            false => PowerLoss::Harmless,
        };
        BoardRelease {
            is_another,
            unfinished,
            power_loss: power_loss.as_str(),
            release,
            name: entry.name.clone(),
            kind: entry.kind,
            serial: entry.serial.clone(),
            crate_serial: entry.crate_serial.clone(),
            can_be_flashed: entry.kind.family().firmware.is_some(),
            error: array.failure(&entry.name).map(Failure::from),
        }
    });
    releases.collect()
}
