//! Wrapper with a tracing span for each batch.

use tracing::{Instrument, debug, debug_span};
use twotone_hal::{Batch, Board, BoardHandle, Replies, Result, async_trait};

use super::deadline::in_words;

/// Board that runs each batch in a span `batch` with the fields `board` and `operations`, and logs
/// failures at debug level.
#[derive(Debug)]
pub struct Trace {
    board: BoardHandle,
}

impl Trace {
    /// Traces the batches on `board`.
    pub fn new(board: BoardHandle) -> Self {
        Self { board }
    }
}

#[async_trait]
impl Board for Trace {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let span = debug_span!("batch", board = self.name(), operations = batch.len());
        let answer = self.board.run(batch).instrument(span.clone()).await;
        if let Err(error) = &answer {
            span.in_scope(
                || debug!(error = %error.chain(), batch = in_words(batch), "batch failed"),
            );
        }
        answer
    }
}
