//! Wrapper that converts a panic in the code of a board into an error.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use twotone_hal::{Batch, Board, BoardHandle, Error, ErrorKind, Replies, Result, async_trait};

/// Board that converts a panic in the code of another board into an error of
/// [`ErrorKind::Panicked`]. After this error it is unknown if the board has executed the batch (the
/// list of operations) that panicked.
#[derive(Debug)]
pub struct CatchPanic {
    board: BoardHandle,
}

impl CatchPanic {
    /// Catches the panics of `board`.
    pub fn new(board: BoardHandle) -> Self {
        Self { board }
    }
}

#[async_trait]
impl Board for CatchPanic {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut run = self.board.run(batch);
        poll_fn(|context| {
            // After a panic the future is not polled again, and the batch fails.
            catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)))
                .unwrap_or_else(|payload| Poll::Ready(Err(panicked(&*payload).on(self.name()))))
        })
        .await
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Error {
    let message = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(
        ErrorKind::Panicked,
        format!("in the code of the board: {message}"),
    )
}
