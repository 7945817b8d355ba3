//! Time stamps of packets, as dirfiles have them: the second of the day, the sub-second in parts of
//! 6.4 ns, and the delay by which the stamp is later than the sample.

use twotone_transport::readout::group_delay_s;

/// Number of parts in a second.
pub(super) const PARTS: i128 = 156_250_000;
/// Seconds in a day.
pub(super) const DAY_S: i128 = 86_400;
/// Highest decimation stage.
pub(super) const LAST_STAGE: u8 = 7;

/// A time stamp of a dirfile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DayStamp {
    /// Second of the day.
    pub(super) second: i32,
    /// Parts of 6.4 ns since the second began.
    pub(super) part: i32,
}

/// Returns the delay of the decimation filters at a stage, in parts.
pub(super) fn delay_parts(stage: u8) -> i128 {
    (group_delay_s(stage.min(LAST_STAGE)) * PARTS as f64).round() as i128
}

impl DayStamp {
    /// True if a clock can show this stamp. A leap second is a second more, and a board may advance
    /// the second late.
    pub(super) fn is_of_a_clock(self) -> bool {
        let in_day = (0..=DAY_S).contains(&i128::from(self.second));
        in_day && (0..2 * PARTS).contains(&i128::from(self.part))
    }

    /// Returns the stamp of a sample that was taken at `time_ns`, in nanoseconds since 1970, at a
    /// decimation stage. Samples of fast streams have no stage and no delay.
    pub(super) fn of(time_ns: i64, stage: Option<u8>) -> Self {
        let parts = to_parts(time_ns) + stage.map_or(0, delay_parts);
        Self {
            second: parts.div_euclid(PARTS).rem_euclid(DAY_S) as i32,
            part: parts.rem_euclid(PARTS) as i32,
        }
    }
}

/// Returns a time of the board in parts. Times of boards are whole parts, and a capture has them
/// with the fraction of the nanosecond cut off. So the next whole part is the exact time.
fn to_parts(time_ns: i64) -> i128 {
    -(-i128::from(time_ns) * 5).div_euclid(32)
}

/// Returns a number of parts since 1970 in nanoseconds, with the fraction cut off.
pub(super) fn to_ns(parts: i128) -> i64 {
    i64::try_from((parts * 32).div_euclid(5)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_nanoseconds_are_the_same_times() {
        for parts in (0..1000).chain([PARTS * 1_767_225_600 + 123_456_789, -7]) {
            assert_eq!(to_parts(to_ns(parts)), parts);
        }
    }

    #[test]
    fn a_stamp_is_later_than_its_sample_by_the_delay() {
        let time_ns = to_ns(PARTS * (20_000 * DAY_S + 86_399) + PARTS - 1);
        let fast = DayStamp::of(time_ns, None);
        assert_eq!((fast.second, fast.part), (86_399, 156_249_999));
        // The delay at stage 0 is 38.7 us: the stamp is in the next day.
        let slow = DayStamp::of(time_ns, Some(0));
        assert_eq!((slow.second, slow.part), (0, 6047));
    }
}
