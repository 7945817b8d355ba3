//! The board's clock, as a decoder of time codes stamps it.
//!
//! Stamps count from the first midnight of a fixed year, so that two runs of
//! a farm stamp their samples alike.

/// Ticks of a stamp's sub-second field in one second.
pub(crate) const TICKS_PER_SECOND: f64 = 156_250_000.0;

/// The year in which every simulated board starts, on its first day.
const FIRST_YEAR: u64 = 2026;

const SECONDS_PER_DAY: u64 = 86_400;

/// A moment, in the fields of the board's stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Year of the century, 0-99.
    pub(crate) year: u32,
    /// Day of the year, 1-366.
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// 1/156 250 000 s.
    pub(crate) sub_second: u32,
    /// Second of the day.
    pub(crate) second_of_day: u32,
}

impl Stamp {
    /// The stamp `seconds` after the board's first moment. Negative or
    /// infinite times, which no board reaches, count as that moment.
    pub(crate) fn after(seconds: f64) -> Self {
        let seconds = if seconds.is_finite() {
            seconds.max(0.0)
        } else {
            0.0
        };
        let mut whole = seconds.floor() as u64;
        let mut sub_second = ((seconds - whole as f64) * TICKS_PER_SECOND).round() as u64;
        if sub_second >= TICKS_PER_SECOND as u64 {
            sub_second = 0;
            whole += 1;
        }
        let mut days = whole / SECONDS_PER_DAY;
        let mut year = FIRST_YEAR;
        while days >= days_in(year) {
            days -= days_in(year);
            year += 1;
        }
        let second_of_day = whole % SECONDS_PER_DAY;
        Self {
            year: (year % 100) as u32,
            day: days as u32 + 1,
            hour: (second_of_day / 3600) as u32,
            minute: (second_of_day / 60 % 60) as u32,
            second: (second_of_day % 60) as u32,
            sub_second: sub_second as u32,
            second_of_day: second_of_day as u32,
        }
    }
}

fn days_in(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
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
}
