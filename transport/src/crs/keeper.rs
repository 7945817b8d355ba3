//! The keeper of a module's link, which checks that the board has kept its settings and is at rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{Certainty, Epoch, Error, ErrorKind, ModuleId, Result};
use twotone_wire::tuber::{Answer, BatchWriter, DecodeError, Format, Limits};

use super::describe::{OBJECT, Survey};
use super::difference::Marker;
use super::leaves::{Change, Key, Leaves, Setting, Verdict};
use super::ledger::{Ledger, Reading};
use super::life::{BoardLife, ModuleMemory};
use crate::deadline;
use crate::http::{Answer as Received, Post};
use crate::link::{Before, Keeper, Line, Repeat};
use crate::tuber::broken;

/// Number of channels whose settings are read back after an idle connection was closed from here.
const SAMPLED_CHANNELS: usize = 16;

/// Time between two readings that are to agree.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// Watches over the link of one module: keeps the journal of the module's settings, and reads
/// settings back after each new connection to see that they are still there.
pub(super) struct ModuleKeeper {
    module: ModuleId,
    memory: Arc<ModuleMemory>,
    life: Arc<BoardLife>,
    seen: Epoch,
    /// True if an epoch has begun in which the module has not been read back yet.
    is_new: bool,
    ledger: Ledger,
    /// Batches that went out and are not in the ledger yet; true with those whose answer was lost.
    unjudged: VecDeque<(Arc<Leaves>, bool)>,
    /// Number of times that a sample of the channels was read back.
    turn: usize,
    /// Longest time for which a lost request can live, its acquisitions apart.
    request_life: Duration,
    /// The marker may have been set anew since the board was last read back, so that it does not
    /// show whether the board has restarted.
    marker_is_of_no_use: bool,
    /// Time until which a lost batch of settings may still land, if the module was not read back
    /// since.
    unrest_until: Option<Instant>,
}

impl ModuleKeeper {
    pub(super) fn new(
        module: ModuleId,
        memory: Arc<ModuleMemory>,
        life: Arc<BoardLife>,
        request_life: Duration,
    ) -> Self {
        Self {
            module,
            memory,
            seen: life.now(),
            life,
            is_new: false,
            ledger: Ledger::default(),
            unjudged: VecDeque::new(),
            turn: 0,
            request_life,
            marker_is_of_no_use: false,
            unrest_until: None,
        }
    }

    /// Begins a new epoch, in which nothing is known to be set. Lost requests may still reach the
    /// board, since the epoch may have ended without a reboot.
    fn begin(&mut self, epoch: Epoch) {
        self.seen = epoch;
        self.is_new = true;
        self.ledger = Ledger::default();
        self.marker_is_of_no_use = false;
        self.unjudged.clear();
    }

    /// Enters batches into the ledger, in their order, up to the first one whose outcome is open.
    /// With `all`, open ones are entered too, as in doubt: the ledger is needed now.
    fn enter(&mut self, all: bool) {
        while let Some((leaves, lost)) = self.unjudged.front() {
            let verdict = match leaves.verdict() {
                _ if *lost => Verdict::InDoubt,
                Verdict::Open if all => Verdict::InDoubt,
                verdict => verdict,
            };
            match verdict {
                Verdict::Open => return,
                Verdict::RanThrough => self.ledger.apply(&leaves.changes, leaves.nco()),
                Verdict::InDoubt => {
                    self.ledger.doubt(&leaves.changes);
                    if let Some(nco) = leaves.nco() {
                        self.ledger.doubt(&[Change::Set(Key::NCO, nco)]);
                    }
                }
            }
            self.unjudged.pop_front();
        }
    }

    fn went_out(&mut self, post: &Post, lost: bool) {
        if let Some(leaves) = &post.leaves
            && !leaves.changes.is_empty()
        {
            self.unjudged.push_back((Arc::clone(leaves), lost));
        }
        self.enter(false);
    }

