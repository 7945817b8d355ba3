//! Findings about the times of a stream's samples.

/// Source of the time of a board's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockSource {
    /// Its name in files and reports.
    pub name: &'static str,
    /// Its kind.
    pub kind: ClockSourceKind,
}

/// Kind of the source of a clock's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClockSourceKind {
    /// A time code or another clock.
    External,
    /// The board makes the time up, for tests. It can be any time.
    MadeUp,
    /// Nothing gives the clock its time.
    Nothing,
}

/// Findings about the stamps of a stream, with which its times are judged. Counts are of samples
/// unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct TimeFindings {
    /// Samples without any time.
    pub timeless: u64,
    /// Samples with a time that differs from their stamp: see [`TimeOrigin`](super::TimeOrigin).
    pub reconstructed: u64,
    /// Samples whose stamp says that it is not recent.
    pub not_recent: u64,
    /// Samples whose stamp has a day that its year does not have.
    pub no_such_day: u64,
    /// Samples whose stamp has another field out of its range.
    pub out_of_range: u64,
    /// Samples whose stamp has a date more than half a year from this computer's clock, though the
    /// board did not make up the time for a test.
    pub out_of_reach: u64,
    /// Samples whose stamp is the same as the one before: the clock stands still.
    pub frozen: u64,
    /// Samples whose stamp is off those around it, but not for long enough for a step of the
    /// clock.
    pub stray: u64,
    /// Samples whose stamp has seconds of the day that are neither 0 nor those of its hour, minute
    /// and second.
    pub at_odds: u64,
    /// Number of times that the clock was set: it has been off the time before by the same time
    /// for 50 ms or more.
    pub steps: u64,
    /// The first step.
    pub first_step: Option<ClockStep>,
    /// Number of times that the clock began to run faster or slower than the samples by more than
    /// 200 parts in a million: it has gained or lost in excess of that 200 us, and half a period
    /// or 200 us, which is less.
    pub drifts: u64,
    /// Number of times that the stamps changed the source of their time.
    pub source_changes: u64,
    /// Number of times that the sequence numbers jumped forward. So many samples cannot have been
    /// taken meanwhile, by the computer's clock and the stamps.
    pub sequence_jumps: u64,
    /// Sequence number of the first sample after the first jump.
    pub first_jump_sequence: Option<u32>,
    /// Samples that the jumps leave out and that cannot have been lost, although losses are
    /// counted by sequence numbers.
    pub not_lost: u64,
    /// Leap seconds, after which the times of a second come twice. They are no contradiction.
    pub leap_seconds: u64,
    /// Source of the last stamp's time.
    pub source: Option<ClockSource>,
    /// Seconds that the board's clock is ahead of this computer's, before any step. The delay of
    /// packets makes it a few milliseconds too small.
    pub clock_offset_s: Option<f64>,
}

/// Step of a board's clock, which was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockStep {
    /// Sequence number of the first sample after it.
    pub sequence: u32,
    /// Seconds that it was set forward.
    pub seconds: f64,
}

impl TimeFindings {
    /// True if no stamp contradicts another, the calendar, or the date of this computer. Samples
    /// without a time are no contradiction if all stamps until then say that they are not recent.
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

    /// True if the board makes up its time.
    pub fn is_made_up(&self) -> bool {
        let kind = self.source.map(|source| source.kind);
        kind == Some(ClockSourceKind::MadeUp)
    }
}
