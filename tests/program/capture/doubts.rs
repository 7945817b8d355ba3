//! Tests of captures (sample streams that are written to files) whose reports contain doubts, which
//! are reasons not to trust the samples. The doubts are about the tune that calibrates the samples,
//! about the modules, or about boards that do not answer. A *tune* sets a tone on the resonance of
//! each detector. The map is the file that lists the boards.

use std::path::Path;

use serde_json::Value;
use tworoutine::Wait;
use twotone::Array;
use twotone::hal::{ChannelId, Hertz, ModuleId, ToneUpdate};
use twotone::map::HardwareMap;
use twotone::record::Manifest;
use twotone::sim::fault::{Fault, Refuse, StaleStamps, WrongSerial};
use twotone::sim::{Conditions, Farm};

use super::super::process::{error_of, run, run_json, write};
use super::endings::{begun, ended, wait_for_packets};
use super::{Lab, MODULATION, batches, channel, check_rows, nearest, noted, sine, times};

fn standing(report: &Value, board: usize) -> &Value {
    &report["boards"][board]["modules"][0]["tune"]
}

#[test]
fn a_tune_of_another_phase_epoch_calibrates_nothing() {
    let (lab, tune) = Lab::tuned(4, 42);
    let out = lab.text_path("samples");
    // The NCO (the oscillator to which tones are relative) is set to another frequency and back.
    // All tones are as before, but have other phases.
    let map = HardwareMap::load(&lab.map).unwrap();
    for board in Array::connect(&map).wait().boards() {
        let (nco, module) = (board.handle().nco(), ModuleId::FIRST);
        let was = nco.read(module).wait().unwrap().frequency.0;
        nco.set(module, Hertz(was + 1e6)).wait().unwrap();
        nco.set(module, Hertz(was)).wait().unwrap();
    }
    let (status, report) = lab.capture("0.2", &["--out", &out, "--tune", &tune]);
    assert_eq!(status, 3, "{report}");
    for board in 0..2 {
        let module = &report["boards"][board]["modules"][0];
        assert_eq!(
            (&module["tune"]["state"], &module["calibrated"]),
            (&"void".into(), &0.into()),
            "{module}"
        );
        let batches = batches(Path::new(&out), module["file"].as_str().unwrap());
        assert!(batches[0].column_by_name("df_hz").is_none());
        assert!(check_rows(&batches) > 0);
    }
    // The report is also on disk, with descriptions of the boards.
    let stored = std::fs::read_to_string(Path::new(&out).join("capture.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), report);
    let manifest = Manifest::read(&out).unwrap();
    for board in &manifest.boards {
        assert!(board.firmware.as_ref().is_some_and(|text| !text.is_empty()));
        let error = board.error.as_ref().unwrap();
        assert!(
            error.message.contains("module 1: the tune does not hold"),
            "{error}"
        );
    }
}

#[test]
fn a_change_of_the_readout_is_corrected_and_a_channel_set_otherwise_is_not_calibrated() {
    let (lab, tune) = Lab::tuned(8, 46);
    let [board, other] = lab.farm.boards() else {
        panic!("two boards");
    };
    let known = &lab.farm.truth().boards[0];
    board.set_conditions(
        1,
        Conditions {
            modulation: Some(MODULATION),
            ..Conditions::default()
        },
    );
    tell!(board, "set_adc_attenuator", 1_u8, "DB", 1_u8);
    tell!(other, "set_phase", 53.0, "DEGREES", "DAC", 2_u16, 1_u8);
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("4", &["--out", &out, "--tune", &tune]);
    assert_eq!(status, 3, "{report}");

    let found = standing(&report, 0);
    assert_eq!(found["state"], "holds", "{found}");
    let gain = found["reference_gain"].as_f64().unwrap();
    assert!((gain - 10_f64.powf(-1.0 / 20.0)).abs() < 2e-3, "{found}");
    let file = report["boards"][0]["modules"][0]["file"].as_str().unwrap();
    let rows = batches(Path::new(&out), file);
    let field = rows[0]
        .schema_ref()
        .field_with_name("df_hz")
        .unwrap()
        .clone();
    assert_eq!(field.metadata()["reference_gain"], gain.to_string());
    let times = times(&rows);
    let tones = noted(&rows, "df_hz", "tone_hz");
    assert_eq!(tones.len(), 8);
    for (at, tone_hz) in tones.into_iter().enumerate() {
        let detector = nearest(&known.modules[0].detectors, tone_hz);
        let (amplitude, _) = sine(&times, &channel(&rows, "df_hz", at));
        let ratio = amplitude / (MODULATION.amplitude_lw * detector.linewidth_hz);
        assert!((ratio - 1.0).abs() < 0.03, "{tone_hz} Hz: {ratio}");
    }

    let found = standing(&report, 1);
    assert_eq!(
        (&found["state"], &found["changed"]),
        (&"holds".into(), &serde_json::json!([2]))
    );
    assert_eq!(report["boards"][1]["modules"][0]["calibrated"], 7);
}

#[test]
fn a_tune_that_does_not_have_the_module_is_void() {
    let (lab, tune) = Lab::tuned(4, 47);
    let map = std::fs::read_to_string(&lab.map).unwrap();
    let renamed = map.replace("crs0002", "renamed");
    let renamed = write(lab.folder.path(), "renamed.toml", &renamed);
    let [out, text] = ["samples", "text"].map(|name| lab.text_path(name));
    let args = [
        "capture",
        &renamed,
        "--seconds",
        "0.2",
        "--tune",
        &tune,
        "--out",
    ];
    let (status, report) = run_json(&[&args[..], &[&out]].concat());
    assert_eq!(status, 3, "{report}");
    assert_eq!(report["boards"][0]["ok"], true, "{report}");
    assert_eq!(report["boards"][1]["ok"], false, "{report}");
    assert_eq!(standing(&report, 1)["state"], "void", "{report}");
    let (status, table, _) = run(&[&args[..], &[&text]].concat());
    assert_eq!(status, 3);
    assert!(
        table.contains("the run has no tune of this module"),
        "{table}"
    );
    // A tune also counts as void if it has tuned no channel of the module.
    let file = Path::new(&tune).join("tune.toml");
    let failed = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, failed.replace("\"tuned\"", "\"failed\"")).unwrap();
    let (status, report) = lab.capture("0.2", &["--out", &lab.text_path("none"), "--tune", &tune]);
    assert_eq!(status, 3, "{report}");
    let why = standing(&report, 0)["why"].as_str().unwrap();
    assert!(why.contains("none of its channels is tuned"), "{why}");
}

#[test]
fn modules_are_those_of_the_bank_in_use() {
    let farm = Farm::builder().boards(2).detectors(2).seed(48);
    let lab = Lab::of(farm.start_blocking().unwrap());
    tell!(lab.farm.boards()[0], "set_analog_bank", true);
    // The map lists module 1 of both boards. The first board uses an analog bank (a group of its
    // inputs and outputs) that has no module 1.
    let out = lab.text_path("low");
    let (status, report) = lab.capture("0.2", &["--out", &out]);
    assert_eq!(status, 3, "{report}");
    let [board, other] = [0, 1].map(|board| &report["boards"][board]);
    let error = error_of(board);
    assert!(
        error.contains("there is no module 1; the board has 5, 6, 7, 8"),
        "{error}"
    );
    assert_eq!(board["modules"].as_array().unwrap().len(), 0, "{board}");
    assert_eq!(other["ok"], true, "{other}");
    assert!(!Path::new(&out).join("samples/crs0001").exists());

    let map = std::fs::read_to_string(&lab.map).unwrap();
    let high = map.replacen("number = 1", "number = 5", 1);
    let high = write(lab.folder.path(), "high.toml", &high);
    let out = lab.text_path("high");
    let (status, report) = run_json(&["capture", &high, "--seconds", "0.2", "--out", &out]);
    assert_eq!(status, 0, "{report}");
    let module = &report["boards"][0]["modules"][0];
    assert_eq!(module["module"], 5, "{module}");
    let file = module["file"].as_str().unwrap();
    assert_eq!(file, "samples/crs0001/module-5.arrow");
    assert_eq!(
        module["received"],
        check_rows(&batches(Path::new(&out), file))
    );
}

#[test]
fn a_board_that_does_not_answer_is_captured_and_told() {
    let lab = Lab::new(2, 49);
    lab.farm.boards()[0].inject(Fault::from(Refuse {}));
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("0.2", &["--out", &out]);
    assert_eq!(status, 3, "{report}");
    let board = &report["boards"][0];
    let module = &board["modules"][0];
    assert!(error_of(board).contains("unreachable"), "{board}");
    let rows = check_rows(&batches(Path::new(&out), module["file"].as_str().unwrap()));
    assert!(rows > 0 && module["received"] == rows, "{module}");
    let (status, table, _) = run(&[
        "capture",
        &lab.map,
        "--seconds",
        "0.2",
        "--out",
        &lab.text_path("text"),
    ]);
    assert_eq!(status, 3);
    assert!(table.contains("unreachable"), "{table}");

    // In the packets, modules 1 and 5 cannot be told apart.
    let map = std::fs::read_to_string(&lab.map).unwrap();
    let second = map.find("[[board]]\nname = \"crs0002\"").unwrap();
    let twins = format!(
        "{}[[board.module]]\nnumber = 5\n\n{}",
        &map[..second],
        &map[second..]
    );
    let twins = write(lab.folder.path(), "twins.toml", &twins);
    let out = lab.text_path("twins");
    let (status, report) = run_json(&["capture", &twins, "--seconds", "0.2", "--out", &out]);
    assert_eq!(status, 3, "{report}");
    let error = error_of(&report["boards"][0]);
    assert!(error.contains("modules 1 and 5"), "{error}");
    assert!(!Path::new(&out).join("samples/crs0001").exists());
}

#[test]
fn samples_without_a_time_and_packets_of_another_serial_number_are_told() {
    let farm = Farm::builder().boards(2).detectors(4).seed(51);
    let lab = Lab::of(farm.start_blocking().unwrap());
    lab.farm.boards()[0].inject(Fault::from(StaleStamps {}));
    lab.farm.boards()[1].inject(Fault::from(WrongSerial { serial: 77 }));
    let map = std::fs::read_to_string(&lab.map).unwrap();
    // The first map lists the modules of the boards. The second map lists none, so each board says
    // which modules it has.
    let keep = |line: &&str| !line.starts_with("[[board.module]]");
    let bare: String = map
        .split("\n\n")
        .filter(keep)
        .map(|section| format!("{section}\n\n"))
        .collect();
    for (name, text) in [("listed", &map), ("bare", &bare)] {
        let map = write(lab.folder.path(), "doubtful.toml", text);
        let out = lab.text_path(name);
        let (status, report) = run_json(&["capture", &map, "--seconds", "0.3", "--out", &out]);
        assert_eq!(status, 3, "{report}");
        let module = &report["boards"][0]["modules"][0];
        assert_eq!(module["timeless"], module["received"], "{module}");
        let found = batches(Path::new(&out), module["file"].as_str().unwrap());
        for batch in &found {
            assert_eq!(batch["time"].null_count(), batch.num_rows());
        }
        let error = error_of(&report["boards"][1]);
        assert!(
            error.contains("bear another serial number"),
            "{name}: {error}"
        );
    }
    let out = lab.text_path("text");
    let (_, text, _) = run(&["capture", &lab.map, "--seconds", "0.2", "--out", &out]);
    assert!(text.contains("samples have no time"), "{text}");
}

#[test]
fn packets_of_two_boards_from_one_address_are_told() {
    let farm = Farm::builder().boards(2).detectors(1).seed(53);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let [board, _] = lab.farm.boards() else {
        panic!("two boards");
    };
    let out = lab.text_path("samples");
    let capture = begun(&lab, &out, &["--seconds", "2"]);
    wait_for_packets(board, 300);
    // 50 packets of each module have another serial number, as if another board had replaced this
    // one shortly before the end.
    board.inject(Fault::from(WrongSerial { serial: 77 }).during(800, 50));
    let (status, report, _) = ended(capture);
    assert_eq!(status, 3, "{report}");
    let [board, other] = [0, 1].map(|board| &report["boards"][board]);
    let error = error_of(board);
    assert!(
        error.contains("200 packets from its address bear another serial number, 0077: "),
        "{error}"
    );
    assert!(board["modules"][0]["received"].as_u64() > Some(300));
    assert_eq!(other["ok"], true, "{other}");
    let manifest = Manifest::read(&out).unwrap();
    let noted = serde_json::to_value(&manifest.boards[0].error).unwrap();
    assert_eq!(noted, board["error"]);
}

#[test]
fn a_stream_that_cannot_be_joined_is_wrong_usage() {
    let farm = Farm::builder().boards(1).detectors(1).seed(52);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let out = lab.text_path("samples");
    let map = std::fs::read_to_string(&lab.map).unwrap();
    let nameless = map.lines().filter(|line| !line.starts_with("serial"));
    let nameless: String = nameless.map(|line| format!("{line}\n")).collect();
    let nameless = write(lab.folder.path(), "nameless.toml", &nameless);
    for (map, group, says) in [
        (&lab.map, "1.2.3.4", "224.0.0.0 to 239.255.255.255"),
        (&nameless, "239.192.0.2", "serial number"),
    ] {
        let args = ["--seconds", "0.2", "--out", &out, "--group", group];
        let (status, _, err) = run(&[&["capture", map.as_str()], &args[..]].concat());
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(says), "{err}");
    }
}

