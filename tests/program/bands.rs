//! Tests of bands in each Nyquist zone of the converters: sweeps and tunes, warnings of the boards,
//! and maps that no board can follow.

use std::path::Path;

use serde_json::{Value, json};

use super::process::{SimProcess, run, run_json, write};

fn farm(band: &str, detectors: &str) -> SimProcess {
    SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        detectors,
        "--seed",
        "3",
        "--band",
        band,
    ])
}

fn manifest(run: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(run).join("manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Returns the warnings of the only board about Nyquist zones, in a manifest.
fn warned(manifest: &Value) -> bool {
    let warnings = manifest["boards"][0]["warnings"].as_array().unwrap();
    let texts: Vec<_> = warnings.iter().filter_map(Value::as_str).collect();
    texts.iter().any(|text| {
        text.starts_with("module 1: the board warns: ") && text.contains("Nyquist zone")
    })
}

#[test]
fn arrays_of_every_zone_are_swept_and_tuned_and_warnings_are_shown() {
    for (band, zone) in [
        ("0.4e9:0.9e9", 1),
        ("4.0e9:4.5e9", 2),
        ("5.5e9:6.0e9", 3),
        ("7.5e9:8.0e9", 4),
    ] {
        let sim = farm(band, "12");
        let map = sim.map();
        let (status, checked) = run_json(&["check", &map]);
        assert_eq!(status, 0, "{band}: {checked}");

        let swept = sim.text_path("swept");
        let (status, report) = run_json(&["sweep", &map, "--out", &swept]);
        assert_eq!(status, 0, "{band}: {report}");
        let module = &report["boards"][0]["modules"][0];
        let (low, _) = band.split_once(':').unwrap();
        let low: f64 = low.parse().unwrap();
        assert!(
            (module["f_min_hz"].as_f64().unwrap() - low).abs() < 30e6,
            "{module}"
        );
        assert_eq!(module["join_status"], "success", "{band}: {module}");
        let is_warned = !module["board_warnings"].as_array().unwrap().is_empty();
        assert_eq!(is_warned, zone > 2, "{band}: {module}");
        assert_eq!(warned(&manifest(&swept)), zone > 2, "{band}");

        // A run that finds the NCO where it wants it does not set it, and the board has nothing to
        // warn of. Thus each run has a new board.
        let sim = farm(band, "12");
        let (map, truth) = (sim.map(), sim.text_path("truth.json"));
        let tuned = sim.text_path("tuned");
        let args = ["tune", &map, "--out", &tuned, "--truth", &truth];
        let (status, report) = run_json(&args);
        assert_eq!(status, 0, "{band}: {report}");
        assert_eq!(report["score"]["tuned"], 12, "{band}: {}", report["score"]);
        assert_eq!(report["score"]["false"], 0, "{band}: {}", report["score"]);
        let channel = &report["boards"][0]["channels"][0];
        let nco_ghz = channel["nco_hz"].as_f64().unwrap() / 1e9;
        assert_eq!((nco_ghz / 2.5).ceil() as u64, zone, "{band}: {channel}");
        assert_eq!(warned(&manifest(&tuned)), zone > 2, "{band}");

        // The zone of the converters has followed the NCO.
        let (status, info) = run_json(&["info", &map]);
        assert_eq!(status, 0, "{info}");
        let module = &info["boards"][0]["modules"][0];
        assert_eq!(
            module["properties"]["nyquist_zone"].as_f64(),
            Some(zone as f64),
            "{module}"
        );
        let (_, table, _) = run(&["info", &map]);
        assert!(table.contains(&format!("nyquist_zone {zone}")), "{table}");

        // The tables show the warning too.
        let sim = farm(band, "12");
        let map = sim.map();
        let again = sim.text_path("again");
        let (status, table, err) = run(&["sweep", &map, "--out", &again]);
        assert_eq!(status, 0, "{table}{err}");
        assert_eq!(
            table.contains("the board warns: Module 1"),
            zone > 2,
            "{table}"
        );
        let sim = farm(band, "12");
        let map = sim.map();
        let tabled = sim.text_path("tabled");
        let (status, table, err) = run(&["tune", &map, "--out", &tabled]);
        assert_eq!(status, 0, "{table}{err}");
        let warns = table.contains("module 1: the board warns: Module 1");
        assert_eq!(warns, zone > 2, "{table}");
    }
}

#[test]
fn a_band_across_the_boundary_of_two_zones_is_swept_and_tuned() {
    for band in ["2.3e9:2.8e9", "4.75e9:5.25e9", "7.3e9:7.7e9"] {
        let sim = farm(band, "12");
        let (map, truth) = (sim.map(), sim.text_path("truth.json"));
        let out = sim.text_path("run");
        let args = ["tune", &map, "--out", &out, "--truth", &truth];
        let (status, report) = run_json(&args);
        assert_eq!(status, 0, "{band}: {report}");
        assert_eq!(report["score"]["tuned"], 12, "{band}: {}", report["score"]);
    }
    // A band of two zones that needs several settings of the NCO.
    let sim = farm("4.6e9:5.6e9", "12");
    let out = sim.text_path("run");
    let (status, report) = run_json(&["sweep", &sim.map(), "--out", &out]);
    assert_eq!(status, 0, "{report}");
    let module = &report["boards"][0]["modules"][0];
    assert_eq!(module["join_status"], "success", "{module}");
    assert_eq!(
        module["board_warnings"].as_array().unwrap().len(),
        1,
        "{module}"
    );
}

#[test]
fn check_refuses_what_no_board_reaches_and_says_what_is_reachable() {
    let folder = tempfile::tempdir().unwrap();
    let board = "[[board]]\nname = \"b\"\nkind = \"crs\"\nserial = \"1\"\n";
    let module = |number: u8, rest: &str| format!("[[board.module]]\nnumber = {number}\n{rest}");
    let band = |low: &str, high: &str| format!("f_min_hz = {low}\nf_max_hz = {high}\n");
    // A map that does not say the bank may have modules of both.
    let both = format!("{board}{}{}", module(1, ""), module(5, ""));
    let map = write(folder.path(), "both.toml", &both);
    let (status, report) = run_json(&["check", &map]);
    assert_eq!(status, 0, "{report}");
    for (case, text, line, words) in [
        (
            "beyond",
            module(1, &band("9.8e9", "10.4e9")),
            8,
            "no board here has tones above 10 GHz",
        ),
        (
            "bank",
            "analog_bank = \"low\"\n".to_owned() + &module(6, ""),
            7,
            "module 6 is on the high analog bank",
        ),
        (
            "zone",
            module(1, &(band("4.0e9", "4.5e9") + "nyquist_zone = 3\n")),
            9,
            "from 4 to 4.5 GHz reaches beyond it",
        ),
        (
            "two zones",
            module(1, &(band("4.0e9", "5.5e9") + "nyquist_zone = 2\n")),
            9,
            "from 4 to 5.5 GHz reaches beyond it",
        ),
        (
            "scale",
            module(1, "dac_scale_dbm = 70\n"),
            7,
            "from -20 to 10 dBm",
        ),
        (
            "word",
            "clock_source = \"SMB\"\n".to_owned() + &module(1, ""),
            5,
            "did you mean `SMA`?",
        ),
        (
            "misplaced",
            "dac_scale_dbm = 7\n".to_owned() + &module(1, ""),
            5,
            "it belongs in [[board.module]]",
        ),
    ] {
        let map = write(
            folder.path(),
            &format!("{case}.toml"),
            &(board.to_owned() + &text),
        );
        let (status, checked) = run_json(&["check", &map]);
        assert_eq!(status, 2, "{case}: {checked}");
        let [problem] = &checked["problems"].as_array().unwrap()[..] else {
            panic!("{case}: {checked}");
        };
        assert_eq!(problem["line"], json!(line), "{case}: {problem}");
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(words), "{case}: {message}");
    }
    let good = module(
        5,
        &(band("9.6e9", "10e9") + "dac_scale_dbm = 7\nadc_attenuator_db = 3\n"),
    );
    let good = "analog_bank = \"high\"\ndecimation = 5\n".to_owned() + &good;
    let map = write(folder.path(), "good.toml", &(board.to_owned() + &good));
    let (status, checked) = run_json(&["check", &map]);
    assert_eq!(status, 0, "{checked}");
}
