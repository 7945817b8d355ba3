//! Acquisition of samples from the board's stream, in place of the board's acquisition call.
//!
//! A batch is a list of operations. If samples come from the stream, the operations up to each
//! acquisition are sent in one request. In place of the acquisition, this request ends with a call
//! that returns the board's time. Only samples that the board took after this time, and after its
//! filters had settled, are used. Delays of the request and of the packets make no difference.
//!
//! A board has two analog banks, groups of four modules, of which one is in use. Packets show
//! neither the bank in use nor the settings of the board. So after the samples have come, one
//! setting of the module is read over its [`Link`], its queue of requests. The board refuses this
//! reading if the module is not in the bank in use. The link verifies each new connection, so it
//! detects if the board has lost its settings meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use twotone_hal::{
    Acquire, BoardTime, Certainty, Error, ErrorKind, ModuleId, Op, ReceiveOptions, RepliesBuilder,
    Result, Safety, SettingKey,
};
use twotone_wire::tuber::{Answer, BatchWriter, Limits};

use super::describe::Survey;
use super::life::BoardLife;
use super::reader::{Reader, Samples};
use super::readout::{Block, Receiver, SampleTime, SharedReceiver, Source, Take, in_packets};
use super::streams::CrsStreams;
use crate::http::Post;
use crate::link::{Link, Sent};
use crate::options::SampleSource;
use crate::tuber::broken;
use crate::{ConnectOptions, Connector, deadline};

/// Time for which the stream is not used after its time stamps were invalid.
const GIVEN_UP_FOR: Duration = Duration::from_secs(10);

/// Sample stream of a board. It is joined with the first acquisition and left when the board is
/// dropped.
#[derive(Debug)]
pub(super) struct Streamed {
    options: ReceiveOptions,
    streams: Arc<CrsStreams>,
    serial: u16,
    receiver: OnceCell<(Source, SharedReceiver)>,
    /// Modules whose packets have been received.
    received_modules: Mutex<BTreeSet<ModuleId>>,
    given_up: Mutex<Option<Instant>>,
}

/// An acquisition whose samples are to come from the stream.
pub(super) struct Acquired<'a> {
    pub(super) op: &'a Op,
    /// Time of the board after all settings before the acquisition were made.
    pub(super) time: BoardTime,
    pub(super) survey: &'a Survey,
    pub(super) deadline: Instant,
}

/// True if an operation acquires samples.
pub(super) fn is_acquisition(op: &Op) -> bool {
    matches!(op, Op::AcquireMean { .. } | Op::AcquireSamples { .. })
}

impl Streamed {
    /// Returns the stream if `options` select it as the source of samples.
    pub(super) fn of(options: &ConnectOptions, streams: &Arc<CrsStreams>) -> Result<Option<Self>> {
        let SampleSource::Stream(stream) = &options.samples else {
            return Ok(None);
        };
        let serial = options.serial.ok_or_else(|| {
            let why = "its packets are known by its serial number, which is not given";
            Error::new(ErrorKind::InvalidArgument, why).certainty_is(Certainty::NotExecuted)
        })?;
        Ok(Some(Self {
            options: stream.clone(),
            streams: Arc::clone(streams),
            serial,
            receiver: OnceCell::new(),
            received_modules: Mutex::default(),
            given_up: Mutex::new(None),
        }))
    }

    /// True if the stream can be used now.
    pub(super) fn is_usable(&self) -> bool {
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.is_none_or(|since| since.elapsed() > GIVEN_UP_FOR)
    }

