//! Test of the memory of a simulated board. The test is alone in its file, so that nothing else in
//! the process allocates memory during it.

mod client;

use serde_json::{Value, json};
use twotone_sim::Farm;

use client::{Client, call};

/// Returns the resident memory of this process in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 1024.0
}

/// Sets all tones of the modules and reads them, twice.
fn use_all(board: &mut Client, modules: u32) {
    for module in 1..=modules {
        board.ok(
            "set_nco_frequency",
            json!([1.25e9]),
            json!({"module": module}),
        );
        for round in 0..2 {
            let calls = (1..=1024_u32).flat_map(|channel| {
                let at = json!({"channel": channel, "module": module});
                let offset = -240e6 + 468e3 * f64::from(channel) + 1e4 * f64::from(round);
                [
                    call("set_frequency", json!([offset]), at.clone()),
                    call("set_amplitude", json!([0.0005]), at.clone()),
                    call(
                        "set_phase",
                        json!([f64::from(channel), "degrees", "dac"]),
                        at,
                    ),
                ]
            });
            board.json(&Value::Array(calls.collect()));
            let kwargs = json!({"channel": null, "module": module, "average": true});
            board.ok("get_samples", json!([17]), kwargs);
        }
    }
}

#[test]
fn a_board_of_1024_detectors_takes_at_most_3_mb() {
    const BOARDS: usize = 12;
    for modules in [1, 4] {
        let builder = Farm::builder()
            .boards(BOARDS)
            .detectors(1024)
            .modules(modules);
        let farm = builder.start_blocking().unwrap();
        let mut after = Vec::new();
        for board in farm.boards() {
            use_all(&mut Client::connect(board.address()), modules as u32);
            after.push(resident());
        }
        // The first boards also fill the buffers that all boards share, and the memory that the
        // allocator keeps in reserve.
        let growth = (after[BOARDS - 1] - after[3]) / (BOARDS - 4) as f64;
        println!("{modules} module(s): {:.2} MB a board", growth / 1e6);
        assert!(growth < 3e6, "{modules} module(s): {growth} bytes a board");
    }
}
