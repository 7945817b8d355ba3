//! Limit on the samples that have not been sent yet.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of samples that may still be kept before they are sent. All modules of a farm share it,
/// so that its memory is bounded for any number of boards.
#[derive(Debug)]
pub(crate) struct Room {
    /// Number of samples of single channels that may still be kept.
    left: AtomicUsize,
}

impl Room {
    /// Creates room for `samples` samples of single channels.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            left: AtomicUsize::new(samples),
        }
    }

    /// True if there is room for `samples` more.
    pub(crate) fn has(&self, samples: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= samples
    }

    /// Takes room for `samples`. Returns false and takes none if there is not enough.
    pub(crate) fn take(&self, samples: usize) -> bool {
        let less = |left: usize| left.checked_sub(samples);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Returns room that was taken.
    pub(crate) fn give_back(&self, samples: usize) {
        self.left.fetch_add(samples, Ordering::Relaxed);
    }

    /// Number of samples for which there is room.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}
