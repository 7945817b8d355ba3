//! The board trait, and the handle with which algorithms use a board.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Batch, Clock, Description, FastStreams, Housekeeping, Nco, Replies, Result, Samples, Streams,
    Tones,
};

/// An FPGA readout board.
///
/// # Contract
/// * [`run`](Board::run) executes the operations of a batch (a list of operations) **in order** and
///   answers each of them, or fails with an [`Error`](crate::Error) that names the board and the
///   operation. [`executed`](crate::Error::executed) is the number of operations before the failed
///   one that were surely executed, and [`certainty`](crate::Error::certainty) shows whether the
///   failed operation was executed. Operations after a failed one are not executed.
/// * Arguments out of the ranges of the board's description are refused before anything is sent. A
///   board may accept such a value if the value was read back from it before, so that it can be
///   restored.
/// * Batches for one module are executed in the order in which `run` was first polled.
/// * **On cancel** (the future is dropped before it is ready) a batch that was not sent yet is not
///   sent. A batch that was sent is still driven to its answer, and later batches for its modules
///   wait for it.
/// * `run` ends within a limited time, even if the board does not answer.
///
/// A wrapper is a board around another board. It adds something, for example a deadline, a limit of
/// power, or the record of changes that are to be undone. It has its own [`run`](Board::run), and
/// its [`wrapped`](Board::wrapped) returns the inner board.
#[async_trait]
pub trait Board: Send + Sync {
    /// The board's name in the hardware map, the file that lists the boards. Errors and results
    /// name the board by it.
    fn name(&self) -> &str;

    /// Runs a batch according to the contract above.
    async fn run(&self, batch: &Batch) -> Result<Replies>;

    /// The board that this one wraps, or `None` if it wraps none. By default, the other methods of
    /// this trait ask the wrapped board. So a wrapper implements only the methods that it changes.
    fn wrapped(&self) -> Option<&dyn Board> {
        None
    }

    /// The board's sample streams, or `None` if it has none. By default a wrapper has the streams
    /// of the board that it wraps, because receiving samples changes no setting.
    fn streams(&self) -> Option<Arc<dyn Streams>> {
        self.wrapped()?.streams()
    }

    /// Address at which the hardware was reached. It is the same under every name of the board.
    /// `None` if there is no address, or if the address does not show whether two handles are of
    /// the same board. The runner of algorithms uses the address so that two runs never use one
    /// module at once. By default a wrapper has the address of the board that it wraps.
    fn address(&self) -> Option<&str> {
        self.wrapped()?.address()
    }
}

/// A handle on a board. Clones are cheap, so each task owns a clone.
#[derive(Clone)]
pub struct BoardHandle(Arc<dyn Board>);

impl BoardHandle {
    /// A handle on `board`.
    pub fn new(board: impl Board + 'static) -> Self {
        Self(Arc::new(board))
    }

    /// Returns the board's description. This costs one round trip at most: boards cache their
    /// description during an [epoch](crate::Epoch), a period in which the board keeps its settings.
    ///
    /// # Errors
    /// As [`Board::run`].
    pub async fn describe(&self) -> Result<Description> {
        let mut batch = Batch::new();
        let ticket = batch.describe();
        Ok(self.run(&batch).await?.get(ticket).clone())
    }

    /// The tones: set, read back, clear.
    pub fn tones(&self) -> Tones<'_> {
        Tones::new(self)
    }

    /// The NCOs, the oscillators that the frequencies of tones are relative to: set, read back.
    pub fn nco(&self) -> Nco<'_> {
        Nco::new(self)
    }

    /// Samples: means and time streams.
    pub fn samples(&self) -> Samples<'_> {
        Samples::new(self)
    }

    /// The channels of the fast streams: set, read back.
    pub fn fast_streams(&self) -> FastStreams<'_> {
        FastStreams::new(self)
    }

    /// The board's time.
    pub fn clock(&self) -> Clock<'_> {
        Clock::new(self)
    }

    /// Temperatures, voltages, currents.
    pub fn housekeeping(&self) -> Housekeeping<'_> {
        Housekeeping::new(self)
    }
}

impl Deref for BoardHandle {
    type Target = dyn Board;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl From<Arc<dyn Board>> for BoardHandle {
    fn from(board: Arc<dyn Board>) -> Self {
        Self(board)
    }
}

impl fmt::Debug for BoardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoardHandle({})", self.name())
    }
}

// Fails to compile if `Board` is not object safe, or if its handle cannot move between threads.
const _: fn() = || {
    fn handle<T: Clone + Send + Sync + 'static>() {}
    handle::<BoardHandle>();
    fn object(_: &dyn Board) {}
    let _ = object;
};
