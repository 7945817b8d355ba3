//! Samples: the signal that a module receives at the frequency of each tone, in readout counts, the
//! unit of the samples of boards.

use std::ops::Range;

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, ChannelId, ModuleId, Op, Replies, Result, Ticket};

/// Type of the operation that acquires samples and returns their means.
#[derive(Debug)]
pub enum AcquireMean {}
/// Type of the operation that acquires samples and returns all of them.
#[derive(Debug)]
pub enum AcquireSamples {}

/// Number of samples to acquire, and the channels. All channels of a module are sampled at the same
/// times.
///
/// By default the samples are *settled*: an acquisition first discards the samples that still
/// depend on the settings before the last change. The number of discarded samples is
/// [`crate::ModuleDescription::settle_samples`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquire {
    /// Number of samples of each channel, at least 1.
    pub samples: u32,
    /// The first channel.
    pub first: ChannelId,
    /// Number of channels from the first on, or `None` for all from the first on.
    pub count: Option<u16>,
    /// True to let the filters settle before the first sample.
    pub settle: bool,
}

impl Acquire {
    /// An acquisition of `samples` settled samples of every channel.
    pub fn new(samples: u32) -> Self {
        let first = ChannelId::from_index(0).expect("the first channel has a number");
        Self {
            samples,
            first,
            count: None,
            settle: true,
        }
    }

    /// Limits the acquisition to `count` channels from [`Acquire::first`] on.
    #[must_use]
    pub fn first_channels(self, count: u16) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Limits the acquisition to one channel.
    #[must_use]
    pub fn channel(self, channel: ChannelId) -> Self {
        Self {
            first: channel,
            count: Some(1),
            ..self
        }
    }

    /// Keeps the samples that may still depend on earlier settings, for callers who know that
    /// nothing has changed.
    #[must_use]
    pub fn unsettled(self) -> Self {
        Self {
            settle: false,
            ..self
        }
    }

    pub(crate) fn fits(&self, channels: usize) -> bool {
        self.count
            .is_none_or(|count| usize::from(count) == channels)
    }
}

/// The means of an acquisition, one entry for each requested channel, in order.
#[derive(Debug, Clone, Copy)]
pub struct MeanView<'a> {
    /// Mean sample of each channel, in readout counts. Both parts are NaN for a channel with a
    /// sample that is NaN or infinite. Such a sample does not affect the means of other channels.
    pub mean: &'a [Complex64],
    /// Standard deviation of the single samples of each channel about their mean,
    /// `sqrt(sum |z - mean|^2 / (n - 1))` in readout counts, both quadratures together; 0 if one
    /// sample was taken, and NaN if the mean is NaN. The error of the mean is larger than
    /// `scatter / sqrt(n)`, because the samples are correlated: see
    /// [`crate::ModuleDescription::mean_error_factor`].
    pub scatter: &'a [f64],
    /// True if a converter exceeded its range during the acquisition. Samples that were discarded
    /// while the filters settled do not set this flag.
    pub overrange: bool,
    /// True if an input exceeded its voltage limit during the acquisition.
    pub overvoltage: bool,
}

/// Owned form of [`MeanView`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeanSamples {
    /// Mean sample of each channel, in readout counts.
    pub mean: Vec<Complex64>,
    /// Standard deviation of the single samples, as in [`MeanView::scatter`].
    pub scatter: Vec<f64>,
    /// True if a converter exceeded its range during the acquisition.
    pub overrange: bool,
    /// True if an input exceeded its voltage limit during the acquisition.
    pub overvoltage: bool,
}

/// The samples of an acquisition, one stream for each requested channel, in order.
#[derive(Debug, Clone, Copy)]
pub struct SamplesView<'a> {
    samples: &'a [Complex64],
    channels: usize,
    /// True if a converter exceeded its range during the acquisition.
    pub overrange: bool,
    /// True if an input exceeded its voltage limit during the acquisition.
    pub overvoltage: bool,
}

impl<'a> SamplesView<'a> {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples of the channel at `index` among the requested ones (from 0), in readout counts.
    ///
    /// # Panics
    /// If `index` is not below [`SamplesView::channels`].
    pub fn channel(&self, index: usize) -> &'a [Complex64] {
        assert!(
            index < self.channels,
            "channel index {index} of {}",
            self.channels
        );
        let length = self.samples.len() / self.channels;
        &self.samples[index * length..(index + 1) * length]
    }
}

/// Owned form of [`SamplesView`]: the samples of all channels in one flat buffer, in readout
/// counts. [`Replies::into_samples`] and [`Samples::take`] return it without copying the samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeStreams {
    samples: Vec<Complex64>,
    channels: usize,
    /// True if a converter exceeded its range during the acquisition.
    pub overrange: bool,
    /// True if an input exceeded its voltage limit during the acquisition.
    pub overvoltage: bool,
}

impl TimeStreams {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of samples of each channel.
    pub fn samples(&self) -> usize {
        self.samples.len().checked_div(self.channels).unwrap_or(0)
    }

