//! Report of a tune or a sweep of an array.
//!
//! An *array* is the set of boards of a hardware map. After a tune or a sweep, the *clean-up* of a
//! module brings it to its *declared state*, which is the `safe_state` that the map gives for it.

use serde::Serialize;

use super::{BoardSetup, BoardStatus, Completion, RecordReport};
use crate::identity::Identity;
use crate::lock::Holder;
use crate::record::Failure;
use crate::{Array, ArrayBoard};

/// Report of a campaign over an array, with a report `B` of each board. It serializes to the JSON
/// object that `twotone tune --json` or `twotone sweep --json` prints.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ArrayReport<B> {
    /// Time from the first connection to the end of the last clean-up, in seconds.
    pub elapsed_s: f64,
    /// True if the campaign was cancelled before every module was done.
    pub interrupted: bool,
    /// Place of the run directory.
    #[serde(flatten)]
    pub record: RecordReport,
    /// Every board of the map, in its order. Empty if the campaign was cancelled before the boards
    /// were connected.
    pub boards: Vec<B>,
}

impl<B> ArrayReport<B> {
    /// Report of a campaign that is not recorded yet.
    pub(super) fn new(elapsed_s: f64, boards: Vec<B>) -> Self {
        Self {
            elapsed_s,
            interrupted: false,
            record: RecordReport::default(),
            boards,
        }
    }

    /// Report of a campaign that was cancelled before any board was connected.
    pub(super) fn interrupted(elapsed_s: f64) -> Self {
        Self {
            interrupted: true,
            ..Self::new(elapsed_s, Vec::new())
        }
    }

    /// Returns the degree to which the campaign was done and recorded, from the `status` of each
    /// board.
    /// `is_restored` is true for a board whose properties were left unchanged and whose modules are
    /// all in their declared states.
    pub(super) fn completion_by(
        &self,
        status: impl Fn(&B) -> BoardStatus,
        is_restored: impl Fn(&B) -> bool,
    ) -> Completion {
        let all = |wanted| self.boards.iter().all(|board| status(board) == wanted);
        let completion = if self.interrupted && self.boards.iter().all(is_restored) {
            Completion::Interrupted
        } else if all(BoardStatus::Unreachable) {
            Completion::Unreachable
        } else if all(BoardStatus::Ok) {
            Completion::Complete
        } else {
            Completion::Incomplete
        };
        self.record.lower(completion)
    }
}

/// True if the set-up of a board, if there was one, has changed a property.
pub(super) fn has_changed(setup: Option<&BoardSetup>) -> bool {
    setup.is_some_and(BoardSetup::has_changed)
}

/// Facts about a board of the map that do not depend on the measurements of the campaign.
pub(super) struct BoardFacts {
    /// Error of a board that could not be reached or used.
    pub(super) error: Option<Failure>,
    pub(super) doubts: Vec<String>,
    pub(super) identity: Option<Identity>,
    pub(super) taken_over: Option<Holder>,
    pub(super) setup: Option<BoardSetup>,
}

impl BoardFacts {
    /// Returns the facts about the board called `name` in the map.
    pub(super) fn of(array: &Array, name: &str) -> Self {
        let described = array.answered(name).map(ArrayBoard::description);
        Self {
            error: array.failure(name).map(Failure::from),
            doubts: described.map_or_else(Vec::new, |described| described.doubts.clone()),
            identity: array.identity(name).cloned(),
            taken_over: array.taken_over(name).cloned(),
            setup: array.setup(name).cloned(),
        }
    }
}
