//! CRS boards: the board trait over Tuber.
//!
//! # Is it still the same board?
//!
//! Each module has a connection of its own, and its keeper a journal of what this client last set
//! there: the NCO, and the offset, amplitude, phase and rotation of every channel it has set. A
//! batch that was answered whole says what settings are now; one that failed midway, or whose
//! answer was lost, only what they may be, so that either is taken for right. After each new
//! connection, and before anything else goes out on it, settings are read back and compared:
//!
//! | the connection before | what is read back |
//! |---|---|
//! | closed from here, idle for [`ConnectOptions::idle_timeout`] | the marker, the NCO, and the settings of at most 16 channels, other ones each time, those that are on first: at most 67 values, in one round trip |
//! | lost, or closed by the board | the marker and everything that this client has set, in one round trip |
//! | lost with a batch of settings on it | the NCO and the offsets and amplitudes of all channels, with the phases set: again and again until two readings agree that lie at least the longest batch apart |
//!
//! Connections that are closed from here are the rule wherever a client computes for some seconds,
//! so their price is bounded; a board that restarts loses its marker and its NCO with everything
//! else, and what another program does to single channels is found in turn.
//!
//! What differs ends the board's epoch: see [`CrsBoard`].
//!
//! # Servers that close each connection behind its first answer
//!
//! Some do (HTTP/1.0, `Connection: close`, or without a word), and proxies before a board. Then the
//! reading that verifies a connection uses it up, and the request that it was for must go out on
//! another. A setting cannot ride behind the reading in one batch: a difference does not stop a
//! batch, and a board that has restarted would execute it.
//!
//! So the reading goes out on one connection and the request on the next, where two things hold.
//! The server closed the first one behind a whole answer, with nothing of ours under way, so nothing
//! that was sent can still land. And no more than a second has passed since the reading: a board
//! takes longer to restart, and the reading before the next request finds one that did not. Where
//! connecting takes longer, it is read back again, and after three times the request fails, not sent.
//! Each request is read back for, so the price is one exchange each: what is read is as little as
//! after an idle connection.
//!
//! That a server does so is taken from its word, or from a connection that ends within a second of
//! its first answer; it is kept for the whole board, so that no later request is written into a
//! connection that is being closed. The request with which it is found out may be lost: it then has
//! the fate of any lost request, and settings are repeated in their place once the board is at rest.
//! It is forgotten when a connection is seen to stay open.

mod decode;
mod describe;
mod difference;
mod encode;
mod filters;
mod keeper;
mod leaves;
mod ledger;
mod life;
mod part;
mod reader;
mod streamed;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Description, Epoch, Error, ErrorKind, ModuleId, Replies,
    RepliesBuilder, Result,
};
use twotone_wire::tuber::{BatchWriter, Format, Limits};

use crate::deadline;
use crate::http::{Answer, Post};
use crate::link::{Link, Queued, Repeat};
use crate::{ConnectOptions, Connector, Host};
use decode::Decoder;
use describe::Survey;
use encode::Encoder;
use keeper::ModuleKeeper;
use leaves::Judge;
pub(crate) use leaves::Leaves;
use life::{BoardLife, Course, ModuleMemory};
use part::Part;
use streamed::{Acquired, Streamed};

/// How often what only reads is written anew, because an epoch ended before it went out.
const MOST_EPOCHS: u32 = 3;

/// A CRS board: 4 or 8 modules of up to 1024 tones, controlled through Tuber.
///
/// One connection a module, opened with the module's first operation and closed when idle. A batch
/// is sent as one request for each run of operations on the same module. A batch whose answer was
/// lost with its connection is sent once more when the board has been seen at rest: all operations
/// read, or set absolute values.
///
/// # Epochs
/// After each new connection, part or all of what this client has set on the module is read back,
/// with a marker: the frequency of the last channel, which is set, with no amplitude, while nobody
/// uses that channel, and reads back as never set. Where that is not as it was left, the board has
/// restarted, or another program has set it, and its epoch ends. Then
///
/// * the board is asked anew what it is and has, before anything else is sent;
/// * on each module that has been used, the first batch that sets or acquires fails with
///   [`ErrorKind::EpochChanged`], which says what differs. It is delivered to a caller who is
///   there to take it, and goes by nobody who only reads: what is read back is true in any epoch.
#[derive(Debug)]
pub struct CrsBoard {
    name: String,
    options: ConnectOptions,
    connector: Connector,
    runtime: Handle,
    life: Arc<BoardLife>,
    /// Of both analog banks, by number from 1.
    modules: Vec<Module>,
    writer: Mutex<BatchWriter>,
    /// Where samples come from the stream.
    streamed: Option<Streamed>,
}

