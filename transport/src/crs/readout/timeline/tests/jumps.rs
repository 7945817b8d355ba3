//! Tests of jumps of the sequence numbers, and of clocks that are set while samples are lost.

use super::*;

/// A jump at the sample `at`. From there on, the sequence numbers are higher by `numbers` and the
/// clock is ahead by `ahead_s`. Just before the jump, `lost` samples are lost.
#[derive(Clone, Copy)]
struct Jump {
    at: i64,
    numbers: i64,
    lost: i64,
    ahead_s: f64,
}

/// Determines the times of a stream with a jump. The delay of its packets varies by up to 3 ms.
fn jump(stage: u8, jump: Jump, wrong: Wrong<'_>) -> Judged {
    let mut judged = stream(stage, noon(), &|at, made| {
        let ms = PARTS / 1000;
        let mut received = made.parts + 2 * ms + (at * 7919 % 3000) * ms / 1000;
        if at >= jump.at {
            let stamped = &mut made.stamped;
            let all = jump.numbers + jump.lost;
            stamped.sequence = stamped.sequence.wrapping_add(all as u32);
            // The receiver begins a new run after a jump backward, or after too long a jump
            // forward.
            let is_anew = !(0..=i64::from(ModuleCounters::LONGEST_GAP)).contains(&all);
            stamped.lost_before = if at == jump.at && !is_anew {
                all as u64
            } else {
                0
            };
            let passed = jump.lost * period_parts(stage);
            received += passed;
            made.parts += passed + (jump.ahead_s * PARTS as f64) as i64;
        }
        made.stamped.received = Some(SampleTime::of_parts(received));
        wrong(at, made);
    });
    // `stream` does not include the lost samples in the times of the samples, so the length of the
    // gap is subtracted.
    let passed = jump.lost * period_parts(stage);
    for time in judged.times.iter_mut().skip(jump.at as usize).flatten() {
        time.time = SampleTime::of_parts(time.time.parts() - passed);
    }
    judged
}

const JUMP: Jump = Jump {
    at: 1000,
    numbers: 0,
    lost: 0,
    ahead_s: 0.0,
};

#[test]
fn sequence_numbers_that_jump_are_no_step_of_the_clock() {
    for (stage, numbers, lost, at) in [
        (6, 1_000_000, 0, 1000),
        (6, 1, 0, 1000),
        (6, 20, 0, 1000),
        (6, 100, 0, 700),
        (6, 5000, 0, 3),
        (6, 1 << 24, 0, 1000),
        (6, 1000, 3, 1000),
        (6, 1_000_000, 400, 1000),
        (0, 1_000_000, 0, 40_000),
        (0, 50, 0, 40_000),
        (3, 5000, 1, 5000),
        (5, 65_536, 0, 1500),
    ] {
        let judged = jump(
            stage,
            Jump {
                numbers,
                lost,
                at,
                ..JUMP
            },
            &|_, _| {},
        );
        let found = judged.found;
        let context = format!("by {numbers} after {lost} at stage {stage}: {found:?}");
        assert_eq!(
            (found.sequence_jumps, found.steps, found.stray),
            (1, 0, 0),
            "{context}"
        );
        assert_eq!(found.not_lost, numbers as u64, "{context}");
        let sequence = (at + numbers + lost - 500) as u32;
        assert_eq!(found.first_jump_sequence, Some(sequence), "{context}");
        let all = judged.times.len() as u64;
        assert_eq!(
            (judged.of(TimeOrigin::Stamp), found.is_sound()),
            (all, false),
            "{context}"
        );
        assert!(judged.off_us() < 1.0, "{context}");
    }
    // If the stream begins anew, the receiver reports this, so the timeline has no finding.
    for numbers in [-1_000_000, -100, (1 << 24) + 1, 1 << 30] {
        let judged = jump(6, Jump { numbers, ..JUMP }, &|_, _| {});
        assert!(judged.found.is_sound(), "by {numbers}: {:?}", judged.found);
        assert!(judged.off_us() < 1.0, "by {numbers}");
    }
    // Four jumps, one of them at a packet whose stamp has no valid time.
    let judged = jump(6, JUMP, &|at, made| {
        let stamped = &mut made.stamped;
        stamped.sequence = stamped.sequence.wrapping_add((at / 400 * 9000) as u32);
        stamped.lost_before = if at > 0 && at % 400 == 0 { 9000 } else { 0 };
        if at == 800 {
            stamped.stamp = stamped.stamp.with_source(StampSource::Sma, false);
        }
    });
    let found = judged.found;
    assert_eq!(
        (found.sequence_jumps, found.steps, found.reconstructed),
        (4, 0, 1)
    );
    // At the stamp without a time, the size of the jump follows from the times of reception. They
    // vary by 3 ms, so the size may be wrong by two samples.
    assert!((35_998..=36_000).contains(&found.not_lost), "{found:?}");
    assert!(judged.off_us() < 1.0, "{found:?}");
}

#[test]
fn a_clock_that_is_set_while_samples_are_lost_is_still_the_one_that_jumped() {
    for (stage, lost, ahead_s) in [
        (6, 1000, -1.0),
        (6, 1000, 1.0),
        (6, 1000, 3600.0),
        (6, 10, -3600.0),
        (6, 10, 0.5),
        (6, 100, -0.1),
        (0, 100_000, -2.0),
        // The clock is set back by exactly the length of the gap.
        (6, 1000, -1000.0 * 262_144.0 / 156.25e6),
    ] {
        let judged = jump(
            stage,
            Jump {
                at: 700,
                lost,
                ahead_s,
                ..JUMP
            },
            &|_, _| {},
        );
        let found = judged.found;
        let context = format!("{lost} lost, by {ahead_s} s at stage {stage}: {found:?}");
        assert_eq!((found.sequence_jumps, found.steps), (0, 1), "{context}");
        let step = found.first_step.unwrap();
        assert!((step.seconds - ahead_s).abs() < 1e-3, "{context}");
        assert!(judged.off_us() < 1.0, "{context}");
    }
    // Lost packets alone are neither a jump nor a step, even if the packets after them are received
    // late.
    for late_s in [0, 1, 4] {
        for lost in [1, 20, 1000, 100_000] {
            let judged = jump(6, Jump { lost, ..JUMP }, &|at, made| {
                if (1000..1400).contains(&at) {
                    let received = made.stamped.received.unwrap().parts() + late_s * PARTS;
                    made.stamped.received = Some(SampleTime::of_parts(received));
                }
            });
            assert!(
                judged.found.is_sound(),
                "{lost}, {late_s} s: {:?}",
                judged.found
            );
            assert!(judged.off_us() < 1.0);
        }
    }
}
