//! What a run is about: a module of a board.

use std::time::Duration;

use twotone_hal::{BoardHandle, ModuleId};

pub use crate::map::SafeState;

use super::ModuleLimits;
use crate::map::ModuleEntry;

/// One module of one board, what it may put out, and what a run is to leave behind on it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The board.
    pub board: BoardHandle,
    /// The module: a run has it to itself.
    pub module: ModuleId,
    /// What every write is checked against.
    pub limits: ModuleLimits,
    /// What is left behind when the algorithm does not succeed.
    pub safe_state: SafeState,
    /// Longest time for which a request to the board can live whose connection was lost, if it is
    /// another than that of the run ([`Runner::request_life`](super::Runner::request_life)).
    pub request_life: Option<Duration>,
    taken_over: bool,
}

impl Target {
    /// `module` of `board`, with no limit but the headroom of the comb, to be left with all tones
    /// off.
    pub fn new(board: BoardHandle, module: ModuleId) -> Self {
        Self {
            board,
            module,
            limits: ModuleLimits::default(),
            safe_state: SafeState::default(),
            request_life: None,
            taken_over: false,
        }
    }

    /// A module as the hardware map has it: with its limits and its safe state.
    pub fn mapped(board: BoardHandle, entry: &ModuleEntry) -> Self {
        Self {
            board,
            module: entry.module,
            limits: entry.limits(),
            safe_state: entry.safe_state,
            request_life: None,
            taken_over: false,
        }
    }

    /// With other limits.
    #[must_use]
    pub fn limits(self, limits: ModuleLimits) -> Self {
        Self { limits, ..self }
    }

    /// With another longest life of a request, or with that of the run.
    #[must_use]
    pub fn request_life(self, request_life: Option<Duration>) -> Self {
        Self {
            request_life,
            ..self
        }
    }

    /// With the board taken over from another program, or not: settings that the other one has sent
    /// may still be on their way to it. A run waits until they cannot be any more.
    #[must_use]
    pub fn taken_over(self, taken_over: bool) -> Self {
        Self { taken_over, ..self }
    }

    /// True if its board was taken over from another program.
    pub(crate) fn was_taken_over(&self) -> bool {
        self.taken_over
    }

    /// With another state to be left behind.
    #[must_use]
    pub fn safe_state(self, safe_state: SafeState) -> Self {
        Self { safe_state, ..self }
    }
}
