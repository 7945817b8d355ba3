//! Tests in which one of three boards has a fault. Its error names the board, the operation and the
//! cause. At the end its tones are off, or the outcome lists them. The other boards are not
//! affected.

use std::time::Duration;

use tworoutine::Wait;
use twotone::algorithms::TuneOutcome;
use twotone::hal::{ChannelId, ErrorKind};
use twotone::run::{HardwareState, Outcome};
use twotone::sim::Farm;
use twotone::sim::fault::{
    BlackHole, CloseMidAnswer, ErrorOnCall, Fault, Hang, HugeAnswer, NotTuber, Reboot, Refuse,
    Scheduled, ServerError, Slow, WrongType,
};

use super::{BAND_HZ, RUN_DEADLINE, connect, connecting, params, tune_all};

fn farm() -> twotone::sim::FarmBuilder {
    Farm::builder()
        .boards(3)
        .detectors(6)
        .seed(11)
        .band(BAND_HZ.0, BAND_HZ.1)
}

/// Returns the result of the tuning of a module as it is stored, without times and identifiers.
fn stored(outcome: &Outcome<TuneOutcome>) -> String {
    serde_json::to_string(outcome.result.as_ref().expect("it has no fault")).expect("plain data")
}

struct Case {
    fault: Scheduled,
    /// Kind of the expected error; `None` if the fault only costs time.
    kind: Option<ErrorKind>,
    /// True if no connection to the board is possible because of the fault.
    absent: bool,
}

fn absent(fault: impl Into<Scheduled>, kind: ErrorKind) -> Case {
    Case {
        fault: fault.into(),
        kind: Some(kind),
        absent: true,
    }
}

/// Makes a case whose fault begins after a number of calls. The fault ends after another number of
/// calls, if there is one.
fn midway(fault: Fault, calls: (u64, Option<u64>), kind: Option<ErrorKind>) -> Case {
    let fault = match calls {
        (first, Some(count)) => fault.during(first, count),
        (first, None) => fault.from_call(first),
    };
    Case {
        fault,
        kind,
        absent: false,
    }
}

fn cases() -> Vec<Case> {
    use ErrorKind as K;
    let samples = || "get_samples".to_owned();
    let wrong = || WrongType { method: samples() };
    let fails = || ErrorOnCall {
        method: None,
        message: "RuntimeError: no".to_owned(),
    };
    vec![
        absent(Refuse {}, K::Unreachable),
        absent(BlackHole {}, K::Timeout),
        absent(NotTuber {}, K::Protocol),
        absent(ServerError {}, K::Protocol),
        absent(CloseMidAnswer { after_bytes: None }, K::ConnectionLost),
        absent(HugeAnswer { bytes: 16 << 20 }, K::Protocol),
        // Connecting needs no samples, so connecting succeeds and tuning fails.
        midway(wrong().into(), (0, None), Some(K::Protocol)),
        midway(
            Hang { method: samples() }.into(),
            (0, None),
            Some(K::Timeout),
        ),
        midway(Slow { delay_ms: 20 }.into(), (0, Some(8000)), None),
        midway(
            CloseMidAnswer { after_bytes: None }.into(),
            (5000, Some(1)),
            None,
        ),
        midway(
            CloseMidAnswer { after_bytes: None }.into(),
            (5000, None),
            Some(K::ConnectionLost),
        ),
        midway(BlackHole {}.into(), (5000, None), Some(K::Timeout)),
        midway(ServerError {}.into(), (5000, Some(3000)), Some(K::Protocol)),
        midway(wrong().into(), (5000, None), Some(K::Protocol)),
        midway(
            Hang { method: samples() }.into(),
            (5000, None),
            Some(K::Timeout),
        ),
        midway(fails().into(), (7000, Some(1)), Some(K::Rejected)),
        midway(
            Reboot { down_ms: 0 }.into(),
            (5000, Some(1)),
            Some(K::EpochChanged),
        ),
        // The client asks again while the board is still down.
        midway(
            Reboot { down_ms: 300 }.into(),
            (5000, Some(1)),
            Some(K::EpochChanged),
        ),
    ]
}

