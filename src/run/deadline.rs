//! Wrapper that limits the time of a batch, which is a list of operations that a board executes as
//! one request.

use std::time::Duration;

use tworoutine::Allowance;
use twotone_hal::{Batch, Board, BoardHandle, Error, ErrorKind, Op, Replies, Result, async_trait};

/// Board whose batches fail with [`ErrorKind::Timeout`] if they take too long: longer than a limit
/// plus the time of the wait operations in the batch. It is then unknown if the batch was executed.
/// Time in which the process is stopped, or the machine sleeps, does not count.
#[derive(Debug)]
pub struct Deadline {
    board: BoardHandle,
    limit: Duration,
}

impl Deadline {
    /// Limits each batch on `board` to the time `limit`, plus that of its wait operations.
    pub fn new(board: BoardHandle, limit: Duration) -> Self {
        Self { board, limit }
    }
}

#[async_trait]
impl Board for Deadline {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let limit = self.limit.saturating_add(waits(batch));
        match Allowance::new(limit).within(self.board.run(batch)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("no answer within {} s", limit.as_secs_f64()),
            )
            .during(in_words(batch))
            .on(self.name())),
        }
    }
}

/// Returns the sum of the times of the wait operations of a batch.
fn waits(batch: &Batch) -> Duration {
    let times = batch.ops().iter().map(|op| match op {
        Op::Wait { time, .. } => *time,
        _ => Duration::ZERO,
    });
    times.fold(Duration::ZERO, Duration::saturating_add)
}

/// Returns a few words that name the operations of a batch.
pub(super) fn in_words(batch: &Batch) -> String {
    match batch.ops() {
        [] => "nothing".to_owned(),
        [op] => op.to_string(),
        [first, rest @ ..] => format!("{first} and {} more operations", rest.len()),
    }
}
