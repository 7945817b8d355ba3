//! Replies of a board to a batch, an ordered list of operations.

use std::ops::Range;

use num_complex::Complex64;

use crate::clock::BoardTime;
use crate::housekeeping::Reading;
use crate::nco::NcoState;
use crate::properties::PropertyValue;
use crate::samples::{MeanEntry, SamplesEntry};
use crate::tones::ToneState;
use crate::{
    Batch, ChannelId, Description, Error, ErrorKind, Op, Operation, Result, Ticket, legible,
};

/// The replies to a batch, one for each operation, in flat buffers. The caller got a [`Ticket`]
/// when it added an operation to the batch. [`Replies::get`] returns the reply to the operation of
/// a ticket.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    entries: Vec<Entry>,
    pub(crate) complex: Vec<Complex64>,
    pub(crate) reals: Vec<f64>,
    pub(crate) tones: Vec<ToneState>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) descriptions: Vec<Description>,
    repeats: u32,
    warnings: Vec<String>,
}

/// One reply: its value, or the position of its values in the buffers.
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
    FastStream(Vec<ChannelId>),
    Property(Option<PropertyValue>),
}

impl Replies {
    /// Returns the reply to the operation of `ticket`.
    ///
    /// # Panics
    /// If the ticket belongs to another batch, and this batch has no operation with the same type
    /// of reply at the position of the ticket. The replies to a batch always fit its own tickets,
    /// because [`RepliesBuilder`] refuses an answer that does not fit its operation.
    pub fn get<O: Operation>(&self, ticket: Ticket<O>) -> O::Reply<'_> {
        self.entries
            .get(ticket.index)
            .and_then(|entry| O::reply(entry, self))
            .unwrap_or_else(|| panic!("{ticket:?} belongs to another batch"))
    }

    /// The reply to the operation at this position of the batch, counted from 0.
    pub(crate) fn entry(&self, operation: usize) -> Option<&Entry> {
        self.entries.get(operation)
    }

    /// Every description among the replies. A wrapper of a board changes them if its modules have
    /// narrower limits than those of the board itself.
    pub fn descriptions_mut(&mut self) -> &mut [Description] {
        &mut self.descriptions
    }

    /// Number of times that a request to the board had to be repeated before every operation was
    /// answered. A single refusal, a single answer that makes no sense or a single lost connection
    /// costs one repetition, and the replies are still complete.
    pub fn repeats(&self) -> u32 {
        self.repeats
    }

    /// Warnings that the board sent with its answers, in its own words and in the order in which
    /// they came. The operations were executed nevertheless. Empty if the protocol of the board has
    /// no warnings.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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

/// Collects the replies to a batch, in the order of its operations, for implementations of
/// [`crate::Board`].
///
/// Each of the methods from [`RepliesBuilder::done`] to [`RepliesBuilder::property`] answers the
/// next operation. An answer that does not fit its operation, an extra answer and a missing answer
/// are errors of the kind [`ErrorKind::Protocol`].
#[derive(Debug)]
pub struct RepliesBuilder<'a> {
    batch: &'a Batch,
    replies: Replies,
}

impl<'a> RepliesBuilder<'a> {
    /// A builder of the replies to `batch`, in which no operation is answered yet.
    pub fn new(batch: &'a Batch) -> Self {
        let mut replies = Replies::default();
        replies.entries.reserve_exact(batch.len());
        Self { batch, replies }
    }

    /// Number of operations that have been answered so far.
    pub fn answered(&self) -> usize {
        self.replies.entries.len()
    }

    /// Adds `times` to the number of repetitions that [`Replies::repeats`] returns.
    pub fn repeated(&mut self, times: u32) {
        self.replies.repeats = self.replies.repeats.saturating_add(times);
    }

    /// Adds a warning of the board to those that [`Replies::warnings`] returns. It is stored as
    /// [`crate::legible`] shows it.
    pub fn warned(&mut self, warning: &str) {
        self.replies.warnings.push(legible(warning).into_owned());
    }

