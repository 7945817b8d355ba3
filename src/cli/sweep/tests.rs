//! Every warning and failure of a sweep is in the object, the table and the exit status.

use twotone::algorithms::delay::estimate_delay;
use twotone::hal::{Complex64, Hertz};

use super::*;

/// A sweep of two settings of the NCO, with which all is well.
fn swept() -> Swept {
    let frequency_hz: Vec<f64> = (0..64).map(|k| 1.0e9 + 1e5 * f64::from(k)).collect();
    let z = vec![Complex64::new(1e4, 0.0); 64];
    let delay = estimate_delay(&frequency_hz, &z, 1e-6);
    Swept {
        delay: CableDelayOutcome {
            module: ModuleId::FIRST,
            nco: Hertz(1.003e9),
            delay,
            cable_length_m: delay.cable_length_m(),
            overrange: false,
            overvoltage: false,
            bad_points: 0,
        },
        wide: NetworkAnalysisOutcome {
            module: ModuleId::FIRST,
            join: JoinStatus::Success,
            frequency_hz,
            z,
            noise: Some(1.0),
            nco_hz: vec![1.002e9, 1.004e9],
            seams_hz: vec![1.003e9],
            seam_status: vec![JoinStatus::Success],
            bad_points: 0,
            amplitude: 0.001,
            overrange: false,
            overvoltage: false,
        },
    }
}

/// The report of one module of one board.
fn report(change: impl FnOnce(&mut Swept)) -> Report {
    let mut swept = swept();
    change(&mut swept);
    let outcome = Outcome {
        board: "b".to_owned(),
        module: ModuleId::FIRST,
        result: Ok(swept),
        hardware: HardwareState::AsDeclared,
        elapsed: Duration::ZERO,
        repeats: 0,
    };
    let board = BoardReport {
        name: "b".to_owned(),
        reached: true,
        identity: None,
        doubts: Vec::new(),
        error: None,
        modules: vec![ModuleReport::of(&outcome)],
    };
    Report {
        elapsed_s: 1.0,
        interrupted: false,
        run_directory: None,
        boards: vec![board],
    }
}

#[track_caller]
fn check(word: &str, change: impl FnOnce(&mut Swept)) {
    let report = report(change);
    assert_eq!(report.exit(), Exit::SomeFailed, "{word}");
    let object = serde_json::to_string(&report).unwrap();
    assert!(object.contains(word), "{word}: {object}");
    assert!(report.table().contains(word), "{word}: {}", report.table());
}

#[test]
fn every_status_and_warning_of_a_sweep_is_told() {
    let well = report(|_| {});
    assert_eq!(well.exit(), Exit::Well, "{}", well.table());
    for status in DelayStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        check(status.as_str(), |swept| swept.delay.delay.status = status);
    }
    for status in JoinStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        check(status.as_str(), |swept| swept.wide.join = status);
        check("1003.000 MHz", |swept| {
            swept.wide.join = status;
            swept.wide.seam_status = vec![status];
        });
    }
    check("a converter was over its range", |swept| {
        swept.delay.overrange = true
    });
    check("a converter was over its range", |swept| {
        swept.wide.overrange = true
    });
    check("3 points are left out", |swept| swept.delay.bad_points = 3);
    check("3 points are left out", |swept| swept.wide.bad_points = 3);
    check("is zero", |swept| {
        swept.wide.z.fill(Complex64::new(0.0, 0.0))
    });
}
