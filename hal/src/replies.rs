//! Replies in flat buffers.

use std::ops::Range;

use num_complex::Complex64;

use crate::clock::BoardTime;
use crate::housekeeping::Reading;
use crate::nco::NcoState;
use crate::samples::{MeanEntry, SamplesEntry};
use crate::tones::ToneState;
use crate::{Batch, Description, Error, ErrorKind, Op, Operation, Result, Ticket};

/// The replies to a batch, one for each operation, in flat buffers. Fetch each with its ticket.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    entries: Vec<Entry>,
    pub(crate) complex: Vec<Complex64>,
    pub(crate) reals: Vec<f64>,
    pub(crate) tones: Vec<ToneState>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) descriptions: Vec<Description>,
    repeats: u32,
}

/// One reply: its place in the buffers.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub enum Entry {
    Done,
    Description(usize),
    Tones(Range<usize>),
    Nco(NcoState),
    Mean(MeanEntry),
    Samples(SamplesEntry),
    Clock(BoardTime),
    Readings(Range<usize>),
}

impl Replies {
    /// The reply that `ticket` stands for.
    ///
    /// # Panics
    /// If the ticket is of another batch. The replies of a batch always fit its own tickets,
    /// because [`RepliesBuilder`] refuses an answer that does not fit its operation.
    pub fn get<O: Operation>(&self, ticket: Ticket<O>) -> O::Reply<'_> {
        self.entries
            .get(ticket.index)
            .and_then(|entry| O::reply(entry, self))
            .unwrap_or_else(|| panic!("{ticket:?} belongs to another batch"))
    }

    /// The reply to the operation at this place of the batch.
    pub(crate) fn entry(&self, operation: usize) -> Option<&Entry> {
        self.entries.get(operation)
    }

    /// Every description among the replies, for a wrapper that sets narrower limits on a module
    /// than its board does.
    pub fn descriptions_mut(&mut self) -> &mut [Description] {
        &mut self.descriptions
    }

    /// Number of repetitions before everything was answered. A board that refuses once, answers
    /// nonsense once or loses a connection once costs a repetition, and not the result.
    pub fn repeats(&self) -> u32 {
        self.repeats
    }

    /// Number of operations that were answered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if these are the replies to an empty batch.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Gathers the replies to a batch, in the order of its operations. For those who implement a
/// [`crate::Board`].
///
/// Each method answers the next operation. An answer that does not fit its operation, one too
/// many or one too few is [`ErrorKind::Protocol`].
#[derive(Debug)]
pub struct RepliesBuilder<'a> {
    batch: &'a Batch,
    replies: Replies,
}

impl<'a> RepliesBuilder<'a> {
    /// A builder of the replies to `batch`, with nothing answered yet.
    pub fn new(batch: &'a Batch) -> Self {
        let mut replies = Replies::default();
        replies.entries.reserve_exact(batch.len());
        Self { batch, replies }
    }

    /// Number of operations that are answered so far.
    pub fn answered(&self) -> usize {
        self.replies.entries.len()
    }

    /// Adds `times` to the number of repetitions: see [`Replies::repeats`].
    pub fn repeated(&mut self, times: u32) {
        self.replies.repeats = self.replies.repeats.saturating_add(times);
    }

    /// Takes back the answers from this operation on, counted from 0, because it is run again.
    pub fn retract(&mut self, operation: usize) {
        self.replies.entries.truncate(operation);
    }

