//! Two programs on one board.

use std::process::{Child, Stdio};

use twotone::map::HardwareMap;

use super::interrupt::any_tone_on;
use super::process::{SimProcess, rest, run_json, twotone};

/// A tune that takes some seconds, once it drives tones.
fn tuning(sim: &SimProcess, run: &str) -> Child {
    let tune = twotone(&["tune", &sim.map(), "--out", &sim.text_path(run), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let map = HardwareMap::load(sim.map()).unwrap();
    while !any_tone_on(&map) {}
    tune
}

fn slow() -> SimProcess {
    SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        "200",
        "--real-time",
        "--call-us",
        "40",
    ])
}

/// Status of a tune, its report, and what else it said.
fn end(mut tune: Child) -> (Option<i32>, serde_json::Value, String) {
    let (out, err) = (rest(tune.stdout.take()), rest(tune.stderr.take()));
    let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}\n{err}"));
    (tune.wait().unwrap().code(), report, err)
}

#[test]
fn a_second_tune_is_refused_and_told_by_whom_and_the_first_goes_on() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let process = format!("process {}", first.id());
    for command in [&["tune"][..], &["sweep"]] {
        let out = sim.text_path(command[0]);
        let (status, report) = run_json(&[command, &[&sim.map(), "--out", &out]].concat());
        assert_eq!(status, 3, "{report}");
        let told = report.to_string();
        assert!(
            told.contains(&process) && told.contains("--take-over"),
            "{told}"
        );
        let module = &report["boards"][0]["modules"][0];
        assert_eq!(module["hardware"]["state"], "untouched", "{report}");
        assert!(!std::path::Path::new(&out).exists(), "it has set nothing");
    }
    let (status, report, err) = end(first);
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(
        report["boards"][0]["modules"][0]["hardware"]["state"],
        "kept"
    );
}

#[test]
fn a_board_that_is_taken_over_is_no_more_set_by_the_first() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let out = sim.text_path("second");
    let (status, report) = run_json(&["tune", &sim.map(), "--out", &out, "--take-over"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(
        report["boards"][0]["modules"][0]["hardware"]["state"],
        "kept"
    );
    let (status, report, err) = end(first);
    assert_eq!(status, Some(3), "{err}");
    let told = report.to_string();
    assert!(told.contains("has taken this board over"), "{told}");
    // Its clean-up has switched nothing off.
    assert!(any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

#[test]
fn off_switches_off_what_another_program_works_on() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let (status, report) = run_json(&["off", &sim.map()]);
    assert_eq!((status, &report["ok"]), (0, &true.into()), "{report}");
    let (status, ..) = end(first);
    assert_eq!(status, Some(3));
    assert!(
        !any_tone_on(&HardwareMap::load(sim.map()).unwrap()),
        "the tune went on"
    );
}

#[test]
fn a_program_of_another_host_is_seen_by_what_it_sets() {
    let sim = slow();
    let first = tuning(&sim, "first");
    // The locks of another host are not seen.
    let locks = sim.path("locks");
    std::fs::create_dir(&locks).unwrap();
    let second = twotone(&[
        "tune",
        &sim.map(),
        "--out",
        &sim.text_path("second"),
        "--json",
    ])
    .env("TWOTONE_LOCKS", locks)
    .output()
    .unwrap();
    let said = String::from_utf8(second.stdout).unwrap();
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(
        said.contains("another program sets module 1 right now"),
        "{said}"
    );
    let (status, _, err) = end(first);
    assert_eq!(status, Some(0), "the first one goes on: {err}");
}
