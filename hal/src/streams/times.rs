//! Findings about the times of a stream's samples.

/// Source of the time of a board's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockSource {
    /// Name of the source in files and reports.
    pub name: &'static str,
    /// Kind of the source.
    pub kind: ClockSourceKind,
}

/// Kind of the source of a clock's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClockSourceKind {
    /// The clock follows a time code or another clock.
    External,
    /// The board generates an arbitrary time, for tests.
    MadeUp,
    /// The clock has no source of time.
    Nothing,
}

/// Findings about the time stamps of a stream, which show if its times can be trusted. Several
/// samples may share a stamp, so the numbers of stamps are not numbers of samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct TimeFindings {
    /// Number of samples without any time.
    pub timeless: u64,
    /// Number of samples with a time that differs from their stamp: see
    /// [`TimeOrigin`](super::TimeOrigin).
    pub reconstructed: u64,
    /// Number of stamps that the board marks as not recent, because it does not receive the time.
    pub not_recent: u64,
    /// Number of stamps with a day of the year that does not exist in their year.
    pub no_such_day: u64,
    /// Number of stamps with another field out of its range.
    pub out_of_range: u64,
    /// Number of stamps with a date more than half a year from this computer's clock, although
    /// the source of the time is not an arbitrary time for tests.
    pub out_of_reach: u64,
    /// Number of stamps that are equal to the stamp before them: the clock does not advance.
    pub frozen: u64,
    /// Number of stamps that do not agree with the stamps around them, if the disagreement is too
    /// short to be a step of the clock.
    pub stray: u64,
    /// Number of stamps that contradict themselves: their seconds of the day are not 0 and do not
    /// agree with their hour, minute and second.
    pub at_odds: u64,
    /// Number of steps of the clock. In a step the clock is set to another time, and keeps the
    /// difference from its former course for at least 50 ms.
    pub steps: u64,
    /// The first step.
    pub first_step: Option<ClockStep>,
    /// Number of times that the clock began to run faster or slower than the samples by more than
    /// 200 parts in a million. Of the time that the clock has gained or lost since then, 200 parts
    /// in a million of the elapsed time are allowed. The change is counted when the rest exceeds
    /// 200 us plus the smaller of 200 us and half a period of the samples.
    pub drifts: u64,
    /// Number of times that the source of the time in the stamps changed.
    pub source_changes: u64,
    /// Number of times that the sequence numbers jumped forward by more samples than can have been
    /// taken in the meantime, by this computer's clock and the stamps.
    pub sequence_jumps: u64,
    /// Sequence number of the first sample after the first jump.
    pub first_jump_sequence: Option<u32>,
    /// Number of samples that the jumps of [`TimeFindings::sequence_jumps`] skip and that cannot
    /// have been lost. [`StreamCounters`](super::StreamCounters) counts them as lost, because it
    /// counts by sequence numbers.
    pub not_lost: u64,
    /// Number of leap seconds. In a leap second the times of one second occur twice, which is not
    /// a contradiction.
    pub leap_seconds: u64,
    /// Source of the last stamp's time.
    pub source: Option<ClockSource>,
    /// Seconds by which the board's clock is ahead of this computer's clock, before any step;
    /// `None` if it is not known. The delay of packets makes this value a few milliseconds too
    /// small.
    pub clock_offset_s: Option<f64>,
}

/// Step of a board's clock: it was set to another time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockStep {
    /// Sequence number of the first sample after the step.
    pub sequence: u32,
    /// Seconds by which the clock was set forward.
    pub seconds: f64,
}

impl TimeFindings {
    /// True if no stamp contradicts another, the calendar, or the date of this computer, and if the
    /// source of the time stayed the same. Stamps that are marked as not recent are no
    /// contradiction by themselves, and neither are samples without a time.
    pub fn is_sound(&self) -> bool {
        let contradictions = [
            self.reconstructed,
            self.no_such_day,
            self.out_of_range,
            self.out_of_reach,
            self.frozen,
            self.stray,
            self.at_odds,
            self.steps,
            self.drifts,
            self.source_changes,
            self.sequence_jumps,
        ];
        contradictions.iter().all(|count| *count == 0)
    }

    /// True if the board generates an arbitrary time for tests.
    pub fn is_made_up(&self) -> bool {
        let kind = self.source.map(|source| source.kind);
        kind == Some(ClockSourceKind::MadeUp)
    }
}
