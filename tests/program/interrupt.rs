//! Ctrl-C in the middle of a tune.

use std::process::Stdio;

use rustix::process::Signal;
use tworoutine::Wait;
use twotone::Array;
use twotone::hal::{ChannelId, ModuleId};
use twotone::map::HardwareMap;

use super::process::{SimProcess, rest, signal_to, twotone};

/// Whether any of the first channels of the first board's first module drives a tone.
fn any_tone_on(map: &HardwareMap) -> bool {
    let array = Array::connect(map).wait();
    let board = array.board(array.boards()[0].name()).wait().unwrap();
    let (module, first) = (ModuleId::new(1).unwrap(), ChannelId::new(1).unwrap());
    let tones = board.tones().read(module, first, 1024).wait().unwrap();
    tones.iter().any(|tone| tone.is_on())
}

#[test]
fn an_interrupt_restores_the_hardware_and_says_so() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "200"]);
    let map = HardwareMap::load(sim.map()).unwrap();
    let mut tune = twotone(&["tune", &sim.map(), "--out", &sim.text_path("run"), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Not before it drives tones, and not after it is done with them.
    while !any_tone_on(&map) {
        assert!(
            tune.try_wait().unwrap().is_none(),
            "it ended before it drove a tone"
        );
    }
    signal_to(&tune, Signal::INT);
    let status = tune.wait().unwrap().code();
    let (out, err) = (rest(tune.stdout.take()), rest(tune.stderr.take()));
    assert_eq!(status, Some(130), "{out}\n{err}");
    assert!(err.contains("interrupted: ending the run"), "{err}");
    assert!(
        err.contains("2 of 2 modules are in their declared state"),
        "{err}"
    );
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["interrupted"], true);
    assert!(!any_tone_on(&map), "tones are left on");
}
