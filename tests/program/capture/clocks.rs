//! Tests of captures (sample streams that are written to files) in which clocks of boards fail, or
//! packets change their length or rate. The manifest (`manifest.json`) is the overview of the files
//! of a capture.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, RecordBatch};
use serde_json::Value;
use twotone::record::{BoardRecord, Manifest};
use twotone::sim::Farm;
use twotone::sim::fault::{
    ClockDate, ClockLateSecond, ClockStep, ClockStop, Fault, Scheduled, StaleStamps,
};

use super::super::process::run;
use super::endings::{begun, ended, wait_for_packets};
use super::{Lab, batches, check_rows};

/// Counts the rows by the source of their time. Rows without a time are not counted.
fn sources(found: &[RecordBatch]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for batch in found {
        let schema = batch.schema();
        let names = &schema.field_with_name("time_source").unwrap().metadata()["names"];
        let names: BTreeMap<String, String> = serde_json::from_str(names).unwrap();
        let column = batch["time_source"].as_primitive::<UInt8Type>();
        assert_eq!(column.null_count(), batch["time"].null_count());
        for number in column.iter().flatten() {
            *rows.entry(names[&number.to_string()].clone()).or_default() += 1;
        }
    }
    rows
}

fn doubts(module: &Value) -> String {
    let doubts = module["doubts"].as_array().expect("a list");
    let doubts = doubts.iter().map(|doubt| doubt.as_str().expect("words"));
    doubts.collect::<Vec<_>>().join("; ")
}

/// Checks that the manifest contains every doubt (reason not to trust the samples) of a module.
fn check_noted(noted: &BoardRecord, module: &Value) {
    for doubt in module["doubts"].as_array().unwrap() {
        let told = format!("module {}: {}", module["module"], doubt.as_str().unwrap());
        assert!(noted.warnings.contains(&told), "{told}: {noted:?}");
    }
}

fn count(module: &Value, key: &str) -> u64 {
    let count = module[key].as_u64();
    count.unwrap_or_else(|| panic!("no {key} in {module}"))
}

#[test]
fn clocks_that_contradict_themselves_are_told_and_their_times_marked() {
    let date = |day| {
        Fault::from(ClockDate {
            year: None,
            day: Some(day),
        })
    };
    let step = |seconds| Fault::from(ClockStep { seconds });
    // Each case has a fault, the name of the counter of its packets, a part of the text of the
    // doubt, and true if the samples still have times.
    let cases: [(Scheduled, &str, &str, bool); 7] = [
        (
            step(3600.0).from_call(400),
            "clock_steps",
            "set forward by 3600.000 s",
            true,
        ),
        (
            step(-5.0).during(300, 200),
            "clock_steps",
            "set 2 times, first back by 5.000 s",
            true,
        ),
        (
            Fault::from(ClockStop {}).during(300, 200),
            "stamps_frozen",
            "stands still",
            true,
        ),
        (
            ClockLateSecond { late_ms: 20 }.into(),
            "stamps_stray",
            "contradict those around them",
            true,
        ),
        (
            date(366).into(),
            "stamps_no_such_day",
            "a day that their year does not have",
            false,
        ),
        (
            date(0).during(300, 100),
            "stamps_no_such_day",
            "a day that",
            true,
        ),
        (
            Fault::from(StaleStamps {}).during(300, 100),
            "stamps_not_recent",
            "are not recent",
            true,
        ),
    ];
    let mut farm = Farm::builder()
        .boards(cases.len() + 1)
        .detectors(1)
        .seed(71);
    for (board, (fault, ..)) in cases.iter().enumerate() {
        farm = farm.fault(board, fault.clone());
    }
    let lab = Lab::of(farm.start_blocking().unwrap());
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("1.6", &["--out", &out, "--channels", "8"]);
    assert_eq!(status, 3, "{report}");
    let manifest = Manifest::read(&out).unwrap();
    for (board, (_, key, says, has_times)) in cases.iter().enumerate() {
        let told = &report["boards"][board];
        let module = &told["modules"][0];
        assert_eq!(told["ok"], false, "{told}");
        assert!(count(module, key) > 0, "{key}: {module}");
        assert!(doubts(module).contains(says), "{module}");
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        let sources = sources(&found);
        let of = |source: &str| sources.get(source).copied().unwrap_or(0);
        let received = count(module, "received");
        if *has_times {
            // The times go on in step with the sequence numbers.
            assert_eq!(check_rows(&found) as u64, received);
            assert_eq!(of("stamp") + of("sequence"), received, "{sources:?}");
            assert!(
                of("stamp") > 200 && of("sequence") > 5,
                "{sources:?} {module}"
            );
        } else {
            assert!(sources.is_empty(), "{sources:?}");
            assert_eq!(count(module, "timeless"), received);
        }
        assert_eq!(count(module, "reconstructed"), of("sequence"));
        let noted = &manifest.boards[board];
        let error = noted.error.as_ref().unwrap();
        assert_eq!(noted.status, "some_failed");
        assert!(doubts(module).contains(error.message.strip_prefix("module 1: ").unwrap()));
        assert_eq!(noted.channels["reconstructed"] as u64, of("sequence"));
        check_noted(noted, module);
    }
    let first = &report["boards"][0]["modules"][0];
    let step_s = first["clock_step_s"].as_f64().unwrap();
    assert!((step_s - 3600.0).abs() < 1e-6 && first["clock_step_sequence"].is_u64());
    // There is no doubt about a clock without a fault.
    let right = &report["boards"][cases.len()];
    let (is_whole, right) = (&right["ok"], &right["modules"][0]);
    // A machine that is too busy for the simulated boards loses samples. The report says so.
    assert!(is_whole == true || count(right, "lost") > 0, "{right}");
    assert_eq!(
        (doubts(right).as_str(), &right["clock_source"]),
        ("", &"test".into())
    );
    let out = lab.text_path("text");
    let args = ["capture", &lab.map, "--seconds", "1.2", "--out", &out];
    let (_, table, _) = run(&args);
    assert!(
        table.contains("a day that their year does not have"),
        "{table}"
    );
}

