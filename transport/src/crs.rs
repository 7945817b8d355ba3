//! CRS boards: [`twotone_hal::Board`] over Tuber, the protocol of their remote procedure calls. A
//! *batch* is a list of operations that a caller gives to the board.
//!
//! # Detection of a board that has changed
//!
//! Each module has a connection of its own, and a [`ModuleKeeper`] that records the settings that
//! this client last made there: the NCO, and the offset, amplitude, phase and rotation of every
//! channel that the client has set. After a batch that was answered completely, the settings are
//! known. After a batch that failed midway, or whose answer was lost, a setting may have its old or
//! its new value, and both are accepted. On each new connection, before any other request, settings
//! are read back and compared with the record:
//!
//! | previous connection | settings that are read back |
//! |---|---|
//! | closed by this client after [`ConnectOptions::idle_timeout`] without use | the marker (see [`CrsBoard`]), the NCO, and the settings of at most 16 channels, different ones each time, channels that are on first: at most 67 values, in one round trip |
//! | lost, or closed by the board | the marker and everything that this client has set, in one round trip |
//! | lost while a batch of settings was under way | the NCO, the offsets and amplitudes of all channels, and the phases and rotations that were set. Between the loss and the first reading, the client waits for [`ConnectOptions::request_life`] and the time of the batch's acquisitions. Readings are repeated until two in a row agree |
//!
//! This client closes an idle connection whenever the program computes for some seconds. Idle
//! connections are frequent, so the reading after them is short. The reading finds a restart at
//! once, since a board that restarts loses its marker and its NCO with all other settings. A change
//! that another program makes to a single channel is found when that channel is among the channels
//! that are read back.
//!
//! A difference ends the epoch of the board: see [`CrsBoard`].
//!
//! A request that only switches tones off is safe whatever the state of the board. Settings are
//! read back before such a request as well, but the request is sent even if the reading fails or
//! takes longer than 2 s, or than half of the time until its deadline. Only a reading that finds a
//! difference prevents the request, since the difference ends the epoch. While lost settings may
//! still reach the board, the request is sent at once, and a second time when they no longer can.
//!
//! # Servers that close each connection after its first answer
//!
//! Some servers close each connection after its first answer (HTTP/1.0, `Connection: close`, or
//! without notice), and so do some proxies in front of a board. The reading that verifies such a
//! connection is the only exchange on it, and the request itself must be sent on another one.
//! Reading and setting cannot share one request: the server executes all calls of a request, even
//! if a value that it reads is not the expected one. So a board that has restarted would execute
//! the setting.
//!
//! So the reading is sent on one connection and the request on the next, under two conditions. The
//! server closed the first connection after a complete answer, with no other request under way, so
//! no earlier request can still reach the board. And no more than a second has passed since the
//! reading. A board takes longer than that to restart; if a board restarts faster, the reading
//! before the next request finds the restart. If connecting takes longer, the settings are read
//! back again; after three readings the request fails and is not sent. Each request costs one more
//! exchange. The reading is as short as after an idle connection.
//!
//! A server is assumed to close its connections in this way if its headers announce it, or if a
//! connection ends within a second of its first answer. All connections to the board share this
//! finding, so that no later request is written into a connection that is being closed. The request
//! that leads to the finding may be lost. It is then handled like any lost request: settings are
//! sent again once the lost request can no longer reach the board, if nothing else has been sent to
//! the module since. The finding is withdrawn when a connection stays open.

mod apart;
mod channels;
mod decode;
mod describe;
mod encode;
mod family;
mod filters;
mod find;
mod firmware;
mod housekeeping;
mod identity;
mod life;
mod names;
mod out_of_range;
mod properties;
mod question;
mod read_back;
mod reader;
pub mod readout;
mod resends;
mod run;
mod segment;
mod streamed;
mod streams;
mod survey;
mod wait;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Description, Epoch, Error, ErrorKind, ModuleId, Replies,
    RepliesBuilder, Result, Streams,
};
use twotone_wire::tuber::{BatchWriter, Format};

use crate::continuity::ModuleKeeper;
use crate::link::{Link, Unwatched};
use crate::{ConnectOptions, Connector, Host};
use describe::Survey;
pub(crate) use family::FAMILY;
use life::{BoardLife, ModuleMemory};
use read_back::CrsReadBack;
use resends::Resends;
use run::Sending;
use segment::Segment;
use streamed::Streamed;
pub use streams::CrsStreams;

