//! Counters of a stream, its form, and the time that it covers.

use std::time::Duration;

use super::TimeFindings;

/// Time that the samples of a stream cover, received or lost. It is known without any clock, from
/// the number of samples and their rate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    /// Time in seconds that is covered by the samples at former rates.
    before_s: f64,
    /// Number of samples at former rates.
    before: u64,
    /// Number of samples at this rate.
    count: u64,
    /// Time between samples; zero before the first one.
    period: Duration,
}

impl Coverage {
    /// Coverage of no sample.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the time between the samples that follow.
    pub fn change(&mut self, period: Duration) {
        *self = Self {
            before_s: self.seconds(),
            before: self.samples(),
            count: 0,
            period,
        };
    }

    /// Adds samples, received or lost.
    pub fn add(&mut self, samples: u64) {
        self.count += samples;
    }

    /// Time between the samples now; zero before the first one.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Number of samples, received or lost.
    pub fn samples(&self) -> u64 {
        self.before + self.count
    }

    /// Time in seconds that they cover.
    pub fn seconds(&self) -> f64 {
        self.before_s + self.count as f64 * self.period.as_secs_f64()
    }

    /// Number of samples, up to `most`, until `seconds` are covered.
    pub fn left(&self, seconds: f64, most: u64) -> u64 {
        let left = (seconds - self.seconds()) / self.period.as_secs_f64();
        // A rounding error must not add a sample.
        (left - 1e-3).ceil().clamp(0.0, most as f64) as u64
    }
}

/// Form of a stream's samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamForm {
    /// Number of channels that are sent.
    pub channels: usize,
    /// Decimation stage, by the family's own count; 0 if the family has none.
    pub stage: u8,
    /// Rate of the samples in Hz.
    pub rate_hz: f64,
}

/// Change of the form of a stream's samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FormChange {
    /// Form before.
    pub before: StreamForm,
    /// Form after.
    pub after: StreamForm,
    /// Sequence number of the first sample after it.
    pub sequence: u32,
}

/// Counters of a stream since it was opened. They are exact:
///
/// * `received + lost == expected`, and
/// * the samples in blocks are `received - misfit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamCounters {
    /// Samples from the first that was received to the last that was settled.
    pub expected: u64,
    /// Samples received in their turn.
    pub received: u64,
    /// Samples that were given up. One that comes later does not change this.
    pub lost: u64,
    /// Runs of consecutive lost samples.
    pub gaps: u64,
    /// Samples that came when they had been given up.
    pub late: u64,
    /// Samples that came twice.
    pub duplicate: u64,
    /// Samples that are far from their turn.
    pub stale: u64,
    /// Number of times that the stream began anew. The samples between are not expected.
    pub restarts: u64,
    /// Samples received that are in no block, because they lack channels that were asked for.
    pub misfit: u64,
    /// Samples received with a converter over its range, those in blocks alone.
    pub overrange: u64,
    /// Samples received with an input over its voltage, those in blocks alone.
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
    /// The first of these changes.
    pub first_form_change: Option<FormChange>,
    /// Number of packets from the board's address with a serial number that no board of the
    /// receiver has there. Streams of one address share this count.
    pub foreign: u64,
    /// Serial number of the last of these.
    pub last_foreign_serial: Option<u32>,
    /// Number of datagrams from the board's address that are no samples. Streams of one address
    /// share this count.
    pub malformed: u64,
}

/// Findings about a receiver as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverTotals {
    /// Number of datagrams that the kernel dropped because its buffer was full. Those that were
    /// samples are among the lost ones.
    pub kernel_drops: u64,
    /// Sentence with the remedy if the kernel's buffers are smaller than asked for.
    pub buffer_shortfall: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_ends_with_the_time() {
        let mut covered = Coverage::new();
        covered.change(Duration::from_millis(2));
        covered.add(1400);
        for (seconds, most, left) in [
            (3.0, 1000, 100),
            (3.0, 30, 30),
            (2.8, 1000, 0),
            (2.0, 1000, 0),
        ] {
            assert_eq!(covered.left(seconds, most), left, "{seconds} s");
        }
        covered.change(Duration::from_millis(1));
        assert_eq!(covered.samples(), 1400);
        assert!((covered.seconds() - 2.8).abs() < 1e-9);
        assert_eq!(covered.left(3.0, 1000), 200);
    }
}
