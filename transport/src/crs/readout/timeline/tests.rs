//! Tests of the times of samples with each kind of fault of a clock.

mod any;
mod dates;
mod jumps;
mod rates;

use twotone_wire::crs::StampSource;

use super::*;
use crate::crs::readout::time::{period_parts, year_start};

const DAY: i64 = 86_400 * PARTS;

/// A test packet. `parts` is the time of its stamp: the number of parts of a second since 2000,
/// with [`PARTS`] of them in a second. If a fault changes `parts`, the stamp is made anew from it.
struct Made {
    parts: i64,
    stamped: Stamped,
}

/// A fault of a clock. The function gets the number of a packet and changes the packet.
type Wrong<'a> = &'a dyn Fn(i64, &mut Made);

fn stamp(parts: i64) -> Stamp {
    let (seconds, part) = (parts.div_euclid(PARTS), parts.rem_euclid(PARTS));
    let year = (0..100)
        .rev()
        .find(|year| year_start(*year) <= parts)
        .unwrap_or(0);
    let second = seconds.rem_euclid(86_400) as u32;
    let stamp = Stamp {
        year: year as u32,
        day: ((parts - year_start(year)) / DAY) as u32 + 1,
        hour: second / 3600,
        minute: second / 60 % 60,
        second: second % 60,
        part: part as u32,
        control: 0,
        second_of_day: second,
    };
    stamp.with_source(StampSource::Sma, true)
}

/// A fifth of a second after noon of day 200 of 2026.
fn noon() -> i64 {
    year_start(26) + 199 * DAY + DAY / 2 + PARTS / 5
}

/// A stage, for tests of the readout stream.
impl From<u8> for Spacing {
    fn from(stage: u8) -> Self {
        Self::Stage(stage)
    }
}

struct Judged {
    times: Vec<Option<JudgedTime>>,
    found: TimeFindings,
    spacing: Spacing,
    start: i64,
}

/// Determines the times of a stream of three seconds that begins at `start`, with a fault of its
/// clock.
fn stream(spacing: impl Into<Spacing>, start: i64, wrong: Wrong<'_>) -> Judged {
    stream_for(3, spacing, start, wrong)
}

/// As [`stream`], for a stream of this many seconds.
fn stream_for(seconds: i64, spacing: impl Into<Spacing>, start: i64, wrong: Wrong<'_>) -> Judged {
    let spacing = spacing.into();
    let (mut timeline, mut times) = (Timeline::new(), Vec::new());
    let mut give = |time| times.push(time);
    let period = spacing.period_parts();
    let delay = SampleTime::of_stamp(&stamp(start)).unwrap().parts()
        - spacing.time_of(&stamp(start)).unwrap().parts();
    for at in 0..seconds * PARTS / period {
        let parts = start + at * period;
        let mut made = Made {
            parts,
            stamped: Stamped {
                sequence: (at as u32).wrapping_sub(500),
                lost_before: 0,
                spacing,
                stamp: stamp(parts),
                received: Some(SampleTime::of_parts(parts + PARTS / 500)),
            },
        };
        wrong(at, &mut made);
        if made.parts != parts {
            made.stamped.stamp = stamp(made.parts);
        }
        timeline.take(&made.stamped, &mut give);
    }
    timeline.settle(&mut give);
    let found = timeline.findings();
    Judged {
        times,
        found,
        spacing,
        start: start - delay,
    }
}

impl Judged {
    /// Largest difference of a time from the time at which its sample was taken, in microseconds.
    fn off_us(&self) -> f64 {
        let off = |(at, time): (usize, &Option<JudgedTime>)| {
            let truth = self.start + at as i64 * self.spacing.period_parts();
            Some((((*time)?.time.parts() - truth) as f64 * 0.0064).abs())
        };
        self.times
            .iter()
            .enumerate()
            .filter_map(off)
            .fold(0.0, f64::max)
    }

    fn of(&self, origin: TimeOrigin) -> u64 {
        let of = |time: &&Option<JudgedTime>| time.is_some_and(|time| time.origin == origin);
        self.times.iter().filter(of).count() as u64
    }
}

/// Checks with several spacings that a fault of the clock does not spoil the times. `wrong_share`
/// is the share of samples whose times must come from sequence numbers, and `holds` checks the
/// findings.
fn check(name: &str, wrong: Wrong<'_>, wrong_share: f64, holds: &dyn Fn(&TimeFindings) -> bool) {
    check_within(1.0, name, wrong, wrong_share, holds);
}

