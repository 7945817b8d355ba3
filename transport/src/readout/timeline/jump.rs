//! Sequence numbers that jump while time goes on evenly.

use super::line::{LATE, Line, STEP_LASTS, drift};
use super::{Reading, Seen};

impl Line {
    /// Number of samples that cannot have been lost, of those that the sequence numbers leave out
    /// just before this one. `None` if the sequence numbers are right as far as anything tells.
    ///
    /// If they are right and the clock was set, packets come as late after their samples as before.
    /// If they have jumped, packets come before their samples were taken. Stamps that go on as if
    /// nothing was left out tell the same, as no clock is set by just the length of a gap.
    pub(super) fn not_lost(&self, seen: &Seen, left_out: i64) -> Option<u64> {
        let span = left_out * self.period;
        let passed = (seen.position - self.at) * self.period;
        let by_sequence = self.time + passed;
        let early = self.delay_lately? - (seen.received? - by_sequence);
        let (off, is_new) = match seen.reading {
            Reading::Time { time, second, .. } => {
                (Some(time - by_sequence - self.clock), second != self.second)
            }
            _ => (None, false),
        };
        let agrees = |from: i64, passed: i64| {
            off.is_some_and(|off| (off - from).abs() <= self.allowed(passed, is_new))
        };
        let is_even = agrees(-span, passed - span);
        let has_jumped = if span < STEP_LASTS {
            // Packets are not received that evenly.
            is_even && off.is_some_and(|off| (off + span).abs() < off.abs())
        } else {
            !agrees(0, passed) && early >= if is_even { span / 8 } else { span / 2 }
        };
        // The time that did pass in the gap, by the stamp unless that is nowhere near.
        let by_received = span - early;
        let by_stamp = off.map(|off| span + off);
        let is_near = |by_stamp: &i64| (by_stamp - by_received).abs() <= LATE;
        let gap = by_stamp.filter(is_near).unwrap_or(by_received);
        let lost = ((gap + self.period / 2).div_euclid(self.period)).clamp(0, left_out);
        let not_lost = (left_out - lost) as u64;
        (has_jumped && not_lost > 0).then_some(not_lost)
    }

    /// Largest distance of a stamp from the clock when so much time has passed.
    fn allowed(&self, passed: i64, is_new: bool) -> i64 {
        self.jitter + drift(passed, is_new) + self.run_off(passed)
    }
}