#[derive(Debug)]
struct Module {
    id: ModuleId,
    memory: Arc<ModuleMemory>,
    link: Mutex<Option<Link>>,
}

/// A part of a batch that was queued, with what it takes to read its answer.
struct Written {
    queued: Option<Queued>,
    calls: usize,
    course: Option<Course>,
    judge: Judge,
}

impl CrsBoard {
    /// Connects to the board at `host`, which the hardware map calls `name`. Its sockets are
    /// driven by the process-wide runtime, so that the board works from any thread and runtime.
    ///
    /// # Errors
    /// Where nothing answers within the deadlines of `options`, or what answers is no CRS board.
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
        let streamed = Streamed::of(&options).map_err(|error| error.during("connect").on(name))?;
        let survey = describe::survey(&connector, &options, &runtime, Epoch::default())
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
            streamed,
        })
    }

    /// A handle on the board.
    pub fn handle(self) -> BoardHandle {
        BoardHandle::new(self)
    }

    /// What the board is and has, as it last said: when it was connected, and again with the
    /// first operation of each epoch.
    pub fn description(&self) -> Description {
        self.life.survey().description()
    }

    /// The format in which the board and this client speak.
    pub fn speaks_cbor(&self) -> bool {
        self.life.survey().format == Format::Cbor
    }

    /// What the board is and has in this epoch.
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

    /// The link for operations on `module`, or for those on none.
    fn link(&self, survey: &Survey, module: Option<ModuleId>) -> Result<Link> {
        // Board-wide reads ride on the connection of the first module: one connection fewer, and
        // they come in order with what is set there.
        let first = || survey.modules().first().map(|module| module.module);
        let module = module
            .or_else(first)
            .and_then(|id| self.modules.get(id.index()))
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "the board has no modules"))?;
        let mut link = module.link.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(link
            .get_or_insert_with(|| {
                let (memory, life) = (Arc::clone(&module.memory), Arc::clone(&self.life));
                let keeper = ModuleKeeper::new(module.id, memory, life);
                let (connector, options) = (self.connector.clone(), self.options.clone());
                Link::new(connector, options, keeper, self.runtime.clone())
            })
            .clone())
    }

    /// Writes the operations of `part` and queues them, in one go: batches are queued in the order
    /// in which they were written.
    fn write(&self, batch: &Batch, part: Part, survey: &Survey, began: Instant) -> Result<Written> {
        let link = self.link(survey, part.module)?;
        let memory = self.memory(part.module);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.begin(survey.format);
        let course = memory.map(|memory| memory.course(survey));
        let mut encoder = Encoder {
            out: &mut writer,
            survey,
            memory,
            course,
            streamed: part.streamed,
            changes: Vec::new(),
        };
        for op in part.ops(batch) {
            encoder.encode(batch, op);
        }
        let Encoder {
            changes,
            course: after,
            ..
        } = encoder;
        if let (Some(memory), Some(after)) = (memory, after) {
            memory.will_be(survey.epoch, after);
        }
        let leaves = Arc::new(Leaves::new(survey.epoch, changes));
        let mut written = Written {
            queued: None,
            calls: writer.calls(),
            course,
            judge: Judge::new(&leaves),
        };
        if written.calls > 0 {
            let post = Post {
                leaves: Some(leaves),
                ..Post::new(writer.finish(), survey.format)
            };
            let repeat = if part.sets {
                Repeat::InPlace
            } else {
                Repeat::Freely
            };
            let deadline = self.deadline(part, began);
            written.queued = Some(link.queue(post, repeat, deadline)?);
        }
        Ok(written)
    }

    /// By when `part` of a batch, which began then, is to be answered.
    fn deadline(&self, part: Part, began: Instant) -> Instant {
        let within = self.options.request_timeout;
        deadline::after(began, within.saturating_add(part.acquiring))
    }

    /// Sends the operations from `from` on that are on one module, and gathers their replies.
    async fn run_part(
        &self,
        batch: &Batch,
        from: usize,
        checked: &Arc<Survey>,
        began: Instant,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let mut epochs = 0;
        loop {
            let survey = self.survey().await?;
            let streamed = self.streamed.as_ref().filter(|one| one.can_be_used());
            let part = Part::of(batch, from, &survey, streamed.is_some());
            if !Arc::ptr_eq(&survey, checked) {
                for op in part.ops(batch) {
                    encode::check(&survey, batch, op)?;
                }
            }
            if let (Some(streamed), Some(module), true) = (streamed, part.module, part.streamed) {
                let joined = deadline::after(began, self.options.request_timeout);
                (streamed.join(&self.connector, &self.runtime, module, joined)).await?;
            }
            let memory = self.memory(part.module);
            if let Some(memory) = memory {
                memory.uses(survey.epoch);
                if part.needs_its_epoch() && memory.owes_word(survey.epoch) {
                    memory.told(survey.epoch);
                    return Err(self.life.changed());
                }
            }
            let Written {
                queued,
                calls,
                course,
                judge,
            } = self.write(batch, part, &survey, began)?;
            let answer = match queued {
                None => Ok(Answer::empty()),
                Some(queued) => queued.answer().await,
            };
            let answer = match answer {
                Err(error) if error.kind() == ErrorKind::EpochChanged => {
                    if part.needs_its_epoch() {
                        memory.inspect(|memory| memory.told(self.life.now()));
                        return Err(error);
                    }
                    epochs += 1;
                    if epochs < MOST_EPOCHS {
                        continue;
                    }
                    return Err(error);
                }
                answer => answer?,
            };
            let limits = Limits {
                body_bytes: self.options.answer_limit,
                ..Limits::ANSWER
            };
            let decoder = Decoder {
                batch,
                part,
                survey: &survey,
                memory,
                course,
                judge: &judge,
            };
            let time = decoder.decode(calls, &answer, &limits, replies)?;
            judge.ran_through();
            if let (Some(time), Some(streamed)) = (time, streamed) {
                let acquired = Acquired {
                    op: &batch.ops()[part.to - 1],
                    time,
                    survey: &survey,
                    deadline: self.deadline(part, began),
                };
                let link = self.link(&survey, part.module)?;
                let taken = streamed.take(&acquired, &link, &self.life, replies).await;
                return taken.map_err(|error| {
                    if error.kind() == ErrorKind::EpochChanged {
                        memory.inspect(|memory| memory.told(self.life.now()));
                    }
                    error.after(replies.answered())
                });
            }
            return Ok(());
        }
    }
}

#[async_trait]
impl Board for CrsBoard {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut replies = RepliesBuilder::new(batch);
        let mut began = Instant::now();
        let survey = self.survey().await;
        let survey = survey.map_err(|error| error.on(&self.name).after(0))?;
        for op in batch.ops() {
            encode::check(&survey, batch, op)
                .map_err(|error| error.during(op.to_string()).on(&self.name).after(0))?;
        }
        while replies.answered() < batch.len() {
            let from = replies.answered();
            let ran = self.run_part(batch, from, &survey, began, &mut replies);
            if let Err(mut error) = ran.await {
                let failed = &batch.ops()[replies.answered().min(batch.len() - 1)];
                if error.executed().is_none() && error.certainty() == Certainty::NotExecuted {
                    error = error.after(from);
                }
                return Err(error.during(failed.to_string()).on(&self.name));
            }
            began = Instant::now();
        }
        replies.finish().map_err(|error| error.on(&self.name))
    }
}