/// As [`check`], for times that may be wrong by `within_us` microseconds.
fn check_within(
    within_us: f64,
    name: &str,
    wrong: Wrong<'_>,
    wrong_share: f64,
    holds: &dyn Fn(&TimeFindings) -> bool,
) {
    check_spacings(&STAGES, within_us, name, wrong, wrong_share, holds);
    check_spacings(&SIZES, within_us, name, wrong, wrong_share, holds);
}

const STAGES: [Spacing; 3] = [Spacing::Stage(0), Spacing::Stage(3), Spacing::Stage(6)];
const SIZES: [Spacing; 2] = [Spacing::Samples(250), Spacing::Samples(1000)];

/// As [`check_within`], for these spacings.
fn check_spacings(
    spacings: &[Spacing],
    within_us: f64,
    name: &str,
    wrong: Wrong<'_>,
    wrong_share: f64,
    holds: &dyn Fn(&TimeFindings) -> bool,
) {
    for spacing in spacings.iter().copied() {
        let judged = stream(spacing, noon(), wrong);
        let (found, off_us) = (&judged.found, judged.off_us());
        let context = format!("{name} with {spacing:?}: {found:?}");
        assert!(holds(found), "{context}");
        assert_eq!(found.is_sound(), wrong_share == 0.0, "{context}");
        assert!(off_us < within_us, "{context}: {off_us} us off");
        let all = judged.times.len() as f64;
        assert_eq!(found.timeless, 0, "{context}");
        assert_eq!(found.reconstructed, judged.of(TimeOrigin::Sequence));
        let share = found.reconstructed as f64 / all;
        assert!((share - wrong_share).abs() < 0.02, "{context}: {share}");
    }
}

/// Seconds since the stream began.
fn since(made: &Made) -> f64 {
    (made.parts - noon()) as f64 / PARTS as f64
}

fn set(made: &mut Made, seconds: f64) {
    made.parts += (seconds * PARTS as f64) as i64;
}

#[test]
fn a_clock_that_is_right_is_taken_at_its_word() {
    check("right", &|_, _| {}, 0.0, &|found| {
        found.clock_offset_s.unwrap().abs() < 0.01
    });
    for ppm in [-150.0, -30.0, 30.0, 150.0] {
        // The drift of the clock either accumulates, or is corrected each second.
        let runs = |_: i64, made: &mut Made| set(made, since(made) * ppm * 1e-6);
        // Stamps that agree with the timeline are used unchanged. After three seconds they are
        // wrong by up to 450 us.
        check_within(455.0, "drifts", &runs, 0.0, &|_| true);
        let put_right = |_: i64, made: &mut Made| {
            let part = made.parts.rem_euclid(PARTS) as f64;
            made.stamped.stamp.part = (part * (1.0 + ppm * 1e-6)) as u32;
        };
        check_within(155.0, "put right", &put_right, 0.0, &|_| true);
    }
    let no_day_seconds = |_: i64, made: &mut Made| made.stamped.stamp.second_of_day = 0;
    check("no seconds of the day", &no_day_seconds, 0.0, &|_| true);
}

#[test]
fn steps_are_found_with_their_size_and_place() {
    for seconds in [
        3600.0, -5.0, 1.0, -1.0, 86_400.0, -86_400.0, 0.001, -0.001, 0.00168, 3e7,
    ] {
        let step = |_: i64, made: &mut Made| {
            if since(made) > 1.5 {
                set(made, seconds);
            }
        };
        check(&format!("by {seconds} s"), &step, 0.5, &|found| {
            let first = found.first_step.unwrap();
            found.steps == 1 && found.drifts == 0 && (first.seconds - seconds).abs() < 1e-4
        });
    }
    // A step by one sampling period, with no packet lost.
    for stage in [0, 3, 6] {
        let step = |_: i64, made: &mut Made| {
            if since(made) > 1.5 {
                made.parts += period_parts(stage);
            }
        };
        let judged = stream(stage, noon(), &step);
        assert!(judged.found.first_step.is_some(), "{:?}", judged.found);
    }
    let thrice = |_: i64, made: &mut Made| set(made, since(made).floor() * 60.0);
    check("each second", &thrice, 2.0 / 3.0, &|found| found.steps == 2);
    let back = |_: i64, made: &mut Made| {
        if (0.9..1.5).contains(&since(made)) {
            set(made, 10.0);
        }
    };
    check("and back", &back, 0.2, &|found| found.steps == 2);
    // The finding names the first sample after the step.
    let judged = stream(6, noon(), &|at, made| {
        if at >= 700 {
            set(made, 7.0);
        }
    });
    assert_eq!(judged.found.first_step.unwrap().sequence, 200);
}

