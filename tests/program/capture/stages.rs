//! Every decimation stage and packet length of the usual stream, and changes between them.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type};
use serde_json::Value;
use twotone::sim::Farm;

use super::endings::{begun, ended, wait_for_packets};
use super::{Lab, batches};

/// Returns the rate of the samples at a stage, in Hz.
fn rate_hz(stage: u8) -> f64 {
    625e6 / 256.0 / 64.0 / f64::from(1_u32 << stage)
}

/// Asserts that the rows are in order, that none is made up, and that each has one of these stages
/// and the time that follows from its sequence number and its stage. Returns their number.
fn check_rows(batches: &[RecordBatch], stages: &[u8]) -> usize {
    let mut before: Option<(u32, i64, u8)> = None;
    let mut rows = 0;
    for batch in batches {
        let sequence = batch["sequence"].as_primitive::<UInt32Type>().values();
        let lost = batch["lost_before"].as_primitive::<UInt64Type>().values();
        let times = batch["time"]
            .as_primitive::<TimestampNanosecondType>()
            .values();
        let stage = batch["stage"].as_primitive::<UInt8Type>().values();
        for row in 0..batch.num_rows() {
            let now = (sequence[row], times[row], stage[row]);
            assert!(stages.contains(&now.2), "stage {}", now.2);
            if let Some(last) = before.replace(now).filter(|last| last.2 == now.2) {
                let step = f64::from(now.0.wrapping_sub(last.0));
                assert_eq!(step, 1.0 + lost[row] as f64, "row {rows}");
                let apart = (now.1 - last.1) as f64 * 1e-9 * rate_hz(now.2);
                assert!(
                    (apart - step).abs() < 1e-3,
                    "row {rows}: {apart} for {step}"
                );
            }
            rows += 1;
        }
    }
    rows
}

fn module(report: &Value) -> &Value {
    &report["boards"][0]["modules"][0]
}

#[test]
fn every_stage_and_length_is_captured_at_its_rate() {
    let farm = Farm::builder().boards(1).detectors(1).seed(101);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let board = &lab.farm.boards()[0];
    let short = (0..=6).map(|stage| (stage, true));
    for (stage, is_short) in short.chain((3..=6).map(|stage| (stage, false))) {
        tell!(board, "set_decimation", stage, is_short, 1_u8);
        let out = lab.text_path(&format!("{stage}-{is_short}"));
        let (status, report) = lab.capture("0.3", &["--out", &out]);
        let context = format!("stage {stage}, short {is_short}: {report}");
        assert_eq!(status, if report["lost"] == 0 { 0 } else { 3 }, "{context}");
        let module = module(&report);
        assert_eq!(
            module["channels"],
            if is_short { 128 } else { 1024 },
            "{context}"
        );
        assert_eq!(
            (&module["form_changes"], &module["misfit"]),
            (&0.into(), &0.into())
        );
        let due = module["due"].as_f64().unwrap();
        assert!((due / 0.3 / rate_hz(stage) - 1.0).abs() < 0.01, "{context}");
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        assert_eq!(
            module["received"],
            check_rows(&found, &[stage]),
            "{context}"
        );
        assert_eq!(module["reconstructed"], 0, "{context}");
        std::fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn a_change_of_stage_or_length_is_told_as_what_it_is() {
    for (seed, before, after, says) in [
        (
            102,
            (0, true),
            (3, false),
            "128 channels at stage 0 to 1024 channels at stage 3",
        ),
        (
            103,
            (3, false),
            (2, true),
            "1024 channels at stage 3 to 128 channels at stage 2",
        ),
        (
            104,
            (4, true),
            (1, true),
            "128 channels at stage 4 to 128 channels at stage 1",
        ),
        (
            105,
            (5, true),
            (5, false),
            "128 channels at stage 5 to 1024 channels at stage 5",
        ),
    ] {
        let farm = Farm::builder().boards(1).detectors(1).seed(seed);
        let lab = Lab::of(farm.start_blocking().unwrap());
        let board = &lab.farm.boards()[0];
        tell!(board, "set_decimation", before.0, before.1, 1_u8);
        let out = lab.text_path("samples");
        let capture = begun(&lab, &out, &["--seconds", "2"]);
        wait_for_packets(board, (0.3 * rate_hz(before.0)) as u64);
        tell!(board, "set_decimation", after.0, after.1, 1_u8);
        let (status, report, _) = ended(capture);
        assert_eq!(status, 3, "{report}");
        let module = module(&report);
        let doubts = module["doubts"].to_string();
        assert!(
            doubts.contains(&format!("from {says}, at sample ")),
            "{doubts}"
        );
        assert_eq!(module["form_changes"], 1, "{module}");
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        let rows = check_rows(&found, &[before.0, after.0]) as u64;
        let [received, misfit] = ["received", "misfit"].map(|key| module[key].as_u64().unwrap());
        assert_eq!(received - misfit, rows, "{module}");
        // Short packets lack channels of a file that began with long ones.
        assert_eq!(misfit > 0, !before.1 && after.1, "{module}");
    }
}