#[test]
fn modules_are_chosen_and_strange_ones_refused() {
    let farm = Farm::builder().boards(1).modules(4).detectors(8).seed(50);
    let lab = Lab::of(farm.start_blocking().unwrap());
    let out = lab.text_path("samples");
    let (status, report) = lab.capture("0.2", &["--out", &out, "--module", "2,4"]);
    assert_eq!(status, 0, "{report}");
    let modules = report["boards"][0]["modules"].as_array().unwrap();
    let numbers: Vec<_> = modules.iter().map(|module| &module["module"]).collect();
    assert_eq!(numbers, [2, 4]);
    for module in modules {
        let rows = check_rows(&batches(Path::new(&out), module["file"].as_str().unwrap()));
        assert!(rows > 0 && module["received"] == rows, "{module}");
    }
    let out = lab.text_path("strange");
    let args = [
        "capture",
        &lab.map,
        "--seconds",
        "0.2",
        "--out",
        &out,
        "--module",
        "2,7",
    ];
    let (status, _, err) = run(&args);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("the map has no module 7"), "{err}");
    // If the map lists no modules of a board, the board itself says which modules it has.
    let map = std::fs::read_to_string(&lab.map).unwrap();
    let short = &map[..map.find("[[board.module]]").unwrap()];
    let short = write(lab.folder.path(), "short.toml", short);
    let args = [
        "capture",
        &short,
        "--seconds",
        "0.2",
        "--out",
        &out,
        "--module",
        "7",
    ];
    let (status, report) = run_json(&args);
    assert_eq!(status, 4, "{report}");
    let error = error_of(&report["boards"][0]);
    assert!(error.contains("there is no module 7"), "{error}");
}

#[test]
fn inputs_that_are_overdriven_are_told() {
    let lab = Lab::new(2, 51);
    let map = HardwareMap::parse(&lab.farm.map_toml(), "map").unwrap();
    let array = Array::connect(&map).wait();
    let loud = (1..=4).map(|number| {
        let tone = ToneUpdate::new(ChannelId::new(number).unwrap());
        tone.offset(Hertz(1e6 * f64::from(number))).amplitude(0.9)
    });
    let tones = array.boards()[0].handle().tones();
    tones.set(ModuleId::FIRST, loud).wait().unwrap();
    let (status, report) = lab.capture("0.3", &["--out", &lab.text_path("samples")]);
    assert_eq!(status, 3, "{report}");
    let [loud, other] = [0, 1].map(|board| &report["boards"][board]["modules"][0]);
    assert_eq!(loud["overrange"], loud["received"], "{loud}");
    let doubt = loud["doubts"][0].as_str().unwrap();
    assert!(
        doubt.ends_with("samples were taken with a converter over its range"),
        "{loud}"
    );
    assert_eq!(
        (
            &other["overrange"],
            other["doubts"].as_array().unwrap().len()
        ),
        (&0.into(), 0)
    );
}