    /// Joins the stream and waits for a packet of the module, once for each module. The caller does
    /// this before it sets anything, so that a board whose stream does not reach this host is
    /// reported before any setting changes.
    pub(super) async fn join(
        &self,
        connector: &Connector,
        runtime: &Handle,
        module: ModuleId,
        deadline: Instant,
    ) -> Result<()> {
        if self.received_modules().contains(&module) {
            return Ok(());
        }
        let opening = {
            let _runtime = runtime.enter();
            let open = self.receiver.get_or_try_init(|| self.open(runtime));
            timeout_at(deadline, open)
        };
        let late = || {
            let why = format!("{} was not found in time", connector.authority());
            Error::new(ErrorKind::Timeout, why).during("join the stream")
        };
        let opened = opening.await.unwrap_or_else(|_| Err(late()));
        let not_executed = |error: Error| error.certainty_is(Certainty::NotExecuted);
        let (source, receiver) = opened.map_err(not_executed)?;
        let any = Take::new(1).of(*source, in_packets(module));
        let first = receiver.take(&any, deadline::left(deadline)).await;
        first.map_err(not_executed)?;
        self.received_modules().insert(module);
        Ok(())
    }

    /// Takes the samples from the stream, and adds the reply of the acquisition to `replies`. If
    /// the time stamps cannot show that the samples were taken after the settings, the function
    /// adds no reply, and the stream is not used for some time. The caller then uses the
    /// acquisition call of the board.
    pub(super) async fn take(
        &self,
        acquired: &Acquired<'_>,
        link: &Link,
        life: &BoardLife,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
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
        let block = match self.block(*module, acquire, after, acquired).await {
            Ok(block) => block,
            // A time stamp is invalid: the board may have lost its time code since.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.give_up(&error);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        acquired.confirm(*module, link, replies).await?;
        // The settling time and the correlation of the noise were described for this decimation
        // stage.
        let (stage, described) = (block.stage, acquired.survey.stage);
        if let Some(described) = described
            && stage != described
        {
            let why = format!("the board decimates at stage {stage}, no more at {described}");
            life.epochs().end(acquired.survey.epoch, why);
            return Err(life.epochs().changed());
        }
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
            acquired.survey.settle_samples
        } else {
            0
        };
        let take = Take::new(acquire.samples as usize)
            .of(*source, in_packets(module))
            .channels(acquire.first, acquire.count)
            .after(after, settle);
        let taken = receiver.take(&take, deadline::left(acquired.deadline));
        let block = taken.await?.into_iter().next();
        block.ok_or_else(|| Error::new(ErrorKind::Protocol, "no block was taken"))
    }

    /// Joins the stream.
    async fn open(&self, runtime: &Handle) -> Result<(Source, SharedReceiver)> {
        let source = self.streams.source().await;
        let source = source.map_err(|error| error.during("join the stream"))?;
        let receiver = Receiver::on(&[source], &self.options, runtime.clone())?;
        Ok((source, SharedReceiver::new(receiver, runtime.clone())))
    }

    fn received_modules(&self) -> MutexGuard<'_, BTreeSet<ModuleId>> {
        self.received_modules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the use of the stream for [`GIVEN_UP_FOR`].
    pub(super) fn give_up(&self, why: &dyn std::fmt::Display) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::warn!(serial = self.serial, %why, "samples are taken by call, not from the stream");
        *given_up = Some(Instant::now());
    }
}

impl Acquired<'_> {
    /// Reads the NCO of the module. If the connection was lost meanwhile, the link first checks
    /// that the board has kept its settings.
    async fn confirm(
        &self,
        module: ModuleId,
        link: &Link,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let format = self.survey.format;
        let mut writer = BatchWriter::new(format);
        self.survey.write_get(&mut writer, module, SettingKey::NCO);
        let calls = writer.calls();
        let sent = Sent::new(self.survey.epoch, Vec::new());
        let post = Post {
            sent: Some(Arc::new(sent)),
            ..Post::new(writer.finish(), format)
        };
        let answer = link.exchange(post, Safety::Read, self.deadline).await?;
        let content_type = answer.content_type.as_deref();
        let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
        let mut elements = read.elements(calls).map_err(broken)?;
        let mut reader = Reader::new(&mut elements);
        let done = reader.done();
        reader.pass_warnings_to(replies);
        done
    }
}

impl Samples {
    /// Samples of a block of the stream.
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
