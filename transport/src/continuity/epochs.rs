//! The present epoch of a board. An epoch is a period in which the board keeps its settings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use twotone_hal::{Certainty, Epoch, Error, ErrorKind};

/// The present epoch of a board, and the reason why the epoch before it ended. The
/// [`ModuleKeeper`](super::ModuleKeeper)s of all modules share it.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    present: AtomicU64,
    why: Mutex<String>,
}

impl Epochs {
    pub(crate) fn beginning_with(epoch: Epoch) -> Self {
        Self {
            present: AtomicU64::new(epoch.0),
            why: Mutex::default(),
        }
    }

    pub(crate) fn present(&self) -> Epoch {
        Epoch(self.present.load(Ordering::Acquire))
    }

    /// Ends the epoch `seen`. Does nothing if it has ended already, because another module found a
    /// difference before.
    pub(crate) fn end(&self, seen: Epoch, why: String) {
        if self.advance(seen, &why) {
            tracing::warn!(%why, "the state of the board is not what it was");
        }
    }

    /// As [`Epochs::end`], for a change that this program has made.
    pub(crate) fn end_by_this_program(&self, seen: Epoch, why: String) {
        if self.advance(seen, &why) {
            tracing::info!(%why, "a new epoch of the board begins");
        }
    }

    /// Begins the epoch after `seen`. Returns false if `seen` has ended already.
    fn advance(&self, seen: Epoch, why: &str) -> bool {
        let mut last = self.why();
        let is_present = self.present() == seen;
        if is_present {
            why.clone_into(&mut last);
            self.present.store(seen.0 + 1, Ordering::Release);
        }
        is_present
    }

    /// Returns the error that reports the end of the last epoch, with its reason.
    pub(crate) fn changed(&self) -> Error {
        let message = format!("{}; what was measured before is void", self.why());
        Error::new(ErrorKind::EpochChanged, message).certainty_is(Certainty::NotExecuted)
    }

    fn why(&self) -> MutexGuard<'_, String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