#[test]
fn stamps_that_stray_are_put_between_their_neighbours() {
    let late_second = |_: i64, made: &mut Made| {
        if made.parts.rem_euclid(PARTS) < PARTS / 50 {
            set(made, -1.0);
        }
    };
    check("a second that is late", &late_second, 0.02, &|found| {
        found.stray > 30 && found.steps == 0
    });
    let alternating = |at: i64, made: &mut Made| set(made, [0.0, 0.0, 40.0][at as usize % 3]);
    check("each third", &alternating, 1.0 / 3.0, &|found| {
        found.steps == 0
    });
    let first = |at: i64, made: &mut Made| set(made, if at < 4 { 400.0 } else { 0.0 });
    check(
        "the first ones",
        &|at, made| {
            first(at, made);
            if since(made) > 2.8 && since(made) < 3.0 {
                made.parts -= PARTS / 2;
            }
        },
        1.0 / 15.0,
        &|found| found.stray == 4 && found.steps == 1,
    );
    let flickers = |at: i64, made: &mut Made| {
        let stamp = made.stamped.stamp;
        made.stamped.stamp = stamp.with_source(StampSource::Sma, at % 4 != 1);
    };
    check("not recent", &flickers, 0.25, &|found| {
        found.not_recent > 400
    });
    let no_day = |at: i64, made: &mut Made| {
        made.stamped.stamp.day = if at % 4 == 1 { 366 } else { 200 };
    };
    check("no such day", &no_day, 0.25, &|found| {
        found.no_such_day > 400
    });
}

#[test]
fn a_clock_that_stands_still_is_found() {
    let freeze = |_: i64, made: &mut Made| made.parts = made.parts.min(noon() + 2 * PARTS);
    // The first of the stamps that stay may still be right, to within a quarter of a period and 100
    // us. The periods of the stages nearly divide the time until the clock stops, so that there the
    // error is smaller.
    for (spacings, within_us) in [(&STAGES[..], 7.0), (&SIZES, 100.0)] {
        let is_frozen = |found: &TimeFindings| found.frozen > 500;
        let name = "stands still";
        check_spacings(spacings, within_us, name, &freeze, 1.0 / 3.0, &is_frozen);
    }
    let pauses = |_: i64, made: &mut Made| {
        if since(made) > 1.0 {
            made.parts = (made.parts - PARTS).max(noon() + PARTS);
        }
    };
    check("pauses", &pauses, 2.0 / 3.0, &|found| {
        found.steps == 1 && (found.first_step.unwrap().seconds + 1.0).abs() < 0.01
    });
    let part = |_: i64, made: &mut Made| {
        if since(made) > 1.0 {
            made.stamped.stamp.part = 77;
        }
    };
    // In each second, one stamp may agree with the timeline by chance. Stamps agree that are within
    // a quarter of a sampling period of the timeline, after the clock's correction.
    check_within(220.0, "its sub-second does", &part, 2.0 / 3.0, &|found| {
        found.frozen > 1000
    });
    let backward = |_: i64, made: &mut Made| {
        if since(made) > 1.0 {
            let part = made.stamped.stamp.part;
            made.stamped.stamp.part = Stamp::PARTS_PER_SECOND - 1 - part;
        }
    };
    check_within(
        400.0,
        "its sub-second runs backward",
        &backward,
        2.0 / 3.0,
        &|found| found.stray > 1000,
    );
    // If the stamps are wrong from the first packet on, no line can be fitted.
    for wrong in [
        (&|_: i64, made: &mut Made| made.parts = noon()) as Wrong<'_>,
        &|_: i64, made: &mut Made| made.stamped.stamp.part = 77,
        &|_: i64, made: &mut Made| {
            let part = made.stamped.stamp.part;
            made.stamped.stamp.part = Stamp::PARTS_PER_SECOND - 1 - part;
        },
    ] {
        let judged = stream(6, noon(), wrong);
        let found = judged.found;
        assert_eq!(found.timeless, judged.times.len() as u64, "{found:?}");
        assert!(!found.is_sound());
    }
}

