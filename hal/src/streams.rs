//! Sample streams of boards: samples that come without being asked for, with exact counters.
//!
//! A board that has sample streams answers [`BoardHandle::streams`](crate::BoardHandle::streams).
//! [`Streams::open`] opens one [`StreamReceiver`] for the boards of one family, so that they can
//! share sockets. The receiver gives [`StreamBlock`]s: consecutive samples of one module, in flat
//! buffers, by value. Everything that one family alone has (its packets, its time code, its numbers
//! of modules) stays behind these traits, or is data in [`StreamSource`] and [`StreamStatus`].
//!
//! ```
//! use std::time::Duration;
//! use twotone_hal::{
//!     BoardHandle, Error, ErrorKind, ModuleId, ReceiveOptions, Result, StreamRequest,
//! };
//!
//! /// Number of samples of the first module that come within a second.
//! async fn count(board: &BoardHandle) -> Result<u64> {
//!     let none = || Error::new(ErrorKind::Unsupported, "it has no sample stream");
//!     let streams = board.streams().ok_or_else(none)?;
//!     let request = StreamRequest::new(streams.clone(), [ModuleId::FIRST]);
//!     let mut receiver = streams.open(&[request], &ReceiveOptions::new()).await?;
//!     let blocks = receiver.receive(Duration::from_secs(1)).await?;
//!     println!("{} blocks are full", blocks.len());
//!     let counters = receiver.status(0).counters;
//!     receiver.close().await?;
//!     Ok(counters.received)
//! }
//! ```

mod block;
mod options;
mod status;
mod times;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{ChannelId, Error, ErrorKind, ModuleId, Result};

pub use block::{StreamBlock, TimeOrigin};
pub use options::ReceiveOptions;
pub use status::{Coverage, FormChange, ReceiverTotals, StreamCounters, StreamForm, StreamStatus};
pub use times::{ClockSource, ClockSourceKind, ClockStep, TimeFindings};

/// The sample streams of one board.
///
/// # Contract
/// * Nothing is set on the board.
/// * [`open`](Streams::open) takes requests of this family alone; those of another are
///   [`ErrorKind::InvalidArgument`].
/// * The streams work whether or not the board answers on its control connection.
#[async_trait]
pub trait Streams: Any + fmt::Debug + Send + Sync {
    /// The board's name in the hardware map.
    fn name(&self) -> &str;

    /// Modules that samples may come from, for a board that has not described itself.
    fn modules(&self) -> Vec<ModuleId>;

    /// Refuses modules whose samples cannot be told apart.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`], with the modules and what to do.
    fn check(&self, modules: &[ModuleId]) -> Result<()> {
        let _ = modules;
        Ok(())
    }

    /// Finds out where the samples come from and what they are known by, for example by looking a
    /// name up. Called again, it answers at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if something is missing that the samples are known by,
    /// [`ErrorKind::Unreachable`] if the sender is not found.
    async fn locate(&self) -> Result<StreamSource>;

    /// Listens `within` this time to the sender at the board's place, and returns the serial
    /// numbers in what it sends, in the order in which they came. It ends as soon as the board's
    /// own serial number has come. Nothing is kept open.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the samples of this family bear no serial number,
    /// [`ErrorKind::Unreachable`] if the stream cannot be joined.
    async fn listen(&self, options: &ReceiveOptions, within: Duration) -> Result<Vec<u32>> {
        let _ = (options, within);
        let why = "its samples bear no serial number";
        Err(Error::new(ErrorKind::Unsupported, why).on(self.name()))
    }

