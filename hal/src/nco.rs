//! The NCO (numerically controlled oscillator) of a module. The frequencies of the module's tones
//! are relative to it.

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, Hertz, ModuleId, Op, PhaseEpoch, Replies, Result, Ticket};

/// Type of the operation that sets an NCO and starts a new [phase epoch](PhaseEpoch).
#[derive(Debug)]
pub enum SetNco {}
/// Type of the operation that reads an NCO.
#[derive(Debug)]
pub enum ReadNco {}

/// Frequency of an NCO, and the phase epoch of its module.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NcoState {
    /// The absolute frequency.
    pub frequency: Hertz,
    /// The current phase epoch, a period during which the module keeps its phase reference. Phases
    /// can be compared within one phase epoch only.
    pub phase_epoch: PhaseEpoch,
}

macro_rules! replies_with_nco_state {
    ($($op:ty),*) => {$(
        impl Operation for $op {
            type Reply<'a> = NcoState;

            fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<NcoState> {
                match entry {
                    Entry::Nco(state) => Some(*state),
                    _ => None,
                }
            }
        }
    )*};
}
replies_with_nco_state!(SetNco, ReadNco);

impl Batch {
    /// Adds an operation that sets the NCO of `module` to the absolute `frequency`. This operation
    /// also changes the phase reference of the module.
    pub fn set_nco(&mut self, module: ModuleId, frequency: Hertz) -> Ticket<SetNco> {
        self.push(Op::SetNco { module, frequency })
    }

    /// Adds an operation that reads the NCO of `module`.
    pub fn read_nco(&mut self, module: ModuleId) -> Ticket<ReadNco> {
        self.push(Op::ReadNco { module })
    }
}

/// The NCOs of a board. Each call runs a batch (a list of operations) with one operation.
#[derive(Debug)]
pub struct Nco<'a>(&'a BoardHandle);

impl<'a> Nco<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Sets the NCO of `module`.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn set(&self, module: ModuleId, frequency: Hertz) -> Result<NcoState> {
        let mut batch = Batch::new();
        let ticket = batch.set_nco(module, frequency);
        Ok(self.0.run(&batch).await?.get(ticket))
    }

    /// Reads the NCO of `module`.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn read(&self, module: ModuleId) -> Result<NcoState> {
        let mut batch = Batch::new();
        let ticket = batch.read_nco(module);
        Ok(self.0.run(&batch).await?.get(ticket))
    }
}