#[test]
fn a_clock_that_runs_otherwise_than_the_samples_is_found() {
    for rate in [1e-3, -1e-3, 0.01] {
        let runs = |_: i64, made: &mut Made| set(made, since(made) * rate);
        for stage in [0, 3, 6] {
            let judged = stream(stage, noon(), &runs);
            let found = judged.found;
            assert!(found.drifts >= 1, "{rate} at stage {stage}: {found:?}");
            assert!(
                found.reconstructed > judged.times.len() as u64 / 2,
                "{found:?}"
            );
        }
    }
    // If no two stamps are a sampling period apart, no sample has a time.
    let judged = stream(6, noon(), &|_, made| set(made, since(made) * 0.2));
    assert_eq!(judged.found.timeless, judged.times.len() as u64);
}

#[test]
fn lost_packets_advance_the_line_and_a_stream_that_begins_anew_has_a_new_line() {
    let (mut timeline, mut times) = (Timeline::new(), Vec::new());
    let mut give = |time: Option<JudgedTime>| times.push(time);
    let mut truth = Vec::new();
    // The arguments are the sequence number, the number of samples since the start, the number of
    // packets lost just before, the stage, and the seconds by which the clock is ahead.
    let mut take = |sequence: u32, at: i64, lost: u64, stage: u8, ahead: i64| {
        let parts = noon() + at * period_parts(6);
        let stamped = Stamped {
            sequence,
            lost_before: lost,
            spacing: Spacing::Stage(stage),
            stamp: stamp(parts + ahead * PARTS),
            received: Some(SampleTime::of_parts(parts)),
        };
        truth.push(SampleTime::of_readout(&stamped.stamp, stage).unwrap());
        timeline.take(&stamped, &mut give);
    };
    for at in 0..200_u32 {
        let lost = u64::from(at == 100) * 50;
        let after = if at >= 100 { 50 } else { 0 };
        take(
            u32::MAX - 20_u32.wrapping_sub(at + after),
            i64::from(at + after),
            lost,
            6,
            0,
        );
    }
    // The stream begins anew in three ways: with another sequence number, with another decimation
    // stage, and with a sequence number that never advances, so that each packet begins it anew.
    (0..200).for_each(|at| take(7 + at, 1000 + i64::from(at), 0, 6, 0));
    (0..200).for_each(|at| take(207 + at, 1300 + 2 * i64::from(at), 0, 7, 0));
    (0..200).for_each(|at| take(9, 2000 + i64::from(at), 0, 6, 0));
    timeline.settle(&mut give);
    drop(timeline);
    let origins = times.iter().map(|time| time.unwrap().origin);
    assert!(origins.clone().all(|origin| origin == TimeOrigin::Stamp));
    let times: Vec<_> = times.iter().map(|time| time.unwrap().time).collect();
    assert_eq!(times, truth);
}

#[test]
fn a_step_between_two_runs_is_told_by_the_computers_clock() {
    for (ahead, steps) in [(0, 0), (2, 0), (3600, 1), (-86_400, 1)] {
        let (mut timeline, mut times) = (Timeline::new(), 0);
        for at in 0..400_u32 {
            let parts = noon() + i64::from(at) * period_parts(6);
            let (sequence, ahead) = if at < 200 {
                (at, 0)
            } else {
                (at + 9000, ahead)
            };
            let stamped = Stamped {
                sequence,
                lost_before: 0,
                spacing: Spacing::Stage(6),
                stamp: stamp(parts + ahead * PARTS),
                received: Some(SampleTime::of_parts(parts)),
            };
            timeline.take(&stamped, &mut |time| times += u32::from(time.is_some()));
        }
        timeline.settle(&mut |time| times += u32::from(time.is_some()));
        let found = timeline.findings();
        assert_eq!((times, found.steps), (400, steps), "{found:?}");
    }
}

#[test]
fn fields_that_contradict_each_other_and_another_source_are_told() {
    let odds = |_: i64, made: &mut Made| made.stamped.stamp.second_of_day += 3600;
    let found = stream(6, noon(), &odds).found;
    assert!(found.at_odds > 1000 && !found.is_sound(), "{found:?}");
    let source = |at: i64, made: &mut Made| {
        if at > 900 {
            let stamp = made.stamped.stamp;
            made.stamped.stamp = stamp.with_source(StampSource::Backplane, true);
        }
    };
    let found = stream(6, noon(), &source).found;
    assert_eq!((found.source_changes, found.is_sound()), (1, false));
    // Every stamp shows that the clock receives no time code. This is no contradiction.
    let none = |_: i64, made: &mut Made| {
        made.stamped.stamp = Stamp::default().with_source(StampSource::Sma, false);
    };
    let judged = stream(6, noon(), &none);
    let all = judged.times.len() as u64;
    assert_eq!((judged.found.timeless, judged.found.not_recent), (all, all));
    assert!(judged.found.is_sound());
}
