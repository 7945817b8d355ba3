//! Tests of clocks that run faster or slower than the samples, within and beyond the allowed drift.

use super::*;

/// Determines the times of a stream of this many seconds, with a clock that drifts by `ppm` parts
/// in a million. With `jitter`, stamps are late by up to the largest lateness allowed.
fn run(ppm: f64, jitter: bool, stage: u8, seconds: i64) -> Judged {
    let most = line::jitter(period_parts(stage)) as u64;
    stream_for(seconds, stage, noon(), &|at, made| {
        set(made, since(made) * ppm * 1e-6);
        // A pseudorandom number.
        let any = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        made.parts += i64::from(jitter) * (any % most) as i64;
    })
}

#[test]
fn a_clock_that_runs_faster_or_slower_than_it_may_is_found_at_every_stage() {
    for stage in 0..=6 {
        for (ppm, seconds) in [
            (220.0, 22),
            (300.0, 6),
            (-300.0, 6),
            (-450.0, 3),
            (900.0, 2),
        ] {
            for jitter in [false, true] {
                let judged = run(ppm, jitter, stage, seconds);
                let found = judged.found;
                let context = format!("{ppm} ppm at stage {stage}, {jitter}: {found:?}");
                assert_eq!((found.drifts, found.steps), (1, 0), "{context}");
                // Once the drift is found, the times follow from the sequence numbers, and their
                // error grows no further.
                let last = judged.times.last().unwrap().unwrap();
                assert_eq!(last.origin, TimeOrigin::Sequence, "{context}");
                let most_us = 100.0 + ppm.abs() * (seconds - 1) as f64;
                assert!(judged.off_us() < most_us + 200.0, "{context}");
            }
        }
    }
}

#[test]
fn a_clock_that_runs_as_it_may_is_taken_at_its_word_however_long() {
    for stage in 0..=6 {
        let seconds = if stage < 3 { 12 } else { 60 };
        for ppm in [0.0, 190.0, -190.0, 199.0, -199.0] {
            for jitter in [false, true] {
                let found = run(ppm, jitter, stage, seconds).found;
                assert!(
                    found.is_sound(),
                    "{ppm} at stage {stage}, {jitter}: {found:?}"
                );
            }
        }
        // The same holds if the drift is corrected each second.
        for ppm in [-190.0, 190.0] {
            let found = stream_for(12, stage, noon(), &|_, made| {
                let part = made.parts.rem_euclid(PARTS) as f64;
                made.stamped.stamp.part = (part * (1.0 + ppm * 1e-6)) as u32;
            });
            let found = found.found;
            assert!(found.is_sound(), "{ppm} at stage {stage}: {found:?}");
        }
    }
}

#[test]
fn a_clock_that_begins_to_run_off_is_found_as_soon() {
    for stage in [2, 4, 6] {
        let judged = stream_for(45, stage, noon(), &|_, made| {
            set(made, (since(made) - 40.0).max(0.0) * 300e-6);
        });
        assert_eq!(judged.found.drifts, 1, "{:?}", judged.found);
        // The size of a later step is reported without the drift before it.
        let judged = stream_for(12, stage, noon(), &|_, made| {
            let step = if since(made) > 9.0 { -7.0 } else { 0.0 };
            set(made, since(made) * -300e-6 + step);
        });
        let step = judged.found.first_step.unwrap();
        assert!((step.seconds + 7.0).abs() < 1e-3, "{step:?}");
        assert_eq!((judged.found.steps, judged.found.drifts), (1, 1));
        // The drift continues while samples are lost: after 9 s, the samples of 10 s are lost.
        let lost = 10 * PARTS / period_parts(stage);
        let judged = stream_for(12, stage, noon(), &|at, made| {
            let first = 9 * PARTS / period_parts(stage);
            if at >= first {
                let stamped = &mut made.stamped;
                stamped.sequence += lost as u32;
                stamped.lost_before = if at == first { lost as u64 } else { 0 };
                made.parts += lost * period_parts(stage);
                stamped.received = Some(SampleTime::of_parts(made.parts + PARTS / 500));
            }
            set(made, since(made) * 300e-6);
        });
        assert_eq!((judged.found.steps, judged.found.drifts), (0, 1));
    }
}
