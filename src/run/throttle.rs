//! Wrapper that bounds the number of batches that run at once, and their rate.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until};
use twotone_hal::{Batch, Board, BoardHandle, Error, ErrorKind, Replies, Result, async_trait};

/// Lets a batch through when one of the permits is free, and no sooner than `pause` after the start
/// of the batch before it. Boards that share the same permits are bounded together. Batches keep
/// the order in which they were first polled.
#[derive(Debug)]
pub struct Throttle {
    board: BoardHandle,
    permits: Arc<Semaphore>,
    pause: Duration,
    next: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Lets batches on `board` through as `permits` allow, at least `pause` apart.
    pub fn new(board: BoardHandle, permits: Arc<Semaphore>, pause: Duration) -> Self {
        Self {
            board,
            permits,
            pause,
            next: Mutex::new(None),
        }
    }
}

#[async_trait]
impl Board for Throttle {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn streams(&self) -> Option<std::sync::Arc<dyn twotone_hal::Streams>> {
        self.board.streams()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut next = self.next.lock().await;
        let permit = self.permits.acquire().await.map_err(|_| {
            Error::new(ErrorKind::Cancelled, "the permits were closed")
                .certainty_is(twotone_hal::Certainty::NotExecuted)
                .after(0)
                .on(self.name())
        })?;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        *next = Some(Instant::now() + self.pause);
        drop(next);
        let answer = self.board.run(batch).await;
        drop(permit);
        answer
    }
}
