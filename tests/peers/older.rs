//! Tests of the program with the real server of boards, in every version from 0.14 on. Every call
//! is passed on to a simulated board.

use twotone::sim::Farm;

use crate::program::Program;
use crate::python::{Script, environment, python};

const DETECTORS: usize = 4;

/// Parameters with 10 kHz between points: the lines are 60 kHz wide.
const PARAMS: &str = "[network_analysis]\npoints = 2000\n";

#[test]
fn every_command_works_with_the_server_0_14() {
    works("0.14", &["does not read it"]);
}

#[test]
fn every_command_works_with_the_server_0_15() {
    works("0.15", &["does not read it"]);
}

#[test]
fn every_command_works_with_the_server_0_16() {
    works("0.16", &["does not read it"]);
}

#[test]
fn every_command_works_with_the_server_0_17() {
    works("0.17", &["does not read it"]);
}

#[test]
fn every_command_works_with_the_server_0_18() {
    works("0.18", &[]);
}

/// Runs every command on a board whose server has this version and lacks these abilities.
fn works(version: &str, lacks: &[&str]) {
    let Some(python) = python() else { return };
    let farm = Farm::builder()
        .detectors(DETECTORS)
        .band(1.0e9, 1.02e9)
        .seed(7)
        .start_blocking()
        .unwrap();
    let board = &farm.boards()[0];
    let mut script = Script::new(&python, "tuberd_board.py").args([board.address().to_string()]);
    if version != "0.18" {
        // The environment itself has the latest one.
        script = script.args([environment(&python).join("tuberd").join(version)]);
    }
    let server = script.start();
    let said = server.said["version"].as_str().unwrap();
    assert!(said.starts_with(version), "{said}");

    // The address is that of the simulated board, whose samples come from there.
    let port = server.said["port"].as_u64().unwrap();
    let map = farm.map_toml();
    let own = board.address().to_string();
    assert_eq!(map.matches(&own).count(), 1, "{map}");
    let map = map.replace(&own, &format!("{}:{port}", board.ip()));
    let program = Program::with(&map);

    let info = program.report("info", &[]);
    let found = info["boards"][0]["lacks"].as_array().unwrap();
    assert_eq!(found.len(), lacks.len(), "{info:#}");
    let table = program.output("info", &[]);
    for (found, words) in found.iter().zip(lacks) {
        let found = found.as_str().unwrap();
        assert!(found.contains(words), "{found}");
        assert!(table.contains(found), "{table}");
    }
    assert_eq!(info["boards"][0]["modules"][0]["channels"], 1024);

    let params = program.path("params.toml");
    std::fs::write(&params, PARAMS).unwrap();
    let params = ["--params", &params];
    let whither = ["--out", &program.path("run")];
    let tune = program.report("tune", &[&params[..], &whither].concat());
    let channels = tune["boards"][0]["channels"].as_array().unwrap();
    let tuned = channels.iter().filter(|one| one["status"] == "tuned");
    assert_eq!(tuned.count(), DETECTORS, "{tune:#}");

    let run = program.path("run");
    let whither = ["--tune", &run, "--out", &program.path("samples")];
    let capture = program.report("capture", &[&["--seconds", "1"], &whither[..]].concat());
    let module = &capture["boards"][0]["modules"][0];
    assert!(module["received"].as_u64() > Some(400), "{capture:#}");
    assert_eq!(module["calibrated"], DETECTORS, "{capture:#}");
    assert_eq!(module["tune_after"]["state"], "holds", "{capture:#}");

    let whither = ["--out", &program.path("sweep")];
    let sweep = program.report("sweep", &[&params[..], &whither].concat());
    let module = &sweep["boards"][0]["modules"][0];
    assert!(module["points"].as_u64() > Some(1000), "{sweep:#}");

    let off = program.report("off", &[]);
    assert_eq!(off["ok"], true, "{off:#}");
}
