//! Wrapper that counts how often the client of a board repeated operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use twotone_hal::{Batch, Board, BoardHandle, Replies, Result, async_trait};

/// Board that counts repetitions of operations, for the outcome of the run.
#[derive(Debug)]
pub(super) struct Tally {
    board: BoardHandle,
    repeats: Arc<AtomicU32>,
}

impl Tally {
    pub(super) fn new(board: BoardHandle, repeats: &Arc<AtomicU32>) -> Self {
        Self {
            board,
            repeats: Arc::clone(repeats),
        }
    }
}

#[async_trait]
impl Board for Tally {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let answer = self.board.run(batch).await;
        let repeats = match &answer {
            Ok(replies) => replies.repeats(),
            Err(error) => error.repeats(),
        };
        self.repeats.fetch_add(repeats, Ordering::Relaxed);
        answer
    }
}
