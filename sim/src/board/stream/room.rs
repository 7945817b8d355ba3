//! Limit on the samples that have not been sent yet.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of samples that may still be kept before they are sent. All modules of a farm share this
/// number, so that the memory of the farm is bounded for any number of boards.
#[derive(Debug)]
pub(crate) struct Room {
    /// Number of samples of single channels that may still be kept.
    left: AtomicUsize,
}

impl Room {
    /// Allows `samples` samples of single channels to be kept.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            left: AtomicUsize::new(samples),
        }
    }

    /// True if `samples` more samples may be kept.
    pub(crate) fn has(&self, samples: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= samples
    }

    /// Reserves the memory of `samples` samples. Returns false and reserves nothing if fewer may be
    /// kept.
    pub(crate) fn take(&self, samples: usize) -> bool {
        let less = |left: usize| left.checked_sub(samples);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Ends the reservation of `samples` samples.
    pub(crate) fn give_back(&self, samples: usize) {
        self.left.fetch_add(samples, Ordering::Relaxed);
    }

    /// Number of samples that may still be kept.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}
