//! Limit on the samples that wait for their packets.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for samples that were made before their packets could be sent. All
/// modules of a farm share it, so that a farm keeps no more than this, however
/// many boards stream.
#[derive(Debug)]
pub(crate) struct Room {
    /// Samples of single channels that may still be kept.
    left: AtomicUsize,
}

impl Room {
    /// Creates room for this many samples of single channels.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            left: AtomicUsize::new(samples),
        }
    }

    /// True if there is room for this many more.
    pub(crate) fn has(&self, samples: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= samples
    }

    /// Takes room for this many. Returns false, and takes none, if there is not enough.
    pub(crate) fn take(&self, samples: usize) -> bool {
        let less = |left: usize| left.checked_sub(samples);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Gives back room that was taken.
    pub(crate) fn give_back(&self, samples: usize) {
        self.left.fetch_add(samples, Ordering::Relaxed);
    }

    /// Number of samples that there is room for.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}
