//! Check that time stamps advance as the sequence numbers do. If they do not, they cannot show
//! which samples were taken after a given time.

use std::time::Duration;

use super::{ModuleCounters, SampleTime};

/// Number of consecutive stamps, each equal to the one before it, that show that a clock stands
/// still.
const STILL: u32 = 8;
/// Largest time by which a stamp may be ahead of the time that follows from earlier stamps. Boards
/// correct their clocks once a second, by less than this.
const AHEAD: Duration = Duration::from_millis(1);

/// Check of the stamps of one module.
#[derive(Debug, Default)]
pub(super) struct Advance {
    /// Sequence number, stage and time of the last stamp that agreed with the earlier ones, or of
    /// the first one.
    good: Option<(u32, u8, SampleTime)>,
    last: Option<SampleTime>,
    still: u32,
}

impl Advance {
    /// Checks the next stamp.
    ///
    /// # Errors
    /// The reason why the stamps cannot be used: the clock stands still, or was set forward. A
    /// clock that was set back or is late by a second is no error: its samples only seem too early,
    /// and later ones are taken.
    pub(super) fn take(
        &mut self,
        sequence: u32,
        stage: u8,
        time: SampleTime,
    ) -> Result<(), &'static str> {
        let is_still = self.last.replace(time) == Some(time);
        self.still = if is_still { self.still + 1 } else { 0 };
        if self.still >= STILL {
            return Err("its clock stands still");
        }
        let before = self.good.filter(|(_, before, _)| *before == stage);
        let Some((number, _, before)) = before else {
            self.good = Some((sequence, stage, time));
            return Ok(());
        };
        let samples = sequence.wrapping_sub(number);
        if samples > ModuleCounters::LONGEST_GAP {
            self.good = Some((sequence, stage, time));
            return Ok(());
        }
        let due = before.plus_samples(samples, stage);
        // In a long gap the clock may drift from the sample count by 200 parts in a million.
        let ahead = AHEAD + due.since(before) / 5000;
        if time.since(due) > ahead {
            return Err("its clock was set forward meanwhile");
        }
        if due.since(time) <= ahead {
            self.good = Some((sequence, stage, time));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks stamps of packets in order. Each stamp is a number of sampling periods after the
    /// start.
    fn check(stamps: impl IntoIterator<Item = u32>, expected: Result<(), &str>) {
        let (mut advance, start) = (Advance::default(), SampleTime::of_unix(1.8e9));
        let mut take = |(at, stamp)| {
            let sequence = (u32::MAX - 3).wrapping_add(at);
            advance.take(sequence, 6, start.plus_samples(stamp, 6))
        };
        let taken = (0..).zip(stamps).try_for_each(&mut take);
        assert_eq!(taken, expected);
    }

    #[test]
    fn stamps_that_tell_nothing_are_found() {
        check(0..20, Ok(()));
        // In the first case the clock is a second late for ten samples. In the second case it is
        // set back for good.
        check((1000..1010).chain(410..420).chain(1020..1030), Ok(()));
        check((1000..1010).chain(410..420), Ok(()));
        let forward = Err("its clock was set forward meanwhile");
        check((0..10).chain(11..20), forward);
        check((0..10).chain(9000..9010), forward);
        check((0..10).chain([10; 8]), Ok(()));
        check((0..10).chain([10; 9]), Err("its clock stands still"));
    }
}
