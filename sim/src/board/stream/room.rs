//! Limit on the samples of simulated boards that have not been sent yet. All boards of a farm (a
//! group of boards) share the limit.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Limit on the samples that wait to be sent. All modules of a [`Farm`](crate::Farm) share the
/// limit, so that the memory of the farm is bounded for any number of boards.
#[derive(Debug)]
pub(crate) struct Room {
    /// Number of samples that may still be kept. Each channel counts separately.
    left: AtomicUsize,
}

impl Room {
    /// Creates the limit of `samples` samples. Each channel counts separately.
    pub(crate) fn new(samples: usize) -> Self {
        Self {
            left: AtomicUsize::new(samples),
        }
    }

    /// True if `samples` more samples may be kept.
    pub(crate) fn has(&self, samples: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= samples
    }

    /// Reserves memory for `samples` samples. If fewer may be kept, returns false and reserves
    /// nothing.
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