    /// Opens one receiver for the streams of `requests`: boards of this family, each once. The
    /// streams are numbered from 0: the modules of the first board, in their order, then those of
    /// the second, and so on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there is no module, a board of another family, a board or
    /// a module twice, or an option that cannot be right; [`ErrorKind::Unreachable`] if a stream
    /// cannot be joined. Nothing stays open then.
    async fn open(
        &self,
        requests: &[StreamRequest],
        options: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>>;
}

/// Receives the streams of some boards of one family.
///
/// It may need to be driven: samples are then taken only while [`receive`](Self::receive) is
/// awaited. Until then a buffer holds them, and what does not fit is counted as lost.
///
/// # Panics
/// Methods that take the number of a stream panic if there is no such stream.
#[async_trait]
pub trait StreamReceiver: Send {
    /// Waits until samples have come, or `within` has passed, and returns the blocks that are full
    /// by now. There may be none: samples wait in a block until it is full, and until their times
    /// are decided. With `within` zero, samples that have come already are still taken.
    ///
    /// **On cancel** (the future is dropped) nothing is lost.
    ///
    /// # Errors
    /// [`ErrorKind::ConnectionLost`] if nothing more can be received.
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>>;

    /// Returns the blocks that are not full, with the times that can be decided now. Call it before
    /// [`close`](Self::close).
    fn take_rest(&mut self) -> Vec<StreamBlock>;

    /// Ends a stream when it covers `seconds`: what comes beyond that is in no block and in no
    /// counter. Samples that have been taken already stay. Call it again to move the end.
    fn end_at(&mut self, stream: usize, seconds: f64);

    /// Channels in the blocks of a stream; `None` if they are not known yet, because nothing has
    /// come and all channels were asked for.
    fn channels(&self, stream: usize) -> Option<&[ChannelId]>;

    /// Time that the samples of a stream cover so far, lost ones included. Fast enough for a call
    /// after every [`receive`](Self::receive).
    fn coverage(&self, stream: usize) -> Coverage;

    /// Counters, form and times of a stream so far.
    fn status(&self, stream: usize) -> StreamStatus;

    /// Findings about the receiver as a whole.
    fn totals(&self) -> ReceiverTotals {
        ReceiverTotals::default()
    }

    /// True if the last [`receive`](Self::receive) took as much as one call can take, so that more
    /// may have come already.
    fn is_behind(&self) -> bool {
        false
    }

    /// Leaves the streams. Dropping the receiver leaves them too.
    ///
    /// # Errors
    /// If a board could not be told.
    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Place that the samples of a board come from, and properties that all its streams share.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamSource {
    /// Family of the board. Boards of one family can share a receiver.
    pub family: &'static str,
    /// Serial number that the samples bear, if they bear one.
    pub serial: Option<u32>,
    /// Number of steps of the samples in one readout count.
    pub steps_per_count: f64,
}

impl StreamSource {
    /// A source of this family, whose samples bear no serial number.
    pub fn new(family: &'static str, steps_per_count: f64) -> Self {
        Self {
            family,
            serial: None,
            steps_per_count,
        }
    }

    /// Sets [`StreamSource::serial`].
    #[must_use]
    pub fn serial(self, serial: u32) -> Self {
        let serial = Some(serial);
        Self { serial, ..self }
    }
}

/// Streams of one board that a receiver is to have.
#[derive(Debug, Clone)]
pub struct StreamRequest {
    /// The board.
    pub streams: Arc<dyn Streams>,
    /// Modules and their channels, in the order in which they are numbered.
    pub modules: Vec<ModuleRequest>,
}

/// Samples of one module that a receiver is to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRequest {
    /// The module.
    pub module: ModuleId,
    /// Channels, in ascending order. `None`: all that the first sample has.
    pub channels: Option<Vec<ChannelId>>,
}

impl StreamRequest {
    /// All channels of these modules of a board.
    pub fn new(streams: Arc<dyn Streams>, modules: impl IntoIterator<Item = ModuleId>) -> Self {
        let all = |module| ModuleRequest {
            module,
            channels: None,
        };
        Self {
            streams,
            modules: modules.into_iter().map(all).collect(),
        }
    }
}

// Both traits are object safe, and their objects free to move between threads.
const _: fn() = || {
    fn movable<T: Send + 'static>() {}
    movable::<Arc<dyn Streams>>();
    movable::<Box<dyn StreamReceiver>>();
};
