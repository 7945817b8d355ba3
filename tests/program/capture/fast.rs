//! Captures of fast streams: their files, their channels, and the settings that they restore.

use std::path::Path;
use std::process::Child;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt64Type};
use rustix::process::Signal;
use serde_json::{Value, json};
use twotone::Array;
use twotone::capture::{CaptureParams, FastParams, capture, plan};
use twotone::hal::{Acquire, BoardHandle, ChannelId, Hertz, ModuleId, ToneUpdate};
use twotone::map::HardwareMap;
use twotone::record::{Manifest, RunDirectory};
use twotone::sim::Farm;
use twotone::sim::fault::{ErrorOnCall, Fault, PacketDuplicate, PacketLoss, PacketReorder};

use super::super::process::{error_of, failure, run, run_json, signal_to};
use super::endings::{begun, ended, wait_for_packets_of};
use super::{Lab, YEAR_2026_S, batches, channel, check_rows_at};

/// Rate of the samples, in Hz.
const FAST_HZ: f64 = 625e6 / 256.0;

fn lab(seed: u64) -> Lab {
    let farm = Farm::builder().boards(1).detectors(1).seed(seed);
    Lab::of(farm.start_blocking().unwrap())
}

fn channels(numbers: &[u16]) -> Vec<ChannelId> {
    let numbers = numbers.iter();
    numbers.map(|n| ChannelId::new(*n).unwrap()).collect()
}

fn handle(lab: &Lab) -> BoardHandle {
    let map = HardwareMap::load(&lab.map).unwrap();
    let array = Array::connect(&map).wait();
    array.boards()[0].handle().clone()
}

fn streamed(lab: &Lab) -> Vec<ChannelId> {
    let board = handle(lab);
    let streams = board.fast_streams();
    tworoutine::wait(streams.read(ModuleId::FIRST)).unwrap()
}

fn stream(lab: &Lab, numbers: &[u16]) {
    let (board, channels) = (handle(lab), channels(numbers));
    let streams = board.fast_streams();
    tworoutine::wait(streams.set(ModuleId::FIRST, &channels)).unwrap();
}

/// Sets tones of different amplitudes on channels 1 to 4, and returns the magnitude of the samples
/// of each in readout counts.
fn set_tones(lab: &Lab) -> [f64; 4] {
    let board = handle(lab);
    let tones = (1..=4_u16).map(|number| {
        ToneUpdate::new(ChannelId::new(number).unwrap())
            .offset(Hertz(f64::from(number) * 10e6))
            .amplitude(0.001 * f64::from(number))
    });
    let tones: Vec<_> = tones.collect();
    tworoutine::wait(async {
        board.nco().set(ModuleId::FIRST, Hertz(1.25e9)).await?;
        board.tones().set(ModuleId::FIRST, tones).await?;
        let acquire = Acquire::new(100).first_channels(4);
        let means = board.samples().mean(ModuleId::FIRST, acquire).await?;
        Ok::<_, twotone::hal::Error>(std::array::from_fn(|at| means.mean[at].norm()))
    })
    .unwrap()
}

fn check_rows(batches: &[RecordBatch]) -> usize {
    check_rows_at(FAST_HZ, 0.01, batches)
}

/// Asserts that each channel has the magnitude of its tone.
fn check_tones(found: &[RecordBatch], numbers: &[u16], tones: &[f64; 4]) {
    for (at, number) in numbers.iter().enumerate() {
        let (i, q) = (channel(found, "i", at), channel(found, "q", at));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64 / 256.0;
        let (magnitude, tone) = (mean(&i).hypot(mean(&q)), tones[usize::from(*number) - 1]);
        let ratio = magnitude / tone;
        assert!(
            (ratio - 1.0).abs() < 0.02,
            "channel {number}: {magnitude} for {tone}"
        );
    }
}

/// Asserts that the status is 0, or 3 because of lost samples: the computer may be too busy for the
/// board.
fn check_status(status: i32, report: &Value) {
    let is_lost = report["lost"] != 0;
    assert_eq!(status, if is_lost { 3 } else { 0 }, "{report}");
}

