//! Limits on the processor time and the memory that the streams of a [`Farm`](crate::Farm) use. A
//! farm is a group of simulated boards.
//!
//! The streams of a farm may need more than its machine can process: 256 boards with all their
//! channels send 5 GB/s. So boards take turns to send, a few packets at a time. If there is more
//! than one thread, one thread is left to the control protocol and to receivers. A stream that
//! falls too far behind skips samples.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::room::Room;

/// Largest number of unsent samples that a farm keeps for its streams: 64 MB. The samples of each
/// channel are counted separately. Four boards with all channels of four modules at decimation
/// stage 6 produce this number in 0.9 s.
const KEPT: usize = 8 << 20;

/// State that the streams of a farm share.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Permits to send. Boards get them in the order of their requests.
    turns: Semaphore,
    room: Arc<Room>,
    /// Number of boards that send.
    sending: AtomicUsize,
    /// True if the warning about skipped samples was logged for the boards that send now.
    logged: AtomicBool,
}

impl Pace {
    /// Creates the state for a farm with this number of threads.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            turns: Semaphore::new(threads.saturating_sub(1).max(1)),
            room: Arc::new(Room::new(KEPT)),
            sending: AtomicUsize::new(0),
            logged: AtomicBool::new(false),
        }
    }

    /// Limit on the samples that wait to be sent.
    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Waits for a permit to send. The permit is valid until it is dropped. `None` would mean that
    /// the semaphore is closed, which never happens.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Counts a board that begins to send.
    pub(crate) fn begin(&self) {
        self.sending.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a board from the count. After the last board is removed, a warning about skipped
    /// samples can be logged again.
    pub(crate) fn end(&self) {
        if self.sending.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.logged.store(false, Ordering::Relaxed);
        }
    }

    /// Logs a warning about skipped samples, unless it was logged already.
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
