//! Findings about the stamps of a stream.

use twotone_wire::crs::StampSource;

use super::PARTS;

/// Findings of a [`Timeline`](super::Timeline) about a module's stamps. Counts are of samples
/// unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct TimeFindings {
    /// Without any time.
    pub timeless: u64,
    /// With a time that is not as their stamp has it: see [`TimeOrigin`](super::TimeOrigin).
    pub reconstructed: u64,
    /// Their stamp says that it is not recent.
    pub not_recent: u64,
    /// The day on their stamp is one that its year does not have.
    pub no_such_day: u64,
    /// Another field of their stamp holds what no clock shows.
    pub out_of_range: u64,
    /// The date on their stamp is more than half a year from this computer's clock, and the time
    /// was not made up by the board for a test.
    pub out_of_reach: u64,
    /// Their stamp is the same as the one before: the clock stands still.
    pub frozen: u64,
    /// Their stamp is off those around it, and not for long enough for a step of the clock.
    pub stray: u64,
    /// The seconds of the day on their stamp are not those of its hour, minute and second.
    pub at_odds: u64,
    /// Number of times that the clock was set: it has been off the time before by the same time for
    /// 50 ms or more.
    pub steps: u64,
    /// The first step.
    pub first_step: Option<ClockStep>,
    /// Number of times that the clock began to run faster or slower than the samples by more than
    /// 200 parts in a million: it has gained or lost in excess of that 200 us, and half a period or
    /// 200 us, which is less.
    pub drifts: u64,
    /// Number of times that the stamps changed the source of their time.
    pub source_changes: u64,
    /// Number of times that the sequence numbers jumped forward. So many samples cannot have been
    /// taken meanwhile, by the computer's clock and the stamps.
    pub sequence_jumps: u64,
    /// Sequence number of the first sample after the first jump.
    pub first_jump_sequence: Option<u32>,
    /// Samples that the jumps leave out and that cannot have been lost, although losses are counted
    /// by sequence numbers.
    pub not_lost: u64,
    /// Leap seconds, after which the times of a second come twice. They are no contradiction.
    pub leap_seconds: u64,
    /// Source of the last stamp's time.
    pub source: Option<StampSource>,
    /// Seconds that the board's clock is ahead of this computer's. Packets take their time, so
    /// that it is a few milliseconds less than it should be. As the line began, before any step.
    pub clock_offset_s: Option<f64>,
}

/// The clock of a board was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockStep {
    /// Sequence number of the first sample after it.
    pub sequence: u32,
    /// Seconds that it was set forward.
    pub seconds: f64,
}

impl TimeFindings {
    /// True if no stamp contradicts another, the calendar, or the date of this computer. Samples
    /// without a time are sound if all that came until then says that it is not recent.
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

    /// True if the board makes its time up, from the source that is there for tests.
    pub fn is_made_up(&self) -> bool {
        self.source == Some(StampSource::Test)
    }

    pub(super) fn jump(&mut self, sequence: u32, not_lost: u64) {
        self.sequence_jumps += 1;
        self.not_lost += not_lost;
        self.first_jump_sequence.get_or_insert(sequence);
    }

    pub(super) fn step(&mut self, sequence: u32, parts: i64) {
        self.steps += 1;
        let seconds = parts as f64 / PARTS as f64;
        self.first_step
            .get_or_insert(ClockStep { sequence, seconds });
    }
}
