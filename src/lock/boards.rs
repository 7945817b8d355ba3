//! Wrappers of boards: [`Locked`] for a board that this program has locked, and [`Refused`] for a
//! board that it must not use.

use std::sync::Arc;

use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Error, ErrorKind, Op, Replies, Result, async_trait,
};

use super::BoardLock;

/// A board that this program must not use, for instance because another program has locked it. A
/// batch, which is a list of operations, is refused if it has any operation other than
/// [`Op::Describe`].
#[derive(Debug)]
pub(crate) struct Refused {
    board: BoardHandle,
    why: String,
    advice: String,
}

impl Refused {
    pub(crate) fn new(board: BoardHandle, why: String, advice: impl Into<String>) -> Self {
        let advice = advice.into();
        Self { board, why, advice }
    }
}

#[async_trait]
impl Board for Refused {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.check_each(self.name(), |op| match op {
            Op::Describe => Ok(()),
            _ => Err(Error::new(ErrorKind::Busy, &*self.why).advise(&*self.advice)),
        })?;
        self.board.run(batch).await
    }
}

/// A board that this program has locked. Once another program has taken the board over, every batch
/// that changes settings is refused.
#[derive(Debug)]
pub(crate) struct Locked {
    board: BoardHandle,
    lock: Arc<BoardLock>,
}

impl Locked {
    pub(crate) fn new(board: BoardHandle, lock: Arc<BoardLock>) -> Self {
        Self { board, lock }
    }
}

#[async_trait]
impl Board for Locked {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let sets = batch.ops().iter().find(|op| op.safety().writes());
        if let Some(op) = sets
            && let Some(holder) = self.lock.taken_over()
        {
            let message = format!("{holder} has taken this board over");
            return Err(Error::new(ErrorKind::Busy, message)
                .certainty_is(Certainty::NotExecuted)
                .during(op.to_string())
                .on(self.name())
                .after(0));
        }
        self.board.run(batch).await
    }
}
