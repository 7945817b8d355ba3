//! Tests of the end of a capture (sample streams that are written to files): streams that stop,
//! full disks, and interrupts by the operator.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use twotone::Array;
use twotone::capture::{CaptureParams, TuneState, capture, plan};
use twotone::hal::ErrorKind;
use twotone::map::HardwareMap;
use twotone::record::{RunDirectory, TuneRecord};
use twotone::sim::fault::{BlackHole, Fault, PacketLoss};
use twotone::sim::{Farm, SimBoard};

use super::super::process::{error_of, rest, run, signal_to, twotone};
use super::{Lab, batches, check_rows};

/// Waits until a board has sent `more` packets.
pub(super) fn wait_for_packets(board: &SimBoard, more: u64) {
    wait_for_packets_of("readout", board, more);
}

/// Waits until a board has sent `more` packets of this stream.
pub(super) fn wait_for_packets_of(stream: &str, board: &SimBoard, more: u64) {
    let made = || board.stream_counters(stream)[0].made;
    let until = made() + more;
    while made() < until {
        pause();
    }
}

pub(super) fn pause() {
    let mut sleep = Command::new("sleep");
    sleep.arg("0.05").status().unwrap();
}

/// Starts a capture in the background, and waits until it has begun to write.
pub(super) fn begun(lab: &Lab, out: &str, more: &[&str]) -> Child {
    let child = twotone(&["capture", &lab.map, "--out", out, "--json"])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let is_there = |board: &SimBoard| {
        let hidden = hidden_beside(out);
        let file = format!("samples/{}/module-1.arrow", board.name());
        hidden.is_some_and(|hidden| hidden.join(file).exists())
    };
    while !lab.farm.boards().iter().all(is_there) {
        pause();
    }
    child
}

/// Returns the hidden folder in which the run directory (the folder of results) is made before it
/// gets the name `out`.
pub(super) fn hidden_beside(out: &str) -> Option<PathBuf> {
    let out = Path::new(out);
    let start = format!(".{}.", out.file_name().unwrap().to_str().unwrap());
    let entries = std::fs::read_dir(out.parent().unwrap()).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(&start)
    })
}

pub(super) fn ended(mut capture: Child) -> (i32, Value, String) {
    let status = capture.wait().unwrap().code().unwrap_or(-1);
    let (out, err) = (rest(capture.stdout.take()), rest(capture.stderr.take()));
    let report = serde_json::from_str(&out);
    let report = report.unwrap_or_else(|error| panic!("{error}: {out}\n{err}"));
    (status, report, err)
}

#[test]
fn a_stream_that_stops_or_begins_late_is_told() {
    let lab = Lab::new(2, 61);
    let [board, other] = lab.farm.boards() else {
        panic!("two boards");
    };
    let nothing = || Fault::from(PacketLoss { rate: 1.0, seed: 1 });
    let out = lab.text_path("stops");
    let capture = begun(&lab, &out, &["--seconds", "4"]);
    wait_for_packets(board, 300);
    board.inject(nothing());
    let (status, report, _) = ended(capture);
    assert_eq!(status, 3, "{report}");
    let [one, two] = [0, 1].map(|at| &report["boards"][at]);
    let module = &one["modules"][0];
    let error = error_of(module);
    assert!(error.contains("its stream ended"), "{error}");
    let kind = &module["error"]["kind"];
    assert_eq!(
        (kind, &module["error"]["certainty"]),
        (&"connection_lost".into(), &Value::Null)
    );
    assert_eq!(
        (&one["ok"], &module["lost"]),
        (&false.into(), &0.into()),
        "{one}"
    );
    assert_eq!(
        (&two["ok"], &two["modules"][0]["error"]),
        (&true.into(), &Value::Null),
        "{two}"
    );

    // The first board is still silent. It streams again after the second board has streamed for a
    // while.
    let sent = other.stream_counters("readout")[0].made;
    let out = lab.text_path("late");
    std::thread::scope(|scope| {
        let capture = scope.spawn(|| run(&["capture", &lab.map, "--seconds", "4", "--out", &out]));
        while hidden_beside(&out).is_none_or(|hidden| !hidden.join("samples/crs0002").exists()) {
            pause();
        }
        wait_for_packets(other, 1000);
        board.clear_faults();
        let (status, table, _) = capture.join().unwrap();
        assert_eq!(status, 3, "{table} after {sent}");
        assert!(table.contains("its stream began"), "{table}");
    });
}

