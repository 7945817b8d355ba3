//! Samples from the board's stream, in place of its own acquisition call.
//!
//! A batch is cut at each acquisition: what comes before it is sent with a question for the
//! board's time at its end, and the samples are those of the stream after that time, settled. It
//! makes no difference how long the batch or the packets are under way.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use twotone_hal::{
    Acquire, Batch, BoardTime, Certainty, Error, ErrorKind, ModuleId, Op, RepliesBuilder, Result,
};

use super::describe::Survey;
use super::part::Part;
use super::reader::Samples;
use crate::options::SampleSource;
use crate::readout::{
    Block, Receiver, SampleTime, SharedReceiver, Source, StreamOptions, Take, in_packets,
};
use crate::{ConnectOptions, Connector};

/// For how long the stream is left alone once its stamps had no meaning.
const GIVEN_UP_FOR: Duration = Duration::from_secs(10);

/// The stream of a board. Joined with the first acquisition, and left when the board is dropped.
#[derive(Debug)]
pub(super) struct Streamed {
    options: StreamOptions,
    serial: u16,
    receiver: OnceCell<(Source, Arc<SharedReceiver>)>,
    given_up: Mutex<Option<Instant>>,
}

/// An acquisition whose samples are to come from the stream.
pub(super) struct Acquired<'a> {
    op: &'a Op,
    /// When all settings before it were made.
    time: BoardTime,
    settle_samples: u32,
    within: Duration,
}

impl<'a> Acquired<'a> {
    /// The acquisition that `part` of a batch ends with.
    pub(super) fn of(
        batch: &'a Batch,
        part: Part,
        time: BoardTime,
        survey: &Survey,
        options: &ConnectOptions,
    ) -> Self {
        Self {
            op: &batch.ops()[part.to - 1],
            time,
            settle_samples: survey.settle_samples,
            within: options.request_timeout + part.acquiring,
        }
    }
}

/// Whether an operation acquires samples.
pub(super) fn is_acquisition(op: &Op) -> bool {
    matches!(op, Op::AcquireMean { .. } | Op::AcquireSamples { .. })
}

impl Streamed {
    /// The stream, where samples are to come from it.
    pub(super) fn of(options: &ConnectOptions) -> Result<Option<Self>> {
        let SampleSource::Stream(stream) = &options.samples else {
            return Ok(None);
        };
        let serial = options.serial.ok_or_else(|| {
            let why = "its packets are known by its serial number, which is not given";
            Error::new(ErrorKind::InvalidArgument, why).certainty_is(Certainty::NotExecuted)
        })?;
        Ok(Some(Self {
            options: stream.clone(),
            serial,
            receiver: OnceCell::new(),
            given_up: Mutex::new(None),
        }))
    }

    /// Whether samples can come from it now.
    pub(super) fn can_be_used(&self) -> bool {
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.is_none_or(|since| since.elapsed() > GIVEN_UP_FOR)
    }

    /// Joins the stream, the first time that samples are wanted of it: before anything is set, so
    /// that a board that sends nothing, or not to here, is told before it is touched.
    pub(super) async fn join(
        &self,
        connector: &Connector,
        runtime: &Handle,
        module: ModuleId,
        within: Duration,
    ) -> Result<()> {
        let joining = self.receiver.get_or_try_init(|| async {
            let (source, receiver) = self.open(connector, runtime).await?;
            let any = Take::new(1).of(source, in_packets(module));
            receiver.take(&any, within).await?;
            Ok::<_, Error>((source, receiver))
        });
        let joined = joining.await.map(drop);
        joined.map_err(|error| error.certainty_is(Certainty::NotExecuted))
    }

    /// Takes the samples and answers the operation. Where they cannot be told to be those of the
    /// settings, it is not answered, and the stream not used for a while.
    pub(super) async fn take(
        &self,
        acquired: Acquired<'_>,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let taken = self.answer(acquired, replies).await;
        taken.map_err(|error| error.after(replies.answered()))
    }

    async fn answer(&self, acquired: Acquired<'_>, replies: &mut RepliesBuilder<'_>) -> Result<()> {
        let (Op::AcquireMean { module, acquire } | Op::AcquireSamples { module, acquire }) =
            acquired.op
        else {
            return Ok(());
        };
        let after = match SampleTime::of_board(&acquired.time) {
            Ok(after) => after,
            Err(why) => {
                self.give_up(&why);
                return Ok(());
            }
        };
        let block = self.block(*module, acquire, after, &acquired);
        let block = match block.await {
            Ok(block) => block,
            // A stamp without a meaning, as the board may have lost its time code since.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.give_up(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (overrange, overvoltage) = (block.overrange, block.overvoltage);
        if let Op::AcquireSamples { .. } = acquired.op {
            return replies.samples(block.channels(), block.streams(), overrange, overvoltage);
        }
        let (mean, scatter) = Samples::of(&block).means();
        replies.mean(mean, scatter, overrange, overvoltage)
    }

    async fn block(
        &self,
        module: ModuleId,
        acquire: &Acquire,
        after: SampleTime,
        acquired: &Acquired<'_>,
    ) -> Result<Block> {
        let Some((source, receiver)) = self.receiver.get() else {
            return Err(Error::new(ErrorKind::Protocol, "the stream was not joined"));
        };
        let settle = if acquire.settle {
            acquired.settle_samples
        } else {
            0
        };
        let take = Take::new(acquire.samples as usize)
            .of(*source, in_packets(module))
            .channels(acquire.first, acquire.count)
            .after(after, settle);
        let blocks = receiver.take(&take, acquired.within).await?;
        let block = blocks.into_iter().next();
        block.ok_or_else(|| Error::new(ErrorKind::Protocol, "no block was taken"))
    }

    /// Joins the stream.
    async fn open(
        &self,
        connector: &Connector,
        runtime: &Handle,
    ) -> Result<(Source, Arc<SharedReceiver>)> {
        let authority = connector.authority().to_owned();
        // Names are looked up on the runtime that has the sockets.
        let found = runtime.spawn(async move {
            let found = tokio::net::lookup_host(authority).await?;
            std::io::Result::Ok(found.map(|found| found.ip()).find(IpAddr::is_ipv4))
        });
        let found = found.await.map_err(std::io::Error::other).flatten();
        let Ok(Some(IpAddr::V4(address))) = found else {
            let why = format!(
                "{} has no IPv4 address to receive a stream from",
                connector.authority()
            );
            return Err(Error::new(ErrorKind::Unreachable, why).during("join the stream"));
        };
        let source = Source::new(address, self.serial);
        let receiver = Receiver::on(&[source], &self.options, runtime.clone())?;
        let shared = SharedReceiver::new(receiver, runtime.clone());
        Ok((source, Arc::new(shared)))
    }

    fn give_up(&self, why: &dyn std::fmt::Display) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::warn!(serial = self.serial, %why, "samples are taken by call, not from the stream");
        *given_up = Some(Instant::now());
    }
}

impl Samples {
    /// The samples of a block of the stream.
    fn of(block: &Block) -> Self {
        let streams = block.streams();
        Self {
            i: streams.iter().map(|z| z.re).collect(),
            q: streams.iter().map(|z| z.im).collect(),
            length: block.samples(),
            overrange: block.overrange,
            overvoltage: block.overvoltage,
        }
    }
}
