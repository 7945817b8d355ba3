//! State in which a run leaves a module. A run executes an algorithm on a *target*, which is a
//! module of a board with the *safe state* that the hardware map declares for it.

use super::SafeState;

/// Rule for the state of a module after a run, as text for the help and the documentation.
///
/// [`Ending`] implements this rule.
pub const ENDINGS: &str = "\
A module ends as its safe_state in the map says: `off` has every tone off, `previous` has the NCO and the tones as they were \
before, `hold` has them as they are at that moment. A tune that succeeds keeps its tones on. A sweep never leaves its own \
tones on: with `hold`, too, it puts back what was there before. What cannot be put back is switched off and named, and the \
exit status is 3.";

/// Choice of the state of a module after a run, in addition to the safe state that its target
/// declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// The declared safe state, regardless of the result of the algorithm.
    #[default]
    SafeState,
    /// If the algorithm succeeds, its settings, otherwise the declared safe state. This is for
    /// algorithms that set up a module.
    Kept,
    /// The declared safe state, but [`SafeState::Previous`] if [`SafeState::Hold`] is declared.
    /// This is for algorithms that only measure, because their settings are useless afterwards.
    AsFound,
}

impl Ending {
    /// Returns the final state of a module whose target declares `declared`, or `None` if the
    /// module keeps the settings of the algorithm.
    pub fn state(self, declared: SafeState, succeeded: bool) -> Option<SafeState> {
        match (self, declared) {
            (Self::Kept, _) if succeeded => None,
            (Self::AsFound, SafeState::Hold) => Some(SafeState::Previous),
            _ => Some(declared),
        }
    }

    /// True if a module may keep the settings of the algorithm.
    pub(super) fn keeps(self) -> bool {
        self == Self::Kept
    }
}
