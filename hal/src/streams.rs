//! Sample streams of boards: samples that a board sends without requests. A *family* is the boards
//! that one implementation of [`Streams`] serves.
//!
//! [`BoardHandle::streams`](crate::BoardHandle::streams) returns the sample streams of a board that
//! has them. [`Streams::open`] opens one [`StreamReceiver`] for the boards of one family, so that
//! these boards can share sockets. The receiver returns [`StreamBlock`]s: consecutive samples of
//! one module, in flat buffers, by value. Everything that only one family has (its packets, its
//! time code, its numbering of modules) is hidden behind these traits, or is data in
//! [`StreamSource`] and [`StreamStatus`].
//!
//! ```
//! use std::time::Duration;
//! use twotone_hal::{
//!     BoardHandle, Error, ErrorKind, ModuleId, ReceiveOptions, Result, StreamRequest,
//! };
//!
//! /// Returns the number of samples of the first module that arrive within a second.
//! async fn count(board: &BoardHandle) -> Result<u64> {
//!     let none = || Error::new(ErrorKind::Unsupported, "the board has no sample streams");
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
/// * The methods change no setting of the board.
/// * [`open`](Streams::open) takes requests of this family only. A request of another family is an
///   error of the kind [`ErrorKind::InvalidArgument`].
/// * The streams work whether or not the board answers on its control connection.
#[async_trait]
pub trait Streams: Any + fmt::Debug + Send + Sync {
    /// The board's name in the hardware map, the file that lists the boards.
    fn name(&self) -> &str;

    /// Modules that may send samples, for a board that has not described itself.
    fn modules(&self) -> Vec<ModuleId>;

    /// The fast streams of the same board, if it has them: samples of a few chosen channels of a
    /// module, at a higher rate than those of this object. By default there are none.
    fn fast(&self) -> Option<Arc<dyn Streams>> {
        None
    }

    /// Refuses modules whose samples cannot be distinguished.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`]. The message names the modules and the remedy.
    fn check(&self, modules: &[ModuleId]) -> Result<()> {
        let _ = modules;
        Ok(())
    }

    /// Finds the sender of the samples and the properties that identify its samples, for example by
    /// resolving a host name. Once the sender is found, later calls return at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if a property that identifies the samples is missing,
    /// [`ErrorKind::Unreachable`] if the sender is not found.
    async fn locate(&self) -> Result<StreamSource>;

    /// Listens for at most the time `within` to the sender at the board's address, and returns the
    /// serial numbers in its packets, in the order in which they arrived. The call ends earlier if
    /// the board's own serial number arrives, or if enough packets of other boards have arrived.
    /// Nothing stays open.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the samples of this family carry no serial number,
    /// [`ErrorKind::Unreachable`] if the sender is not found or the stream cannot be joined.
    async fn listen(&self, options: &ReceiveOptions, within: Duration) -> Result<Vec<u32>> {
        let _ = (options, within);
        let message = "the samples of this board carry no serial number";
        Err(Error::new(ErrorKind::Unsupported, message).on(self.name()))
    }

    /// Opens one receiver for the streams of `requests`. All requests are of boards of this family,
    /// with one request for each board. The streams are numbered from 0: first the modules of the
    /// first board, in their order, then the modules of the second board, and so on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the requests have no module, have a board of another
    /// family, or name a board or a module twice; if an option cannot be used; or if a property
    /// that identifies the samples is missing. [`ErrorKind::Unreachable`] if a sender is not found
    /// or a stream cannot be joined. After an error nothing stays open.
    async fn open(
        &self,
        requests: &[StreamRequest],
        options: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>>;
}

/// Receives the streams of some boards of one family.
///
/// A receiver may take samples only while [`receive`](Self::receive) is awaited. Between two calls
/// a buffer holds the samples. Samples that do not fit into the buffer are counted as lost.
///
/// # Panics
/// Methods that take the number of a stream panic if there is no such stream.
#[async_trait]
pub trait StreamReceiver: Send {
    /// Waits until samples arrive or the time `within` has passed, and returns the blocks that are
    /// full. The list may be empty, because a block is returned only when it is full and the times
    /// of its samples are determined. If `within` is zero, samples that have already arrived are
    /// still taken.
    ///
    /// **On cancel** (the future is dropped) nothing is lost.
    ///
    /// # Errors
    /// [`ErrorKind::ConnectionLost`] if nothing more can be received.
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>>;