#[test]
fn samples_written_before_the_disk_was_full_are_kept() {
    let lab = Lab::new(2, 62);
    let out = lab.text_path("samples");
    // No file may grow beyond some 6 MB. A module with all channels reaches this in a second.
    let script = "trap '' XFSZ; ulimit -f 6000; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_twotone");
    let args = [
        "capture",
        &lab.map,
        "--seconds",
        "20",
        "--out",
        &out,
        "--json",
    ];
    let capture = Command::new("bash")
        .args(["-c", script, "bash", program])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (status, report, err) = ended(capture);
    assert_eq!(status, 3, "{report}");
    assert!(!Path::new(&out).exists());
    let kept = hidden_beside(&out).expect("it is kept");
    assert_eq!(report["error"]["kind"], "storage", "{report}");
    for said in [&error_of(&report), &err] {
        assert!(said.contains(kept.to_str().unwrap()), "{said}");
    }
    assert_eq!(report["run_directory"], Value::Null);
    let modules = [0, 1].map(|board| &report["boards"][board]["modules"][0]);
    let mut unwritten = 0;
    for module in modules {
        assert_eq!(module["error"], Value::Null, "{module}");
        let rows = check_rows(&batches(&kept, module["file"].as_str().unwrap()));
        let counted = ["received", "unwritten"].map(|key| module[key].as_u64().unwrap());
        assert_eq!(counted[0] - counted[1], rows as u64, "{module}");
        assert!(rows > 0, "{module}");
        unwritten += counted[1];
    }
    assert!(unwritten > 0, "{report}");
    let stored = std::fs::read_to_string(kept.join("capture.json")).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["boards"], report["boards"]);
}

#[test]
fn a_queue_that_is_full_loses_rows_that_are_counted() {
    let lab = Lab::new(2, 63);
    let map = HardwareMap::load(&lab.map).unwrap();
    let array = Array::connect(&map).wait();
    // The queue between receiver and writer is too small for a single row.
    let params = CaptureParams {
        seconds: 0.3,
        queue_bytes: 4 << 10,
        ..CaptureParams::default()
    };
    let boards = plan(&map, &array, None, &params).wait();
    let out = lab.folder.path().join("samples");
    let run = RunDirectory::prepare(&out).unwrap();
    let (run, captured) = capture(boards, run, &params, &Default::default())
        .wait()
        .unwrap();
    run.commit().unwrap();
    for board in &captured.boards {
        let module = &board.modules[0];
        let counters = &module.counters;
        let rows = batches(&out, module.file.as_ref().unwrap());
        let rows: usize = rows.iter().map(|rows| rows.num_rows()).sum();
        assert!(counters.unwritten > 100, "{counters:?}");
        assert_eq!(counters.received - counters.unwritten, rows as u64);
        assert!(!module.is_whole());
    }
    let modules = captured.boards.iter().map(|board| &board.modules[0]);
    let unwritten: u64 = modules.map(|module| module.counters.unwritten).sum();
    assert_eq!(captured.lost(), unwritten);
}

#[test]
fn modules_share_the_queue() {
    let farm = Farm::builder().boards(2).modules(4).detectors(8).seed(68);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let map = HardwareMap::load(&lab.map).unwrap();
    let array = Array::connect(&map).wait();
    // The queue between receiver and writer has space for half of the samples of the eight modules.
    // So samples must be written while others are received.
    let params = CaptureParams {
        seconds: 0.5,
        queue_bytes: 8 << 20,
        ..CaptureParams::default()
    };
    let boards = plan(&map, &array, None, &params).wait();
    let run = RunDirectory::prepare(lab.folder.path().join("samples")).unwrap();
    let captured = capture(boards, run, &params, &Default::default()).wait();
    let (run, captured) = captured.unwrap();
    let modules = || captured.boards.iter().flat_map(|board| &board.modules);
    assert_eq!(modules().count(), 8);
    for module in modules() {
        let counters = &module.counters;
        assert!(
            counters.received > 0 && counters.unwritten == 0,
            "{counters:?}"
        );
    }
    run.commit().unwrap();
}

