//! What the streams of a farm may take of the machine.
//!
//! A farm can be asked for more than its machine can do: 256 boards with all
//! their channels are 5 GB a second. Boards therefore send in turn, a few
//! packets at a time, and no more of them at once than leave a processor to
//! the control protocol and to those who listen. What a stream is too far
//! behind with is left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::module::Room;

/// Samples of single channels that a farm keeps for its streams: 64 MB. Four
/// boards with all channels of their modules fill it in 0.9 s.
const KEPT: usize = 8 << 20;

/// What the streams of a farm share.
#[derive(Debug)]
pub(crate) struct Pace {
    /// First come, first served.
    turns: Semaphore,
    room: Arc<Room>,
    /// Boards that send.
    sending: AtomicUsize,
    /// It has been said that they are too many.
    told: AtomicBool,
}

impl Pace {
    /// For a farm whose tasks run on so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            turns: Semaphore::new(threads.saturating_sub(1).max(1)),
            room: Arc::new(Room::new(KEPT)),
            sending: AtomicUsize::new(0),
            told: AtomicBool::new(false),
        }
    }

    /// Room for samples that are made before they can be sent.
    pub(super) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Waits until it is a board's turn to send, which lasts until what is
    /// given is dropped. None where the farm has no turns any more.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// A board begins to send.
    pub(super) fn begin(&self) {
        self.sending.fetch_add(1, Ordering::Relaxed);
    }

    /// A board sends no more. When it was the last, the next that falls behind
    /// is told of again.
    pub(super) fn end(&self) {
        if self.sending.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.told.store(false, Ordering::Relaxed);
        }
    }

    /// Samples have been left out: says so, once.
    pub(super) fn leaves_out(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let boards = self.sending.load(Ordering::Relaxed);
            tracing::warn!(
                boards,
                "this machine cannot keep up with the streams of the boards that are listened to: \
                 samples are left out, which shows as gaps in the numbers of their packets"
            );
        }
    }
}
