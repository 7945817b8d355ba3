//! Tests that every warning and failure of a sweep shows in the JSON object, in the table, in the
//! completion (which gives the exit status) and in the manifest.

use twotone::Array;
use twotone::algorithms::chunks::JoinStatus;
use twotone::algorithms::delay::{DelayStatus, estimate_delay};
use twotone::algorithms::{CableDelayOutcome, NetworkAnalysisOutcome};
use twotone::campaign::{Completion, Swept};
use twotone::hal::{Complex64, Error, ErrorKind, Hertz, ModuleId};
use twotone::record::{BoardRecord, Failure};
use twotone::run::{HardwareState, Outcome};
use twotone::sim::Farm;

use super::*;

/// Result of a sweep of a module without any problem, in two parts at different NCO frequencies.
fn swept() -> Swept {
    let frequency_hz: Vec<f64> = (0..64).map(|k| 1.0e9 + 1e5 * f64::from(k)).collect();
    let z = vec![Complex64::new(1e4, 0.0); 64];
    let delay = estimate_delay(&frequency_hz, &z, 1e-6);
    Swept {
        geometry: Default::default(),
        cable_delay: CableDelayOutcome {
            module: ModuleId::FIRST,
            nco: Hertz(1.003e9),
            span_hz: 6.3e6,
            delay,
            cable_length_m: delay.cable_length_m(),
            overrange: false,
            overvoltage: false,
            bad_points: 0,
        },
        network_analysis: NetworkAnalysisOutcome {
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

fn outcome(module: u8, result: twotone::hal::Result<Swept>) -> Outcome<Swept> {
    Outcome {
        board: "crs0001".to_owned(),
        module: ModuleId::new(module).unwrap(),
        result,
        hardware: HardwareState::AsDeclared,
        elapsed: Duration::ZERO,
        repeats: 0,
        board_warnings: Vec::new(),
    }
}

/// A simulated board, with its map and the connection to it: reports and manifests need them.
struct Lab {
    _farm: Farm,
    map: HardwareMap,
    array: Array,
}

impl Lab {
    fn new() -> Self {
        let farm = Farm::builder().detectors(1).start_blocking().unwrap();
        let map = HardwareMap::try_from(&farm).unwrap();
        let array = Array::connect(&map).wait();
        Self {
            _farm: farm,
            map,
            array,
        }
    }

    /// Makes the report of a sweep of the board from the outcomes of its modules.
    fn report(&self, outcomes: &[Outcome<Swept>]) -> SweepReport {
        SweepReport::of(&self.map, &self.array, outcomes, 1.0)
    }

    fn record(&self, report: &SweepReport) -> BoardRecord {
        report.records(&self.array, &self.map).remove(0)
    }

    /// Changes the result of the sweep of the only module, and asserts that `word` is in the JSON
    /// object, in the table and in the manifest.
    #[track_caller]
    fn check(&self, word: &str, change: impl FnOnce(&mut Swept)) {
        let mut swept = swept();
        change(&mut swept);
        let report = self.report(&[outcome(1, Ok(swept))]);
        assert_eq!(report.completion(), Completion::Incomplete, "{word}");
        let object = serde_json::to_string(&report).unwrap();
        assert!(object.contains(word), "{word}: {object}");
        let table = table(&report);
        assert!(table.contains(word), "{word}: {table}");
        let record = self.record(&report);
        let kept = record.warnings.iter().any(|text| text.contains(word));
        assert!(kept, "{word}: {record:?}");
        assert_eq!(
            (record.status.as_str(), record.error),
            ("some_failed", None)
        );
    }
}

#[test]
fn every_status_and_warning_of_a_sweep_is_told() {
    let lab = Lab::new();
    let well = lab.report(&[outcome(1, Ok(swept()))]);
    assert_eq!(well.completion(), Completion::Complete, "{}", table(&well));
    let record = lab.record(&well);
    assert_eq!((record.status.as_str(), record.warnings), ("ok", vec![]));
    for status in DelayStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        lab.check(status.as_str(), |swept| {
            swept.cable_delay.delay.status = status
        });
    }
    for status in JoinStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        lab.check(status.as_str(), |swept| {
            swept.network_analysis.join = status
        });
        lab.check("1003.000 MHz", |swept| {
            swept.network_analysis.join = status;
            swept.network_analysis.seam_status = vec![status];
        });
    }
    lab.check("a converter was over its range", |swept| {
        swept.cable_delay.overrange = true
    });
    lab.check("a converter was over its range", |swept| {
        swept.network_analysis.overrange = true
    });
    lab.check("3 points are left out", |swept| {
        swept.cable_delay.bad_points = 3
    });
    lab.check("3 points are left out", |swept| {
        swept.network_analysis.bad_points = 3
    });
    lab.check("is zero", |swept| {
        swept.network_analysis.z.fill(Complex64::new(0.0, 0.0))
    });
}

#[test]
fn the_manifest_has_every_error_repetition_and_setting_of_every_module() {
    let lab = Lab::new();
    let failed = |why: &'static str| Err(Error::new(ErrorKind::Timeout, why));
    let repeated = Outcome {
        repeats: 2,
        ..outcome(2, Ok(swept()))
    };
    let left = Outcome {
        hardware: HardwareState::Left {
            left_on: Default::default(),
            unknown: Default::default(),
            not_restored: Default::default(),
            nco: None,
            reason: Failure::of_words("the link is gone"),
        },
        ..outcome(4, failed("no answer"))
    };
    let mut doubtful = swept();
    doubtful.network_analysis.overrange = true;
    for (outcomes, status, error, warnings) in [
        (
            vec![outcome(1, Ok(swept())), repeated],
            "ok",
            None,
            &["module 2: 2 questions had to be asked again"][..],
        ),
        (
            vec![outcome(1, Ok(doubtful)), outcome(2, failed("no answer"))],
            "some_failed",
            Some("no answer"),
            &["module 1: a converter was over its range"],
        ),
        (
            vec![
                outcome(1, failed("no answer")),
                outcome(2, failed("refused")),
                outcome(3, failed("no answer")),
                left,
            ],
            "failed",
            Some("no answer"),
            &[
                "module 2: refused",
                "module 3: no answer",
                "module 4: no answer",
                "module 4: the link is gone",
            ],
        ),
    ] {
        let record = lab.record(&lab.report(&outcomes));
        assert_eq!(record.status, status, "{record:?}");
        let found = record.error.as_ref().map(ToString::to_string);
        let found = found.as_deref();
        assert_eq!(found.is_some(), error.is_some(), "{record:?}");
        assert!(error.is_none_or(|error| found.unwrap().contains(error)));
        assert_eq!(record.warnings.len(), warnings.len(), "{record:?}");
        for (found, says) in record.warnings.iter().zip(warnings) {
            let (module, text) = says.split_at("module 1: ".len());
            assert!(found.starts_with(module) && found.contains(text), "{found}");
        }
    }
}
