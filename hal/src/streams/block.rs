//! Blocks of samples in flat buffers.

use serde::Serialize;

/// Origin of the time of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeOrigin {
    /// Its stamp, which agrees with those around it.
    Stamp,
    /// Stamps around it, and the sequence numbers between: its own has no meaning or contradicts
    /// them.
    Sequence,
    /// Its stamp, with the year of this computer's clock: the year on the stamp is out of reach,
    /// while the day and the time of day are those of this computer to within a day.
    Year,
}

impl TimeOrigin {
    /// All of them. The place of each is its number in files.
    pub const ALL: [Self; 3] = [Self::Stamp, Self::Sequence, Self::Year];

    /// Its name in files: `stamp`, `sequence` or `year`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Sequence => "sequence",
            Self::Year => "year",
        }
    }
}

/// Samples of one module, in order, in flat buffers. Every list but `i` and `q` has one entry for
/// each sample. `i` and `q` have one entry for each sample and channel: sample after sample, each
/// channel after channel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamBlock {
    /// Number of the stream at its receiver, from 0. It says which module of which board it is.
    pub stream: usize,
    /// Decimation stage of all samples, by the family's own count; 0 if the family has none.
    pub stage: u8,
    /// Rate of the samples in Hz.
    pub rate_hz: f64,
    /// Sequence numbers. They count the samples and wrap after 32 bits.
    pub sequence: Vec<u32>,
    /// Number of samples that were lost just before each. 0 if the stream began anew there.
    pub lost_before: Vec<u64>,
    /// Time at which each sample was taken, in nanoseconds since the start of 1970 by the board's
    /// clock, with delays of filters subtracted. `None` if it is not known.
    pub time_ns: Vec<Option<i64>>,
    /// Origin of each time.
    pub time_source: Vec<Option<TimeOrigin>>,
    /// True if a converter was over its range.
    pub overrange: Vec<bool>,
    /// True if an input was over its voltage.
    pub overvoltage: Vec<bool>,
    /// Parts in phase, [`steps_per_count`](super::StreamSource::steps_per_count) steps a readout
    /// count.
    pub i: Vec<i32>,
    /// Parts in quadrature, in the same steps; zeros for samples that are real numbers.
    pub q: Vec<i32>,
}

impl StreamBlock {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.sequence.len()
    }

    /// True if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.sequence.is_empty()
    }

    /// Number of channels; 0 if there is no sample.
    pub fn channels(&self) -> usize {
        self.i.len().checked_div(self.samples()).unwrap_or(0)
    }
}