#[test]
fn a_year_that_is_out_of_reach_is_no_time_as_any() {
    let no_year = ClockDate {
        year: Some(0),
        day: None,
    };
    let farm = Farm::builder().boards(2).detectors(1).seed(72);
    let farm = farm.fault(0, no_year.clone()).fault(1, no_year);
    let lab = Lab::of(farm.start_blocking().unwrap());
    // The first board reads a time code. The other board reads none, so the time of its clock is
    // invented.
    tell!(lab.farm.boards()[0], "set_timestamp_port", "SMA");
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("0.3", &["--out", &out]);
    assert_eq!(status, 3, "{report}");
    let [board, made_up] = [0, 1].map(|board| &report["boards"][board]);
    assert_eq!(board["ok"], false, "{board}");
    assert_eq!(doubts(&made_up["modules"][0]), "");
    let module = &board["modules"][0];
    let received = count(module, "received");
    assert_eq!(count(module, "stamps_out_of_reach"), received, "{module}");
    for says in [
        "out of reach of this computer's clock",
        "days behind this computer's",
    ] {
        assert!(doubts(module).contains(says), "{module}");
    }
    // A stamp without a year gets the year of this computer only if its day is today's.
    let found = batches(Path::new(&out), module["file"].as_str().unwrap());
    let with_year = sources(&found).remove("year").unwrap_or(0);
    assert_eq!(with_year + count(module, "timeless"), received);

    // `--clock-within` sets the largest allowed offset of a clock. It applies to invented times
    // too.
    let out = lab.text_path("within");
    let (status, report) = lab.capture("0.3", &["--out", &out, "--clock-within", "60"]);
    assert_eq!(status, 3, "{report}");
    let module = &report["boards"][1]["modules"][0];
    assert!(doubts(module).contains("its clock is"), "{module}");
}

#[test]
fn packets_that_change_their_form_are_told_as_that() {
    // The report also has doubts about the clocks: the first board has no time code, and the clock
    // of the other one is 5 s behind this computer's. The clocks of simulated boards begin with the
    // year 2026.
    let year_begins = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let since = year_begins.elapsed().unwrap();
    let farm = Farm::builder().boards(2).detectors(1).seed(73);
    let farm = farm.fault(0, StaleStamps {});
    let seconds = since.as_secs_f64() - 5.0;
    let farm = farm.fault(1, ClockStep { seconds });
    let lab = Lab::of(farm.start_blocking().unwrap());
    tell!(lab.farm.boards()[1], "set_timestamp_port", "SMA");
    let [board, other] = lab.farm.boards() else {
        panic!("two boards");
    };
    let out = lab.text_path("samples");
    let capture = begun(&lab, &out, &["--seconds", "3"]);
    wait_for_packets(board, 300);
    tell!(board, "set_decimation", 6_u8, true);
    tell!(other, "set_decimation", 5_u8, false);
    let (status, report, _) = ended(capture);
    assert_eq!(status, 3, "{report}");
    let [shorter, faster] = [0, 1].map(|board| &report["boards"][board]["modules"][0]);
    for (module, says) in [
        (
            shorter,
            "from 1024 channels at stage 6 to 128 channels at stage 6",
        ),
        (
            faster,
            "from 1024 channels at stage 6 to 1024 channels at stage 5",
        ),
    ] {
        assert!(doubts(module).contains(says), "{module}");
        assert_eq!(
            (count(module, "form_changes"), count(module, "unwritten")),
            (1, 0),
            "{module}"
        );
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
        let misfit = count(module, "misfit");
        assert_eq!(count(module, "received") - misfit, rows as u64, "{module}");
    }
    let manifest = Manifest::read(&out).unwrap();
    for (noted, module, says) in [
        (&manifest.boards[0], shorter, "samples have no time: "),
        (&manifest.boards[1], faster, "behind this computer's"),
    ] {
        check_noted(noted, module);
        let told = noted.warnings.iter().any(|told| told.contains(says));
        assert!(told && !doubts(module).contains(says), "{noted:?}");
    }
    assert!(count(shorter, "misfit") > 100, "{shorter}");
    assert_eq!(
        (count(faster, "misfit"), count(faster, "reconstructed")),
        (0, 0)
    );
}
