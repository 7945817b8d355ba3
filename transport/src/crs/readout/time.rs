//! Times of samples by the clock of the board.

use std::time::Duration;

use twotone_hal::BoardTime;
use twotone_wire::crs::Stamp;

/// Number of parts in a second. A part, 6.4 ns, is the unit of time in packets. The delays and
/// periods of the decimation filters are whole numbers of parts.
const PARTS: i64 = Stamp::PARTS_PER_SECOND as i64;
const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds from the start of 1970 to the start of 2000.
const YEAR_2000_S: i64 = 946_684_800;

/// Time at which a sample was taken, by the clock of the board: the number of parts of 6.4 ns since
/// the start of the year 2000, with days of 86,400 s.
///
/// Times of boards can be compared if the boards share a time code. A leap second and the second
/// after it have the same times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleTime(i64);

/// Reason why the time stamp of a packet, or a board's answer about its time, gives no valid time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoTime {
    /// The board had received no time code recently, so that the stamp is not valid.
    #[error("the board's time code is not recent")]
    NotRecent,
    /// A field of the stamp, or of the time of a board, is out of its range.
    #[error("the {field} of the stamp is {value}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Value of the field; a fraction is cut off.
        value: i64,
    },
    /// The year does not have this day.
    #[error("the year {} has no day {day}", 2000 + year)]
    NoSuchDay {
        /// Year of the century.
        year: u32,
        /// Day of the year.
        day: u32,
    },
}

impl SampleTime {
    /// Time of a stamp, without a correction for the delay of filters.
    ///
    /// The time is made from the year, day, hour, minute, second and sub-second (the fraction of
    /// the second). The second of the day, which some time codes send as well, is ignored. The
    /// sub-second may exceed one second, if the next pulse of the time code is late; it carries
    /// over into the second, minute, day and year.
    ///
    /// # Errors
    /// If the stamp is marked as not recent, if a field is out of its range, or if the year does
    /// not have the day. Second 60 is allowed in the last minute of an hour, for leap seconds.
    pub fn of_stamp(stamp: &Stamp) -> Result<Self, NoTime> {
        if !stamp.is_recent() {
            return Err(NoTime::NotRecent);
        }
        let second = 3600 * in_range("hour", stamp.hour, 0, 23)?
            + 60 * in_range("minute", stamp.minute, 0, 59)?
            + in_range(
                "second",
                stamp.second,
                0,
                if stamp.minute == 59 { 60 } else { 59 },
            )?;
        let part = in_range("sub-second", stamp.part, 0, 2 * Stamp::PARTS_PER_SECOND - 1)?;
        Ok(Self(
            day_start(stamp.year, stamp.day)? + second * PARTS + part,
        ))
    }

    /// Time of a sample of the readout stream at a decimation stage (0 to 7): the time of its stamp
    /// less the delay of the decimation filters
    /// ([`group_delay_s`](twotone_wire::crs::group_delay_s)).
    ///
    /// # Errors
    /// As [`SampleTime::of_stamp`].
    pub fn of_readout(stamp: &Stamp, stage: u8) -> Result<Self, NoTime> {
        Ok(Self(Self::of_stamp(stamp)?.0 - group_delay_parts(stage)))
    }

    /// Time in the answer of a board that was asked for its time.
    ///
    /// # Errors
    /// If the board does not say that its time code is recent, or if the time is out of range.
    pub fn of_board(time: &BoardTime) -> Result<Self, NoTime> {
        if time.recent != Some(true) {
            return Err(NoTime::NotRecent);
        }
        let second = time.second_of_day;
        // Two seconds more than a day are allowed: one for a leap second, and one for a late pulse.
        if !(0.0..(SECONDS_PER_DAY + 2) as f64).contains(&second) {
            return Err(NoTime::Field {
                field: "second of the day",
                value: second as i64,
            });
        }
        let parts = (second * PARTS as f64).round() as i64;
        Ok(Self(
            day_start(u32::from(time.year), u32::from(time.day))? + parts,
        ))
    }