    /// The samples of the channel at `index` among the requested ones (from 0), in readout counts.
    ///
    /// # Panics
    /// If `index` is not below [`TimeStreams::channels`].
    pub fn channel(&self, index: usize) -> &[Complex64] {
        self.view().channel(index)
    }

    /// The samples of each requested channel, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Complex64]> {
        (0..self.channels).map(|index| self.channel(index))
    }

    /// All samples: all samples of the first channel, then all samples of the second, and so on.
    pub fn flat(&self) -> &[Complex64] {
        &self.samples
    }

    /// The flat buffer itself, by value: see [`TimeStreams::flat`].
    pub fn into_flat(self) -> Vec<Complex64> {
        self.samples
    }

    fn view(&self) -> SamplesView<'_> {
        SamplesView {
            samples: &self.samples,
            channels: self.channels,
            overrange: self.overrange,
            overvoltage: self.overvoltage,
        }
    }
}

#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct MeanEntry {
    pub(crate) mean: Range<usize>,
    pub(crate) scatter: Range<usize>,
    pub(crate) overrange: bool,
    pub(crate) overvoltage: bool,
}

#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct SamplesEntry {
    pub(crate) range: Range<usize>,
    pub(crate) channels: usize,
    pub(crate) overrange: bool,
    pub(crate) overvoltage: bool,
}

impl Operation for AcquireMean {
    type Reply<'a> = MeanView<'a>;

    fn reply<'a>(entry: &'a Entry, replies: &'a Replies) -> Option<MeanView<'a>> {
        let Entry::Mean(entry) = entry else {
            return None;
        };
        Some(MeanView {
            mean: replies.complex.get(entry.mean.clone())?,
            scatter: replies.reals.get(entry.scatter.clone())?,
            overrange: entry.overrange,
            overvoltage: entry.overvoltage,
        })
    }
}

impl Operation for AcquireSamples {
    type Reply<'a> = SamplesView<'a>;

    fn reply<'a>(entry: &'a Entry, replies: &'a Replies) -> Option<SamplesView<'a>> {
        let Entry::Samples(entry) = entry else {
            return None;
        };
        Some(SamplesView {
            samples: replies.complex.get(entry.range.clone())?,
            channels: entry.channels,
            overrange: entry.overrange,
            overvoltage: entry.overvoltage,
        })
    }
}

impl Replies {
    /// Returns the reply to the operation of `ticket`, by value. The samples are moved out of the
    /// replies; they are not copied if no earlier operation of the batch acquired anything.
    ///
    /// # Panics
    /// If the ticket belongs to another batch, and the operation of this batch at the position of
    /// the ticket is not [`Op::AcquireSamples`].
    pub fn into_samples(mut self, ticket: Ticket<AcquireSamples>) -> TimeStreams {
        let Some(Entry::Samples(entry)) = self.entry(ticket.index).cloned() else {
            panic!("{ticket:?} belongs to another batch");
        };
        let mut samples = std::mem::take(&mut self.complex);
        samples.truncate(entry.range.end);
        samples.drain(..entry.range.start);
        TimeStreams {
            samples,
            channels: entry.channels,
            overrange: entry.overrange,
            overvoltage: entry.overvoltage,
        }
    }
}

impl Batch {
    /// Adds an operation that acquires samples on `module`, after all earlier operations of the
    /// batch, and returns their means.
    pub fn acquire_mean(&mut self, module: ModuleId, acquire: Acquire) -> Ticket<AcquireMean> {
        self.push(Op::AcquireMean { module, acquire })
    }

    /// Adds an operation that acquires samples on `module`, after all earlier operations of the
    /// batch, and returns all of them.
    pub fn acquire_samples(
        &mut self,
        module: ModuleId,
        acquire: Acquire,
    ) -> Ticket<AcquireSamples> {
        self.push(Op::AcquireSamples { module, acquire })
    }
}

/// The samples of a board. Each call runs a batch (a list of operations) with one operation.
#[derive(Debug)]
pub struct Samples<'a>(&'a BoardHandle);

impl<'a> Samples<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Acquires samples and returns their means.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn mean(&self, module: ModuleId, acquire: Acquire) -> Result<MeanSamples> {
        let mut batch = Batch::new();
        let ticket = batch.acquire_mean(module, acquire);
        let replies = self.0.run(&batch).await?;
        let view = replies.get(ticket);
        Ok(MeanSamples {
            mean: view.mean.to_vec(),
            scatter: view.scatter.to_vec(),
            overrange: view.overrange,
            overvoltage: view.overvoltage,
        })
    }

    /// Acquires samples and returns all of them.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn take(&self, module: ModuleId, acquire: Acquire) -> Result<TimeStreams> {
        let mut batch = Batch::new();
        let ticket = batch.acquire_samples(module, acquire);
        let replies = self.0.run(&batch).await?;
        Ok(replies.into_samples(ticket))
    }
}
