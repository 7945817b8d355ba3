//! Tests that every warning and failure of a tune shows in the JSON object, in the table, in the
//! manifest and in the exit status.

use twotone::Array;
use twotone::algorithms::chunks::JoinStatus;
use twotone::algorithms::delay::DelayStatus;
use twotone::algorithms::finding::FindStatus;
use twotone::algorithms::{
    ChannelStatus, NetworkAnalysisParams, NotToned, NotTonedReason, Reason, TuneOutcome,
    TuneParams, tune,
};
use twotone::campaign::{BoardStatus, Completion, TuneReport};
use twotone::hal::{Error, ErrorKind, ModuleId};
use twotone::map::HardwareMap;
use twotone::record::BoardRecord;
use twotone::run::{HardwareState, Outcome};
use twotone::sim::Farm;

use super::table::table;

/// A board with three detectors, and a tune of it without any problem.
struct Tuned {
    _farm: Farm,
    map: HardwareMap,
    array: Array,
    tune: TuneOutcome,
}

impl Tuned {
    fn new() -> Self {
        let farm = Farm::builder().detectors(3).band(1.0e9, 1.05e9);
        let farm = farm.start_blocking().unwrap();
        let map = HardwareMap::try_from(&farm).unwrap();
        let array = Array::connect(&map).wait();
        let board = array.board("crs0001").wait().unwrap();
        let params = TuneParams {
            network_analysis: NetworkAnalysisParams {
                points: 6000,
                ..Default::default()
            },
            ..TuneParams::default()
        };
        let tune = tune(&board, ModuleId::FIRST, &params).wait().unwrap();
        Self {
            _farm: farm,
            map,
            array,
            tune,
        }
    }

    fn report(&self, change: impl FnOnce(&mut TuneOutcome)) -> TuneReport {
        let mut tune = self.tune.clone();
        change(&mut tune);
        // The outcome of a tune has the warnings of all stages, so the warnings of a changed stage
        // are collected again.
        let stages = [
            tune.cable_delay.warnings(),
            tune.network_analysis.warnings(),
            tune.find.warnings(),
            tune.fine_sweep
                .iter()
                .flat_map(|fine| fine.warnings())
                .collect(),
        ];
        tune.warnings.extend(stages.concat());
        let outcome = Outcome {
            board: "crs0001".to_owned(),
            module: ModuleId::FIRST,
            result: Ok(tune),
            hardware: HardwareState::Kept,
            elapsed: std::time::Duration::ZERO,
            repeats: 0,
            board_warnings: Vec::new(),
        };
        TuneReport::of(&self.map, &self.array, &[outcome], 1.0)
    }

    /// Entry of the board in the manifest.
    fn record(&self, report: &TuneReport) -> BoardRecord {
        report.records(&self.array, &self.map).remove(0)
    }

    /// Changes the outcome of the tune, and asserts that `word` is in the JSON object, in the table
    /// and in the manifest.
    fn check(&self, word: &str, change: impl FnOnce(&mut TuneOutcome)) {
        let report = self.report(change);
        let spaced = word.replace('_', " ");
        let found = |text: &str| text.contains(word) || text.contains(&spaced);
        assert_eq!(report.completion(), Completion::Incomplete, "{word}");
        let object = serde_json::to_string(&report).unwrap();
        assert!(found(&object), "{word}: {object}");
        let table = table(&report, None, None);
        assert!(found(&table), "{word}: {table}");
        let board = &report.boards[0];
        assert_eq!(board.status, BoardStatus::SomeFailed, "{word}");
        let record = self.record(&report);
        let kept = record.warnings.iter().any(|text| found(text))
            || record.channels["failed"] + record.channels["not_toned"] > 0;
        assert!(kept, "{word}: {record:?}");
    }
}

