//! The unmodified Python client tunes a simulated board.

use std::process::Command;

use twotone::sim::Farm;

/// The interpreter that has the peer's packages, or none where there is no Python.
fn python() -> Option<String> {
    let python = std::env::var("TWOTONE_PYTHON").ok();
    if python.is_none() {
        eprintln!("left out: TWOTONE_PYTHON names no Python with rfmux; run `cargo xtask test`");
    }
    python
}

#[test]
fn rfmux_finds_and_biases_every_detector() {
    let Some(python) = python() else { return };
    let farm = Farm::builder()
        .boards(1)
        .detectors(20)
        .seed(2)
        .start_blocking()
        .unwrap();
    let truth = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&truth, &farm.truth()).unwrap();
    let board = &farm.boards()[0];
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/rfmux_tune.py");
    let output = Command::new(python)
        .arg(script)
        .arg(board.address().to_string())
        .arg(truth.path())
        .args(["--serial", &board.serial()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    let result: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(result["detectors"], 20, "{said}");
    assert_eq!(result["found"].as_array().unwrap().len(), 20, "{said}");
    assert_eq!(result["biased"].as_array().unwrap().len(), 20, "{said}");
    assert_eq!(result["missed"].as_array().unwrap().len(), 0, "{said}");
    // It was this board that answered, and it was asked over the wire.
    let counters = board.counters();
    assert!(counters.by_method["get_samples"] > 50, "{counters:?}");
}
