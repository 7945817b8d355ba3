//! CRS boards: the board trait over Tuber.

mod decode;
mod describe;
mod encode;
mod filters;
mod keeper;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Description, Error, ErrorKind, ModuleDescription,
    ModuleId, Op, Replies, RepliesBuilder, Result,
};
use twotone_wire::tuber::{BatchWriter, Format};

use crate::http::{Answer, Post};
use crate::link::{Link, Repeat};
use crate::{ConnectOptions, Connector, Host};
use describe::Survey;
use keeper::{ModuleKeeper, ModuleMemory};

/// A CRS board: 4 or 8 modules of up to 1024 tones, controlled through Tuber.
///
/// One connection a module, opened with the module's first operation and closed when idle. A batch
/// is sent as one request for each run of operations on the same module. A batch whose answer was
/// lost with its connection is sent once more when the board has been seen at rest: all operations
/// read, or set absolute values.
///
/// The board's epoch changes when a new connection finds that the board has forgotten a marker: the
/// frequency of the last channel of each module, which stays set, with no amplitude, while nobody
/// uses that channel. The first operation on each module after that fails with
/// [`ErrorKind::EpochChanged`].
#[derive(Debug)]
pub struct CrsBoard {
    name: String,
    options: ConnectOptions,
    connector: Connector,
    runtime: Handle,
    survey: Survey,
    epoch: Arc<keeper::BoardEpoch>,
    modules: Vec<Module>,
    writer: Mutex<BatchWriter>,
}

#[derive(Debug)]
struct Module {
    id: ModuleId,
    description: ModuleDescription,
    memory: Arc<ModuleMemory>,
    link: Mutex<Option<Link>>,
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
        let epoch = Arc::new(keeper::BoardEpoch::default());
        let survey = describe::survey(&connector, &options, &runtime)
            .await
            .map_err(|error| {
                error
                    .certainty_is(Certainty::NotExecuted)
                    .during("connect")
                    .on(name)
            })?;
        let modules = survey
            .modules()
            .into_iter()
            .map(|description| Module {
                id: description.module,
                memory: Arc::new(ModuleMemory::new(&description)),
                description,
                link: Mutex::new(None),
            })
            .collect();
        let writer = Mutex::new(BatchWriter::new(survey.format));
        let name = name.to_owned();
        Ok(Self {
            name,
            options,
            connector,
            runtime,
            survey,
            epoch,
            modules,
            writer,
        })
    }

    /// A handle on the board.
    pub fn handle(self) -> BoardHandle {
        BoardHandle::new(self)
    }

    /// What the board is and has, as it said when it was connected.
    pub fn description(&self) -> Description {
        self.survey.description(self.epoch.now())
    }

    /// The format in which the board and this client speak.
    pub fn speaks_cbor(&self) -> bool {
        self.survey.format == Format::Cbor
    }

    fn module(&self, id: ModuleId) -> Result<&Module> {
        self.modules
            .iter()
            .find(|module| module.id == id)
            .ok_or_else(|| {
                // The description names those it has.
                self.description().module(id).err().unwrap_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidArgument,
                        format!("there is no module {id}"),
                    )
                })
            })
    }

    /// The link for operations on `module`, or for those on none.
    fn link(&self, module: Option<ModuleId>) -> Result<Link> {
        let Some(module) = module else {
            // Board-wide reads ride on the connection of the first module: one connection fewer,
            // and they come in order with what is set there.
            let first = self
                .modules
                .first()
                .ok_or_else(|| Error::new(ErrorKind::Unsupported, "the board has no modules"))?;
            return self.link(Some(first.id));
        };
        let module = self.module(module)?;
        let mut link = module.link.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(link
            .get_or_insert_with(|| {
                let memory = Arc::clone(&module.memory);
                let epoch = Arc::clone(&self.epoch);
                let keeper = ModuleKeeper::new(module.id, memory, epoch, self.survey.format);
                let (connector, options) = (self.connector.clone(), self.options.clone());
                Link::new(connector, options, keeper, self.runtime.clone())
            })
            .clone())
    }

    /// Sends the operations `from..to` of a batch, all on one module, and gathers their replies.
    async fn run_part(
        &self,
        batch: &Batch,
        part: Part,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let link = self.link(part.module)?;
        let (post, calls) = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.begin(self.survey.format);
            let mut marker = None;
            for op in &batch.ops()[part.from..part.to] {
                marker = self.encode(&mut writer, batch, op).or(marker);
            }
            let calls = writer.calls();
            let post = Post::new(writer.finish(), self.survey.format);
            (
                Post {
                    leaves_marker: marker,
                    ..post
                },
                calls,
            )
        };
        if calls == 0 {
            return self.decode(batch, part, 0, &Answer::empty(), replies);
        }
        let patience = self.options.request_timeout + part.acquiring;
        let repeat = if part.sets {
            Repeat::InPlace
        } else {
            Repeat::Freely
        };
        let answer = link
            .exchange(post, repeat, Instant::now() + patience)
            .await?;
        self.decode(batch, part, calls, &answer, replies)
    }

    /// Cuts a batch into runs of operations on the same module. Operations on no module go with
    /// those before them.
    fn part(&self, batch: &Batch, from: usize) -> Part {
        let ops = batch.ops();
        let mut part = Part {
            from,
            to: from,
            module: None,
            sets: false,
            acquiring: Duration::ZERO,
        };
        for op in &ops[from..] {
            match (part.module, op.module()) {
                (Some(one), Some(other)) if one != other => break,
                (None, other) => part.module = other,
                _ => {}
            }
            part.sets |= op.safety() == twotone_hal::Safety::AbsoluteSet;
            if let Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } = op {
                part.acquiring += self.survey.acquisition_time(acquire);
            }
            part.to += 1;
        }
        part
    }
}

/// A run of operations of a batch that travel in one request.
#[derive(Debug, Clone, Copy)]
struct Part {
    from: usize,
    to: usize,
    module: Option<ModuleId>,
    sets: bool,
    acquiring: Duration,
}

#[async_trait]
impl Board for CrsBoard {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut replies = RepliesBuilder::new(batch);
        for op in batch.ops() {
            self.check(batch, op)
                .map_err(|error| error.during(op.to_string()).on(&self.name).after(0))?;
        }
        while replies.answered() < batch.len() {
            let from = replies.answered();
            let part = self.part(batch, from);
            if let Err(mut error) = self.run_part(batch, part, &mut replies).await {
                let failed = &batch.ops()[replies.answered().min(batch.len() - 1)];
                if error.executed().is_none() && error.certainty() == Certainty::NotExecuted {
                    error = error.after(from);
                }
                return Err(error.during(failed.to_string()).on(&self.name));
            }
        }
        replies.finish().map_err(|error| error.on(&self.name))
    }
}