#[test]
fn a_second_of_one_channel_is_on_disk_with_its_times() {
    let lab = lab(91);
    let tones = set_tones(&lab);
    stream(&lab, &[2]);
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("1", &["--out", &out, "--fast"]);
    check_status(status, &report);
    let modules = report["boards"][0]["modules"].as_array().unwrap();
    let [module] = &modules[..] else {
        panic!("{report}");
    };
    let found = batches(Path::new(&out), module["file"].as_str().unwrap());
    let rows = check_rows(&found);
    assert_eq!(module["received"], rows, "{module}");
    let expected = module["expected"].as_f64().unwrap();
    let missing = module["missing"].as_f64().unwrap();
    assert!(
        ((expected + missing) / FAST_HZ - 1.0).abs() < 0.06,
        "{module}"
    );
    assert_eq!(
        (&module["channels"], &module["streamer"]),
        (&json!(1), &Value::Null)
    );
    check_tones(&found, &[2], &tones);
    let schema = found[0].schema();
    let names: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(
        names,
        ["time", "time_source", "sequence", "lost_before", "i", "q"]
    );
    assert_eq!(schema.metadata()["rate_hz"], "2441406.25");
    let field = schema.field_with_name("i").unwrap();
    assert_eq!(field.metadata()["channels"], "[2]");
    let first = found[0]["time"]
        .as_primitive::<TimestampNanosecondType>()
        .value(0);
    let since_s = (first - YEAR_2026_S * 1_000_000_000) as f64 * 1e-9;
    assert!(
        (0.0..3600.0).contains(&since_s),
        "{since_s} s after the start of the year"
    );
    // Nothing was set.
    assert_eq!(streamed(&lab), channels(&[2]));
}

#[test]
fn a_number_of_samples_of_named_channels_is_exact() {
    let lab = lab(92);
    let tones = set_tones(&lab);
    stream(&lab, &[4, 1, 2, 3]);
    for (samples, named, numbers) in [("1", "1:3", &[3][..]), ("123457", "1:4,1:1", &[1, 4])] {
        let out = lab.text_path(samples);
        let args = [
            "--fast",
            "--channel",
            named,
            "--samples",
            samples,
            "--out",
            &out,
        ];
        let (status, report) = run_json(&[&["capture", lab.map.as_str()], &args[..]].concat());
        check_status(status, &report);
        let module = &report["boards"][0]["modules"][0];
        let asked: u64 = samples.parse().unwrap();
        assert_eq!(
            (&module["expected"], &module["due"]),
            (&json!(asked), &json!(asked))
        );
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        assert_eq!(module["received"], check_rows(&found), "{module}");
        if asked > 1 {
            check_tones(&found, numbers, &tones);
        }
    }
}

#[test]
fn a_number_of_samples_is_waited_for_on_every_board() {
    let farm = Farm::builder().boards(4).detectors(0).seed(90);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let out = lab.text_path("samples");
    let args = ["--set-streamer", "--channel", "1:3", "--samples", "1"];
    let capture = ["capture", &lab.map, "--out", &out, "--fast"];
    let (status, report) = run_json(&[&capture[..], &args].concat());
    check_status(status, &report);
    for board in report["boards"].as_array().unwrap() {
        assert_eq!(board["modules"][0]["expected"], 1, "{board}");
    }
}