    /// Warnings that were added so far, for the error of a batch that fails.
    pub fn warnings(&self) -> &[String] {
        &self.replies.warnings
    }

    /// Removes the answers to operation number `operation`, counted from 0, and to all later ones,
    /// so that these operations can be run again.
    pub fn retract(&mut self, operation: usize) {
        self.replies.entries.truncate(operation);
    }

    /// The next operation to answer, or `None` if all are answered.
    pub fn next_op(&self) -> Option<&'a Op> {
        self.batch.ops().get(self.answered())
    }

    /// Answers an operation whose reply has no data: [`Op::SetTones`], [`Op::ClearTones`],
    /// [`Op::SetFastStream`] or [`Op::Wait`].
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn done(&mut self) -> Result<()> {
        self.entry(
            |op| {
                matches!(
                    op,
                    Op::SetTones { .. }
                        | Op::ClearTones { .. }
                        | Op::SetFastStream { .. }
                        | Op::Wait { .. }
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

    /// Answers [`Op::ReadTones`] with one state for each requested channel, in order.
    ///
    /// # Errors
    /// If the next operation is of another kind or requests another number of channels.
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

    /// Answers [`Op::SetNco`] or [`Op::ReadNco`].
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn nco(&mut self, state: NcoState) -> Result<()> {
        self.entry(
            |op| matches!(op, Op::SetNco { .. } | Op::ReadNco { .. }),
            Entry::Nco(state),
        )
    }

    /// Answers [`Op::AcquireMean`] with the mean and the scatter (the standard deviation) of each
    /// requested channel, in readout counts. `overrange` and `overvoltage` are true if the board
    /// set the flag of this name for any sample.
    ///
    /// # Errors
    /// If the next operation is of another kind, or if there is not one mean and one scatter for
    /// each requested channel.
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

    /// Answers [`Op::AcquireSamples`] with the samples of `channels` channels, in readout counts:
    /// all samples of the first channel, then all samples of the next one, and so on. `overrange`
    /// and `overvoltage` are true if the board set the flag of this name for any sample.
    ///
    /// # Errors
    /// If the next operation is of another kind or requests other numbers of channels or samples.
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

    /// Answers [`Op::ReadFastStream`] with the channels that the stream sends.
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn fast_stream(&mut self, channels: Vec<ChannelId>) -> Result<()> {
        self.entry(
            |op| matches!(op, Op::ReadFastStream { .. }),
            Entry::FastStream(channels),
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

    /// Answers [`Op::SetProperty`] or [`Op::ReadProperty`] with the value that was read; `None` if
    /// the board reports none.
    ///
    /// # Errors
    /// If the next operation is of another kind.
    pub fn property(&mut self, value: Option<PropertyValue>) -> Result<()> {
        self.entry(
            |op| matches!(op, Op::SetProperty { .. } | Op::ReadProperty { .. }),
            Entry::Property(value),
        )
    }

    /// Returns the replies, once every operation is answered.
    ///
    /// # Errors
    /// If an operation has no answer.
    pub fn finish(self) -> Result<Replies> {
        match self.next_op() {
            None => Ok(self.replies),
            Some(op) => Err(
                Error::new(ErrorKind::Protocol, "the operation has no answer")
                    .during(op.to_string())
                    .after(self.answered()),
            ),
        }
    }

    fn entry(&mut self, fits: impl FnOnce(&Op) -> bool, entry: Entry) -> Result<()> {
        match self.next_op() {
            Some(op) if fits(op) => {
                self.replies.entries.push(entry);
                Ok(())
            }
            Some(op) => Err(Error::new(
                ErrorKind::Protocol,
                "the answer does not fit the operation",
            )
            .during(op.to_string())
            .after(self.answered())),
            None => Err(Error::new(
                ErrorKind::Protocol,
                "there are more answers than operations",
            )),
        }
    }
}
