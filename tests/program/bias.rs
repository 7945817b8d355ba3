//! Tests of `twotone export --to bias`, and of `twotone import` of bias dictionaries.

use std::fs;

use serde_json::Value;
use twotone::record::{ModuleTune, TuneRecord};

use super::process::{SimProcess, run, run_json, write};

/// Compares the channels of a tune with those that came back through a bias dictionary.
fn compare(before: &ModuleTune, after: &ModuleTune) {
    assert_eq!(before.nco_hz, after.nco_hz);
    assert_eq!(before.tau_s, after.tau_s);
    assert_eq!(before.channel.len(), after.channel.len());
    for (before, after) in before.channel.iter().zip(&after.channel) {
        let shown = format!("module {} channel {}", before.module, before.channel);
        assert_eq!(before.channel, after.channel);
        assert_eq!(before.tone_hz, after.tone_hz, "{shown}");
        assert_eq!(before.amplitude, after.amplitude, "{shown}");
        assert_eq!(before.status, after.status, "{shown}");
        let phase = before.phase_rad.unwrap() - after.phase_rad.unwrap();
        assert!(phase.abs() < 1e-9, "{shown}: {phase} rad");
        let (Some(old), Some(new)) = (before.calibration, after.calibration) else {
            panic!("{shown}: {before:?} {after:?}");
        };
        // The tune takes the sample at the tone from a measurement, and the import from the fit.
        let ratio = new.d / old.d;
        assert!((ratio - 1.0).norm() < 0.02, "{shown}: {ratio}");
        let off = (new.z0 - old.z0).norm() / old.line.norm();
        assert!(off < 0.02, "{shown}: {off}");
    }
    let ids = |tune: &ModuleTune| -> Vec<_> {
        let known = tune.detector.iter().filter(|one| one.channel.is_some());
        known.map(|one| (one.id.clone(), one.channel)).collect()
    };
    assert_eq!(ids(before).len(), 1);
    assert_eq!(ids(before), ids(after));
}

/// Returns the first detector of each module, as the map names detectors. `truth` has all of them.
fn named(truth: &str) -> String {
    let truth: Value = serde_json::from_str(truth).unwrap();
    let mut text = String::new();
    for board in truth["boards"].as_array().unwrap() {
        for module in board["modules"].as_array().unwrap() {
            let detectors = module["detectors"].as_array().unwrap();
            let first = detectors.iter().find(|one| one["dead"] != true).unwrap();
            let (name, number) = (&board["name"], &module["module"]);
            let hz = &first["fr_hz"];
            text.push_str(&format!(
                "\n[[detector]]\nid = \"first of {number}/{}\"\nboard = {name}\nmodule = {number}\n\
                 f_hz = {hz}\n",
                name.as_str().unwrap(),
            ));
        }
    }
    text
}

#[test]
fn a_tune_goes_out_as_a_bias_dictionary_and_comes_back() {
    let sim = SimProcess::start(&[
        "--boards",
        "2",
        "--modules",
        "2",
        "--detectors",
        "14",
        "--seed",
        "31",
        "--band",
        "4.1e9:4.5e9",
    ]);
    let (map, tuned) = (sim.map(), sim.text_path("run"));
    let truth = fs::read_to_string(sim.path("truth.json")).unwrap();
    let text = fs::read_to_string(&map).unwrap() + &named(&truth);
    fs::write(&map, text).unwrap();
    let (status, report) = run_json(&["tune", &map, "--out", &tuned]);
    assert_eq!(status, 0, "{report}");
    let (file, again) = (sim.text_path("bias.json"), sim.text_path("again"));
    let (status, report) = run_json(&["export", &tuned, "--to", "bias", "--out", &file]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(
        (&report["detectors"], &report["biased"]),
        (&28.into(), &28.into())
    );
    let text = fs::read_to_string(&file).unwrap();
    // Nothing is replaced.
    let (status, _, err) = run(&["export", &tuned, "--to", "bias", "--out", &file]);
    assert_eq!(status, 2, "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let (status, report) = run_json(&["import", &file, "--map", &map, "--out", &again]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["tuned"], 28, "{report}");
    let [before, after] = [&tuned, &again].map(|run| TuneRecord::read(run).unwrap());
    assert_eq!(after.modules().len(), 4);
    for tune in before.modules() {
        compare(tune, after.module(&tune.board, tune.module).unwrap());
    }
    // The sweeps of the dictionary are those of the run.
    let (status, report) = run_json(&["fit", &again]);
    assert_eq!((status, &report["fitted"]), (0, &28.into()), "{report}");
    // Without reference tones nothing shows if the calibration still holds, and the capture says
    // so.
    let samples = sim.text_path("samples");
    let (_, report) = run_json(&[
        "capture",
        &map,
        "--seconds",
        "0.3",
        "--tune",
        &again,
        "--out",
        &samples,
    ]);
    let module = &report["boards"][0]["modules"][0];
    assert_eq!(
        (&module["channels"], &module["calibrated"]),
        (&7.into(), &0.into()),
        "{module}"
    );

    part_of_a_dictionary(&sim, &map, &tuned, &text);
}

/// Checks a selection of a tune, and dictionaries that do not fit the map.
fn part_of_a_dictionary(sim: &SimProcess, map: &str, tuned: &str, text: &str) {
    let path = |name: &str| sim.text_path(name);
    let one = ["--board", "crs0002", "--module", "2"];
    let (status, report) = run_json(
        &[
            &["export", tuned, "--to", "bias", "--out", &path("part.json")][..],
            &one,
        ]
        .concat(),
    );
    assert_eq!((status, &report["detectors"]), (0, &7.into()), "{report}");
    let part: Value = serde_json::from_slice(&fs::read(path("part.json")).unwrap()).unwrap();
    let detectors = &part["boards"]["crs0002"]["modules"]["2"]["detectors"];
    assert_eq!(detectors.as_object().unwrap().len(), 7);

    // The part that `bias_kids` returns needs the board, the module and the NCO from outside.
    let bare = write(sim.folder.path(), "bare.json", &detectors.to_string());
    let import = ["import", &bare, "--map", map, "--out", &path("bare")];
    let (status, _, err) = run(&import);
    assert_eq!(status, 2);
    assert!(err.contains("--module"), "{err}");
    let (status, report) = run_json(&[&import[..], &one].concat());
    assert_eq!(status, 3, "{report}");
    assert!(
        report["doubts"][0].as_str().unwrap().contains("NCO"),
        "{report}"
    );
    assert_eq!(report["tuned"], 7, "{report}");

    for (from, to, words) in [
        ("\"crs0001\"", "\"other\"", "the map has no board `other`"),
        (
            "\"serial\":\"0001\"",
            "\"serial\":\"0077\"",
            "has the serial number 0001 in the map",
        ),
        (
            "\"modules\":{\"1\"",
            "\"modules\":{\"4\"",
            "the map has no module 4",
        ),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text, "{from}");
        let wrong = write(sim.folder.path(), "wrong.json", &wrong);
        let (status, _, err) = run(&["import", &wrong, "--map", map, "--out", &path("wrong")]);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(words), "{err}");
    }
    let (status, _, err) = run(&["import", &bare]);
    assert_eq!(status, 2);
    assert!(err.contains("--out"), "{err}");
}
