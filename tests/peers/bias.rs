//! Tests of bias dictionaries: those of our tunes with the functions of rfmux, and results of rfmux
//! with ours.

use std::process::Command;

use serde_json::Value;
use twotone::campaign::CampaignParams;
use twotone::exchange::bias::{BiasFile, Place};
use twotone::hal::{Complex64, ModuleId};
use twotone::map::HardwareMap;
use twotone::sim::Farm;
use twotone::transport::CrsBoard;

use crate::python::{Script, python};

fn complex(pair: &Value) -> Complex64 {
    let part = |index: usize| pair[index].as_f64().unwrap();
    Complex64::new(part(0), part(1))
}

/// Checks that two calibrations agree to a part of their size.
fn agree(channel: &str, ours: Complex64, theirs: Complex64, within: f64) {
    let ratio = theirs / ours;
    println!(
        "channel {channel}: {:.4} {:+.2} deg",
        ratio.norm(),
        ratio.arg().to_degrees()
    );
    assert!((ratio - 1.0).norm() < within, "channel {channel}: {ratio}");
}

#[test]
fn rfmux_calibrates_the_detectors_of_a_tune_as_the_tune_does() {
    let Some(python) = python() else { return };
    // A farm away from the defaults: another band, several modules, and not every board number.
    let farm = Farm::builder()
        .boards(1)
        .modules(2)
        .detectors(18)
        .band(0.6e9, 0.9e9)
        .seed(21)
        .start_blocking()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("map.toml"), farm.map_toml()).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_twotone"))
        .args(["tune", &path("map.toml"), "--out", &path("run")])
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let mut doubts = Vec::new();
    let biases = BiasFile::of_run(path("run"), &mut doubts).unwrap();
    assert!(doubts.is_empty(), "{doubts:?}");
    assert_eq!(biases.counts(), (18, 18));
    let file = std::fs::File::create(path("bias.json")).unwrap();
    serde_json::to_writer(file, &biases).unwrap();

    let (board, modules) = biases.boards.iter().next().unwrap();
    for (module, own) in &modules.modules {
        let script = Script::new(&python, "rfmux_bias.py");
        let said = script
            .args([path("bias.json"), board.clone(), module.to_string()])
            .run();
        assert_eq!(said.as_object().unwrap().len(), 9, "{said}");
        for (channel, pair) in said.as_object().unwrap() {
            agree(
                channel,
                complex(&pair["ours"]),
                complex(&pair["theirs"]),
                0.01,
            );
        }
        assert_eq!(own.detectors.len(), 9);
    }
}

#[test]
fn a_bias_result_of_rfmux_is_a_tune() {
    let Some(python) = python() else { return };
    let farm = Farm::builder()
        .boards(1)
        .detectors(12)
        .seed(5)
        .start_blocking()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    serde_json::to_writer(std::fs::File::create(path("truth")).unwrap(), &farm.truth()).unwrap();
    let board = &farm.boards()[0];
    let result = Script::new(&python, "rfmux_tune.py")
        .args([board.address().to_string(), path("truth")])
        .args(["--serial", &board.serial(), "--save", &path("bias.json")])
        .run();
    let theirs = result["biased"].as_array().unwrap();
    assert_eq!(theirs.len(), 12, "{result}");

    let text = std::fs::read_to_string(path("bias.json")).unwrap();
    assert!(
        BiasFile::parse(&text, None)
            .unwrap_err()
            .contains("--module")
    );
    let place = Place {
        board: board.name().to_owned(),
        module: ModuleId::FIRST,
        nco_hz: None,
    };
    let biases = BiasFile::parse(&text, Some(place)).unwrap();
    let map = HardwareMap::parse(&farm.map_toml(), "map.toml").unwrap();
    let mut doubts = Vec::new();
    let tunes = biases.tunes(&map, &CampaignParams::default(), &mut doubts);
    assert_eq!(doubts.len(), 1, "{doubts:?}");
    assert!(
        doubts[0].contains("the frequency of the NCO is not known"),
        "{doubts:?}"
    );
    let tune = &tunes[0].tune;
    let entries = &biases.boards.values().next().unwrap().modules[&ModuleId::FIRST].detectors;
    for tone in theirs {
        let number = tone["channel"].as_u64().unwrap();
        let mut channels = tune.channel.iter();
        let ours = channels
            .find(|one| u64::from(one.channel.number()) == number)
            .unwrap();
        // The board rounds frequencies to 0.6 mHz.
        let off_hz = (ours.tone_hz - tone["tone_hz"].as_f64().unwrap()).abs();
        assert!(off_hz < 1e-3, "channel {number}: {off_hz} Hz");
        let amplitude = tone["amplitude"].as_f64().unwrap();
        assert!(
            (ours.amplitude / amplitude - 1.0).abs() < 1e-4,
            "channel {number}"
        );
        let calibration = ours.calibration.unwrap();
        let own = (calibration.d * CrsBoard::VOLTS_PER_COUNT).inv();
        let measured = entries[&ours.channel].df_calibration.unwrap().0;
        agree(&number.to_string(), own, measured, 0.15);
    }
}