    /// Time that is `seconds` after the start of 1970 in UTC, to compare the clock of a computer
    /// with the clock of a board. The resolution is about a microsecond. Times out of range become
    /// the first or the last time of this type, and NaN becomes the start of 1970.
    pub fn of_unix(seconds: f64) -> Self {
        // The fraction is converted separately: the number of parts has more digits than an `f64`.
        let (whole, part) = (seconds.floor(), seconds - seconds.floor());
        let whole = (whole as i64).saturating_sub(YEAR_2000_S);
        let parts = (part * PARTS as f64).round() as i64;
        Self(whole.saturating_mul(PARTS).saturating_add(parts))
    }

    /// Time that is `nanoseconds` after the start of 1970 in UTC.
    pub(super) fn of_unix_ns(nanoseconds: i64) -> Self {
        let since_2000 = i128::from(nanoseconds) - i128::from(YEAR_2000_S) * 1_000_000_000;
        // 5 parts are 32 ns. The result is smaller than the argument, so it fits into 64 bits.
        Self((since_2000 * 5 / 32) as i64)
    }

    /// Nanoseconds since the start of 1970, if the clock of the board shows UTC.
    pub fn unix_ns(self) -> i64 {
        let (seconds, nanoseconds) = self.unix();
        let whole = seconds.saturating_mul(1_000_000_000);
        whole.saturating_add(i64::from(nanoseconds))
    }

    /// Whole seconds since the start of 1970, and the remaining nanoseconds, if the clock of the
    /// board shows UTC.
    pub fn unix(self) -> (i64, u32) {
        let (second, nanosecond) = self.split();
        (second + YEAR_2000_S, nanosecond)
    }

    /// Seconds since the start of the year 2000, with a resolution of about 0.1 us.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / PARTS as f64
    }

    /// Whole seconds since the start of the year 2000, and the remaining nanoseconds.
    pub fn split(self) -> (i64, u32) {
        let (second, part) = (self.0.div_euclid(PARTS), self.0.rem_euclid(PARTS));
        (second, (part * 32 / 5) as u32)
    }

    /// Time since `earlier`; zero if `earlier` is not before this time.
    pub fn since(self, earlier: Self) -> Duration {
        let parts = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        let (seconds, part) = (parts / PARTS as u64, parts % PARTS as u64);
        Duration::new(seconds, (part * 32 / 5) as u32)
    }

    /// Number of parts of a second since the start of the year 2000.
    pub(super) fn parts(self) -> i64 {
        self.0
    }

    /// Time that is `parts` of a second after the start of the year 2000.
    pub(super) fn of_parts(parts: i64) -> Self {
        Self(parts)
    }

    /// Time that is `samples` sampling periods later, at a decimation stage (0 to 7).
    pub(super) fn plus_samples(self, samples: u32, stage: u8) -> Self {
        Self(
            self.0
                .saturating_add(i64::from(samples) * period_parts(stage)),
        )
    }
}

/// Sampling period at a decimation stage, in parts of a second.
pub(super) fn period_parts(stage: u8) -> i64 {
    // The period at stage 0 is 256 * 64 / 625e6 s. A part is 1 / 156.25e6 s.
    4096 << (stage & 7)
}

fn group_delay_parts(stage: u8) -> i64 {
    // First filter: 1.5 * 63 * 256 / 625e6 s = 6048 parts. Second filter: 6 stages, each of half a
    // period less half a period at stage 0.
    6048 + 3 * (period_parts(stage) - period_parts(0))
}

fn in_range(field: &'static str, value: u32, low: u32, high: u32) -> Result<i64, NoTime> {
    let found = i64::from(value);
    if (low..=high).contains(&value) {
        Ok(found)
    } else {
        Err(NoTime::Field {
            field,
            value: found,
        })
    }
}

/// Start of a day (from 1) of a year of the century, in parts of a second since the start of 2000.
fn day_start(year: u32, day: u32) -> Result<i64, NoTime> {
    let (of_century, of_year) = (
        in_range("year", year, 0, 99)?,
        in_range("day", day, 1, 366)?,
    );
    if of_year > days_in(of_century) {
        return Err(NoTime::NoSuchDay { year, day });
    }
    Ok(year_start(of_century) + (of_year - 1) * SECONDS_PER_DAY * PARTS)
}

