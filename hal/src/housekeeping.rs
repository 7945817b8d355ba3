//! Temperatures, voltages and currents of the board itself.

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, Op, Replies, Result, Ticket};

/// Type of the operation that reads every sensor and supply rail.
#[derive(Debug)]
pub enum ReadHousekeeping {}

/// The unit of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReadingUnit {
    /// Degrees Celsius.
    Celsius,
    /// Volts.
    Volts,
    /// Amperes.
    Amperes,
}

/// Value of one sensor or supply rail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Name of the sensor or rail, as the board gives it.
    pub name: String,
    /// The value, in `unit`: a finite number, or `None` if the sensor could not be read.
    pub value: Option<f64>,
    /// The unit.
    pub unit: ReadingUnit,
    /// Reason why there is no value.
    #[serde(default)]
    pub problem: Option<String>,
}

impl Operation for ReadHousekeeping {
    type Reply<'a> = &'a [Reading];

    fn reply<'a>(entry: &'a Entry, replies: &'a Replies) -> Option<&'a [Reading]> {
        match entry {
            Entry::Readings(range) => replies.readings.get(range.clone()),
            _ => None,
        }
    }
}

impl Batch {
    /// Adds an operation that reads every sensor and rail.
    pub fn read_housekeeping(&mut self) -> Ticket<ReadHousekeeping> {
        self.push(Op::ReadHousekeeping)
    }
}

/// The housekeeping of a board. Each call runs a batch (a list of operations) with one operation.
#[derive(Debug)]
pub struct Housekeeping<'a>(&'a BoardHandle);

impl<'a> Housekeeping<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Reads every sensor and rail. The [`Reading`] of a sensor that cannot be read has no value,
    /// and has the reason.
    ///
    /// # Errors
    /// As [`crate::Board::run`], if the board could not be asked at all.
    pub async fn read(&self) -> Result<Vec<Reading>> {
        let mut batch = Batch::new();
        let ticket = batch.read_housekeeping();
        Ok(self.0.run(&batch).await?.get(ticket).to_vec())
    }
}
