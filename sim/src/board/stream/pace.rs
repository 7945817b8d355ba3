//! Limits on the share of the machine that the streams of a farm take.
//!
//! The streams of a farm can need more than its machine can do: 256 boards with
//! all their channels send 5 GB/s. Boards therefore send in turn, a few packets
//! at a time. As long as there are several threads, one is left to the control
//! protocol and to receivers. A stream that falls too far behind leaves out
//! samples.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::room::Room;

/// Most samples of single channels that a farm keeps for its streams: 64 MB.
/// Four boards with all channels of four modules at stage 6 fill it in 0.9 s.
const KEPT: usize = 8 << 20;

/// State that the streams of a farm share.
#[derive(Debug)]
pub(crate) struct Pace {
    /// First come, first served.
    turns: Semaphore,
    room: Arc<Room>,
    /// Number of boards that send.
    sending: AtomicUsize,
    /// True if a warning that samples are left out has been logged.
    logged: AtomicBool,
}

impl Pace {
    /// Creates the state for a farm whose tasks run on this many threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            turns: Semaphore::new(threads.saturating_sub(1).max(1)),
            room: Arc::new(Room::new(KEPT)),
            sending: AtomicUsize::new(0),
            logged: AtomicBool::new(false),
        }
    }

    /// Room for samples that are made before they can be sent.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Waits for a board's turn to send, which lasts until the permit is
    /// dropped. Returns `None` if there are no turns any more.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Counts a board that begins to send.
    pub(crate) fn begin(&self) {
        self.sending.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts off a board that ends sending. After the last, the next board
    /// that falls behind is logged again.
    pub(crate) fn end(&self) {
        if self.sending.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.logged.store(false, Ordering::Relaxed);
        }
    }

    /// Logs once that samples have been left out.
    pub(crate) fn log_skipped(&self) {
        if !self.logged.swap(true, Ordering::Relaxed) {
            let boards = self.sending.load(Ordering::Relaxed);
            tracing::warn!(
                boards,
                "this machine cannot keep up with the streams of the boards that are listened to: \
                 samples are left out, which shows as gaps in the numbers of their packets"
            );
        }
    }
}