    /// Returns the blocks that are not full, with the times that can be determined now. Call it
    /// before [`close`](Self::close). By default there are none.
    fn take_rest(&mut self) -> Vec<StreamBlock> {
        Vec::new()
    }

    /// Ends a stream when its [`coverage`](Self::coverage) reaches `seconds`. Later samples are
    /// neither put into blocks nor counted as expected, received or lost. Samples that have already
    /// been taken stay. Call this method again to move the end.
    fn end_at(&mut self, stream: usize, seconds: f64);

    /// Channels in the blocks of a stream. `None` if all channels were requested and no sample has
    /// arrived yet, because the channels are not known then.
    fn channels(&self, stream: usize) -> Option<&[ChannelId]>;

    /// Time that the samples of a stream cover so far, including lost samples. This method is fast
    /// enough to be called after every [`receive`](Self::receive).
    fn coverage(&self, stream: usize) -> Coverage;

    /// Counters, form and times of a stream so far.
    fn status(&self, stream: usize) -> StreamStatus;

    /// Findings about the receiver as a whole.
    fn totals(&self) -> ReceiverTotals {
        ReceiverTotals::default()
    }

    /// True if the last [`receive`](Self::receive) took as many samples as one call can take, so
    /// that more may be waiting.
    fn is_behind(&self) -> bool {
        false
    }

    /// Leaves the streams. Dropping the receiver leaves them too.
    ///
    /// # Errors
    /// If a board that must be notified could not be reached.
    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Sender of the samples of a board, and properties that all its streams share.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamSource {
    /// Family of the board. Boards of one family can share a receiver.
    pub family: &'static str,
    /// Serial number that the samples carry, if any.
    pub serial: Option<u32>,
    /// Number of integer steps in one readout count. The receiver returns samples as integer
    /// steps.
    pub steps_per_count: f64,
    /// Rate of the samples in Hz, if it is always the same. The samples have no decimation stage
    /// and no flags then.
    pub rate_hz: Option<f64>,
}

impl StreamSource {
    /// A source of this family whose samples carry no serial number.
    pub fn new(family: &'static str, steps_per_count: f64) -> Self {
        Self {
            family,
            serial: None,
            steps_per_count,
            rate_hz: None,
        }
    }

    /// Sets [`StreamSource::serial`].
    #[must_use]
    pub fn serial(self, serial: u32) -> Self {
        let serial = Some(serial);
        Self { serial, ..self }
    }

    /// Sets [`StreamSource::rate_hz`].
    #[must_use]
    pub fn rate_hz(self, rate_hz: f64) -> Self {
        let rate_hz = Some(rate_hz);
        Self { rate_hz, ..self }
    }
}

/// Streams of one board that a receiver receives.
#[derive(Debug, Clone)]
pub struct StreamRequest {
    /// The board.
    pub streams: Arc<dyn Streams>,
    /// Modules and their channels, in the order in which [`Streams::open`] numbers their streams.
    pub modules: Vec<ModuleRequest>,
}

/// Samples of one module that a receiver returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRequest {
    /// The module.
    pub module: ModuleId,
    /// Channels, in ascending order. `None` means all channels that the first sample has.
    pub channels: Option<Vec<ChannelId>>,
}

impl StreamRequest {
    /// A request for all channels of these modules of a board.
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

    /// [`StreamRequest::streams`] as `S`, the type of a family, for the implementation of
    /// [`Streams::open`] by `S`. `family` is the name of the family in the error.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the board is of another family.
    pub fn streams_as<S: Streams>(&self, family: &str) -> Result<&S> {
        let streams: &dyn Any = &*self.streams;
        streams.downcast_ref().ok_or_else(|| {
            let why = format!("it is no {family} board, and cannot share a receiver with one");
            Error::new(ErrorKind::InvalidArgument, why).on(self.streams.name())
        })
    }
}

impl ModuleRequest {
    /// The requested channels, if the module has `channels` channels.
    pub fn channels_of(&self, channels: usize) -> Vec<ChannelId> {
        let all = || ChannelId::FIRST.range(channels).collect();
        self.channels.clone().unwrap_or_else(all)
    }
}

// Fails to compile if one of the traits is not object safe, or if its objects cannot move between
// threads.
const _: fn() = || {
    fn movable<T: Send + 'static>() {}
    movable::<Arc<dyn Streams>>();
    movable::<Box<dyn StreamReceiver>>();
};
