//! Record of the settings that each channel of a module has, or may have. A *batch* is a list of
//! operations, sent to a board as one request. A *write* is an operation that changes a setting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, ChannelId, Error, ErrorKind, Hertz, ModuleDescription,
    ModuleId, ModuleSettings, Op, OperationKind, Replies, Result, SettingKey, ToneFields,
    ToneSettings, ToneState, async_trait,
};

use super::Channels;

/// Board that records the last settings of every channel of one module, and the channels whose
/// settings are not certain. A setting is uncertain after an error that leaves open if a write was
/// executed, and after a batch whose caller was dropped.
///
/// Batches for the module run one at a time, in the order in which their futures were first polled.
/// So the journal records writes in the order in which the board executes them. Batches for other
/// modules pass through unrecorded. The memory of the journal depends only on the number of the
/// module's channels.
#[derive(Debug)]
pub struct Journal {
    board: BoardHandle,
    module: ModuleId,
    described: ModuleDescription,
    order: tokio::sync::Mutex<()>,
    record: Mutex<Record>,
}

/// Settings that a [`Journal`] knows at one moment, to be stored or shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Frequency of the NCO, if there is one and it is certain.
    pub nco: Option<Hertz>,
    /// Every channel that is on or may be on, with its last known settings.
    pub tones: Vec<ToneState>,
    /// The channels among `tones` whose settings are not certain.
    pub unknown: Vec<ChannelId>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) now: ModuleSettings,
    /// Settings of the module that were read back when the journal began, if they were.
    pub(super) start: Option<Start>,
    /// True if a write was sent.
    pub(super) written: bool,
    /// Time at which the link or an answer was last lost. The board may still execute a batch that
    /// was sent before this time. It becomes `None` when a later read-back has confirmed the
    /// settings.
    pub(super) suspect: Option<Instant>,
}

impl Record {
    /// Records that a link was lost during a batch. A batch that only reads changes nothing, even
    /// if it is executed late. But a write whose caller was dropped may have been on the same link.
    /// So the loss of a read also counts if a setting is uncertain.
    fn lose_link(&mut self, writes: bool) {
        if writes || (self.suspect.is_none() && self.now.is_in_doubt()) {
            self.suspect = Some(Instant::now());
        }
    }
}

/// Settings of a module before the run.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(super) tones: Vec<ToneState>,
    /// Frequency of the NCO. `None` if the module has no NCO.
    pub(super) nco: Option<Hertz>,
}

impl Journal {
    /// Makes a journal of `module` that knows none of its settings: every tone may be on.
    ///
    /// # Errors
    /// As [`Board::run`], and if the board has no such module or does not know operations on tones.
    pub async fn blank(board: BoardHandle, module: ModuleId) -> Result<Arc<Self>> {
        let description = board.describe().await?;
        description
            .require(&[OperationKind::Tones])
            .map_err(|error| {
                error
                    .during(format!("read back module {module}"))
                    .on(board.name())
            })?;
        let described = description
            .module(module)
            .map_err(|error| error.on(board.name()))?
            .clone();
        let mut now = ModuleSettings::unknown(described.channels);
        if described.nco.is_none() {
            now = now.without_nco();
        }
        Ok(Arc::new(Self {
            board,
            module,
            described,
            order: tokio::sync::Mutex::new(()),
            record: Mutex::new(Record {
                now,
                start: None,
                written: false,
                suspect: None,
            }),
        }))
    }

    /// Makes a journal of `module`, and reads back the settings of the module: the NCO, `fields` of
    /// every channel, and all settings of the channels that are on.
    ///
    /// # Errors
    /// As [`Board::run`], and if the board has no such module or does not know operations on tones.
    pub async fn start(
        board: BoardHandle,
        module: ModuleId,
        fields: ToneFields,
    ) -> Result<Arc<Self>> {
        let journal = Self::blank(board, module).await?;
        let start = journal.refresh(fields).await?;
        journal.locked().start = Some(start);
        Ok(journal)
    }

