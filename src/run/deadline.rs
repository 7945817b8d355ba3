//! Wrapper that bounds the time of a batch.

use std::time::Duration;

use tworoutine::Allowance;
use twotone_hal::{Batch, Board, BoardHandle, Error, ErrorKind, Replies, Result, async_trait};

/// Ends a batch that takes longer than it may, with [`ErrorKind::Timeout`]. It is then unknown
/// whether the batch was executed. Time in which the process does not run does not count.
#[derive(Debug)]
pub struct Deadline {
    board: BoardHandle,
    limit: Duration,
}

impl Deadline {
    /// Gives each batch on `board` at most `limit`.
    pub fn new(board: BoardHandle, limit: Duration) -> Self {
        Self { board, limit }
    }
}

#[async_trait]
impl Board for Deadline {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn streams(&self) -> Option<std::sync::Arc<dyn twotone_hal::Streams>> {
        self.board.streams()
    }

    fn address(&self) -> Option<&str> {
        self.board.address()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        match Allowance::new(self.limit)
            .within(self.board.run(batch))
            .await
        {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("no answer within {} s", self.limit.as_secs_f64()),
            )
            .during(in_words(batch))
            .on(self.name())),
        }
    }
}

/// Describes a batch in few words.
pub(super) fn in_words(batch: &Batch) -> String {
    match batch.ops() {
        [] => "nothing".to_owned(),
        [op] => op.to_string(),
        [first, rest @ ..] => format!("{first} and {} more operations", rest.len()),
    }
}
