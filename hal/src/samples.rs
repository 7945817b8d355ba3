//! Samples: the signal that is received of each tone.

use std::ops::Range;

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, ChannelId, ModuleId, Op, Replies, Result, Ticket};

/// Acquire samples, answer means.
#[derive(Debug)]
pub enum AcquireMean {}
/// Acquire samples, answer them all.
#[derive(Debug)]
pub enum AcquireSamples {}

/// Number of samples to acquire, and the channels. All channels of a module sample at once.
///
/// By default the samples are *settled*: an acquisition first discards those that still depend on
/// the settings before the last change. Their number is
/// [`crate::ModuleDescription::settle_samples`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquire {
    /// Number of samples of each channel, at least 1.
    pub samples: u32,
    /// The first channel.
    pub first: ChannelId,
    /// Number of channels from the first on, or `None` for all from the first on.
    pub count: Option<u16>,
    /// True if the filters settle before the first sample.
    pub settle: bool,
}

impl Acquire {
    /// `samples` settled samples of every channel.
    pub fn new(samples: u32) -> Self {
        let first = ChannelId::from_index(0).expect("the first channel has a number");
        Self {
            samples,
            first,
            count: None,
            settle: true,
        }
    }

    /// Limits it to the first `count` channels.
    #[must_use]
    pub fn first_channels(self, count: u16) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// Limits it to one channel.
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

/// The means of an acquisition, one entry a channel asked for, in order.
#[derive(Debug, Clone, Copy)]
pub struct MeanView<'a> {
    /// Mean sample of each channel, in readout counts. Both parts are no numbers (NaN) for a
    /// channel of which a sample was no finite number: one bad sample is a bad mean of that
    /// channel alone.
    pub mean: &'a [Complex64],
    /// Standard deviation of the single samples of each channel about their mean,
    /// `sqrt(sum |z - mean|^2 / (n - 1))` in readout counts, both quadratures together; 0 if one
    /// sample was taken, and no number if the mean is none. The error of the mean is larger than
    /// this over `sqrt(n)`: see [`crate::ModuleDescription::mean_error_factor`].
    pub scatter: &'a [f64],
    /// A converter was over its range during the acquisition, settling apart.
    pub overrange: bool,
    /// An input was over its voltage during the acquisition.
    pub overvoltage: bool,
}

/// [`MeanView`] with memory of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeanSamples {
    /// Mean sample of each channel, in readout counts.
    pub mean: Vec<Complex64>,
    /// Standard deviation of the single samples, as in [`MeanView::scatter`].
    pub scatter: Vec<f64>,
    /// A converter was over its range during the acquisition.
    pub overrange: bool,
    /// An input was over its voltage during the acquisition.
    pub overvoltage: bool,
}

/// The samples of an acquisition, one stream a channel asked for, in order.
#[derive(Debug, Clone, Copy)]
pub struct SamplesView<'a> {
    samples: &'a [Complex64],
    channels: usize,
    /// A converter was over its range during the acquisition.
    pub overrange: bool,
    /// An input was over its voltage during the acquisition.
    pub overvoltage: bool,
}

impl<'a> SamplesView<'a> {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples of the channel at `index` among those asked for (from 0), in readout counts.
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

/// [`SamplesView`] with memory of its own: the samples of all channels in one flat buffer, in
/// readout counts. [`Replies::into_samples`] and [`Samples::take`] give it without a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeStreams {
    samples: Vec<Complex64>,
    channels: usize,
    /// A converter was over its range during the acquisition.
    pub overrange: bool,
    /// An input was over its voltage during the acquisition.
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

    /// The samples of the channel at `index` among those asked for (from 0), in readout counts.
    ///
    /// # Panics
    /// If `index` is not below [`TimeStreams::channels`].
    pub fn channel(&self, index: usize) -> &[Complex64] {
        self.view().channel(index)
    }

    /// The samples of each channel asked for, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Complex64]> {
        (0..self.channels).map(|index| self.channel(index))
    }

    /// All samples: those of the first channel, then those of the second, and so on.
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
    /// The reply that `ticket` stands for, by value. Its samples are moved out of the replies: they
    /// are not copied if the batch acquired nothing before them.
    ///
    /// # Panics
    /// If the ticket is of another batch.
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
    /// Adds: acquire on `module` after everything before it in the batch, and answer means.
    pub fn acquire_mean(&mut self, module: ModuleId, acquire: Acquire) -> Ticket<AcquireMean> {
        self.push(Op::AcquireMean { module, acquire })
    }

    /// Adds: acquire on `module` after everything before it in the batch, and answer every
    /// sample.
    pub fn acquire_samples(
        &mut self,
        module: ModuleId,
        acquire: Acquire,
    ) -> Ticket<AcquireSamples> {
        self.push(Op::AcquireSamples { module, acquire })
    }
}

/// The samples of a board, one operation a call.
#[derive(Debug)]
pub struct Samples<'a>(&'a BoardHandle);

impl<'a> Samples<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Acquires and answers means.
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

    /// Acquires and answers every sample.
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
