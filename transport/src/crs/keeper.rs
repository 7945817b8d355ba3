//! Is it still the same board, and is it at rest?

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
use crate::http::{Answer as Received, Post};
use crate::link::{Before, Keeper, Line, Repeat, Rest};
use crate::tuber::broken;

/// Of how many channels the settings are read back after an idle connection was closed from here.
const SAMPLED_CHANNELS: usize = 16;

/// The least time between two readings that are to agree.
const SHORTEST_REST: Duration = Duration::from_millis(250);

/// Watches over the link of one module: keeps the journal of what is set there, and reads back
/// after each new connection what must still be there.
pub(super) struct ModuleKeeper {
    module: ModuleId,
    memory: Arc<ModuleMemory>,
    life: Arc<BoardLife>,
    seen: Epoch,
    /// An epoch has begun, and the module has not been looked at in it.
    is_new: bool,
    ledger: Ledger,
    /// Batches that went out and are not in the ledger yet, and whether their answers were lost.
    unjudged: VecDeque<(Arc<Leaves>, bool)>,
    /// How often a sample was read back.
    turn: usize,
    /// A lost batch of settings may still be landing.
    unrest: Option<Unrest>,
    /// The longest batch that was answered, or longer: the acquisitions of one that was lost.
    longest: Duration,
}

/// What is known of a module while a lost batch may still be landing on it.
#[derive(Debug, Default)]
struct Unrest {
    /// The last reading of all settings, and when it was taken.
    reading: Option<(Instant, Reading)>,
}

impl ModuleKeeper {
    pub(super) fn new(module: ModuleId, memory: Arc<ModuleMemory>, life: Arc<BoardLife>) -> Self {
        Self {
            module,
            memory,
            seen: life.now(),
            life,
            is_new: false,
            ledger: Ledger::default(),
            unjudged: VecDeque::new(),
            turn: 0,
            unrest: None,
            longest: Duration::ZERO,
        }
    }

    /// A new epoch: nothing is known to be set. What was lost may still land: it need not have
    /// been a reboot.
    fn begin(&mut self, epoch: Epoch) {
        self.seen = epoch;
        self.is_new = true;
        self.ledger = Ledger::default();
        self.unjudged.clear();
    }

    /// Enters the batches into the ledger of which it is known what became of them; all of them
    /// where that is as much as will be known when it is needed.
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

    /// What is to be read back, with the marker at its end.
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

    /// Every setting that a lost batch may have changed, with the marker at its end.
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
        // In JSON, which every server takes, whatever has been started in the place of this one.
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

    /// Reads everything back until two readings agree that lie at least the longest batch apart,
    /// and gives what they agree on. What has been read is kept where the time is over before.
    async fn await_rest(
        &mut self,
        line: &mut Line,
        deadline: Instant,
        survey: &Survey,
    ) -> Result<Reading> {
        let pause = self.longest.max(SHORTEST_REST);
        loop {
            let before = self
                .unrest
                .as_mut()
                .and_then(|unrest| unrest.reading.take());
            let keys = if let Some((taken, reading)) = before {
                let next = taken + pause;
                if next >= deadline {
                    self.unrest = Some(Unrest {
                        reading: Some((taken, reading)),
                    });
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "a lost batch of settings may still be landing",
                    )
                    .certainty_is(Certainty::NotExecuted));
                }
                sleep_until(next).await;
                let keys = reading.iter().map(|(key, _)| *key);
                let after = self.read(line, deadline, survey, keys).await?;
                if after == reading {
                    return Ok(after);
                }
                after
            } else {
                let keys = self.all_keys(survey);
                self.read(line, deadline, survey, keys).await?
            };
            self.unrest = Some(Unrest {
                reading: Some((Instant::now(), keys)),
            });
        }
    }

    /// Sees to it that the module has a marker. A tone that is on is left where it is, and is as
    /// good a marker as any.
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
            let answer = line.tell(&post, deadline).await.inspect_err(|_| {
                // It may reach the board late, when a caller has set the channel.
                self.unrest = Some(Unrest::default());
            })?;
            values(calls, &answer)?;
            self.ledger.adopt(key, home);
        }
        Ok(())
    }
}

/// The settings of the last channel that are the marker, or say whether it is one.
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

/// An answer to what only reads: nothing of the exchange at hand has been sent yet.
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

    fn rest(&self) -> Rest {
        match &self.unrest {
            None => Rest::Reached,
            Some(unrest) if unrest.reading.is_some() => Rest::Awaited,
            Some(_) => Rest::Unread,
        }
    }

    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()> {
        self.enter(true);
        let survey = self.life.survey();
        // At rest first: a batch that is still landing may be about to change what is compared.
        let reading = if self.unrest.is_some() {
            self.await_rest(line, deadline, &survey).await?
        } else {
            let keys = self.keys(&survey, before);
            self.read(line, deadline, &survey, keys).await?
        };
        self.unrest = None;
        if let Some(difference) = self.ledger.compare(&reading) {
            let marker = self.marker(&survey, &reading);
            self.life.end(self.seen, difference.on(self.module, marker));
            self.begin(self.life.now());
            return Err(self.life.changed());
        }
        self.ledger.learn(&reading);
        self.mark(line, deadline, &survey, &reading).await?;
        self.is_new = false;
        Ok(())
    }

    fn answered(&mut self, post: &Post, took: Duration) {
        self.longest = self.longest.max(took);
        self.went_out(post, false);
    }

    fn lost(&mut self, post: &Post, repeat: Repeat) {
        // The board may be in the midst of its acquisitions, and settings may follow them.
        self.longest = self.longest.max(post.acquiring);
        if repeat != Repeat::Freely {
            self.unrest = Some(Unrest::default());
        }
        self.went_out(post, true);
    }
}
