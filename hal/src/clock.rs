//! The board's own time. A board takes it from a time code, a signal that tells the time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, ModuleId, Op, Replies, Result, Ticket};

/// Type of the operation that reads the board's time.
#[derive(Debug)]
pub enum ReadClock {}

/// Type of the operation that lets time pass on a board.
#[derive(Debug)]
pub enum Wait {}

/// The board's time, as the source of its time code gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardTime {
    /// Year of the century, 0 to 99.
    pub year: u8,
    /// Day of the year, 1 to 366.
    pub day: u16,
    /// Seconds since midnight, with fraction.
    pub second_of_day: f64,
    /// Name of the source of the time code, as the board reports it; empty if it reports none.
    pub source: String,
    /// True if the time code is being received, and `None` if the board does not report this. If
    /// it is false, the time has no meaning.
    pub recent: Option<bool>,
}

impl Operation for ReadClock {
    type Reply<'a> = &'a BoardTime;

    fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<&'a BoardTime> {
        match entry {
            Entry::Clock(time) => Some(time),
            _ => None,
        }
    }
}

impl Operation for Wait {
    type Reply<'a> = ();

    fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<()> {
        matches!(entry, Entry::Done).then_some(())
    }
}

impl Batch {
    /// Adds an operation that lets at least `time` pass on the board before the next operation on
    /// `module`.
    ///
    /// On a real board the operation takes this time. A simulated board may count its time by the
    /// samples that it has taken. A wait on such a board ends at once, so that tests are fast even
    /// if the algorithm waits for minutes.
    pub fn wait(&mut self, module: ModuleId, time: Duration) -> Ticket<Wait> {
        self.push(Op::Wait { module, time })
    }

    /// Adds an operation that reads the board's time.
    pub fn read_clock(&mut self) -> Ticket<ReadClock> {
        self.push(Op::ReadClock)
    }
}

/// The clock of a board. Each call runs a batch (a list of operations) with one operation.
#[derive(Debug)]
pub struct Clock<'a>(&'a BoardHandle);

impl<'a> Clock<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Lets at least `time` pass on the board before the next operation on `module`.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn wait(&self, module: ModuleId, time: Duration) -> Result<()> {
        let mut batch = Batch::new();
        batch.wait(module, time);
        self.0.run(&batch).await.map(drop)
    }

    /// Reads the board's time.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn read(&self) -> Result<BoardTime> {
        let mut batch = Batch::new();
        let ticket = batch.read_clock();
        Ok(self.0.run(&batch).await?.get(ticket).clone())
    }
}