    /// Reads back the settings of the module: the NCO, `fields` of every channel, and all settings
    /// of the channels that are on. Call this for a module that may have been set without this
    /// journal.
    ///
    /// # Errors
    /// As [`Board::run`].
    pub(crate) async fn refresh(&self, fields: ToneFields) -> Result<Start> {
        let fields = ToneFields {
            amplitude: true,
            ..fields
        };
        let channels = self.described.channels;
        let first = ChannelId::FIRST;
        let (mut tones, nco) = self.read_back(first, channels, fields).await?;
        let on = tones.iter().filter(|tone| tone.is_on());
        if fields != ToneFields::ALL
            && let Some((low, high)) = extent(on.map(|tone| tone.channel))
        {
            let count = high.number() - low.number() + 1;
            let (whole, _) = self.read_back(low, count, ToneFields::ALL).await?;
            tones[low.index()..=high.index()].copy_from_slice(&whole);
        }
        Ok(Start { tones, nco })
    }

    /// Returns the recorded module.
    pub fn module(&self) -> ModuleId {
        self.module
    }

    /// Returns the board's description of the module.
    pub fn described(&self) -> &ModuleDescription {
        &self.described
    }

    /// Returns the settings as far as the journal knows them now.
    pub fn snapshot(&self) -> Snapshot {
        let record = self.locked();
        let now = &record.now;
        let on = || now.tones().iter().filter(|tone| !tone.is_surely_off());
        let unknown = on().filter(|tone| tone.is_in_doubt());
        Snapshot {
            nco: now
                .nco()
                .filter(|_| self.described.nco.is_some() && !now.nco_is_in_doubt()),
            tones: on().map(ToneSettings::last).collect(),
            unknown: unknown.map(ToneSettings::channel).collect(),
        }
    }

    /// Reads back `count` channels and the NCO, and records them.
    ///
    /// # Errors
    /// As [`Board::run`].
    pub(super) async fn read_back(
        &self,
        first: ChannelId,
        count: u16,
        fields: ToneFields,
    ) -> Result<(Vec<ToneState>, Option<Hertz>)> {
        let mut batch = Batch::new();
        let tones = batch.read_tones(self.module, first, count, fields);
        let nco = self.described.nco.map(|_| batch.read_nco(self.module));
        let replies = self.run(&batch).await?;
        let nco = nco.map(|nco| replies.get(nco).frequency);
        let tones = replies.get(tones);
        self.learn(tones, fields, nco)?;
        Ok((tones.to_vec(), nco))
    }

    /// Records settings that were read back. A channel with a value that is NaN or infinite stays
    /// unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if a value that was read back is NaN or infinite.
    pub(super) fn learn(
        &self,
        tones: &[ToneState],
        fields: ToneFields,
        nco: Option<Hertz>,
    ) -> Result<()> {
        let wrong = self.locked().now.learn_tones(tones, fields);
        if !wrong.is_empty() {
            let channels = Channels::These(wrong);
            let message = format!("what is set on channels {channels} reads back as no number");
            return Err(self.broken(message));
        }
        if let Some(nco) = nco.filter(|nco| !nco.is_finite()) {
            return Err(self.broken(format!("the NCO reads back as {nco}")));
        }
        if let Some(nco) = nco {
            self.locked().now.learn(SettingKey::NCO, Some(nco.0));
        }
        Ok(())
    }

    /// Runs a batch as [`Board::run`] does, if `check` accepts it. The argument of `check` is the
    /// settings that the module has, or may have, at the beginning of the batch.
    pub(super) async fn run_if(
        &self,
        batch: &Batch,
        check: impl FnOnce(&ModuleSettings) -> Result<()> + Send,
    ) -> Result<Replies> {
        batch.refuse_unknown(self.name(), Op::is_modelled)?;
        if !batch.ops().iter().any(|op| self.concerns(op)) {
            return self.board.run(batch).await;
        }
        self.refuse_unknown_channels(batch)?;
        let _turn = self.order.lock().await;
        check(&self.locked().now)?;
        let mut entry = Entry::open(self, batch);
        let answer = self.board.run(batch).await;
        entry.close(&answer);
        answer
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, Record> {
        // If a panic interrupts an update of the record, too many settings count as uncertain,
        // never too few. So the record can still be used.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the caller has stopped waiting for the answer to `batch`, so that the board may
    /// still execute the batch.
    pub(super) fn suspect(&self, batch: &Batch) {
        let writes = self.writes(batch).next().is_some();
        self.locked().lose_link(writes);
    }

    fn concerns(&self, op: &Op) -> bool {
        op.module() == Some(self.module)
    }

    fn writes<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (usize, &'a Op)> {
        let of_module = move |op: &Op| self.concerns(op) && op.safety().writes();
        batch
            .ops()
            .iter()
            .enumerate()
            .filter(move |(_, op)| of_module(op))
    }

    /// Refuses channels, or an NCO, that the module does not have, because they cannot be recorded.
    fn refuse_unknown_channels(&self, batch: &Batch) -> Result<()> {
        batch.check_each(self.name(), |op| match op {
            op if !self.concerns(op) => Ok(()),
            Op::SetNco { .. } => self.described.check_nco(),
            Op::SetTones { updates, .. } => batch.tone_updates()[updates.clone()]
                .iter()
                .try_for_each(|update| self.described.check_channels(update.channel, 1)),
            _ => Ok(()),
        })
    }

    fn broken(&self, message: String) -> Error {
        Error::new(ErrorKind::Protocol, message)
            .during(format!("read back module {}", self.module))
            .on(self.name())
    }
}

#[async_trait]
impl Board for Journal {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        self.run_if(batch, |_| Ok(())).await
    }
}

/// A running batch. If this value is dropped while `open` is true, the future of the batch was
/// dropped, and each of its writes may have been executed.
struct Entry<'a> {
    journal: &'a Journal,
    batch: &'a Batch,
    open: bool,
}