/// Start of a year of the century, in parts of a second since the start of 2000.
pub(super) fn year_start(year: i64) -> i64 {
    let leap_days = (year + 3).div_euclid(4);
    (365 * year + leap_days) * SECONDS_PER_DAY * PARTS
}

/// Number of days of a year of the century. Every fourth year from 2000 to 2096 is a leap year.
fn days_in(year: i64) -> i64 {
    365 + i64::from(year % 4 == 0)
}

#[cfg(test)]
mod tests {
    use twotone_wire::crs::{StampSource, group_delay_s, sample_rate_hz};

    use super::*;

    fn stamp(year: u32, day: u32, (hour, minute, second): (u32, u32, u32), part: u32) -> Stamp {
        let stamp = Stamp {
            year,
            day,
            hour,
            minute,
            second,
            part,
            ..Stamp::default()
        };
        stamp.with_source(StampSource::Sma, true)
    }

    #[test]
    fn stamps_are_counted_over_midnight_and_new_year() {
        let last = Stamp::PARTS_PER_SECOND - 1;
        // The times of each pair differ by one part.
        let midnight = (23, 59, 59);
        for (before, after) in [
            (stamp(26, 100, midnight, last), stamp(26, 101, (0, 0, 0), 0)),
            (stamp(26, 365, midnight, last), stamp(27, 1, (0, 0, 0), 0)),
            (stamp(24, 366, midnight, last), stamp(25, 1, (0, 0, 0), 0)),
            (stamp(0, 366, midnight, last), stamp(1, 1, (0, 0, 0), 0)),
            (stamp(24, 365, midnight, last), stamp(24, 366, (0, 0, 0), 0)),
            (stamp(26, 9, (5, 59, 59), last), stamp(26, 9, (6, 0, 0), 0)),
            // A leap second, and a late pulse at the end of a year.
            (
                stamp(26, 181, (23, 59, 60), last),
                stamp(26, 182, (0, 0, 1), 0),
            ),
            (
                stamp(26, 365, midnight, last + 5),
                stamp(27, 1, (0, 0, 0), 5),
            ),
        ] {
            let [before, after] = [before, after].map(|s| SampleTime::of_stamp(&s).unwrap());
            assert_eq!(after.0 - before.0, 1, "{before:?} {after:?}");
        }
        let start = SampleTime::of_stamp(&stamp(0, 1, (0, 0, 0), 0)).unwrap();
        assert_eq!(start.split(), (0, 0));
        // 2026-11-22 00:00:00 UTC is 1795305600 s after 1970, and 2000 began at 946684800 s.
        let day = SampleTime::of_stamp(&stamp(26, 326, (0, 0, 0), 78_125_000)).unwrap();
        assert_eq!(day.split(), (1_795_305_600 - 946_684_800, 500_000_000));
        assert_eq!(day.since(start).as_secs_f64(), day.seconds());
        assert_eq!(start.since(day), Duration::ZERO);
        assert_eq!(day.unix(), (1_795_305_600, 500_000_000));
        assert_eq!(SampleTime::of_unix(1_795_305_600.5), day);
    }

