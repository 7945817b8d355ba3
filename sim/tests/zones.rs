//! Tests of the Nyquist zones of a board: the range of the NCO, its warnings, and the output of the
//! DAC in each zone.

mod client;

use serde_json::{Value, json};
use twotone_sim::{Farm, Profile};

use client::{Client, call};

fn start(band: (f64, f64)) -> (Farm, Client) {
    let builder = Farm::builder()
        .detectors(0)
        .profile(Profile::Clean)
        .band(band.0, band.1);
    let farm = builder.start_blocking().unwrap();
    let client = Client::connect(farm.boards()[0].address());
    (farm, client)
}

fn at() -> Value {
    json!({"module": 1})
}

/// The values are those of the acceptance test of the board's authors (t0/rfmux,
/// `test_spotcheck.py`): the NCO is kept, the zones 3 and 4 lead to a warning.
#[test]
fn the_nco_reaches_four_zones_and_warns_in_the_upper_two() {
    let (_farm, mut board) = start((1.0e9, 1.5e9));
    for (hz, zone) in [
        (100e6, 1),
        (2.4e9, 1),
        (2.6e9, 2),
        (4.9e9, 2),
        (5.1e9, 3),
        (7.4e9, 3),
        (7.6e9, 4),
        (9.9e9, 4),
        (10e9, 4),
    ] {
        let set = call("set_nco_frequency", json!([hz]), at());
        let answer = board.json(&json!([set]));
        let warnings = answer[0]["warnings"].as_array();
        let warnings = warnings.map_or(0, Vec::len);
        assert_eq!(warnings, usize::from(zone > 2), "{hz}: {answer}");
        assert!(answer[0].get("error").is_none(), "{hz}: {answer}");
        assert_eq!(board.ok("get_nco_frequency", json!([]), at()), json!(hz));
        for target in ["adc", "dac"] {
            let kwargs = json!({"module": 1, "target": target});
            assert_eq!(
                board.ok("get_nyquist_zone", json!([]), kwargs),
                json!(zone),
                "{hz}"
            );
        }
    }
    for hz in [-1.0, 10.1e9] {
        let text = board.refused("set_nco_frequency", json!([hz]), at());
        assert!(text.contains("between 0 and 10000 MHz"), "{text}");
    }
}

/// Size of the samples of a tone at `hz`, with the converters in the zone of the NCO, and in
/// another one if `zone` is given.
fn size(board: &mut Client, hz: f64, zone: Option<u8>) -> f64 {
    board.ok("set_nco_frequency", json!([hz - 1e6]), at());
    if let Some(zone) = zone {
        board.ok("set_nyquist_zone", json!([zone]), at());
    }
    let channel = json!({"channel": 1, "module": 1});
    board.ok("set_frequency", json!([1e6]), channel.clone());
    board.ok("set_amplitude", json!([0.001]), channel);
    let kwargs = json!({"channel": 1, "module": 1, "average": true});
    board.ok("get_samples", json!([20]), kwargs.clone());
    let samples = board.ok("get_samples", json!([20]), kwargs);
    let mean = |part: &str| samples["mean"][part].as_f64().unwrap();
    mean("i").hypot(mean("q"))
}

/// The line is the same for one frequency, so the ratio of two zones is that of the DAC alone. The
/// expected values are sin(pi x) / (pi x) and sin(pi x / 2)^2 / (pi x / 2) with x = f / 5 GHz,
/// computed by hand.
#[test]
fn the_dac_rolls_off_by_zone() {
    for (hz, zone, expected) in [
        // Mix mode.
        (2.75e9, 2, 0.6693),
        (4.25e9, 2, 0.7081),
        (6.0e9, 3, 0.4799),
        (7.25e9, 3, 0.2539),
        // Samples that are held.
        (7.75e9, 4, 0.2028),
        (9.0e9, 4, 0.1039),
    ] {
        let (_farm, mut board) = start((hz - 0.2e9, hz + 0.2e9));
        let own = size(&mut board, hz, None);
        assert_eq!(board.ok("get_nyquist_zone", json!([]), at()), json!(zone));
        let flat = size(&mut board, hz, Some(1));
        let ratio = own / flat;
        assert!(
            (ratio / expected - 1.0).abs() < 0.005,
            "{hz}: {ratio} is not {expected}"
        );
    }
}
