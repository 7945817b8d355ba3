//! State of a module after a run.

use super::SafeState;

/// Rule for the state of a module after a run, in the words of the help and the pages.
///
/// [`Ending`] is the same as code.
pub const ENDINGS: &str = "\
A module ends as its safe_state in the map says: `off` has every tone off, `previous` has the NCO and the tones as they were \
before, `hold` has them as they are at that moment. A tune that succeeds keeps its tones on. A sweep never leaves its own \
tones on: with `hold`, too, it puts back what was there before. What cannot be put back is switched off and named, and the \
exit status is 3.";

/// Choice of the state of a module after a run, beside the safe state that its target declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// The declared safe state, however the algorithm ends.
    #[default]
    SafeState,
    /// The settings of the algorithm if it succeeds, the declared safe state otherwise: for
    /// algorithms that set a module up.
    Kept,
    /// The declared safe state, but [`SafeState::Previous`] in the place of [`SafeState::Hold`]:
    /// for algorithms that only measure, and whose settings are of no use afterwards.
    AsFound,
}

impl Ending {
    /// Final state of a module whose target declares `declared`; `None` if it keeps the settings of
    /// the algorithm.
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
