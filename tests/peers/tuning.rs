//! Test in which the unmodified Python client tunes a simulated board.

use twotone::sim::Farm;

use crate::python::{Script, python};

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
    let address = board.address().to_string();
    let script = Script::new(&python, "rfmux_tune.py")
        .args([&address, &truth.path().display().to_string()])
        .args(["--serial", &board.serial()]);
    let result = script.run();
    assert_eq!(result["detectors"], 20, "{result}");
    assert_eq!(result["found"].as_array().unwrap().len(), 20, "{result}");
    assert_eq!(result["biased"].as_array().unwrap().len(), 20, "{result}");
    assert_eq!(result["missed"].as_array().unwrap().len(), 0, "{result}");
    // The counters of the board show that the script has used this board.
    let counters = board.counters();
    assert!(counters.by_method["get_samples"] > 50, "{counters:?}");
}
