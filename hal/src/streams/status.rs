//! Counters of a stream, its form, and the time that it covers.

use super::TimeFindings;
use crate::ChannelId;

/// Time that the samples of a stream cover, received or lost. It follows from the number of samples
/// and their rate, without any clock.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    /// Time in seconds that is covered by the samples at former rates.
    before_s: f64,
    /// Number of samples at former rates.
    before: u64,
    /// Number of samples at the present rate.
    count: u64,
    /// Time between samples in seconds; zero if it is not known yet.
    period_s: f64,
}

impl Coverage {
    /// Coverage of no sample.
    pub fn new() -> Self {
        Self::default()
    }

    /// Coverage of no sample yet, at this rate.
    pub fn at_rate(rate_hz: f64) -> Self {
        let period_s = 1.0 / rate_hz;
        Self {
            period_s,
            ..Self::default()
        }
    }

    /// Sets the rate of the samples that follow, in Hz.
    pub fn change(&mut self, rate_hz: f64) {
        *self = Self {
            before_s: self.seconds(),
            before: self.samples(),
            count: 0,
            period_s: 1.0 / rate_hz,
        };
    }

    /// Adds samples, received or lost.
    pub fn add(&mut self, samples: u64) {
        self.count += samples;
    }

    /// Present time between samples in seconds; zero if it is not known yet.
    pub fn period_s(&self) -> f64 {
        self.period_s
    }

    /// Number of samples, received or lost.
    pub fn samples(&self) -> u64 {
        self.before + self.count
    }

    /// Time in seconds that the samples cover.
    pub fn seconds(&self) -> f64 {
        self.before_s + self.count as f64 * self.period_s
    }

    /// Number of samples that are still needed to cover `seconds`, at most `most`.
    pub fn samples_left(&self, seconds: f64, most: u64) -> u64 {
        let left = (seconds - self.seconds()) / self.period_s;
        // A rounding error must not add a sample.
        (left - 1e-3).ceil().clamp(0.0, most as f64) as u64
    }
}

/// Form of a stream's samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamForm {
    /// Number of channels that are sent.
    pub channels: usize,
    /// Decimation stage, as the board's family (the boards of one implementation of
    /// [`Streams`](super::Streams)) numbers its stages; 0 if the family has none.
    pub stage: u8,
    /// Rate of the samples in Hz.
    pub rate_hz: f64,
    /// Channels that are sent, in the order of the packets, if the board sends only chosen ones;
    /// without an entry for a board that sends all its channels.
    pub chosen: [Option<ChannelId>; Self::MOST_CHOSEN],
    /// Number of samples of each channel in a packet, if the board chooses this number, or else 0.
    pub packet_samples: u32,
}

impl StreamForm {
    /// Largest number of chosen channels.
    pub const MOST_CHOSEN: usize = 4;
}

/// Change of the form of a stream's samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FormChange {
    /// Form before.
    pub before: StreamForm,
    /// Form after.
    pub after: StreamForm,
    /// Sequence number of the first sample after the change.
    pub sequence: u32,
}

/// Counters of a stream since it was opened. They are exact:
///
/// * `received + lost == expected`, and
/// * the samples in blocks are `received - misfit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamCounters {
    /// Samples from the first that was received to the last that counts as received or lost.
    pub expected: u64,
    /// Samples that arrived before they counted as lost.
    pub received: u64,
    /// Samples that count as lost. This number does not change if such a sample arrives later.
    pub lost: u64,
    /// Number of runs of consecutive lost samples.
    pub gaps: u64,
    /// Samples that arrived after they had been counted as lost.
    pub late: u64,
    /// Samples that arrived a second time.
    pub duplicate: u64,
    /// Samples whose sequence number is far from the expected one. They are not counted as
    /// received.
    pub stale: u64,
    /// Number of times that the stream started again with other sequence numbers. The samples
    /// between the end of the stream and its new start do not count as expected.
    pub restarts: u64,
    /// Received samples that are in no block, because they lack requested channels.
    pub misfit: u64,
    /// Samples in blocks that were taken while a converter exceeded its range.
    pub overrange: u64,
    /// Samples in blocks that were taken while an input exceeded its voltage limit.
    pub overvoltage: u64,
}

/// Counters, form and times of a stream since it was opened.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct StreamStatus {
    /// Counters of samples.
    pub counters: StreamCounters,
    /// Findings about the times of the samples.
    pub times: TimeFindings,
    /// Number of times that the samples changed their form.
    pub form_changes: u64,
    /// The first change of the form.
    pub first_form_change: Option<FormChange>,
    /// Number of packets from the board's address whose serial number does not belong to any board
    /// of the receiver at this address. Streams of one address share this count.
    pub foreign: u64,
    /// Serial number of the last packet that [`StreamStatus::foreign`] counts.
    pub last_foreign_serial: Option<u32>,
    /// Number of datagrams from the board's address that do not contain valid samples. Streams of
    /// one address share this count.
    pub malformed: u64,
}

/// Findings about a receiver as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverTotals {
    /// Number of datagrams that the kernel dropped because its buffer was full. Samples in them
    /// are counted as lost.
    pub kernel_drops: u64,
    /// Sentence with the remedy, if the kernel's buffers are smaller than requested.
    pub buffer_shortfall: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_samples_are_needed_at_the_end_of_the_time() {
        let mut covered = Coverage::new();
        covered.change(500.0);
        covered.add(1400);
        for (seconds, most, left) in [
            (3.0, 1000, 100),
            (3.0, 30, 30),
            (2.8, 1000, 0),
            (2.0, 1000, 0),
        ] {
            assert_eq!(covered.samples_left(seconds, most), left, "{seconds} s");
        }
        covered.change(1000.0);
        assert_eq!(covered.samples(), 1400);
        assert!((covered.seconds() - 2.8).abs() < 1e-9);
        assert_eq!(covered.samples_left(3.0, 1000), 200);
    }
}
