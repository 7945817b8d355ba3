//! Is it still the same board, and is it at rest?

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{
    Certainty, ChannelId, Epoch, Error, ErrorKind, ModuleDescription, ModuleId, PhaseEpoch, Result,
};
use twotone_wire::tuber::{Answer, BatchWriter, DecodeError, Format, Limits};

use super::describe::{OBJECT, broken};
use crate::http::{Connection, Post};
use crate::link::{Keeper, Repeat};

/// Counts the lives of a board's state; every module's keeper shares it.
#[derive(Debug, Default)]
pub(super) struct BoardEpoch(AtomicU64);

impl BoardEpoch {
    pub(super) fn now(&self) -> Epoch {
        Epoch(self.0.load(Ordering::Acquire))
    }

    /// Ends the epoch `seen`, unless another module has found that out before.
    fn end(&self, seen: Epoch) -> Epoch {
        let next = seen.0 + 1;
        match self
            .0
            .compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => Epoch(next),
            Err(newer) => Epoch(newer),
        }
    }
}

/// What this client remembers of a module, shared by those who encode for it and its keeper.
#[derive(Debug)]
pub(super) struct ModuleMemory {
    last: ChannelId,
    channels: u16,
    home: f64,
    phase_epoch: AtomicU64,
}

impl ModuleMemory {
    pub(super) fn new(module: &ModuleDescription) -> Self {
        // Any number that a board which has lost its settings would not hold by chance.
        let draw = RandomState::new().hash_one(module.module.number());
        let home = 1e6 * (1.0 + (draw % 100_000_000) as f64 / 1e6);
        let last = ChannelId::new(module.channels.max(1)).expect("at least 1");
        Self {
            last,
            channels: module.channels,
            home,
            phase_epoch: AtomicU64::new(0),
        }
    }

    /// Writes the marker after something that wipes it out, and says what it will be.
    pub(super) fn encode_marker(&self, out: &mut BatchWriter, module: ModuleId) -> f64 {
        out.call(OBJECT, "set_frequency")
            .arg(self.home)
            .kwarg("channel", self.last.number())
            .kwarg("module", module.number());
        self.home
    }

    /// The channel whose frequency is the marker.
    pub(super) fn marker_channel(&self) -> ChannelId {
        self.last
    }

    pub(super) fn phase_epoch(&self) -> PhaseEpoch {
        PhaseEpoch(self.phase_epoch.load(Ordering::Acquire))
    }

