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
        let mut last = self.why();
        if self.present() == seen {
            tracing::warn!(%why, "the state of the board is not what it was");
            *last = why;
            self.present.store(seen.0 + 1, Ordering::Release);
        }
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
