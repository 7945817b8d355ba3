//! Dates, compared with the computer's clock.

use super::*;

#[test]
fn dates_are_held_against_the_calendar_and_the_computers_clock() {
    let day = |day: u32| move |_: i64, made: &mut Made| made.stamped.stamp.day = day;
    for wrong in [&day(366) as Wrong<'_>, &day(0), &day(367)] {
        let judged = stream(6, noon(), wrong);
        let found = judged.found;
        let all = judged.times.len() as u64;
        assert_eq!((found.no_such_day, found.timeless), (all, all), "{found:?}");
        assert!(!found.is_sound());
    }
    // The year alone is wrong, and that of this computer is right; or the day is wrong too.
    for (year, off_days, source, origin, is_sound) in [
        (0, 0, StampSource::Sma, Some(TimeOrigin::Year), false),
        (99, 0, StampSource::Sma, Some(TimeOrigin::Year), false),
        (25, 0, StampSource::Backplane, Some(TimeOrigin::Year), false),
        (27, 0, StampSource::Sma, Some(TimeOrigin::Year), false),
        (70, 3, StampSource::Sma, None, false),
        (0, -30, StampSource::Sma, None, false),
        (26, 133, StampSource::Sma, Some(TimeOrigin::Stamp), true),
        (26, -133, StampSource::Sma, Some(TimeOrigin::Stamp), true),
        (70, 3, StampSource::Test, Some(TimeOrigin::Stamp), true),
    ] {
        let judged = stream(6, noon(), &|_, made| {
            let stamped = &mut made.stamped;
            stamped.stamp = stamped.stamp.with_source(source, true);
            stamped.stamp.year = year;
            let received = stamped.received.unwrap().parts() + off_days * DAY;
            stamped.received = Some(SampleTime::of_parts(received));
        });
        let (found, all) = (judged.found, judged.times.len() as u64);
        let context = format!("{year}, {off_days} days, {source:?}: {found:?}");
        assert_eq!(found.is_sound(), is_sound, "{context}");
        match origin {
            Some(origin) => assert_eq!(judged.of(origin), all, "{context}"),
            None => assert_eq!(
                (found.timeless, found.out_of_reach),
                (all, all),
                "{context}"
            ),
        }
        if origin == Some(TimeOrigin::Year) {
            assert!(judged.off_us() < 1.0, "{context}");
            assert_eq!(found.out_of_reach, all, "{context}");
        }
    }
}

#[test]
fn a_date_that_comes_right_gives_times_from_then_on() {
    for year in [0, 99] {
        let judged = stream(6, noon(), &|_, made| {
            if since(made) < 1.5 {
                made.stamped.stamp.year = year;
                // So that the year of this computer is no help.
                made.stamped.stamp.day -= 9;
            }
        });
        let found = judged.found;
        assert_eq!(found.steps, 1, "{found:?}");
        assert!((880..940).contains(&found.timeless), "{found:?}");
        assert!(judged.of(TimeOrigin::Stamp) > 840 && judged.off_us() < 1.0);
        assert!(found.clock_offset_s.unwrap().abs() < 1.0, "{found:?}");
    }
}

#[test]
fn new_years_leap_seconds_and_lost_packets_are_no_contradiction() {
    let new_year = year_start(27) - PARTS;
    for stage in [0, 3, 6] {
        let judged = stream(stage, new_year, &|_, _| {});
        assert!(judged.found.is_sound(), "{:?}", judged.found);
        assert!(judged.off_us() < 1.0);
        // Second 60, and the same second again as the first of the year.
        let leap = stream(stage, new_year, &|_, made| {
            let new_year = year_start(27);
            if (new_year..new_year + PARTS).contains(&made.parts) {
                let part = made.stamped.stamp.part;
                made.stamped.stamp = Stamp {
                    second: 60,
                    part,
                    ..stamp(new_year - PARTS)
                };
            } else if made.parts >= new_year {
                made.parts -= PARTS;
            }
        });
        assert!(leap.found.is_sound(), "{:?}", leap.found);
        assert_eq!((leap.found.leap_seconds, leap.found.reconstructed), (1, 0));
    }
}