#[test]
fn boards_that_say_nothing_are_waited_for_so_long_and_no_longer() {
    let (lab, tune) = Lab::tuned(4, 67);
    let map = HardwareMap::load(&lab.map).unwrap();
    let array = Array::connect(&map).wait();
    let tune = TuneRecord::read(&tune).unwrap();
    let params = CaptureParams {
        seconds: 0.2,
        ask_within: Duration::from_millis(300),
        ..CaptureParams::default()
    };
    let boards = plan(&map, &array, Some(&tune), &params).wait();
    let run = RunDirectory::prepare(lab.folder.path().join("samples")).unwrap();
    let captured = capture(boards, run, &params, &Default::default()).wait();
    let (run, mut captured) = captured.unwrap();
    assert!(captured.is_whole(), "{captured:?}");
    lab.farm.boards()[0].inject(Fault::from(BlackHole {}));
    tworoutine::wait(captured.check_tune(params.ask_within, &params.stop));
    let [silent, other] = [0, 1].map(|board| captured.boards[board].modules[0].tune_after.clone());
    let silent = silent.unwrap();
    assert_eq!(silent.state, TuneState::Unknown);
    assert_eq!(
        silent.why.unwrap(),
        "timed out: no answer came within 0.3 s"
    );
    assert_eq!(silent.error.unwrap().kind, Some(ErrorKind::Timeout));
    assert_eq!(other.unwrap().state, TuneState::Holds);
    assert!(!captured.is_whole() && captured.boards[1].is_whole());
    // The plan of a capture shows too that nothing is calibrated on the silent board.
    let boards = plan(&map, &array, Some(&tune), &params).wait();
    let calibrated = boards.iter().map(|board| board.modules[0].calibrated.len());
    assert_eq!(calibrated.collect::<Vec<_>>(), [0, 4]);
    drop(run);
}

#[test]
fn a_second_interrupt_waits_for_no_board() {
    let (lab, tune) = Lab::tuned(2, 64);
    let out = lab.text_path("samples");
    let mut capture = begun(&lab, &out, &["--seconds", "600", "--tune", &tune]);
    wait_for_packets(&lab.farm.boards()[0], 600);
    for board in lab.farm.boards() {
        board.inject(Fault::from(BlackHole {}));
    }
    signal_to(&capture, Signal::INT);
    let mut lines = BufReader::new(capture.stderr.take().unwrap()).lines();
    let told = lines.any(|line| line.unwrap().contains("interrupt again"));
    assert!(told, "the first interrupt was not told");
    signal_to(&capture, Signal::INT);
    let status = capture.wait().unwrap().code();
    let report: Value = serde_json::from_str(&rest(capture.stdout.take())).unwrap();
    assert_eq!(status, Some(130), "{report}");
    for board in 0..2 {
        let module = &report["boards"][board]["modules"][0];
        let after = &module["tune_after"];
        assert_eq!(
            (&after["state"], &after["why"]),
            (
                &"unknown".into(),
                &"cancelled: the answer was not waited for".into()
            )
        );
        assert_eq!(after["error"]["kind"], "cancelled", "{after}");
        let rows = check_rows(&batches(Path::new(&out), module["file"].as_str().unwrap()));
        let [received, unwritten] =
            ["received", "unwritten"].map(|key| module[key].as_u64().unwrap());
        assert_eq!(received - unwritten, rows as u64, "{module}");
    }
}

#[test]
fn an_interrupt_before_anything_came_writes_nothing() {
    let lab = Lab::new(2, 65);
    for board in lab.farm.boards() {
        board.inject(Fault::from(PacketLoss { rate: 1.0, seed: 1 }));
    }
    let out = lab.text_path("samples");
    let capture = twotone(&[
        "capture",
        &lab.map,
        "--seconds",
        "600",
        "--out",
        &out,
        "--json",
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    while hidden_beside(&out).is_none() {
        pause();
    }
    wait_for_packets(&lab.farm.boards()[0], 1000);
    signal_to(&capture, Signal::INT);
    let (status, report, err) = ended(capture);
    assert_eq!(status, 130, "{report}\n{err}");
    assert!(err.contains("nothing is written"), "{err}");
    assert_eq!(
        (&report["interrupted"], &report["received"]),
        (&true.into(), &0.into())
    );
    assert!(!Path::new(&out).exists() && hidden_beside(&out).is_none());
}

#[test]
fn a_group_that_cannot_be_joined_is_reported() {
    let lab = Lab::new(2, 66);
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("1", &["--out", &out, "--interface", "203.0.113.1"]);
    assert_eq!(status, 4, "{report}");
    let error = error_of(&report);
    assert!(error.contains("203.0.113.1"), "{error}");
    assert!(!Path::new(&out).exists());
}
