//! Spacing of packets in time.

use twotone_wire::crs::Stamp;

use super::time::period_parts;
use super::{NoTime, SampleTime};

/// Time between two samples of the PFB stream, in parts of a second: 256 / 625e6 s, where a part is
/// 1 / 156.25e6 s.
pub(super) const PFB_PERIOD_PARTS: i64 = 64;

/// Spacing of the packets of a module in time, and delay of their stamps. It depends on the stream
/// and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// Readout stream: a packet has one sample, at this decimation stage (0 to 7). The stamp is
    /// late by the delay of the decimation filters.
    Stage(u8),
    /// PFB stream: a packet has this number of samples of each channel. The stamp is the time of
    /// the first one.
    Samples(u16),
}

impl Spacing {
    /// Number of samples of each channel in a packet, at least 1.
    pub fn samples(self) -> u32 {
        match self {
            Self::Stage(_) => 1,
            Self::Samples(samples) => u32::from(samples.max(1)),
        }
    }

    /// Time between two packets, in parts of a second.
    pub(super) fn period_parts(self) -> i64 {
        match self {
            Self::Stage(stage) => period_parts(stage),
            Self::Samples(_) => PFB_PERIOD_PARTS * i64::from(self.samples()),
        }
    }

    /// Time at which the first sample of a packet with this stamp was taken.
    ///
    /// # Errors
    /// As [`SampleTime::of_stamp`].
    pub fn time_of(self, stamp: &Stamp) -> Result<SampleTime, NoTime> {
        match self {
            Self::Stage(stage) => SampleTime::of_readout(stamp, stage),
            Self::Samples(_) => SampleTime::of_stamp(stamp),
        }
    }
}
