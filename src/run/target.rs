//! Target of a run: a module of a board.

use std::time::Duration;

use twotone_hal::{BoardHandle, ModuleId};

pub use crate::map::SafeState;

use super::ModuleLimits;
use crate::map::ModuleEntry;

/// One module of one board, its limits, and the state that a run is to leave it in.
#[derive(Debug, Clone)]
pub struct Target {
    /// The board.
    pub board: BoardHandle,
    /// The module. No two runs have the same module at once.
    pub module: ModuleId,
    /// Limits that every write is checked against.
    pub limits: ModuleLimits,
    /// State that the module is left in if the algorithm does not succeed.
    pub safe_state: SafeState,
    /// Longest time for which a request can live whose connection to the board was lost. `None`:
    /// that of the run ([`Runner::request_life`](super::Runner::request_life)).
    pub request_life: Option<Duration>,
    taken_over: bool,
}

impl Target {
    /// Target of `module` on `board`, with no limit but the headroom of the comb, and with all
    /// tones off as its safe state.
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

    /// Target of a module of the hardware map, with the map's limits and safe state.
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

    /// Returns the target with these limits.
    #[must_use]
    pub fn limits(self, limits: ModuleLimits) -> Self {
        Self { limits, ..self }
    }

    /// Returns the target with this longest life of a request; `None`: that of the run.
    #[must_use]
    pub fn request_life(self, request_life: Option<Duration>) -> Self {
        Self {
            request_life,
            ..self
        }
    }

    /// Returns the target with its board marked as taken over from another program, or not.
    /// Requests of that program may still be on their way to the board. A run waits until they
    /// cannot arrive any more.
    #[must_use]
    pub fn taken_over(self, taken_over: bool) -> Self {
        Self { taken_over, ..self }
    }

    /// True if its board was taken over from another program.
    pub(crate) fn was_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Returns the target with this safe state.
    #[must_use]
    pub fn safe_state(self, safe_state: SafeState) -> Self {
        Self { safe_state, ..self }
    }
}
