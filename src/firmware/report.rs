//! Result of a roll-out on one board, and its progress.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::BoardRelease;
use crate::record::Failure;

/// Task of a roll-out, for each board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Transfer the image and compare its digest, then restart the board. The flash stays
    /// unchanged.
    Stage,
    /// Replace the firmware, unless the flash holds the image already.
    Flash,
    /// Read back the flash and compare its digest, then restart the board.
    Verify,
}

/// Outcome of the work on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BoardStatus {
    /// An earlier call flashed or verified the board, and it reports the release.
    AlreadyDone,
    /// The image was written and verified, and the board reports its release and acquires samples.
    Flashed,
    /// The flash already had the image and was not written. The board reports the release of the
    /// image and acquires samples.
    Verified,
    /// The image arrived completely. The board was restarted with its present firmware.
    Staged,
    /// The image is not for this board, or the board could not be locked, for instance because
    /// another program uses it. The board was not changed.
    Refused,
    /// A step failed.
    Failed,
    /// Another board failed before, or the call was interrupted. The flash was not changed, but the
    /// board may have been restarted.
    NotStarted,
}

impl BoardStatus {
    /// True if the task of the board succeeded.
    pub fn is_well(self) -> bool {
        matches!(
            self,
            Self::AlreadyDone | Self::Flashed | Self::Verified | Self::Staged
        )
    }
}

/// Result of the work on a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BoardReport {
    /// Name of the board.
    pub name: String,
    /// Outcome.
    pub status: BoardStatus,
    /// Release that the board reported before the task. `None` if it reported none.
    pub before: Option<String>,
    /// Release that the board reported last. `None` if it reported none.
    pub release: Option<String>,
    /// Effect that a loss of power would have on the board now: `harmless`, `fatal` or `unknown`.
    pub power_loss: &'static str,
    /// Number of times that the flash was written.
    pub writes: usize,
    /// Reason that the board failed, was refused or was not started.
    pub error: Option<Failure>,
    /// Reason that the record of the flash that was begun could not be removed.
    #[serde(skip)]
    pub(super) not_recorded: Option<String>,
}

impl BoardReport {
    /// Returns the report of a board whose firmware was not changed.
    pub(super) fn untouched(
        release: &BoardRelease,
        status: BoardStatus,
        error: Option<Failure>,
    ) -> Self {
        Self {
            name: release.name.clone(),
            status,
            before: release.release.clone(),
            release: release.release.clone(),
            power_loss: release.power_loss,
            writes: 0,
            error,
            not_recorded: None,
        }
    }
}

/// Progress of the work on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The roll-out waits for the board, whose power must be cycled.
    Waiting {
        /// True if the board answered before.
        answered: bool,
        /// True if the board has not started since its flash was begun. It must then keep its
        /// power: the program takes control of it without a restart, if its boot loader answers.
        unfinished: bool,
    },
    /// The boot loader of the board takes commands.
    Controlled,
    /// Number of bytes that have arrived, and total number of bytes.
    Transferred(usize, usize),
    /// The present flash is read, to find out if it holds the image already.
    Comparing,
    /// The flash is erased and written. The power must stay on.
    Writing,
    /// The flash is still being erased or written after this time. The power must stay on.
    StillWriting(Duration),
    /// The flash is read back.
    Verifying,
    /// The board restarts.
    Restarting,
}

/// Callback for the progress of all boards. Its first argument is the name of the board.
pub type Observe = Arc<dyn Fn(&str, Event) + Send + Sync>;

/// Callback for the results of all boards, each as soon as it is known.
pub type ObserveEnd = Arc<dyn Fn(&BoardReport) + Send + Sync>;
