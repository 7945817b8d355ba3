//! What a run leaves behind.

use super::SafeState;

/// The rule of what a run leaves on a module, in the words that help and pages have.
///
/// [`Ending`] is the same as code.
pub const ENDINGS: &str = "\
A module ends as its safe_state in the map says: `off` has every tone off, `previous` has the NCO and the tones as they were \
before, `hold` has them as they are at that moment. A tune that succeeds keeps its tones on. A sweep never leaves its own \
tones on: with `hold`, too, it puts back what was there before. What cannot be put back is switched off and named, and the \
exit status is 3.";

/// What a run leaves on a module, besides the safe state that its target declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// The declared safe state, however the algorithm ends.
    #[default]
    SafeState,
    /// The settings of the algorithm if it succeeds, the declared safe state otherwise: for what
    /// sets a module up.
    Kept,
    /// The declared safe state, but what was there before in the place of [`SafeState::Hold`]: for
    /// what only measures, and whose settings are of use to nobody afterwards.
    AsFound,
}

impl Ending {
    /// The state that a module ends in whose target declares `declared`; `None` if it keeps what
    /// the algorithm has set.
    pub fn state(self, declared: SafeState, succeeded: bool) -> Option<SafeState> {
        match (self, declared) {
            (Self::Kept, _) if succeeded => None,
            (Self::AsFound, SafeState::Hold) => Some(SafeState::Previous),
            _ => Some(declared),
        }
    }
}
