//! Target of a run, which executes an algorithm on the modules of many boards. A target is one of
//! these modules.

use std::time::Duration;

use twotone_hal::{BoardHandle, ModuleId};

pub use crate::map::SafeState;

use super::ModuleLimits;
use crate::map::ModuleEntry;

/// One module of one board, with its limits and the state in which a run is to leave it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The board.
    pub board: BoardHandle,
    /// The module. No two runs of this process use the same module at the same time.
    pub module: ModuleId,
    /// Limits that the run enforces for every change of a setting.
    pub limits: ModuleLimits,
    /// Safe state of the module. [`ENDINGS`](super::ENDINGS) describes its use.
    pub safe_state: SafeState,
    /// Longest time for which the board may still execute a request after the connection was lost.
    /// If `None`, that of the run applies ([`Runner::request_life`](super::Runner::request_life)).
    pub request_life: Option<Duration>,
    taken_over: bool,
}

impl Target {
    /// Makes a target of `module` on `board`. Its only limit is that the peak of the comb, which is
    /// the sum of all tones, stays below full scale ([`ModuleLimits::crest`]). Its safe state is
    /// all tones off.
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

    /// Makes a target of a module of the hardware map, with the map's limits and safe state.
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

    /// Returns the target with this value of [`Target::request_life`]. If it is `None`, that of the
    /// run applies.
    #[must_use]
    pub fn request_life(self, request_life: Option<Duration>) -> Self {
        Self {
            request_life,
            ..self
        }
    }

    /// Returns the target with its board marked as taken over from another program, or as not taken
    /// over. Requests of that program may still be on their way to the board. A run waits until
    /// they can no longer arrive.
    #[must_use]
    pub fn taken_over(self, taken_over: bool) -> Self {
        Self { taken_over, ..self }
    }

    /// True if the target's board was taken over from another program.
    pub(crate) fn was_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Returns the target with this safe state.
    #[must_use]
    pub fn safe_state(self, safe_state: SafeState) -> Self {
        Self { safe_state, ..self }
    }
}
