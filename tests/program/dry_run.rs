//! Tests of dry runs (`--dry-run`), and of detectors that the hardware map (the list of boards)
//! names. A *tune* sets a tone on the resonance of each detector.

use std::fs::File;

use serde_json::Value;
use twotone::hal::{Hertz, ModuleId};
use twotone::map::{DetectorEntry, HardwareMap};
use twotone::record::{DetectorStatus, SweepTable, TuneRecord};
use twotone::sim::Truth;

use super::interrupt::any_tone_on;
use super::process::{SimProcess, run, run_json, write};

/// Writes a map with the detectors of simulated boards. Each detector is named after its board and
/// its place on the module. Each module also has a detector `lost`, which does not exist.
fn named(sim: &SimProcess) -> String {
    let map = HardwareMap::load(sim.map()).unwrap();
    let truth = std::fs::read(sim.path("truth.json")).unwrap();
    let truth: Truth = serde_json::from_slice(&truth).unwrap();
    let mut detectors = Vec::new();
    for board in &truth.boards {
        for module in &board.modules {
            let entry = |id: String, hz: f64| DetectorEntry {
                id,
                board: board.name.clone(),
                module: ModuleId::new(module.module).unwrap(),
                expected: Hertz(hz),
            };
            for (at, detector) in module.detectors.iter().enumerate() {
                // The true frequencies are a little lower than the expected ones, as after a
                // cooldown.
                let hz = detector.fr_hz + 20e3;
                detectors.push(entry(format!("{}-{at}", board.name), hz));
            }
            // Halfway between two detectors, which are some 80 MHz apart.
            let between = 0.5 * (module.detectors[0].fr_hz + module.detectors[1].fr_hz);
            detectors.push(entry(format!("{}-lost", board.name), between));
        }
    }
    let map = HardwareMap::new(map.boards().to_vec(), detectors).unwrap();
    write(sim.folder.path(), "named.toml", &map.to_toml())
}

#[test]
fn detectors_of_the_map_are_in_every_result() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "6", "--seed", "5"]);
    let map = named(&sim);
    let out = sim.text_path("run");
    let (status, report) = run_json(&["tune", &map, "--out", &out]);
    assert_eq!(status, 0, "{report}");
    let record = TuneRecord::read(&out).unwrap();
    for name in ["crs0001", "crs0002"] {
        let boards = report["boards"].as_array().unwrap();
        let board = boards.iter().find(|board| board["name"] == name).unwrap();
        let module = record.module(name, ModuleId::FIRST).unwrap();
        assert_eq!(
            serde_json::to_value(&module.detector).unwrap(),
            board["detectors"]
        );
        assert_eq!(module.detector.len(), 7);
        for detector in &module.detector {
            let is_lost = detector.id.ends_with("lost");
            let expected = match is_lost {
                true => DetectorStatus::NotFound,
                false => DetectorStatus::Tuned,
            };
            assert_eq!(detector.status, expected, "{detector:?}");
            assert_eq!(detector.channel.is_none(), is_lost, "{detector:?}");
            let channels = board["channels"].as_array().unwrap();
            let channel = channels
                .iter()
                .find(|one| one["detector"] == detector.id.as_str());
            assert_eq!(channel.is_none(), is_lost, "{detector:?}");
            if let Some(channel) = channel {
                assert_eq!(channel["channel"], detector.channel.unwrap().number());
            }
        }
        let file = File::open(sim.path("run").join(format!("sweeps/{name}.arrow"))).unwrap();
        let sweeps = SweepTable::read_arrow(file, name).unwrap();
        let found: Value = serde_json::from_str(&sweeps.provenance["detectors"]).unwrap();
        let first = &module.detector[0];
        assert_eq!(found[&first.id]["channel"], first.channel.unwrap().number());
    }
    let manifest = std::fs::read_to_string(sim.path("run/manifest.json")).unwrap();
    let words = "1 of 7 detectors of the map are not found: crs0001-lost";
    assert!(manifest.contains(words), "{manifest}");
    let (_, table, _) = run(&["tune", &map, "--out", &sim.text_path("again")]);
    assert!(table.contains(words), "{table}");

    // The file of a sweep lists the frequencies at which detectors are expected.
    let out = sim.text_path("swept");
    let (status, report) = run_json(&["sweep", &map, "--out", &out]);
    assert_eq!(status, 0, "{report}");
    let file = File::open(sim.path("swept/sweeps/crs0002.arrow")).unwrap();
    let sweeps = SweepTable::read_arrow(file, "swept").unwrap();
    let found: Value = serde_json::from_str(&sweeps.provenance["detectors"]).unwrap();
    let lost = found["crs0002-lost"]["f_hz"].as_f64();
    assert!(lost > Some(1e9) && lost < Some(1.5e9), "{found}");
    assert_eq!(found.as_object().unwrap().len(), 7);
}

#[test]
fn a_dry_run_sets_nothing_and_counts_what_would_be_sent() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "6", "--seed", "5"]);
    let (bare, named) = (sim.map(), named(&sim));
    let map = HardwareMap::load(&bare).unwrap();
    let module = |report: &Value| report["boards"][1]["modules"][0].clone();
    let count = |args: &[&str]| {
        let (status, report) = run_json(&[args, &["--dry-run"]].concat());
        assert_eq!(status, 0, "{report}");
        assert_eq!(report["dry_run"], true);
        let module = module(&report);
        assert_eq!(module["error"], Value::Null);
        let all = report["total"]["requests"].as_u64();
        assert_eq!(
            all,
            module["requests"].as_u64().map(|one| 2 * one),
            "{report}"
        );
        let [samples_s, all_s] = ["acquiring_s", "estimated_s"].map(|key| module[key].as_f64());
        assert!(samples_s > Some(0.1) && all_s > samples_s, "{report}");
        assert!(!any_tone_on(&map), "a tone is on");
        module
    };
    let without = count(&["tune", &bare]);
    let with = count(&["tune", &named]);
    let sweep = count(&["sweep", &bare]);
    assert_eq!(
        (&without["resonances"], &with["resonances"]),
        (&0.into(), &7.into())
    );
    let requests = |module: &Value| module["requests"].as_u64().unwrap();
    // If the map names detectors, there is a fine sweep, which has 41 points.
    assert!(
        requests(&with) > requests(&without) + 41,
        "{with} {without}"
    );
    assert!(requests(&sweep) >= 45, "{sweep}");

    // The limits of the map forbid these tones, so even a dry run is refused.
    let params = write(
        sim.folder.path(),
        "loud.toml",
        "tone_amplitude = 0.05\n[network_analysis]\namplitude = 0.001\n",
    );
    let (status, report) = run_json(&["tune", &bare, "--params", &params, "--dry-run"]);
    assert_eq!(status, 3, "{report}");
    assert_eq!(module(&report)["error"]["kind"], "limit", "{report}");
    let (status, table, _) = run(&["tune", &named, "--dry-run"]);
    assert_eq!(status, 0);
    for words in ["crs0002", "nothing was set on any board", "all"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    // A tune without `--dry-run` needs `--out`.
    assert_eq!(run(&["tune", &bare]).0, 2);
}