    /// Settings to read back, with the marker at the end.
    fn keys(&mut self, survey: &Survey, before: Before) -> Vec<Key> {
        let last = survey.last_channel().number();
        let mut keys: Vec<Key> = match before {
            Before::Lost => self.ledger.known().collect(),
            Before::Idle => {
                self.turn = self.turn.wrapping_add(1);
                self.ledger.sample(SAMPLED_CHANNELS, self.turn).collect()
            }
        };
        keys.retain(|key| key.channel != last || !marks(key.setting));
        keys.extend([Setting::Offset, Setting::Amplitude].map(|one| Key::tone(last, one)));
        keys
    }

    /// Every setting that a lost batch may have changed, with the marker at the end.
    fn all_keys(&self, survey: &Survey) -> Vec<Key> {
        let phases = self.ledger.known();
        let phases = phases.filter(|key| key.setting > Setting::Amplitude);
        let mut keys: Vec<Key> = [Key::NCO].into_iter().chain(phases).collect();
        for channel in 1..=survey.last_channel().number() {
            keys.extend([Setting::Offset, Setting::Amplitude].map(|one| Key::tone(channel, one)));
        }
        keys
    }

    /// State in which the marker was found.
    fn marker(&mut self, survey: &Survey, reading: &Reading) -> Marker {
        let key = Key::tone(survey.last_channel().number(), Setting::Offset);
        let found = reading.iter().filter(|(read, _)| *read == key);
        match self.ledger.expected(key) {
            None | Some(0.0) => Marker::Unset,
            Some(_) if self.ledger.compare(&found.copied().collect()).is_some() => Marker::Gone,
            Some(_) if self.marker_is_of_no_use => Marker::Unset,
            Some(_) => Marker::Intact,
        }
    }

    async fn read(
        &self,
        line: &mut Line,
        deadline: Instant,
        survey: &Survey,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<Reading> {
        // In JSON, which every server takes: another one may have been started in this one's place.
        let mut writer = BatchWriter::new(Format::Json);
        let keys: Vec<Key> = keys.into_iter().collect();
        for key in &keys {
            survey.write_get(&mut writer, self.module, *key);
        }
        let calls = writer.calls();
        let post = Post::new(writer.finish(), writer.format());
        let values = values(calls, &line.ask(&post, deadline).await?)?;
        if values.len() != keys.len() {
            let message = format!("{} of {} settings read back", values.len(), keys.len());
            return Err(
                Error::new(ErrorKind::Protocol, message).certainty_is(Certainty::NotExecuted)
            );
        }
        Ok(keys.into_iter().zip(values).collect())
    }

    /// Reads everything back until two readings agree, and returns the last one. It is called when
    /// every lost request has reached the board by now or never will.
    async fn read_at_rest(
        &mut self,
        line: &mut Line,
        deadline: Instant,
        survey: &Survey,
    ) -> Result<Reading> {
        let keys = self.all_keys(survey);
        let mut before = self.read(line, deadline, survey, keys).await?;
        loop {
            let next = Instant::now() + BETWEEN_READINGS;
            if next >= deadline {
                let why = "there was no time to read the settings back twice";
                let error = Error::new(ErrorKind::Timeout, why);
                return Err(error.certainty_is(Certainty::NotExecuted));
            }
            sleep_until(next).await;
            let keys = before.iter().map(|(key, _)| *key);
            let after = self.read(line, deadline, survey, keys).await?;
            if after == before {
                return Ok(after);
            }
            before = after;
        }
    }

    /// Takes note that a request was lost that may change settings, and may still reach the board.
    fn may_land(&mut self, acquiring: Duration) {
        let until = deadline::within(self.request_life + acquiring);
        let later = |earlier: Instant| earlier.max(until);
        self.unrest_until = Some(self.unrest_until.map_or(until, later));
    }

    /// Makes sure that the module has a marker. If the last channel is on, or has an offset, its
    /// offset is left as it is and serves as the marker.
    async fn mark(
        &mut self,
        line: &mut Line,
        deadline: Instant,
        survey: &Survey,
        reading: &Reading,
    ) -> Result<()> {
        let last = survey.last_channel();
        let key = Key::tone(last.number(), Setting::Offset);
        // A board that has lost its settings is at 0, too.
        if self.ledger.expected(key).is_some_and(|is| is != 0.0) {
            return Ok(());
        }
        let (offset, amplitude) = match reading[..] {
            [.., (_, offset), (_, amplitude)] => (offset, amplitude.unwrap_or(0.0)),
            _ => (None, 0.0),
        };
        if let Some(offset) = offset.filter(|offset| *offset != 0.0 || amplitude != 0.0) {
            self.ledger.adopt(key, offset);
        } else if self.memory.take_marker(self.seen) {
            let mut writer = BatchWriter::new(Format::Json);
            let home = self.memory.home();
            writer
                .call(OBJECT, "set_frequency")
                .arg(home)
                .kwarg("channel", last.number())
                .kwarg("module", self.module.number());
            let calls = writer.calls();
            let post = Post::new(writer.finish(), writer.format());
            let answer = line.tell(&post, deadline).await.map_err(|error| {
                // It may reach the board late, when a caller has set the channel.
                if error.certainty() != Certainty::NotExecuted {
                    self.may_land(Duration::ZERO);
                }
                // Nothing of the exchange at hand has been sent.
                error.certainty_is(Certainty::NotExecuted)
            })?;
            values(calls, &answer)?;
            self.ledger.adopt(key, home);
        }
        Ok(())
    }
}

/// True for the settings of the last channel that are the marker, or tell if there is one.
fn marks(setting: Setting) -> bool {
    matches!(setting, Setting::Offset | Setting::Amplitude)
}

/// The values that were answered.
fn values(calls: usize, answer: &Received) -> Result<Vec<Option<f64>>> {
    let mut values = Vec::with_capacity(calls);
    let content_type = answer.content_type.as_deref();
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(unreadable)?;
    let mut elements = read.elements(calls).map_err(unreadable)?;
    if let Some(refusal) = elements.refusal() {
        return Err(Error::new(ErrorKind::Rejected, refusal));
    }
    while let Some(element) = elements.next().map_err(unreadable)? {
        match element.outcome {
            Ok(mut value) => values.push(value.opt_f64().map_err(unreadable)?),
            Err(message) => return Err(Error::new(ErrorKind::Rejected, message)),
        }
    }
    Ok(values)
}

/// The error for an unreadable answer to a reading: nothing of the exchange at hand has been sent.
fn unreadable(error: DecodeError) -> Error {
    broken(error).certainty_is(Certainty::NotExecuted)
}

#[async_trait]
impl Keeper for ModuleKeeper {
    fn admit(&mut self, post: &Post) -> Result<()> {
        let now = self.life.now();
        if self.seen != now {
            self.begin(now);
        }
        match &post.leaves {
            Some(leaves) if leaves.epoch != now => Err(self.life.changed()),
            _ => Ok(()),
        }
    }