    pub(super) fn end_phase_epoch(&self) {
        self.phase_epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// Watches over the link of one module.
pub(super) struct ModuleKeeper {
    module: ModuleId,
    memory: Arc<ModuleMemory>,
    epoch: Arc<BoardEpoch>,
    format: Format,
    seen: Epoch,
    /// What the marker may be: what was found or set, and what batches since may have made of it.
    marker: Vec<f64>,
    /// A lost batch of settings may still be landing.
    unrest: Option<Unrest>,
    /// The longest batch that was answered.
    longest: Duration,
}

/// What is known of a module while a lost batch may still be landing on it.
#[derive(Debug, Default)]
struct Unrest {
    /// The last reading of all settings, and when it was taken.
    reading: Option<(Instant, Vec<Option<f64>>)>,
}

impl ModuleKeeper {
    pub(super) fn new(
        module: ModuleId,
        memory: Arc<ModuleMemory>,
        epoch: Arc<BoardEpoch>,
        format: Format,
    ) -> Self {
        Self {
            module,
            memory,
            seen: epoch.now(),
            epoch,
            format,
            marker: Vec::new(),
            unrest: None,
            longest: Duration::ZERO,
        }
    }

    fn new_life(&mut self, epoch: Epoch) -> Error {
        self.seen = epoch;
        self.marker.clear();
        self.unrest = None;
        self.memory.end_phase_epoch();
        Error::new(
            ErrorKind::EpochChanged,
            "the board has lost its settings; what was measured before is void",
        )
        .certainty_is(Certainty::NotExecuted)
    }

    /// Offset and amplitude of a range of channels.
    async fn settings(
        &self,
        connection: &mut Connection,
        deadline: Instant,
        channels: impl Iterator<Item = u16>,
    ) -> Result<Vec<Option<f64>>> {
        let mut writer = BatchWriter::new(self.format);
        let module = self.module.number();
        for channel in channels {
            for method in ["get_frequency", "get_amplitude"] {
                writer
                    .call(OBJECT, method)
                    .kwarg("channel", channel)
                    .kwarg("module", module);
            }
        }
        self.ask(connection, deadline, writer).await
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        deadline: Instant,
        mut writer: BatchWriter,
    ) -> Result<Vec<Option<f64>>> {
        let calls = writer.calls();
        let post = Post::new(writer.finish(), self.format);
        let answer = connection
            .exchange(&post, deadline)
            .await
            .map_err(|failure| {
                Error::new(
                    ErrorKind::ConnectionLost,
                    format!("the board could not be read back: {failure}"),
                )
                .certainty_is(Certainty::NotExecuted)
            })?;
        let mut values = Vec::with_capacity(calls);
        let content_type = answer.content_type.as_deref();
        let mut read =
            Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(unreadable)?;
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

    /// Reads everything back until two readings agree that lie at least the longest batch apart,
    /// and gives what they agree on. What has been read is kept where the time is over before.
    async fn await_rest(
        &mut self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<Vec<Option<f64>>> {
        let channels = self.memory.channels;
        let pause = self.longest.max(SHORTEST_REST);
        loop {
            let before = self
                .unrest
                .as_mut()
                .and_then(|unrest| unrest.reading.take());
            if let Some((taken, reading)) = before {
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
                let after = self.settings(connection, deadline, 1..=channels).await?;
                if after == reading {
                    return Ok(after);
                }
                self.unrest = Some(Unrest {
                    reading: Some((Instant::now(), after)),
                });
            } else {
                let reading = self.settings(connection, deadline, 1..=channels).await?;
                self.unrest = Some(Unrest {
                    reading: Some((Instant::now(), reading)),
                });
            }
        }
    }
}

/// An answer to what only reads: nothing of the exchange at hand has been sent yet.
fn unreadable(error: DecodeError) -> Error {
    broken(error).certainty_is(Certainty::NotExecuted)
}

/// The least time between two readings that are to agree.
const SHORTEST_REST: Duration = Duration::from_millis(250);

/// How far a marker may be from what was set: boards round frequencies to their quantum.
const MARKER_TOLERANCE_HZ: f64 = 1.0;

#[async_trait]
impl Keeper for ModuleKeeper {
    async fn opened(&mut self, connection: &mut Connection, deadline: Instant) -> Result<()> {
        if self.epoch.now() != self.seen {
            return Err(self.new_life(self.epoch.now()));
        }
        let last = self.memory.marker_channel().number();
        // At rest first: a batch that is still landing may be about to move the marker.
        let found = if self.unrest.is_some() {
            self.await_rest(connection, deadline).await?
        } else {
            self.settings(connection, deadline, last..=last).await?
        };
        let (offset, amplitude) = match found[..] {
            [.., offset, amplitude] => (offset, amplitude.unwrap_or(0.0)),
            _ => (None, 0.0),
        };
        if self.marker.is_empty() {
            // A tone that is on is left where it is, and is as good a marker as any.
            let marker = offset.filter(|offset| *offset != 0.0 || amplitude != 0.0);
            if marker.is_none() {
                let mut writer = BatchWriter::new(self.format);
                self.memory.encode_marker(&mut writer, self.module);
                self.ask(connection, deadline, writer).await?;
            }
            self.marker.push(marker.unwrap_or(self.memory.home));
        } else {
            let near =
                |marker: &f64| offset.is_some_and(|is| (is - marker).abs() <= MARKER_TOLERANCE_HZ);
            match self
                .marker
                .iter()
                .rev()
                .copied()
                .find(|marker| near(marker))
            {
                Some(marker) => self.marker = vec![marker],
                None => {
                    let epoch = self.epoch.end(self.seen);
                    return Err(self.new_life(epoch));
                }
            }
        }
        self.unrest = None;
        Ok(())
    }

    fn answered(&mut self, post: &Post, took: Duration) {
        self.longest = self.longest.max(took);
        self.may_have_moved(post);
    }

    fn lost(&mut self, post: &Post, repeat: Repeat) {
        if repeat != Repeat::Freely {
            self.unrest = Some(Unrest::default());
        }
        self.may_have_moved(post);
    }
}

impl ModuleKeeper {
    /// A batch may have moved the marker: an answered one too may have been stopped by an error
    /// before it came to that.
    fn may_have_moved(&mut self, post: &Post) {
        if let Some(marker) = post.leaves_marker {
            self.marker.retain(|known| *known != marker);
            self.marker.push(marker);
            if self.marker.len() > MOST_MARKERS {
                self.marker.remove(0);
            }
        }
    }
}

/// How many values of the marker are kept between two connections.
const MOST_MARKERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_once_however_many_modules_notice() {
        let epoch = BoardEpoch::default();
        let seen = epoch.now();
        assert_eq!(epoch.end(seen), Epoch(1));
        assert_eq!(epoch.end(seen), Epoch(1));
        assert_eq!(epoch.end(Epoch(1)), Epoch(2));
    }
}
