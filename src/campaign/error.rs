//! Reasons that a campaign (a tune, sweep, capture or switch-off) is refused.

use crate::record::RecordError;

/// Reason that a campaign was refused before anything was set on any board, or that it ended
/// without a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignError {
    /// The parameters cannot be read, cannot be used with any hardware map, or do not fit the
    /// modules of the campaign's map.
    #[error("{0}")]
    Params(String),
    /// No board of the map can be captured, because the map has no serial number of any board.
    #[error("{0}")]
    Map(String),
    /// Boards cannot be locked on this host, so other programs could set them at the same time.
    #[error("{0}. Nothing was sent to any board")]
    Lock(String),
    /// The run directory of the campaign cannot be made, or the run directory of the tune that a
    /// capture uses cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The file system of the run directory has not enough space for the result.
    #[error(
        "no room for `{path}`: {why}; nothing was sent to any board. Make room, or choose another disk"
    )]
    Room {
        /// Path of the run directory.
        path: String,
        /// Free space, and required space.
        why: String,
    },
    /// A dry run was cancelled before the boards were connected.
    #[error("interrupted while connecting; nothing was set on any board")]
    Cancelled,
    /// The campaign panicked or was shut down. Modules may still have the settings that the
    /// campaign made.
    #[error("the campaign ended without a result: {0}")]
    Ended(String),
}