    #[test]
    fn stamps_without_meaning_have_no_time() {
        let good = stamp(26, 100, (1, 2, 3), 4);
        let control = good.control;
        for (bad, field) in [
            (Stamp { year: 100, ..good }, "year"),
            (Stamp { day: 0, ..good }, "day"),
            (Stamp { day: 367, ..good }, "day"),
            (Stamp { hour: 24, ..good }, "hour"),
            (Stamp { minute: 60, ..good }, "minute"),
            (Stamp { second: 61, ..good }, "second"),
            (
                Stamp {
                    part: u32::MAX,
                    ..good
                },
                "sub-second",
            ),
        ] {
            let error = SampleTime::of_readout(&bad, 6).unwrap_err();
            assert!(matches!(error, NoTime::Field { field: found, .. } if found == field));
        }
        for (year, day, exists) in [
            (24, 366, true),
            (25, 366, false),
            (26, 366, false),
            (27, 366, false),
            (28, 366, true),
            (0, 366, true),
            (99, 366, false),
            (99, 365, true),
        ] {
            let time = SampleTime::of_stamp(&Stamp { year, day, ..good });
            let none = Err(NoTime::NoSuchDay { year, day });
            assert_eq!(time.is_ok(), exists, "{time:?}");
            assert!(exists || time == none, "{time:?}");
            let board = BoardTime {
                year: year as u8,
                day: day as u16,
                second_of_day: 0.0,
                source: String::new(),
                recent: Some(true),
            };
            assert_eq!(SampleTime::of_board(&board).is_ok(), exists);
        }
        // Second 60 is only allowed in the last minute of an hour.
        let leap = Stamp { second: 60, ..good };
        assert!(SampleTime::of_stamp(&leap).is_err());
        let stale = good.with_source(StampSource::Sma, false);
        assert_ne!(stale.control, control);
        assert_eq!(SampleTime::of_readout(&stale, 6), Err(NoTime::NotRecent));
    }

    #[test]
    fn delays_and_periods_are_whole_numbers_of_parts() {
        let stamp = stamp(26, 1, (0, 0, 0), 0);
        let raw = SampleTime::of_stamp(&stamp).unwrap();
        for stage in 0..=7 {
            let corrected = SampleTime::of_readout(&stamp, stage).unwrap();
            let delay = (raw.0 - corrected.0) as f64 / PARTS as f64;
            assert!((delay - group_delay_s(stage)).abs() < 1e-12, "{delay}");
            let next = raw.plus_samples(1, stage);
            let period = (next.0 - raw.0) as f64 / PARTS as f64;
            assert!((period * sample_rate_hz(stage) - 1.0).abs() < 1e-12);
        }
        // The stamp is in the new year, and the sample was taken in the old one.
        let taken = SampleTime::of_readout(&stamp, 6).unwrap();
        assert_eq!(raw.since(taken), Duration::from_nanos(4_993_228));
    }

    #[test]
    fn a_boards_answer_and_its_packets_have_the_same_time() {
        let mut time = BoardTime {
            year: 26,
            day: 326,
            second_of_day: 15.0 * 3600.0 + 61.0 + 0.25,
            source: "SMA".to_owned(),
            recent: Some(true),
        };
        let packet = stamp(26, 326, (15, 1, 1), Stamp::PARTS_PER_SECOND / 4);
        assert_eq!(SampleTime::of_board(&time), SampleTime::of_stamp(&packet));
        time.second_of_day = f64::NAN;
        assert!(SampleTime::of_board(&time).is_err());
        for not_alive in [Some(false), None] {
            time.recent = not_alive;
            assert_eq!(SampleTime::of_board(&time), Err(NoTime::NotRecent));
        }
    }

    /// Clocks of computers and of boards can return any number.
    #[test]
    fn a_time_of_any_number_is_one_or_is_refused() {
        for exponent in -30..309 {
            for number in [1.0, 1.5, 9.75, -1.0, -1.5, -9.75].map(|n| n * 10_f64.powi(exponent)) {
                let time = SampleTime::of_unix(number);
                let (seconds, nanoseconds) = time.unix();
                if number.abs() < 1e10 {
                    let again = seconds as f64 + f64::from(nanoseconds) * 1e-9;
                    assert!((again - number).abs() < 1e-5, "{number}: {again}");
                }
                let board = BoardTime {
                    year: 26,
                    day: 326,
                    second_of_day: number,
                    source: "SMA".to_owned(),
                    recent: Some(true),
                };
                let in_day = (0.0..86_401.0).contains(&number);
                assert_eq!(SampleTime::of_board(&board).is_ok(), in_day, "{number}");
            }
        }
        for (number, expected) in [
            (f64::INFINITY, i64::MAX),
            (f64::MAX, i64::MAX),
            (7e10 + 0.5, i64::MAX),
            (f64::NEG_INFINITY, i64::MIN),
        ] {
            assert_eq!(SampleTime::of_unix(number).parts(), expected, "{number}");
        }
        assert_eq!(SampleTime::of_unix(f64::NAN), SampleTime::of_unix(0.0));
    }
}