#[test]
fn every_status_and_warning_of_every_stage_is_told() {
    let tuned = Tuned::new();
    let well = tuned.report(|_| {});
    let shown = table(&well, None, None);
    assert_eq!(well.completion(), Completion::Complete, "{shown}");

    for status in DelayStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        tuned.check(status.as_str(), |tune| {
            tune.cable_delay.delay.status = status
        });
    }
    for status in JoinStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        tuned.check(status.as_str(), |tune| {
            tune.network_analysis.join = status;
            tune.network_analysis.seams_hz = vec![1.02e9];
            tune.network_analysis.seam_status = vec![status];
        });
        tuned.check(status.as_str(), |tune| tune.network_analysis.join = status);
    }
    for status in FindStatus::ALL.into_iter().filter(|s| !s.is_success()) {
        tuned.check(status.as_str(), |tune| tune.find.status = status);
    }
    for reason in NotTonedReason::ALL {
        let fr_hz = 1.01e9;
        tuned.check(reason.as_str(), |tune| {
            tune.not_toned = vec![NotToned { fr_hz, reason }]
        });
    }
    for reason in Reason::all().filter(|reason| *reason != Reason::Ok) {
        tuned.check(reason.as_str(), |tune| {
            tune.channels[1].status = ChannelStatus::Failed;
            tune.channels[1].reason = reason;
        });
    }
    let overrange = "a converter was over its range";
    tuned.check(overrange, |tune| tune.cable_delay.overrange = true);
    tuned.check(overrange, |tune| tune.network_analysis.overrange = true);
    tuned.check(overrange, |tune| {
        tune.fine_sweep.as_mut().unwrap().overrange = true
    });
    let voltage = "an input was over its voltage";
    tuned.check(voltage, |tune| tune.cable_delay.overvoltage = true);
    tuned.check(voltage, |tune| tune.network_analysis.overvoltage = true);
    tuned.check(voltage, |tune| {
        tune.fine_sweep.as_mut().unwrap().overvoltage = true
    });
    let left_out = "3 points are left out of";
    tuned.check(left_out, |tune| tune.cable_delay.bad_points = 3);
    tuned.check(left_out, |tune| tune.network_analysis.bad_points = 3);
    tuned.check(left_out, |tune| {
        tune.fine_sweep.as_mut().unwrap().bad_points = 3
    });
    tuned.check("every sample of the network analysis is zero", |tune| {
        tune.network_analysis.z.fill(Default::default());
    });
    tuned.check("no resonance was found", |tune| {
        tune.find.candidates.clear()
    });
    tuned.check("any other word", |tune| {
        tune.warnings.push("any other word".to_owned())
    });
}

#[test]
fn the_manifest_has_every_error_and_repetition_of_every_module() {
    let tuned = Tuned::new();
    let outcome = |module, repeats, why: Option<&'static str>| Outcome {
        board: "crs0001".to_owned(),
        module: ModuleId::new(module).unwrap(),
        result: why.map_or_else(
            || Ok(tuned.tune.clone()),
            |why| Err(Error::new(ErrorKind::Timeout, why)),
        ),
        hardware: HardwareState::Kept,
        elapsed: std::time::Duration::ZERO,
        repeats,
        board_warnings: Vec::new(),
    };
    for (outcomes, status, error, warnings) in [
        (
            vec![outcome(1, 0, None), outcome(2, 1, None)],
            BoardStatus::Ok,
            None,
            &["module 2: one question had to be asked again"][..],
        ),
        (
            vec![
                outcome(1, 0, None),
                outcome(2, 0, Some("no answer")),
                outcome(3, 3, Some("no answer")),
            ],
            BoardStatus::SomeFailed,
            Some("no answer"),
            &["module 3: no answer", "module 3: 3 questions had to be"],
        ),
        (
            vec![
                outcome(1, 0, Some("refused")),
                outcome(2, 0, Some("no answer")),
            ],
            BoardStatus::Failed,
            Some("refused"),
            &["module 2: no answer"],
        ),
    ] {
        let report = TuneReport::of(&tuned.map, &tuned.array, &outcomes, 1.0);
        let board = &report.boards[0];
        let told = tuned.record(&report).warnings;
        assert_eq!(
            (board.status, told.len()),
            (status, warnings.len()),
            "{told:?}"
        );
        let found = board.error.as_ref().map(ToString::to_string);
        let found = found.as_deref();
        assert!(
            found.is_some() == error.is_some() && found.unwrap_or("").contains(error.unwrap_or(""))
        );
        for (told, says) in told.iter().zip(warnings) {
            let (module, text) = says.split_at("module 1: ".len());
            assert!(told.starts_with(module) && told.contains(text), "{told}");
        }
    }
}