#[test]
fn a_fault_on_one_board_is_told_and_the_others_never_notice() {
    let healthy = farm().start_blocking().expect("a farm");
    let whole: Vec<String> = tune_all(&connect(&healthy), &params())
        .iter()
        .map(stored)
        .collect();
    drop(healthy);

    for case in cases() {
        let told = format!("{:?}", case.fault);
        let farm = farm()
            .fault(1, case.fault)
            .start_blocking()
            .expect("a farm");
        // This time limit is longer than the deadline of the library, even on a loaded machine. If
        // it passes, the program hangs.
        let array = connecting(&farm).wait_timeout(Duration::from_secs(15));
        let array = array.unwrap_or_else(|_| panic!("{told}: connecting went on"));
        let outcomes = tune_all(&array, &params());
        for outcome in &outcomes {
            assert!(outcome.elapsed <= RUN_DEADLINE, "{told}: {outcome:?}");
        }

        let others: Vec<_> = outcomes.iter().filter(|o| o.board != "crs0002").collect();
        assert_eq!(others.len(), 2, "{told}");
        assert_eq!(
            stored(others[0]),
            whole[0],
            "{told}: the first board noticed"
        );
        assert_eq!(
            stored(others[1]),
            whole[2],
            "{told}: the third board noticed"
        );

        let faulty = outcomes.iter().find(|outcome| outcome.board == "crs0002");
        let error = if case.absent {
            assert!(faulty.is_none(), "{told}: it was connected");
            array.failed().first()
        } else {
            faulty.expect("it was connected").result.as_ref().err()
        };
        assert_eq!(
            error.map(|error| error.kind()),
            case.kind,
            "{told}: {error:?}"
        );
        if let Some(error) = error {
            assert_eq!(error.board(), Some("crs0002"), "{told}");
            assert!(error.operation().is_some(), "{told}: {error}");
        } else if let Some(outcome) = faulty {
            // A fault that only costs time or a repeated request does not change the result, except
            // for the noise of samples that were taken twice.
            assert!(outcome.is_well(), "{told}");
        }
        if let (Some(outcome), Some(_)) = (faulty, case.kind) {
            check_tones(&farm, outcome, &told);
        }
    }
}

/// Asserts that the tones are off, or that the outcome lists those that may be on. Also asserts
/// that they can be switched off once the fault has ended.
fn check_tones(farm: &Farm, outcome: &Outcome<TuneOutcome>, told: &str) {
    farm.boards()[1].clear_faults();
    let array = connect(farm);
    let Ok(board) = array.board("crs0002").wait() else {
        panic!("{told}: it is not back")
    };
    let first = ChannelId::new(1).expect("the first");
    let on = |tones: Vec<twotone::hal::ToneState>| {
        tones
            .into_iter()
            .filter(|tone| tone.is_on())
            .map(|tone| tone.channel)
            .collect::<Vec<_>>()
    };
    let read = || {
        board
            .tones()
            .read(outcome.module, first, 1024)
            .wait()
            .expect("it is back")
    };
    let still_on = on(read());
    match &outcome.hardware {
        HardwareState::AsDeclared | HardwareState::Untouched => {
            assert_eq!(still_on, [], "{told}: said to be off");
        }
        HardwareState::Left {
            left_on, unknown, ..
        } => {
            for channel in &still_on {
                let named = left_on.contains(*channel) || unknown.contains(*channel);
                assert!(named, "{told}: channel {channel} is on and not named");
            }
        }
        other => panic!("{told}: {other:?}"),
    }
    let off = twotone::run::Runner::new()
        .off(array.board_targets("crs0002"))
        .wait();
    assert!(off.iter().all(Outcome::is_well), "{told}: {off:?}");
    assert_eq!(on(read()), [], "{told}");
}

#[test]
fn a_farm_restarted_from_its_seed_gives_the_same_bytes() {
    let run = || -> Vec<String> {
        let farm = farm()
            .profile(twotone::sim::Profile::Lab)
            .start_blocking()
            .expect("a farm");
        tune_all(&connect(&farm), &params())
            .iter()
            .map(stored)
            .collect()
    };
    assert_eq!(run(), run());
}
