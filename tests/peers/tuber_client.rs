//! Test of the public client of the Tuber protocol with the server of our simulated boards.

use twotone::sim::Farm;

use crate::python::{Script, python};

#[test]
fn the_public_client_uses_a_simulated_board() {
    let Some(python) = python() else { return };
    let farm = Farm::builder().boards(1).seed(1).start_blocking().unwrap();
    let board = &farm.boards()[0];
    let report = Script::new(&python, "tuber_client.py")
        .args([board.address().to_string()])
        .run();
    println!("{report:#}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);
    // The client has a sync and an async form. Each reads in JSON, in CBOR and in the format that
    // it prefers.
    assert_eq!(report["read"].as_object().unwrap().len(), 6, "{report:#}");
    assert!(report["checks"].as_u64().unwrap() > 6 * 20, "{report:#}");
    let counters = board.counters();
    assert!(counters.by_method["get_samples"] >= 6, "{counters:?}");
}
