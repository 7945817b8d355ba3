//! CRS boards: the board trait over Tuber.
//!
//! # Detection of a board that has changed
//!
//! Each module has a connection of its own, and its keeper a record of the settings that this
//! client last made there: the NCO, and the offset, amplitude, phase and rotation of every channel
//! it has set. After a batch that was answered whole, the settings are known. After one that failed
//! midway, or whose answer was lost, a setting may have its old or its new value, and both are
//! taken for right. After each new connection, and before anything else goes out on it, settings
//! are read back and compared:
//!
//! | the connection before | what is read back |
//! |---|---|
//! | closed from here, idle for [`ConnectOptions::idle_timeout`] | the marker, the NCO, and the settings of at most 16 channels, other ones each time, those that are on first: at most 67 values, in one round trip |
//! | lost, or closed by the board | the marker and everything that this client has set, in one round trip |
//! | lost with a batch of settings on it | the NCO and the offsets and amplitudes of all channels, with the phases set: when [`ConnectOptions::request_life`] has passed since the loss, again and again until two readings agree |
//!
//! Connections are closed from here whenever a client computes for some seconds. This is frequent,
//! so the reading after it is short. It finds a restart at once, since a board that restarts loses
//! its marker and its NCO with everything else. Changes that another program makes to single
//! channels are found when these channels have their turn.
//!
//! A difference ends the board's epoch: see [`CrsBoard`].
//!
//! A request that only switches tones off is right on any board that it comes to. Settings are read
//! back before it as well, but it is sent even if that fails or takes longer than 2 s. While
//! settings that were lost may still reach the board, it is sent at once, and again when they
//! cannot any more.
//!
//! # Servers that close each connection behind its first answer
//!
//! Some servers do so (HTTP/1.0, `Connection: close`, or without notice), and so do some proxies
//! before a board. Then the reading that verifies a connection uses it up, and the request that it
//! was for must go out on another. A setting cannot follow the reading in one batch: a difference
//! does not stop a batch, and a board that has restarted would execute it.
//!
//! So the reading goes out on one connection and the request on the next, if two conditions hold.
//! The server closed the first one behind a whole answer, with nothing of ours under way, so
//! nothing that was sent can still reach the board. And no more than a second has passed since the
//! reading: a board takes longer to restart, and the reading before the next request finds one that
//! did not. If connecting takes longer, the settings are read back again; after three times the
//! request fails and is not sent. Each request needs such a reading, so the price is one more
//! exchange for each. The reading is as short as after an idle connection.
//!
//! A server is taken to close its connections in this way if it says so, or if a connection ends
//! within a second of its first answer. This is kept for the whole board, so that no later request
//! is written into a connection that is being closed. The request with which it is found out may be
//! lost: it then has the fate of any lost request, and settings are repeated in their place once
//! the board is at rest. It is forgotten when a connection is seen to stay open.

mod apart;
mod channels;
mod decode;
mod describe;
mod encode;
mod family;
mod filters;
mod housekeeping;
mod identity;
mod life;
mod out_of_range;
mod question;
mod read_back;
mod reader;
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

/// A CRS board: 4 or 8 modules of up to 1024 tones, controlled through Tuber.
///
/// It has one connection for each module, opened with the module's first operation and closed when
/// idle, one for readings of the board as a whole, and one for its sensors. A batch is sent as one
/// request for each run of operations on the same module. A batch whose answer was lost with its
/// connection is sent once more when the board has been seen at rest: all operations read, or set
/// absolute values. An operation that only reads is asked again, twice at the most, if the board
/// refuses it or answers nonsense, and once if it does not answer in time.
///
/// # Epochs
/// After each new connection, some or all settings that this client has made on the module are read
/// back, with a marker. The marker is the frequency of the last channel. It is set, with no
/// amplitude, while nobody uses that channel, and callers read it back as never set. If a setting
/// or the marker differs, the board has restarted, or another program has set it, and the epoch
/// ends. Then
///
/// * the board is asked anew for its description, before anything else is sent;
/// * on each module that has been used, the first batch that sets or acquires fails with
///   [`ErrorKind::EpochChanged`], which tells the difference. If its caller gives up before the
///   error is there, the next such batch fails. Batches that only read are sent in the new epoch
///   instead, since a reading is true in any epoch.
#[derive(Debug)]
pub struct CrsBoard {
    name: String,
    options: ConnectOptions,
    connector: Connector,
    runtime: Handle,
    life: Arc<BoardLife>,
    /// Modules of both analog banks, by number from 1.
    modules: Vec<Module>,
    /// For readings of the board as a whole.
    of_board: Mutex<Option<Link>>,
    /// For sensors and rails, while no reading of them is under way.
    of_sensors: Mutex<Option<Link>>,
    writer: Mutex<BatchWriter>,
    streams: Arc<CrsStreams>,
    /// The stream, if acquisitions take their samples from it.
    streamed: Option<Streamed>,
}

#[derive(Debug)]
struct Module {
    id: ModuleId,
    memory: Arc<ModuleMemory>,
    link: Mutex<Option<Link>>,
}

impl CrsBoard {
    /// Connects to the board at `host`, which the hardware map calls `name`. Its sockets are
    /// driven by the process-wide runtime, so that the board works from any thread and runtime.
    ///
    /// # Errors
    /// If nothing answers within the deadlines of `options`, or the answer is not that of a CRS
    /// board.
    pub async fn connect(name: &str, host: Host, options: ConnectOptions) -> Result<Self> {
        Self::open(
            name,
            Connector::tcp(host),
            options,
            tworoutine::runtime().clone(),
        )
        .await
    }

    /// As [`CrsBoard::connect`], on the tokio runtime of the caller: the board works while that
    /// runtime runs.
    ///
    /// # Errors
    /// As [`CrsBoard::connect`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect_here(name: &str, host: Host, options: ConnectOptions) -> Result<Self> {
        Self::open(name, Connector::tcp(host), options, Handle::current()).await
    }

    /// As [`CrsBoard::connect_here`], over byte streams of the caller's.
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

    /// A handle on the board.
    pub fn handle(self) -> BoardHandle {
        BoardHandle::new(self)
    }

    /// Description of the board, as it last was asked for: when the board was connected, and again
    /// with the first operation of each epoch.
    pub fn description(&self) -> Description {
        self.life.survey().description()
    }

    /// True if the board and this client speak CBOR, false if they speak JSON.
    pub fn speaks_cbor(&self) -> bool {
        self.life.survey().format == Format::Cbor
    }

    /// Survey of the board in this epoch.
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

    /// The link for operations on `module`, or for those on none, which work even if no module
    /// does.
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
        for op in batch.ops() {
            let memory = self.memory(op.module());
            encode::check(&survey, memory, batch, op)
                .map_err(|error| error.during(op.to_string()).on(&self.name).after(0))?;
        }
        let mut resends = Resends::default();
        let (mut number, mut first) = (None, None);
        // First operation of a request that was sent and is sent again, whole. It may have been
        // executed then, whatever becomes of it later.
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
                let error = error.repeated(resends.times(at) + u32::from(sending.was_lost));
                return Err(error.during(failed.to_string()).on(&self.name));
            }
            (first, sent_from) = (None, None);
            began = Instant::now();
        }
        replies.finish().map_err(|error| error.on(&self.name))
    }
}