#[test]
fn modules_without_a_tuned_channel_are_told() {
    let farm = Farm::builder().boards(1).modules(2).detectors(2).seed(89);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let tune = lab.text_path("tune");
    let (status, report) = run_json(&["tune", &lab.map, "--out", &tune]);
    assert_eq!(status, 0, "{report}");
    let file = Path::new(&tune).join("tune.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    let (first, second) = whole.split_at(whole.rfind("[[tune]]").unwrap());
    let failed = |text: &str| text.replace("\"tuned\"", "\"failed\"");
    for (text, modules, status, says) in [
        (
            format!("{first}{}", failed(second)),
            1,
            3,
            "no channel of module 2",
        ),
        (failed(&whole), 0, 4, "no channel of module 1, 2"),
    ] {
        std::fs::write(&file, text).unwrap();
        let out = lab.text_path(&modules.to_string());
        let args = ["--set-streamer", "--tune", &tune, "--out", &out];
        let (ended, report) = lab.capture("0.2", &[&["--fast"], &args[..]].concat());
        assert_eq!(ended, status, "{report}");
        let board = &report["boards"][0];
        assert!(error_of(board).contains(says), "{board}");
        assert_eq!(board["modules"].as_array().unwrap().len(), modules);
    }
}

#[test]
fn losses_and_disorder_are_counted_in_samples() {
    let lab = lab(93);
    stream(&lab, &[5, 6]);
    let board = &lab.farm.boards()[0];
    board.inject(Fault::from(PacketLoss {
        rate: 0.02,
        seed: 3,
    }));
    board.inject(Fault::from(PacketReorder {
        rate: 0.05,
        depth: 3,
        seed: 5,
    }));
    board.inject(Fault::from(PacketDuplicate {
        rate: 0.02,
        seed: 7,
    }));
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("0.5", &["--out", &out, "--fast"]);
    assert_eq!(status, 3, "{report}");
    let module = &report["boards"][0]["modules"][0];
    let found = batches(Path::new(&out), module["file"].as_str().unwrap());
    let rows = check_rows(&found);
    assert_eq!(module["received"], rows);
    let lost = |batch: &RecordBatch| {
        let lost = batch["lost_before"].as_primitive::<UInt64Type>();
        lost.values().to_vec()
    };
    let lost: Vec<u64> = found.iter().flat_map(lost).collect();
    assert_eq!(module["lost"], lost.iter().sum::<u64>());
    assert_eq!(
        module["gaps"],
        lost.iter().filter(|lost| **lost > 0).count()
    );
    // Packets of two channels have 500 samples of each.
    for key in ["lost", "duplicate"] {
        let count = module[key].as_u64().unwrap();
        assert!(count > 0 && count.is_multiple_of(500), "{key}: {module}");
    }
    let counted = batches(Path::new(&out), "counters/crs0001.arrow");
    let last = counted.last().unwrap();
    for key in ["expected", "received", "lost", "gaps", "duplicate"] {
        let column = last[key].as_primitive::<UInt64Type>();
        assert_eq!(module[key], column.value(column.len() - 1), "{key}");
    }
}

/// Starts a capture of fast streams that goes on until it is interrupted, and waits until it has
/// begun to write.
fn endless(lab: &Lab, out: &str, more: &[&str]) -> Child {
    begun(lab, out, &[&["--fast", "--seconds", "600"], more].concat())
}

/// Interrupts a capture. Returns its exit status and its report.
fn interrupted(capture: Child) -> (i32, Value) {
    signal_to(&capture, Signal::INT);
    let (status, report, _) = ended(capture);
    assert_eq!(report["interrupted"], true, "{report}");
    (status, report)
}

#[test]
fn the_streamer_is_set_for_the_capture_and_restored() {
    let lab = lab(94);
    let tones = set_tones(&lab);
    for (before, named, state) in [
        (&[][..], &[2, 3][..], "restored"),
        (&[700], &[1, 2, 3, 4], "restored"),
        (&[3], &[3], "untouched"),
    ] {
        stream(&lab, before);
        let out = lab.text_path(&format!("from-{before:?}"));
        let named_text: Vec<_> = named.iter().map(|number| format!("1:{number}")).collect();
        let named_text = named_text.join(",");
        let args = [
            "--out",
            &out,
            "--fast",
            "--set-streamer",
            "--channel",
            &named_text,
        ];
        let (status, report) = lab.capture("0.2", &args);
        check_status(status, &report);
        let module = &report["boards"][0]["modules"][0];
        let streamer = json!({"state": state, "before": before, "error": null});
        assert_eq!(module["streamer"], streamer, "{report}");
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        assert_eq!(module["received"], check_rows(&found));
        check_tones(&found, named, &tones);
        assert_eq!(streamed(&lab), channels(before));
    }
}

#[test]
fn a_capture_that_sets_the_streamer_locks_its_board_and_one_that_listens_does_not() {
    let lab = lab(95);
    let set = ["--set-streamer", "--channel", "1:2"];
    let out = lab.text_path("first");
    let first = endless(&lab, &out, &set);
    let listens = lab.text_path("listens");
    let (status, report) = lab.capture("0.2", &["--out", &listens, "--fast"]);
    check_status(status, &report);
    let second = lab.text_path("second");
    let args = [&["--fast", "--out", &second], &set[..]].concat();
    let (status, report) = lab.capture("0.2", &args);
    assert_eq!(status, 4, "{report}");
    let error = error_of(&report["boards"][0]);
    assert!(
        error.contains("busy") && error.contains("capture"),
        "{error}"
    );
    assert_eq!(streamed(&lab), channels(&[2]));
    let (status, report) = interrupted(first);
    assert_eq!(status, 130, "{report}");
    assert_eq!(streamed(&lab), channels(&[]));
}

#[test]
fn a_streamer_that_cannot_be_restored_is_told_everywhere() {
    let lab = lab(96);
    let out = lab.text_path("samples");
    let capture = endless(&lab, &out, &["--set-streamer", "--channel", "1:7"]);
    lab.farm.boards()[0].inject(Fault::from(ErrorOnCall {
        method: Some("set_pfb_streamer".to_owned()),
        message: "RuntimeError: the streamer is stuck".to_owned(),
    }));
    let (status, report) = interrupted(capture);
    assert_eq!(status, 3, "{report}");
    let module = &report["boards"][0]["modules"][0];
    assert_eq!(module["streamer"]["state"], "unknown", "{module}");
    let error = failure(&module["streamer"]["error"]);
    assert!(error.contains("the streamer is stuck"), "{error}");
    assert_eq!(report["boards"][0]["ok"], false);
    let manifest = Manifest::read(&out).unwrap();
    let warnings = &manifest.boards[0].warnings;
    let says = "its fast stream was off before the capture";
    assert!(
        warnings.iter().any(|text| text.contains(says)),
        "{warnings:?}"
    );
    // A board whose streamer cannot be set is not captured, so no module can have the doubt.
    let nothing = lab.text_path("nothing");
    let args = ["--set-streamer", "--channel", "1:8", "--out", &nothing];
    let (status, report) = lab.capture("0.2", &[&["--fast"], &args[..]].concat());
    assert_eq!((status, &report["received"]), (3, &json!(0)), "{report}");
    let error = error_of(&report["boards"][0]);
    let says = "its fast stream was on for channels 7 before the capture";
    assert!(error.contains(says), "{error}");
    lab.farm.boards()[0].clear_faults();
    assert_eq!(streamed(&lab), channels(&[7]));
}

#[test]
fn what_no_board_can_send_is_refused() {
    let lab = lab(97);
    let out = lab.text_path("samples");
    for (args, says) in [
        (&["--channel", "1:2"][..], "--fast"),
        (&["--samples", "10"], "--fast"),
        (&["--fast", "--channel", "2"], "as in 1:3"),
        (&["--fast", "--channel", "0:1"], "as in 1:3"),
        (&["--fast", "--channel", "1:0"], "as in 1:3"),
        (&["--fast", "--channels", "4"], "--channels"),
        (&["--fast", "--channel", "3:1"], "no module 3"),
        (&["--fast", "--channel", "1:3", "--module", "1"], "--module"),
        (&["--fast", "--set-streamer"], "--channel"),
        (&["--fast", "--take-over"], "--set-streamer"),
    ] {
        let always = ["capture", &lab.map, "--out", &out];
        let seconds = match args[0] {
            "--samples" => &[][..],
            _ => &["--seconds", "0.2"],
        };
        let (status, _, err) = run(&[&always[..], seconds, args].concat());
        assert_eq!(status, 2, "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
    }
    for (named, says) in [
        ("1:1,1:2,1:3", "1, 2 or 4 channels, not 3"),
        ("1:1,1:2,1:3,1:4,1:5", "1, 2 or 4 channels, not 5"),
        ("1:2000", "channel 2000 is past the 1024"),
    ] {
        let args = [
            "--out",
            &out,
            "--fast",
            "--set-streamer",
            "--channel",
            named,
        ];
        let (status, report) = lab.capture("0.2", &args);
        assert_eq!(status, 4, "{report}");
        let error = error_of(&report["boards"][0]);
        assert!(error.contains(says), "{error}");
        assert_eq!(streamed(&lab), channels(&[]));
    }
    // Nothing is sent.
    let (status, report) = lab.capture("0.2", &["--out", &out, "--fast"]);
    assert_eq!(status, 4, "{report}");
    assert!(
        error_of(&report["boards"][0]).contains("nothing came from it"),
        "{report}"
    );
}

#[test]
fn channels_that_another_program_changes_are_told() {
    let lab = lab(98);
    stream(&lab, &[3]);
    let out = lab.text_path("samples");
    let capture = endless(&lab, &out, &[]);
    stream(&lab, &[3, 9]);
    wait_for_packets_of("pfb", &lab.farm.boards()[0], 500);
    let (status, report) = interrupted(capture);
    assert_eq!(status, 130, "{report}");
    let module = &report["boards"][0]["modules"][0];
    let doubt = module["doubts"][0].as_str().unwrap();
    let says = "changed their form from channel 3 in packets of 1000 samples to channels 3, 9 in \
                packets of 500 samples, at sample ";
    assert!(doubt.contains(says), "{doubt}");
    assert_eq!(
        (&module["form_changes"], &module["misfit"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn samples_that_the_disk_cannot_take_are_counted_as_unwritten() {
    let lab = lab(99);
    stream(&lab, &[3, 4]);
    let map = HardwareMap::load(&lab.map).unwrap();
    let array = Array::connect(&map).wait();
    let params = CaptureParams {
        seconds: 0.5,
        fast: Some(FastParams::default()),
        // Less than a block of samples.
        queue_bytes: 100_000,
        ..CaptureParams::default()
    };
    let boards = plan(&map, &array, None, &params).wait();
    let out = lab.folder.path().join("samples");
    let run = RunDirectory::prepare(&out).unwrap();
    let (run, outcome) = capture(boards, run, &params, &Default::default())
        .wait()
        .unwrap();
    run.commit().unwrap();
    let module = &outcome.boards[0].modules[0];
    let counters = &module.counters;
    assert!(counters.unwritten > 0, "{counters:?}");
    let found = batches(&out, module.file.as_deref().unwrap());
    let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows as u64, counters.received - counters.unwritten);
    assert!(outcome.lost() >= counters.unwritten);
    assert!(!outcome.is_whole());
}
