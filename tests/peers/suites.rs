//! Tests that the Python client of CRS boards brings for boards, unchanged, on simulated boards.

use serde_json::Value;
use twotone::sim::{Farm, FarmBuilder};

use crate::python::{Script, environment, python};

/// Runs a suite on a board of a farm. Returns the names of the tests that passed, and the reasons
/// of those that failed.
fn run(suite: &str, farm: FarmBuilder) -> Option<(Vec<String>, Value)> {
    let python = python()?;
    let farm = farm.start_blocking().unwrap();
    let board = &farm.boards()[0];
    let results = tempfile::tempdir().unwrap();
    let environment = environment(&python);
    let folder = match suite {
        "spotcheck" => environment.join("rfmux-suite"),
        _ => results.path().to_owned(),
    };
    let report = Script::new(&python, "rfmux_suite.py")
        .args([
            suite,
            &format!("{}={}", board.serial(), board.address()),
            &folder.display().to_string(),
        ])
        .run();
    let passed = report["passed"].as_array().unwrap().iter();
    let names = passed.map(|name| name.as_str().unwrap().to_owned());
    Some((names.collect(), report["failed"].clone()))
}

#[test]
fn the_suite_for_boards_passes() {
    let Some((passed, failed)) = run("spotcheck", Farm::builder().detectors(0)) else {
        return;
    };
    let failed = failed.as_object().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(passed.len(), 67, "{passed:#?}");
}

#[test]
fn the_acceptance_tests_pass_with_a_loopback_cable() {
    let Some((passed, failed)) = run("qc", Farm::builder().loopback()) else {
        return;
    };
    let failed = failed.as_object().unwrap();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(passed.len(), 15, "{passed:#?}");
}