    /// The next operation to answer, or `None` if all are answered.
    pub fn next_op(&self) -> Option<&'a Op> {
        self.batch.ops().get(self.answered())
    }

    /// Answers an operation that has nothing to say.
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn done(&mut self) -> Result<()> {
        self.entry(
            |op| {
                matches!(
                    op,
                    Op::SetTones { .. } | Op::ClearTones { .. } | Op::Wait { .. }
                )
            },
            Entry::Done,
        )
    }

    /// Answers [`Op::Describe`].
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn description(&mut self, description: Description) -> Result<()> {
        let index = self.replies.descriptions.len();
        self.entry(|op| matches!(op, Op::Describe), Entry::Description(index))?;
        self.replies.descriptions.push(description);
        Ok(())
    }

    /// Answers [`Op::ReadTones`], one state for each channel asked for, in order.
    ///
    /// # Errors
    /// If the next operation is of another kind or asked for another number of channels.
    pub fn tones(&mut self, states: impl IntoIterator<Item = ToneState>) -> Result<()> {
        let start = self.replies.tones.len();
        self.replies.tones.extend(states);
        let range = start..self.replies.tones.len();
        let found = range.len();
        self.entry(
            |op| matches!(op, Op::ReadTones { count, .. } if usize::from(*count) == found),
            Entry::Tones(range),
        )
    }

    /// Answers [`Op::SetNco`] and [`Op::ReadNco`].
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn nco(&mut self, state: NcoState) -> Result<()> {
        self.entry(
            |op| matches!(op, Op::SetNco { .. } | Op::ReadNco { .. }),
            Entry::Nco(state),
        )
    }

    /// Answers [`Op::AcquireMean`]: means and scatters of equally many channels, in readout
    /// counts, and the flags of every sample taken together.
    ///
    /// # Errors
    /// If the next operation is of another kind, or the lengths differ.
    pub fn mean(
        &mut self,
        mean: impl IntoIterator<Item = Complex64>,
        scatter: impl IntoIterator<Item = f64>,
        overrange: bool,
        overvoltage: bool,
    ) -> Result<()> {
        let (complex, real) = (self.replies.complex.len(), self.replies.reals.len());
        self.replies.complex.extend(mean);
        self.replies.reals.extend(scatter);
        let mean = complex..self.replies.complex.len();
        let scatter = real..self.replies.reals.len();
        let channels = mean.len();
        let fits = channels == scatter.len();
        self.entry(
            |op| matches!(op, Op::AcquireMean { acquire, .. } if fits && acquire.fits(channels)),
            Entry::Mean(MeanEntry {
                mean,
                scatter,
                overrange,
                overvoltage,
            }),
        )
    }

    /// Answers [`Op::AcquireSamples`]: `channels` streams of equally many samples, one after the
    /// other, in readout counts, and the flags of every sample taken together.
    ///
    /// # Errors
    /// If the next operation is of another kind, or the lengths are not those asked for.
    pub fn samples(
        &mut self,
        channels: usize,
        samples: impl IntoIterator<Item = Complex64>,
        overrange: bool,
        overvoltage: bool,
    ) -> Result<()> {
        let start = self.replies.complex.len();
        self.replies.complex.extend(samples);
        let range = start..self.replies.complex.len();
        let found = range.len();
        self.entry(
            |op| {
                matches!(op, Op::AcquireSamples { acquire, .. }
                    if acquire.fits(channels) && found == channels * acquire.samples as usize)
            },
            Entry::Samples(SamplesEntry {
                range,
                channels,
                overrange,
                overvoltage,
            }),
        )
    }

    /// Answers [`Op::ReadClock`].
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn clock(&mut self, time: BoardTime) -> Result<()> {
        self.entry(|op| matches!(op, Op::ReadClock), Entry::Clock(time))
    }

    /// Answers [`Op::ReadHousekeeping`].
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn readings(&mut self, readings: impl IntoIterator<Item = Reading>) -> Result<()> {
        let start = self.replies.readings.len();
        self.replies.readings.extend(readings);
        let range = start..self.replies.readings.len();
        self.entry(
            |op| matches!(op, Op::ReadHousekeeping),
            Entry::Readings(range),
        )
    }

    /// Returns the replies when every operation is answered.
    ///
    /// # Errors
    /// If an operation has no answer.
    pub fn finish(self) -> Result<Replies> {
        match self.next_op() {
            None => Ok(self.replies),
            Some(op) => Err(Error::new(ErrorKind::Protocol, "no answer came for it")
                .during(op.to_string())
                .after(self.answered())),
        }
    }

    fn entry(&mut self, fits: impl FnOnce(&Op) -> bool, entry: Entry) -> Result<()> {
        match self.next_op() {
            Some(op) if fits(op) => {
                self.replies.entries.push(entry);
                Ok(())
            }
            Some(op) => Err(Error::new(ErrorKind::Protocol, "the answer does not fit")
                .during(op.to_string())
                .after(self.answered())),
            None => Err(Error::new(ErrorKind::Protocol, "one answer too many")),
        }
    }
}
