//! Dates of the stamps of a dirfile, which have only the second of the day.

use twotone_transport::readout::sample_rate_hz;

use super::stamps::{DAY_S, DayStamp, LAST_STAGE, PARTS, delay_parts, to_ns};

/// Smallest difference of two stamps in seconds at which a new day has begun between them, or the
/// stamps of two days are out of order.
pub(super) const NEW_DAY_S: i32 = 43_200;

/// The dates of stamps that follow each other, and what is strange about them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calendar {
    day: i128,
    second: i32,
    /// The stamp before, in parts since 1970, and its stage.
    before: Option<(i128, u8)>,
    /// Number of sampling periods that the stamps leave out.
    pub(super) left_out: u64,
    gaps: u64,
    strange: u64,
}

impl Calendar {
    /// Begins on a day, in days since the start of 1970. `second` is the second of this day at
    /// which the stamps begin. A first stamp that is far from it is of another day.
    pub(super) fn beginning(day: i128, second: i32) -> Self {
        Self {
            day,
            second,
            before: None,
            left_out: 0,
            gaps: 0,
            strange: 0,
        }
    }

    /// Returns the day of the next stamp.
    pub(super) fn day_of(&mut self, stamp: DayStamp) -> i128 {
        let before = std::mem::replace(&mut self.second, stamp.second);
        let step = i64::from(stamp.second) - i64::from(before);
        if step < -i64::from(NEW_DAY_S) {
            self.day += 1;
        } else if step > i64::from(NEW_DAY_S) {
            self.day -= 1;
        }
        self.day
    }

    /// Returns the time of the sample with the next stamp in nanoseconds since 1970. `None` if no
    /// clock shows the stamp.
    pub(super) fn time_ns(&mut self, stamp: DayStamp, stage: u8) -> Option<i64> {
        if !stamp.is_of_a_clock() {
            self.strange += 1;
            return None;
        }
        let day = self.day_of(stamp);
        let at = (day * DAY_S + i128::from(stamp.second)) * PARTS + i128::from(stamp.part);
        if let Some((before, of)) = self.before.replace((at, stage))
            && of == stage
        {
            self.compare(at - before, period_parts(stage));
        }
        Some(to_ns(at - delay_parts(stage)))
    }

    /// Counts what is strange about two stamps that are `step` apart.
    fn compare(&mut self, step: i128, period: i128) {
        let periods = (step + period / 2).div_euclid(period);
        let off = (step - periods * period).abs();
        if periods < 1 || off > period / 4 {
            self.strange += 1;
        } else if periods > 1 {
            self.gaps += 1;
            self.left_out += u64::try_from(periods - 1).unwrap_or(u64::MAX);
        }
    }

    /// Returns sentences about what is strange.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.gaps > 0 {
            doubts.push(format!(
                "its stamps leave out {} sampling periods in {} places: so many samples were lost, or its clock was set",
                self.left_out, self.gaps
            ));
        }
        if self.strange > 0 {
            doubts.push(format!(
                "{} of its stamps contradict those before them",
                self.strange
            ));
        }
        doubts
    }
}

/// Returns the sampling period at a stage, in parts.
fn period_parts(stage: u8) -> i128 {
    (PARTS as f64 / sample_rate_hz(stage.min(LAST_STAGE))).round() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(second: i32, part: i32) -> DayStamp {
        DayStamp { second, part }
    }

    #[test]
    fn stamps_go_on_over_midnight_and_leave_out_what_was_lost() {
        let period = period_parts(6) as i32;
        assert_eq!(period, 262_144);
        let mut calendar = Calendar::beginning(20_000, 86_399);
        let last = PARTS as i32 - 1;
        let first = calendar.time_ns(stamp(86_399, last), 6).unwrap();
        assert_eq!(DayStamp::of(first, Some(6)), stamp(86_399, last));
        // Three periods later, on the next day.
        let next = calendar.time_ns(stamp(0, 3 * period - 1), 6).unwrap();
        let apart = i128::from(next - first);
        assert!((apart - to_ns(3 * 262_144) as i128).abs() <= 1, "{apart}");
        assert_eq!(calendar.left_out, 2);
        // The same stamp again, one of no clock, and one in between.
        assert!(calendar.time_ns(stamp(0, 3 * period - 1), 6).is_some());
        assert!(calendar.time_ns(stamp(-5, 0), 6).is_none());
        assert!(
            calendar
                .time_ns(stamp(0, 3 * period + period / 2), 6)
                .is_some()
        );
        let doubts = calendar.doubts();
        assert!(
            doubts[0].contains("leave out 2 sampling periods in 1 places"),
            "{doubts:?}"
        );
        assert!(doubts[1].contains("3 of its stamps"), "{doubts:?}");
    }

    #[test]
    fn a_stray_first_stamp_changes_no_other_day() {
        let mut calendar = Calendar::beginning(20_000, 50_000);
        let day = |ns: Option<i64>| ns.map(|ns| ns / 86_400_000_000_000);
        assert!(calendar.time_ns(stamp(0, 0), 6).is_some());
        assert_eq!(day(calendar.time_ns(stamp(50_000, 0), 6)), Some(20_000));
        assert_eq!(
            day(calendar.time_ns(stamp(50_000, 262_144), 6)),
            Some(20_000)
        );
    }
}
