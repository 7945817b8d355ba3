//! Tests of methods of firmware 1.6 and later, and of older names.

mod client;

use serde_json::{Value, json};
use twotone_sim::Farm;

use client::Client;

fn farm(builder: twotone_sim::FarmBuilder) -> (Farm, Client) {
    let farm = builder.start_blocking().unwrap();
    let client = Client::connect(farm.boards()[0].address());
    (farm, client)
}

fn of(module: u8) -> Value {
    json!({ "module": module })
}

#[test]
fn settings_are_kept_and_refused_out_of_range() {
    let (_farm, mut board) = farm(Farm::builder().detectors(0));
    assert_eq!(
        board.ok("get_amplitude_limit", json!([]), of(2)),
        json!(1.0)
    );
    board.ok("set_amplitude_limit", json!([0.25]), of(2));
    assert_eq!(
        board.ok("get_amplitude_limit", json!([]), of(2)),
        json!(0.25)
    );
    assert_eq!(
        board.ok("get_amplitude_limit", json!([]), of(3)),
        json!(1.0)
    );
    for wrong in [-0.1, 1.1] {
        board.refused("set_amplitude_limit", json!([wrong]), of(2));
    }

    board.ok("set_aux_sma_mode", json!(["TEST_IRIG"]), json!({}));
    assert_eq!(
        board.ok("get_aux_sma_mode", json!([]), json!({})),
        "TEST_IRIG"
    );
    board.ok("set_aux_sma_mode", json!([]), json!({}));
    assert_eq!(
        board.ok("get_aux_sma_mode", json!([]), json!({})),
        Value::Null
    );
    board.ok("set_timestamp_port", json!(["AUX_SMA"]), json!({}));
    assert_eq!(
        board.ok("get_timestamp_port", json!([]), json!({})),
        "AUX_SMA"
    );
    // Stamps have one value for both connectors.
    assert_eq!(
        board.ok("get_timestamp", json!([]), json!({}))["source"],
        "SMA"
    );

    let named = json!({"channels": 128, "module": 4, "sample_trunc": "LOW"});
    board.ok("set_channel_streamer", json!([]), named);
    let found = board.ok("get_channel_streamer", json!([]), of(4));
    assert_eq!(found, json!({"channels": 128, "sample_trunc": "LOW"}));
    for wrong in [8, 1040, -16] {
        board.refused("set_channel_streamer", json!([wrong]), of(4));
    }
    board.ok("set_channel_streamer", json!([0]), of(4));
    assert_eq!(
        board.ok("get_channel_streamer", json!([]), of(4)),
        Value::Null
    );

    board.ok("set_fir_stage", json!([4]), json!({"modules": [1]}));
    for name in ["get_fir_stage", "get_decimation"] {
        assert_eq!(board.ok(name, json!([]), json!({})), json!(4));
    }
}

#[test]
fn the_compensation_filter_follows_the_nco() {
    let (_farm, mut board) = farm(Farm::builder().detectors(0));
    for (nco, filter) in [(0.0, "MODE1"), (2.4e9, "MODE1"), (2.6e9, "MODE2")] {
        board.ok("set_nco_frequency", json!([nco]), of(1));
        let found = board.ok("get_dac_compensation_filter", json!([]), of(1));
        assert_eq!(found, filter, "{nco}");
    }
    let other = board.ok("get_dac_compensation_filter", json!([]), of(2));
    assert_eq!(other, "MODE1");
}

#[test]
fn samples_have_the_numbers_of_their_packets() {
    let (_farm, mut board) = farm(Farm::builder().detectors(0).first_sequence(u32::MAX - 5));
    let at = json!({"channel": 1, "module": 1, "_extra_metadata": true});
    let numbers = |samples: &Value| -> Vec<u32> {
        let numbers = samples["seq"].as_array().unwrap().iter();
        numbers
            .map(|number| number.as_u64().unwrap() as u32)
            .collect()
    };
    let first = numbers(&board.ok("get_samples", json!([10]), at.clone()));
    let second = numbers(&board.ok("get_samples", json!([10]), at));
    let steps = first.windows(2).all(|two| two[1] == two[0].wrapping_add(1));
    assert!(first.len() == 10 && steps, "{first:?}");
    // They count on from call to call, over the largest number.
    assert!(
        second[0].wrapping_sub(first[9]) < 100,
        "{first:?} {second:?}"
    );
    let without = board.ok(
        "get_samples",
        json!([2]),
        json!({"channel": 1, "module": 1}),
    );
    assert_eq!(without.get("seq"), None);
}

#[test]
fn samples_of_the_filter_bank_have_a_time_and_can_be_many() {
    let (_farm, mut board) = farm(Farm::builder().detectors(0));
    let at = json!({"channel": 1, "module": 1});
    let n = 210_000;
    let samples = board.ok("get_pfb_samples", json!([n]), at.clone());
    assert_eq!(samples["i"].as_array().unwrap().len(), n);
    assert_eq!(samples["q"].as_array().unwrap().len(), n);
    let seconds = |stamp: &Value| {
        stamp["sbs"].as_f64().unwrap() + stamp["ss"].as_f64().unwrap() / 156_250_000.0
    };
    let begun = seconds(&samples["ts"]);
    let ended = seconds(&board.ok("get_timestamp", json!([]), json!({})));
    let took = n as f64 / (625e6 / 256.0);
    assert!(
        (took..took + 0.05).contains(&(ended - begun)),
        "{begun} {ended}"
    );
    assert_eq!(samples["ts"]["recent"], true);
    board.refused("get_pfb_samples", json!([(1 << 20) + 1]), at);
}

#[test]
fn a_loopback_cable_returns_what_the_output_sends() {
    let (_farm, mut board) = farm(Farm::builder().loopback());
    // Module 8 has no detectors in any farm.
    board.ok("set_analog_bank", json!([true]), json!({}));
    for (amplitude, scale, attenuation) in [(1.0, 1.0, 0), (0.1, 5.0, 7)] {
        let at = json!({"channel": 3, "module": 8});
        board.ok("set_nco_frequency", json!([150e6]), of(8));
        board.ok("set_dac_scale", json!([scale]), of(8));
        board.ok("set_adc_attenuator", json!([attenuation]), of(8));
        board.ok("set_frequency", json!([1e6]), at.clone());
        board.ok("set_amplitude", json!([amplitude]), at.clone());
        board.ok("get_samples", json!([20]), at.clone());
        let samples = board.ok("get_samples", json!([1]), at);
        let part = |axis: &str| samples[axis][0].as_f64().unwrap();
        let volts = part("i").hypot(part("q")) * 1.3745425908e-7;
        let dbm = 10.0 * (volts * volts / 100.0 * 1e3).log10();
        let sent = scale + 20.0 * f64::log10(amplitude) - f64::from(attenuation);
        assert!((dbm - (sent - 2.56)).abs() < 0.1, "{dbm} {sent}");
    }
}
