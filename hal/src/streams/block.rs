//! Blocks of samples in flat buffers.

use serde::Serialize;

/// Origin of the time of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeOrigin {
    /// The time stamp of the sample, which agrees with the stamps of the samples around it.
    Stamp,
    /// The stamps of the samples around this one and the sequence numbers in between. The stamp of
    /// the sample itself has no meaning or contradicts these stamps.
    Sequence,
    /// The stamp of the sample, but with the year of this computer's clock. The stamp is more than
    /// half a year from this clock; with the year replaced, it agrees with the clock to within a
    /// day.
    Year,
}

impl TimeOrigin {
    /// All origins. The position of each in this list is its number in files.
    pub const ALL: [Self; 3] = [Self::Stamp, Self::Sequence, Self::Year];

    /// Name of the origin in files: `stamp`, `sequence` or `year`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stamp => "stamp",
            Self::Sequence => "sequence",
            Self::Year => "year",
        }
    }
}

/// Samples of one module, in order, in flat buffers. Every list but `i` and `q` has one entry for
/// each sample. `i` and `q` have one entry for each sample and channel: all channels of the first
/// sample, then all channels of the second, and so on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamBlock {
    /// Number of the stream at its receiver, from 0. It identifies the board and the module.
    pub stream: usize,
    /// Decimation stage of all samples, as the board's family (the boards of one implementation of
    /// [`Streams`](super::Streams)) numbers its stages; 0 if it has none.
    pub stage: u8,
    /// Rate of the samples in Hz.
    pub rate_hz: f64,
    /// Sequence numbers. They count the samples and wrap after 32 bits.
    pub sequence: Vec<u32>,
    /// Number of samples that were lost just before each sample. 0 if the stream started again
    /// with this sample.
    pub lost_before: Vec<u64>,
    /// Time at which each sample was taken, in nanoseconds since the start of 1970 by the board's
    /// clock, with delays of filters subtracted. `None` if it is not known.
    pub time_ns: Vec<Option<i64>>,
    /// Origin of each time.
    pub time_source: Vec<Option<TimeOrigin>>,
    /// For each sample, true if a converter exceeded its range.
    pub overrange: Vec<bool>,
    /// For each sample, true if an input exceeded its voltage limit.
    pub overvoltage: Vec<bool>,
    /// In-phase parts, in integer steps: [`steps_per_count`](super::StreamSource::steps_per_count)
    /// steps are one readout count.
    pub i: Vec<i32>,
    /// Quadrature parts, in the same steps; zeros for samples that are real numbers.
    pub q: Vec<i32>,
}

impl StreamBlock {
    /// Size in bytes of the lists' entries for one sample, at most, without `i` and `q`.
    pub const ROW_BYTES: usize = 32;

    /// A block of this stream without samples.
    pub fn new(stream: usize) -> Self {
        Self {
            stream,
            ..Self::default()
        }
    }

    /// Adds a sample, with its sequence number, the number of samples lost just before it, and its
    /// two flags. The caller adds its in-phase and quadrature parts and its time.
    pub fn push(&mut self, sequence: u32, lost_before: u64, overrange: bool, overvoltage: bool) {
        self.sequence.push(sequence);
        self.lost_before.push(lost_before);
        self.overrange.push(overrange);
        self.overvoltage.push(overvoltage);
    }

    /// Adds the samples of one packet: the sequence number of the first one, their number, the
    /// number of samples lost just before them, and the two flags of the packet, which belong to
    /// its first sample. The caller adds their in-phase and quadrature parts and their times.
    pub fn push_packet(
        &mut self,
        sequence: u32,
        samples: u32,
        lost_before: u64,
        overrange: bool,
        overvoltage: bool,
    ) {
        if samples == 0 {
            return;
        }
        self.push(sequence, lost_before, overrange, overvoltage);
        let others = (1..samples).map(|at| sequence.wrapping_add(at));
        self.sequence.extend(others);
        let samples = self.sequence.len();
        self.lost_before.resize(samples, 0);
        self.overrange.resize(samples, false);
        self.overvoltage.resize(samples, false);
    }

    /// Adds the time of the first sample whose time was not added yet: nanoseconds since the start
    /// of 1970, with the origin, or `None` if the time is not known.
    pub fn push_time(&mut self, time: Option<(i64, TimeOrigin)>) {
        self.time_ns.push(time.map(|(time_ns, _)| time_ns));
        self.time_source.push(time.map(|(_, origin)| origin));
    }

    /// Returns the block, and leaves an empty block of the same stream in its place.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let next = Self::new(self.stream);
        std::mem::replace(self, next)
    }

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