impl<'a> Entry<'a> {
    fn open(journal: &'a Journal, batch: &'a Batch) -> Self {
        if journal.writes(batch).next().is_some() {
            journal.locked().written = true;
        }
        Self {
            journal,
            batch,
            open: true,
        }
    }

    fn close(&mut self, answer: &Result<Replies>) {
        self.open = false;
        let mut record = self.journal.locked();
        let error = answer.as_ref().err();
        // Operations before the index `done` were executed. Those from the index `untouched` on
        // were not executed. Those in between may have been.
        let (done, untouched) = match error {
            None => (self.batch.len(), self.batch.len()),
            Some(error) => extent_of(error, self.batch.len()),
        };
        for (index, op) in self.journal.writes(self.batch) {
            if index < done {
                record
                    .now
                    .apply(self.batch.changes(op), Certainty::Executed);
            } else if index < untouched {
                record.now.apply(self.batch.changes(op), Certainty::Unknown);
            }
        }
        // If a request was repeated, the first request may still be on its way to the board.
        let repeats = match answer {
            Ok(replies) => replies.repeats(),
            Err(error) => error.repeats(),
        };
        let writes = self.journal.writes(self.batch).next().is_some();
        if repeats > 0 && writes {
            record.suspect = Some(Instant::now());
        }
        let Some(error) = error else {
            return;
        };
        match error.kind() {
            // The client of the board reports this error only after it has read the settings again,
            // so no earlier request is on its way.
            ErrorKind::EpochChanged => record.now.lose(),
            ErrorKind::ConnectionLost | ErrorKind::Timeout
                if error.certainty() != Certainty::NotExecuted =>
            {
                record.lose_link(writes);
            }
            _ => {}
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.open {
            let mut record = self.journal.locked();
            for (_, op) in self.journal.writes(self.batch) {
                record.now.apply(self.batch.changes(op), Certainty::Unknown);
            }
        }
    }
}

/// Returns the number of operations of a failed batch that were certainly executed, and the index
/// from which on certainly none was executed.
fn extent_of(error: &Error, len: usize) -> (usize, usize) {
    use ErrorKind as K;
    match (error.executed(), error.certainty()) {
        // The answer was lost, so all operations from index `done` on may have been executed.
        (done, Certainty::Unknown) => (done.unwrap_or(0), len),
        (Some(done), Certainty::NotExecuted) => (done, done),
        (Some(done), Certainty::Executed) => (done + 1, done + 1),
        (None, Certainty::NotExecuted) => match error.kind() {
            // These errors arise before anything is sent.
            K::InvalidArgument | K::Limit | K::Unsupported | K::Unreachable => (0, 0),
            _ => (0, len),
        },
        (None, Certainty::Executed) => (0, len),
    }
}

pub(super) fn extent(channels: impl Iterator<Item = ChannelId>) -> Option<(ChannelId, ChannelId)> {
    channels.fold(None, |extent, channel| match extent {
        None => Some((channel, channel)),
        Some((low, high)) => Some((low.min(channel), high.max(channel))),
    })
}
