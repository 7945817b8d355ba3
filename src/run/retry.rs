//! Wrapper that sends batches again that are safe to repeat.

use std::time::Duration;

use tokio::time::sleep;
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Error, ErrorKind, Replies, Result, Safety, async_trait,
};

/// Sends a batch again if the link failed and repeating the batch is safe, after a pause that
/// doubles each time.
///
/// A batch that only reads is repeated whenever the link failed. One that writes is repeated only
/// if it is certain that nothing of it was executed: a board may finish a batch whose answer was
/// lost, and would then undo batches that were sent after it.
///
/// The client of a board repeats by itself an operation that the board refuses or answers wrongly
/// once, as far as that is safe. Only the client knows which operations of a batch were executed.
/// This wrapper is for links that fail for longer than that.
#[derive(Debug)]
pub struct Retry {
    board: BoardHandle,
    times: u32,
    pause: Duration,
}

impl Retry {
    /// Repeats a batch on `board` up to `times` times, first after `pause`.
    pub fn new(board: BoardHandle, times: u32, pause: Duration) -> Self {
        Self {
            board,
            times,
            pause,
        }
    }
}

#[async_trait]
impl Board for Retry {
    fn name(&self) -> &str {
        self.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut pause = self.pause;
        for _ in 0..self.times {
            match self.board.run(batch).await {
                Err(error) if may_repeat(batch, &error) => sleep(pause).await,
                answer => return answer,
            }
            pause = pause.saturating_mul(2);
        }
        self.board.run(batch).await
    }
}

fn may_repeat(batch: &Batch, error: &Error) -> bool {
    let of_the_link = matches!(
        error.kind(),
        ErrorKind::ConnectionLost | ErrorKind::Unreachable
    );
    let reads = batch.ops().iter().all(|op| op.safety() == Safety::Read);
    let not_begun =
        error.certainty() == Certainty::NotExecuted && error.executed().unwrap_or(0) == 0;
    of_the_link && (reads || not_begun)
}
