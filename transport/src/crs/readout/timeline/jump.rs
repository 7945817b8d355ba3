//! Detection of jumps of the sequence numbers, while the time advances evenly.

use super::line::{LATE, Line, STEP_LASTS, drift};
use super::{Reading, Seen};

impl Line {
    /// Number of packets that were never sent, out of `left_out` missing packets just before the
    /// packet of `seen`. `None` if there is no sign of a jump of the sequence numbers.
    ///
    /// If the sequence numbers are right and only the clock of the board was set, the delay from
    /// sampling to reception stays the same. If the sequence numbers have jumped, packets seem to
    /// come before their samples were taken. Stamps that continue as if no packet were missing are
    /// a second sign, because a clock is unlikely to be set by exactly the length of a gap.
    pub(super) fn not_lost(&self, seen: &Seen, left_out: i64) -> Option<u64> {
        let span = left_out * self.period;
        let passed = (seen.position - self.at) * self.period;
        let by_sequence = self.time + passed;
        let early = self.recent_delay? - (seen.received? - by_sequence);
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
            // The times of reception vary by more than so short a gap, so only the stamps count.
            is_even && off.is_some_and(|off| (off + span).abs() < off.abs())
        } else {
            !agrees(0, passed) && early >= if is_even { span / 8 } else { span / 2 }
        };
        // The stamp gives the true length of the gap, unless it contradicts the time of reception.
        let by_received = span - early;
        let by_stamp = off.map(|off| span + off);
        let is_near = |by_stamp: &i64| (by_stamp - by_received).abs() <= LATE;
        let gap = by_stamp.filter(is_near).unwrap_or(by_received);
        let lost = ((gap + self.period / 2).div_euclid(self.period)).clamp(0, left_out);
        let not_lost = (left_out - lost) as u64;
        (has_jumped && not_lost > 0).then_some(not_lost)
    }

    /// Largest difference of a stamp from the expected clock reading after the time `passed`.
    fn allowed(&self, passed: i64, is_new: bool) -> i64 {
        self.jitter + drift(passed, is_new) + self.run_off(passed)
    }
}
