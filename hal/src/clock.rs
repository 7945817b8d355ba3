//! The board's own time.

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, Op, Replies, Result, Ticket};

/// Read the board's time.
#[derive(Debug)]
pub enum ReadClock {}

/// The board's time, as its time code source gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardTime {
    /// Year of the century, 0 to 99.
    pub year: u8,
    /// Day of the year, 1 to 366.
    pub day: u16,
    /// Seconds since midnight, with fraction.
    pub second_of_day: f64,
    /// Source of the time code, in the board's words; empty if the board does not say.
    pub source: String,
    /// True if the time code is alive, `None` if the board does not say. A time that is not recent
    /// has no meaning.
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

impl Batch {
    /// Adds: read the board's time.
    pub fn read_clock(&mut self) -> Ticket<ReadClock> {
        self.push(Op::ReadClock)
    }
}

/// The clock of a board, one operation a call.
#[derive(Debug)]
pub struct Clock<'a>(&'a BoardHandle);

impl<'a> Clock<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
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
