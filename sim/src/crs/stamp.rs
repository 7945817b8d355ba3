//! Time stamps of the clock of a simulated board. A stamp has the fields of a decoded time code.
//!
//! Time begins at the first midnight of a fixed year, so that two runs of a [`Farm`](crate::Farm)
//! have the same stamps.

use twotone_physics::units::{FAST_SAMPLES_PER_TICK, PFB_SAMPLES_PER_TICK};
use twotone_wire::crs;

/// Number of parts in a second: the unit of stamps.
const PARTS_PER_SECOND: i64 = crs::Stamp::PARTS_PER_SECOND as i64;

/// Number of ADC samples in a part: 625 MS/s divided by 156.25 million parts a second.
const SAMPLES_PER_PART: u64 = 4;

/// Number of parts in a tick, which is the sample period after the first decimation filter.
const PARTS_PER_TICK: u64 = FAST_SAMPLES_PER_TICK / SAMPLES_PER_PART;

/// Year on whose first day the clock of every simulated board starts.
const FIRST_YEAR: i64 = 2026;

const SECONDS_PER_DAY: i64 = 86_400;

/// A time in the fields of a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Year of the century, 0 to 99.
    pub(crate) year: u32,
    /// Day of the year, 1 to 366.
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// Fraction of the second, in units of 1/156 250 000 s.
    pub(crate) sub_second: u32,
    /// Second of the day.
    pub(crate) second_of_day: u32,
}

impl Stamp {
    /// Stamp at the time `seconds` after the start of the farm (the group of simulated boards).
    /// Negative times and values that are not finite count as the start.
    pub(crate) fn after(seconds: f64) -> Self {
        let seconds = if seconds.is_finite() {
            seconds.max(0.0)
        } else {
            0.0
        };
        Self::after_parts((seconds * PARTS_PER_SECOND as f64).round() as i64)
    }

    /// Time of a tick, in parts of a second after the start of the farm.
    pub(crate) fn parts_of_tick(tick: u64) -> i64 {
        tick.wrapping_mul(PARTS_PER_TICK) as i64
    }

    /// Time of a sample of the filter bank, in parts of a second after the start of the farm.
    pub(crate) fn parts_of_pfb_sample(sample: u64) -> i64 {
        sample.wrapping_mul(PARTS_PER_TICK / PFB_SAMPLES_PER_TICK) as i64
    }

    /// Stamp at a number of parts of a second after the start of the farm, or before it if
    /// negative.
    pub(crate) fn after_parts(parts: i64) -> Self {
        let whole = parts.div_euclid(PARTS_PER_SECOND);
        let sub_second = parts.rem_euclid(PARTS_PER_SECOND);
        let mut days = whole.div_euclid(SECONDS_PER_DAY);
        let mut year = FIRST_YEAR;
        while days >= days_in(year) {
            days -= days_in(year);
            year += 1;
        }
        while days < 0 {
            year -= 1;
            days += days_in(year);
        }
        let second_of_day = whole.rem_euclid(SECONDS_PER_DAY);
        Self {
            year: year.rem_euclid(100) as u32,
            day: days as u32 + 1,
            hour: (second_of_day / 3600) as u32,
            minute: (second_of_day / 60 % 60) as u32,
            second: (second_of_day % 60) as u32,
            sub_second: sub_second as u32,
            second_of_day: second_of_day as u32,
        }
    }

    /// The stamp in the form that packets hold.
    pub(crate) fn on_the_wire(self, source: crs::StampSource, is_recent: bool) -> crs::Stamp {
        let stamp = crs::Stamp {
            year: self.year,
            day: self.day,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            part: self.sub_second,
            control: 0,
            second_of_day: self.second_of_day,
        };
        stamp.with_source(source, is_recent)
    }
}

fn days_in(year: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: f64, want: (u32, u32, u32, u32, u32, u32)) {
        let stamp = Stamp::after(seconds);
        let got = (
            stamp.year,
            stamp.day,
            stamp.hour,
            stamp.minute,
            stamp.second,
            stamp.sub_second,
        );
        assert_eq!(got, want, "{seconds} s");
    }

    #[test]
    fn stamps_carry_over_minutes_days_and_years() {
        check(0.0, (26, 1, 0, 0, 0, 0));
        check(61.5, (26, 1, 0, 1, 1, 78_125_000));
        check(0.999_999_999_9, (26, 1, 0, 0, 1, 0));
        check(86_400.0 * 365.0 - 1.0, (26, 365, 23, 59, 59, 0));
        check(86_400.0 * 365.0, (27, 1, 0, 0, 0, 0));
        // 2028 is a leap year.
        check(86_400.0 * (365.0 * 2.0 + 365.0), (28, 366, 0, 0, 0, 0));
        check(f64::NAN, (26, 1, 0, 0, 0, 0));
    }

    #[test]
    fn stamps_of_samples_are_exact() {
        for (tick, seconds) in [(0, 0.0), (64, 64.0 * 16384.0 / 625e6), (39_062_500, 1024.0)] {
            let parts = Stamp::parts_of_tick(tick);
            assert_eq!(parts, Stamp::parts_of_pfb_sample(tick * 64));
            let stamp = Stamp::after_parts(parts);
            assert_eq!(stamp, Stamp::after(seconds), "tick {tick}");
        }
        assert_eq!(Stamp::parts_of_tick(39_062_500) % PARTS_PER_SECOND, 0);
        assert_eq!(Stamp::parts_of_pfb_sample(1), 64);
        let before = Stamp::after_parts(-1);
        assert_eq!((before.year, before.day), (25, 365));
        assert_eq!(before.sub_second, 156_249_999);
    }
}
