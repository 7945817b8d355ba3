//! Tests of captures (sample streams that are written to files) during which the program is
//! suspended, and of streams that end early. A sample is *due* if it is expected in the time of the
//! capture. Every sample that is due is in the file, or is reported as missing.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use twotone::sim::Farm;
use twotone::sim::fault::{Fault, PacketLoss};

use super::super::process::{signal_to, twotone};
use super::endings::{begun, ended, hidden_beside, pause, wait_for_packets};
use super::{Lab, RATE_HZ, batches, check_rows};

/// Moment at which the program is suspended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    /// Just after the program has joined the stream, when it has read little.
    Start,
    /// When the boards have made this many samples since the program began to write.
    Samples(u64),
}

/// Asserts that all samples that are due were received, or are reported as lost or missing. Returns
/// the number of samples that were not received.
fn check_due(module: &Value, expected: f64) -> u64 {
    let number = |key: &str| {
        module[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key}: {module}"))
    };
    let due = number("due");
    // The streams of the two boards do not begin at the same time.
    assert!(
        (0.95 * expected..expected + 2.0).contains(&(due as f64)),
        "{module}"
    );
    let lost = number("lost") + number("missing");
    let told = number("received") + lost;
    // Some packets may not have arrived at the end.
    assert!(
        told.abs_diff(due) <= 50 + due / 500,
        "{told} of {due}: {module}"
    );
    lost
}

#[test]
fn samples_that_came_while_the_program_was_stopped_are_read_or_missing() {
    let lab = Lab::new(2, 81);
    let board = &lab.farm.boards()[0];
    let of = |seconds: f64| (seconds * RATE_HZ) as u64;
    for (seconds, at, stopped_s) in [
        // The program is suspended in several ways: over the end of a long capture and of a short
        // one, in the middle, at the start, and for longer than the whole capture.
        ("2", At::Samples(of(0.8)), 2.0),
        ("0.5", At::Samples(of(0.1)), 1.0),
        ("2", At::Samples(of(0.2)), 0.8),
        ("1.5", At::Start, 0.5),
        ("0.7", At::Start, 2.0),
    ] {
        let out = lab.text_path("samples");
        let args = ["--seconds", seconds, "--channels", "4"];
        let capture = match at {
            At::Samples(count) => {
                let capture = begun(&lab, &out, &args);
                wait_for_packets(board, count);
                capture
            }
            At::Start => {
                let capture = twotone(&["capture", &lab.map, "--out", &out, "--json"])
                    .args(args)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                while hidden_beside(&out).is_none() {
                    pause();
                }
                // A board sends its stream as soon as somebody joins it.
                wait_for_packets(board, 1);
                capture
            }
        };
        signal_to(&capture, Signal::STOP);
        wait_for_packets(board, of(stopped_s));
        signal_to(&capture, Signal::CONT);
        let (status, report, _) = ended(capture);
        let seconds: f64 = seconds.parse().unwrap();
        let case = format!("{seconds} s, {at:?}, {stopped_s} s");
        for board in 0..2 {
            let module = &report["boards"][board]["modules"][0];
            let number = |key: &str| module[key].as_u64().unwrap();
            // Samples may have been received before the capture began and during the suspension, so
            // there may be more than were due.
            let told = ["received", "lost", "missing"]
                .map(number)
                .iter()
                .sum::<u64>();
            assert!(told + 50 >= of(seconds), "{case}: {module}");
            if at != At::Start {
                check_due(module, seconds * RATE_HZ);
            }
            assert_eq!(
                number("missing") > 0,
                module["doubts"] != serde_json::json!([]),
                "{case}: {module}"
            );
            let rows = check_rows(&batches(out.as_ref(), module["file"].as_str().unwrap()));
            assert_eq!(module["received"], rows, "{case}");
        }
        let is_lost = report["lost"] != 0;
        assert_eq!(status, if is_lost { 3 } else { 0 }, "{case}: {report}");
        // The kernel grants a receive buffer of limited size. If it is as large as the program asks
        // for, it holds the packets of two boards for some seconds.
        let mut missing = (0..2).map(|board| &report["boards"][board]["modules"][0]["missing"]);
        if report["buffer_shortfall"].is_null() {
            assert!(missing.all(|missing| *missing == 0), "{case}: {report}");
        }
        std::fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn samples_beyond_the_kernels_buffer_are_counted() {
    let farm = Farm::builder().boards(1).detectors(2).seed(82);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let board = &lab.farm.boards()[0];
    // At decimation stage 4, a module makes 2384 samples a second. The kernel's buffer holds less
    // than a second of the samples of four modules.
    let rate_hz = 4.0 * RATE_HZ;
    tell!(board, "set_decimation", 4_u8, false);
    let out = lab.text_path("samples");
    let capture = begun(&lab, &out, &["--seconds", "3", "--channels", "4"]);
    wait_for_packets(board, (0.5 * rate_hz) as u64);
    signal_to(&capture, Signal::STOP);
    wait_for_packets(board, (4.0 * rate_hz) as u64);
    signal_to(&capture, Signal::CONT);
    let (status, report, _) = ended(capture);
    assert_eq!(status, 3, "{report}");
    let module = &report["boards"][0]["modules"][0];
    let lost = check_due(module, 3.0 * rate_hz);
    assert!(lost > rate_hz as u64 / 2, "{module}");
    assert_eq!(report["lost"], lost, "{report}");
}

#[test]
fn a_stream_that_ends_shortly_before_the_end_lacks_samples() {
    let farm = Farm::builder().boards(1).modules(2).detectors(2).seed(83);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let board = &lab.farm.boards()[0];
    let out = lab.text_path("samples");
    let capture = begun(&lab, &out, &["--seconds", "3", "--channels", "4"]);
    // The stream ends half a second before the capture does. No later sequence number shows this
    // loss.
    wait_for_packets(board, (2.4 * RATE_HZ) as u64);
    board.inject(Fault::from(PacketLoss { rate: 1.0, seed: 1 }));
    let (status, report, _) = ended(capture);
    assert_eq!(status, 3, "{report}");
    for module in report["boards"][0]["modules"].as_array().unwrap() {
        check_due(module, 3.0 * RATE_HZ);
        let missing = module["missing"].as_u64().unwrap();
        assert!(missing > 60, "{module}");
        let doubt = module["doubts"][0].as_str().unwrap();
        assert!(doubt.starts_with(&format!("{missing} of ")), "{doubt}");
    }
    let manifest =
        std::fs::read_to_string(lab.folder.path().join("samples/manifest.json")).unwrap();
    assert!(
        manifest.contains("samples that were due did not come"),
        "{manifest}"
    );
}