    fn is_in_doubt(&self) -> bool {
        self.is_new
    }

    fn at_rest(&self) -> Option<Instant> {
        self.unrest_until
    }

    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()> {
        self.enter(true);
        let survey = self.life.survey();
        // At rest first: a lost batch may still change the settings that are compared.
        let reading = if self.unrest_until.is_some() {
            self.read_at_rest(line, deadline, &survey).await?
        } else {
            let keys = self.keys(&survey, before);
            self.read(line, deadline, &survey, keys).await?
        };
        self.unrest_until = None;
        if let Some(difference) = self.ledger.compare(&reading) {
            let marker = self.marker(&survey, &reading);
            self.life.end(self.seen, difference.on(self.module, marker));
            self.begin(self.life.now());
            return Err(self.life.changed());
        }
        self.ledger.learn(&reading);
        self.marker_is_of_no_use = false;
        self.mark(line, deadline, &survey, &reading).await?;
        self.is_new = false;
        Ok(())
    }

    fn goes_out_unverified(&mut self) {
        self.marker_is_of_no_use = true;
    }

    fn answered(&mut self, post: &Post, took: Duration) {
        if took > self.request_life + post.acquiring {
            tracing::warn!(
                module = %self.module,
                seconds = took.as_secs_f64(),
                "answered later than a request is taken to live: `request_life_s` is too short",
            );
        }
        // A request that was lost before may reach the board after it.
        self.went_out(post, self.unrest_until.is_some());
    }

    fn lost(&mut self, post: &Post, repeat: Repeat) {
        if repeat != Repeat::Freely {
            // The board may be in the midst of its acquisitions, and settings may follow them.
            self.may_land(post.acquiring);
        }
        self.went_out(post, true);
    }
}