/// A CRS board: 4 or 8 modules of up to 1024 tones, controlled through Tuber (remote procedure
/// calls over HTTP).
///
/// The client has one connection for each module, one for readings of the board as a whole, and one
/// for the sensors. It asks for the description on further connections. A connection is opened with
/// its first operation and closed when idle. A batch is sent as one request for each run of
/// consecutive operations on the same module. A wait, a reading of the sensors, and an acquisition
/// from the sample stream take several requests. If the answer is lost with its connection, the
/// request is sent once more, as soon as the lost one can no longer change the board. A repetition
/// is safe, since each operation either reads or sets absolute values. An operation that only reads
/// is repeated at most twice if the board refuses it or its answer cannot be used, and once if no
/// answer comes in time.
///
/// # Epochs
/// An [`Epoch`] is a period in which the board keeps its settings. After each new connection, some
/// or all settings that this client has made on the module are read back, and with them a marker.
/// The marker is an arbitrary offset of the last channel. This client sets it, without an
/// amplitude, while no caller uses that channel; callers who read the channel back see no offset.
/// If a setting or the marker differs, the board has restarted, or another program has changed the
/// setting. The epoch then ends:
///
/// * the board is asked for its description again, before anything else is sent;
/// * on each module that has been used, the first batch that sets or acquires fails with
///   [`ErrorKind::EpochChanged`], with the difference in its message. If the caller gives up before
///   it receives the error, the next such batch fails. Batches that only read are sent in the new
///   epoch, since what they read is valid in any epoch.
#[derive(Debug)]
pub struct CrsBoard {
    name: String,
    options: ConnectOptions,
    connector: Connector,
    runtime: Handle,
    life: Arc<BoardLife>,
    /// Modules of both analog banks (groups of four modules), by number from 1.
    modules: Vec<Module>,
    /// Link (queue of requests) for readings of the board as a whole.
    of_board: Mutex<Option<Link>>,
    /// Link for sensors and rails. `None` before the first reading, while a reading uses the link,
    /// and after a reading that failed or was dropped.
    of_sensors: Mutex<Option<Link>>,
    writer: Mutex<BatchWriter>,
    streams: Arc<CrsStreams>,
    /// The sample stream, if acquisitions take their samples from it.
    streamed: Option<Streamed>,
}

#[derive(Debug)]
struct Module {
    id: ModuleId,
    memory: Arc<ModuleMemory>,
    link: Mutex<Option<Link>>,
}

impl CrsBoard {
    /// Peak voltage of one readout count, in volts. The value was measured. It is not known if it
    /// depends on the setting of the attenuator.
    pub const VOLTS_PER_COUNT: f64 = 1.374_542_590_8e-7;

    /// Connects to the board at `host`. `name` is the name of the board in the hardware map, the
    /// file that lists the boards. The process-wide runtime ([`tworoutine::runtime()`]) drives the
    /// sockets, so that the board can be used from any thread and under any runtime.
    ///
    /// # Errors
    /// If no answer comes within the deadlines of `options`, if the server is no CRS board, or if
    /// the samples are to come from the [stream](crate::SampleSource::Stream) and `options` has no
    /// serial number.
    pub async fn connect(name: &str, host: Host, options: ConnectOptions) -> Result<Self> {
        Self::open(
            name,
            Connector::tcp(host),
            options,
            tworoutine::runtime().clone(),
        )
        .await
    }

