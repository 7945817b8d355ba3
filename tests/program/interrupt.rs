//! Tests of Ctrl-C while `twotone tune` runs, which sets a tone on the resonance of each detector.
//! The map is the file that lists the boards.

use std::process::Stdio;

use rustix::process::Signal;
use tworoutine::Wait;
use twotone::Array;
use twotone::hal::ChannelId;
use twotone::map::HardwareMap;
use twotone::sim::Farm;
use twotone::sim::fault::{BlackHole, Fault};

use super::process::{SimProcess, rest, signal_to, twotone, write};

/// True if any channel of the first board drives a tone. Looks only at the modules that the map
/// lists.
pub(crate) fn any_tone_on(map: &HardwareMap) -> bool {
    let array = Array::connect(map).wait();
    array.boards()[0].targets().iter().any(|target| {
        let tones = target.board.tones();
        let tones = tones.read(target.module, ChannelId::FIRST, 1024).wait();
        tones.unwrap().iter().any(|tone| tone.is_on())
    })
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
    // The signal must come while the program drives tones.
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

#[test]
fn a_second_interrupt_leaves_at_once_and_names_what_is_left_on() {
    let farm = Farm::builder()
        .boards(2)
        .detectors(200)
        .start_blocking()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let map_file = write(folder.path(), "map.toml", &farm.map_toml());
    let map = HardwareMap::load(&map_file).unwrap();
    let out = folder.path().join("run").display().to_string();
    let mut tune = twotone(&["tune", &map_file, "--out", &out, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !any_tone_on(&map) {
        assert!(
            tune.try_wait().unwrap().is_none(),
            "it ended before it drove a tone"
        );
    }
    // From now on the first board accepts requests and never answers. So the program cannot switch
    // the board's tones off after the interrupt.
    farm.boards()[0].inject(Fault::from(BlackHole {}));
    signal_to(&tune, Signal::INT);
    std::process::Command::new("sleep")
        .arg("0.5")
        .status()
        .unwrap();
    assert!(
        tune.try_wait().unwrap().is_none(),
        "it gave the clean-up up by itself"
    );
    signal_to(&tune, Signal::INT);
    let status = tune.wait().unwrap().code();
    let (out, err) = (rest(tune.stdout.take()), rest(tune.stderr.take()));
    assert_eq!(status, Some(3), "{out}\n{err}");
    let named = err
        .lines()
        .find(|line| line.starts_with("board crs0001 module 1:"));
    let named = named.unwrap_or_else(|| panic!("nothing is named: {err}"));
    assert!(
        named.contains("left on") || named.contains("unknown"),
        "{named}"
    );
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        report["boards"][0]["modules"][0]["hardware"]["state"],
        "left"
    );

    // Once the board answers again, `off` switches its tones off.
    assert!(
        any_tone_on_after_return(&farm, &map),
        "nothing was left on: the test shows nothing"
    );
    let off = twotone(&["off", &map_file]).output().unwrap();
    assert!(
        off.status.success(),
        "{}",
        String::from_utf8_lossy(&off.stdout)
    );
    assert!(!any_tone_on(&map));
}

fn any_tone_on_after_return(farm: &Farm, map: &HardwareMap) -> bool {
    farm.boards()[0].clear_faults();
    any_tone_on(map)
}