    /// As [`CrsBoard::connect`], on the tokio runtime of the caller. The board can be used while
    /// that runtime runs.
    ///
    /// # Errors
    /// As [`CrsBoard::connect`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect_here(name: &str, host: Host, options: ConnectOptions) -> Result<Self> {
        Self::open(name, Connector::tcp(host), options, Handle::current()).await
    }

    /// As [`CrsBoard::connect_here`], over byte streams that the caller provides.
    ///
    /// # Errors
    /// As [`CrsBoard::connect`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect_over(
        name: &str,
        connector: Connector,
        options: ConnectOptions,
    ) -> Result<Self> {
        Self::open(name, connector, options, Handle::current()).await
    }

    async fn open(
        name: &str,
        connector: Connector,
        options: ConnectOptions,
        runtime: Handle,
    ) -> Result<Self> {
        let streams = CrsStreams::at(name, connector.authority(), options.serial);
        let streams = Arc::new(streams);
        let streamed =
            Streamed::of(&options, &streams).map_err(|error| error.during("connect").on(name))?;
        let survey = survey::survey(&connector, &options, &runtime, Epoch::default())
            .await
            .map_err(|error| {
                error
                    .certainty_is(Certainty::NotExecuted)
                    .during("connect")
                    .on(name)
            })?;
        let modules = (1..=describe::MODULES)
            .filter_map(|number| ModuleId::new(number).ok())
            .map(|id| Module {
                id,
                memory: Arc::new(ModuleMemory::new(id, &survey)),
                link: Mutex::new(None),
            })
            .collect();
        Ok(Self {
            name: name.to_owned(),
            options,
            connector,
            runtime,
            writer: Mutex::new(BatchWriter::new(survey.format)),
            life: Arc::new(BoardLife::new(survey)),
            modules,
            of_board: Mutex::new(None),
            of_sensors: Mutex::new(None),
            streams,
            streamed,
        })
    }

    /// Handle of the board.
    pub fn handle(self) -> BoardHandle {
        BoardHandle::new(self)
    }

    /// Latest description of the board. The client asks the board for its description on
    /// connecting, and again with the first operation of each epoch.
    pub fn description(&self) -> Description {
        self.life.survey().description()
    }

    /// True if the board and this client use CBOR, false if they use JSON.
    pub fn speaks_cbor(&self) -> bool {
        self.life.survey().format == Format::Cbor
    }

    /// [`Survey`] of the board in the present epoch: the properties that the board has reported.
    async fn survey(&self) -> Result<Arc<Survey>> {
        let survey = self
            .life
            .survey_now(&self.connector, &self.options, &self.runtime)
            .await;
        survey.map_err(|error| {
            let during = error.during("describe");
            during.certainty_is(Certainty::NotExecuted)
        })
    }

    fn memory(&self, module: Option<ModuleId>) -> Option<&ModuleMemory> {
        let module = self.modules.get(module?.index())?;
        Some(&module.memory)
    }

    /// Link for operations on `module`. All operations without a module share another link, so that
    /// they work even if a module does not answer.
    fn link(&self, module: Option<ModuleId>) -> Result<Link> {
        let Some(module) = module else {
            let mut link = self.of_board.lock().unwrap_or_else(PoisonError::into_inner);
            let (connector, options) = (self.connector.clone(), self.options.clone());
            let open = || Link::new(connector, options, Unwatched, self.runtime.clone());
            return Ok(link.get_or_insert_with(open).clone());
        };
        let module = self
            .modules
            .get(module.index())
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "there is no such module"))?;
        let mut link = module.link.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(link
            .get_or_insert_with(|| {
                let board = CrsReadBack {
                    module: module.id,
                    memory: Arc::clone(&module.memory),
                    life: Arc::clone(&self.life),
                };
                let keeper = ModuleKeeper::new(board, self.options.request_life);
                let (connector, options) = (self.connector.clone(), self.options.clone());
                Link::new(connector, options, keeper, self.runtime.clone())
            })
            .clone())
    }
}

#[async_trait]
impl Board for CrsBoard {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> Option<&str> {
        self.connector.address()
    }

    fn streams(&self) -> Option<Arc<dyn Streams>> {
        Some(Arc::clone(&self.streams) as Arc<dyn Streams>)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.refuse_unknown(&self.name, encode::is_known)?;
        let mut replies = RepliesBuilder::new(batch);
        let mut began = Instant::now();
        let survey = self.survey().await;
        let survey = survey.map_err(|error| error.on(&self.name).after(0))?;
        batch.check_each(&self.name, |op| {
            encode::check(&survey, self.memory(op.module()), batch, op)
        })?;
        let mut resends = Resends::default();
        let (mut number, mut first) = (None, None);
        // Position in the batch of the first operation of a request that was sent twice. The first
        // attempt may have been executed, whatever happens to the second one.
        let mut sent_from = None;
        while replies.answered() < batch.len() {
            let from = replies.answered();
            let mut sending = Sending {
                segment: Segment::of(batch, from, &survey, false),
                number,
                in_place: number.take().is_some(),
                was_lost: false,
            };
            let ran = self.run_segment(batch, &mut sending, &survey, began, &mut replies);
            if let Err(error) = ran.await {
                let at = replies.answered();
                if sending.was_lost {
                    sent_from.get_or_insert(from);
                }
                let failed = &batch.ops()[at.min(batch.len() - 1)];
                let resend = resends.after(&error, batch, sending.segment, at);
                let resend = resend.filter(|_| error.kind() != ErrorKind::Busy);
                let resend = resend.filter(|resend| {
                    resend.anew
                        || Instant::now() + resend.pause < self.deadline(sending.segment, began)
                });
                if let Some(resend) = resend {
                    tracing::info!(board = self.name, %failed, error = %error.chain(), "asking again");
                    replies.repeated(1);
                    if resend.whole {
                        replies.retract(from);
                        sent_from.get_or_insert(from);
                    }
                    if resend.in_place {
                        (number, first) = (sending.number, Some(error));
                    }
                    self.wait(resend.pause).await;
                    if resend.anew {
                        began = Instant::now();
                    }
                    continue;
                }
                let mut error = resends::reported(first, error);
                if let Some(from) = sent_from {
                    error = error.certainty_is(Certainty::Unknown).after(from);
                }
                if error.executed().is_none() && error.certainty() == Certainty::NotExecuted {
                    error = error.after(from);
                }
                let error = error
                    .repeated(resends.times(at) + u32::from(sending.was_lost))
                    .warned(replies.warnings());
                return Err(error.during(failed.to_string()).on(&self.name));
            }
            (first, sent_from) = (None, None);
            began = Instant::now();
        }
        replies.finish().map_err(|error| error.on(&self.name))
    }
}
