//! Tests of the settings of a board's tones, and of refusals, over its real socket.

mod client;

use serde_json::{Value, json};
use twotone_sim::Farm;

use client::{Client, near};

fn farm(detectors: usize) -> (Farm, Client) {
    let farm = Farm::builder()
        .detectors(detectors)
        .start_blocking()
        .unwrap();
    let client = Client::connect(farm.boards()[0].address());
    (farm, client)
}

fn at(channel: u32) -> Value {
    json!({ "channel": channel, "module": 1 })
}

#[test]
fn a_tone_is_what_it_was_set_to() {
    let (_farm, mut board) = farm(0);
    assert_eq!(board.ok("get_frequency", json!([]), at(5)), Value::Null);
    assert_eq!(board.ok("get_amplitude", json!([]), at(5)), Value::Null);
    assert_eq!(board.ok("get_phase", json!([]), at(5)), Value::Null);
    board.ok("set_frequency", json!([1_234_567.891]), at(5));
    board.ok("set_amplitude", json!([0.25]), at(5));
    board.ok("set_phase", json!([30, "degrees", "adc"]), at(5));
    board.ok(
        "set_phase",
        json!([1.0]),
        json!({"units": "RADIANS", "target": "dac", "channel": 5, "module": 1}),
    );
    let set = board
        .ok("get_frequency", json!([]), at(5))
        .as_f64()
        .unwrap();
    assert!(near(set, 1_234_567.891), "{set}");
    let quantum = 625e6 / 256.0 / 2_f64.powi(32);
    assert!(
        (set / quantum - (set / quantum).round()).abs() < 1e-3,
        "{set} is off the grid"
    );
    assert_eq!(board.ok("get_amplitude", json!([]), at(5)), json!(0.25));
    assert_eq!(board.ok("get_phase", json!([]), at(5)), json!(30.0));
    assert_eq!(
        board.ok("get_phase", json!(["radians", "dac"]), at(5)),
        json!(1.0)
    );
    assert_eq!(board.ok("get_frequency", json!([]), at(6)), Value::Null);
    board.ok("clear_channels", json!([]), json!({"module": 1}));
    assert_eq!(board.ok("get_frequency", json!([]), at(5)), Value::Null);
    assert_eq!(
        board.ok("get_phase", json!(["degrees", "dac"]), at(5)),
        Value::Null
    );
}

#[test]
fn arguments_can_stand_where_older_clients_put_them() {
    let (_farm, mut board) = farm(0);
    board.ok("set_frequency", json!([1e6, 7, 2]), json!({}));
    for args in [
        (json!([0.1, "normalized", 7, 2]), json!({})),
        (json!([0.2, "normalized", 7]), json!({"module": 2})),
        (json!([0.3, 7, 2]), json!({})),
        (json!([0.4, 7]), json!({"module": 2})),
        (json!([0.5]), json!({"channel": 7, "module": 2})),
    ] {
        board.ok("set_amplitude", args.0.clone(), args.1);
        let got = board.ok(
            "get_amplitude",
            json!([]),
            json!({"channel": 7, "module": 2}),
        );
        assert_eq!(got, args.0[0]);
    }
    board.ok("set_dac_scale", json!([7, "dbm", 3]), json!({}));
    assert_eq!(
        board.ok("get_dac_scale", json!(["DBM"]), json!({"module": 3})),
        json!(7.0)
    );
    board.ok("set_dac_scale", json!([5, 3]), json!({}));
    assert_eq!(
        board.ok("get_dac_scale", json!([]), json!({"module": 3})),
        json!(5.0)
    );
    board.ok("set_adc_attenuator", json!([4, "db"]), json!({"module": 3}));
    board.ok("set_adc_attenuator", json!([9]), json!({"module": 3}));
    assert_eq!(
        board.ok("get_adc_attenuator", json!([]), json!({"module": 3})),
        json!(9.0)
    );
}

#[test]
fn a_setting_out_of_range_is_refused_and_changes_nothing() {
    let (_farm, mut board) = farm(0);
    board.ok("set_frequency", json!([1e6]), at(1));
    let check = |board: &mut Client, method: &str, args: Value, kwargs: Value, text: &str| {
        let error = board.refused(method, args.clone(), kwargs.clone());
        assert!(error.contains(text), "{method}{args}{kwargs}: {error}");
    };
    let offset = "ValueError: The set frequency must be between -313.5 MHz and +313.5 MHz";
    check(&mut board, "set_frequency", json!([9e9]), at(1), offset);
    check(
        &mut board,
        "set_frequency",
        json!([251e6]),
        at(1),
        "-250 MHz and +250 MHz",
    );
    check(
        &mut board,
        "set_frequency",
        json!(["x"]),
        at(1),
        "TypeError",
    );
    check(
        &mut board,
        "set_frequency",
        json!([1.0]),
        at(0),
        "Channel must be between 1 and 1024",
    );
    check(
        &mut board,
        "set_frequency",
        json!([1.0]),
        at(1025),
        "Channel must be between 1 and 1024",
    );
    check(
        &mut board,
        "set_frequency",
        json!([1.0]),
        json!({"channel": 1}),
        "TypeError",
    );
    check(
        &mut board,
        "set_frequency",
        json!([]),
        at(1),
        "missing 1 required positional argument",
    );
    check(
        &mut board,
        "set_amplitude",
        json!([1.5]),
        at(1),
        "between -1.0 and +1.0",
    );
    check(
        &mut board,
        "set_amplitude",
        json!([0.5, "volts"]),
        at(1),
        "Invalid units 'volts'",
    );
    check(
        &mut board,
        "set_phase",
        json!([1, "hz"]),
        at(1),
        "Invalid units 'hz'",
    );
    check(
        &mut board,
        "set_nco_frequency",
        json!([-1e6]),
        json!({"module": 1}),
        "NCO",
    );
    check(
        &mut board,
        "get_samples",
        json!([0]),
        json!({"module": 1}),
        "num_samples",
    );
    check(
        &mut board,
        "get_samples",
        json!([8193]),
        json!({"module": 1}),
        "num_samples",
    );
    check(
        &mut board,
        "set_decimation",
        json!([2]),
        json!({}),
        "requires short=True",
    );
    check(
        &mut board,
        "set_decimation",
        json!([7, true]),
        json!({}),
        "between 0 and 6",
    );
    check(
        &mut board,
        "set_decimation",
        json!([6]),
        json!({"boards": [1]}),
        "unexpected keyword",
    );
    check(
        &mut board,
        "set_decimation",
        json!([6]),
        json!({"module": [5]}),
        "Invalid 'module'",
    );
    check(
        &mut board,
        "set_adc_attenuator",
        json!([28]),
        json!({"module": 1}),
        "0 dB and 27 dB",
    );
    check(
        &mut board,
        "set_timestamp_port",
        json!(["NOWHERE"]),
        json!({}),
        "Invalid timestamp port",
    );
    check(
        &mut board,
        "get_motherboard_temperature",
        json!(["X"]),
        json!({}),
        "Invalid sensor",
    );
    check(
        &mut board,
        "no_such_method",
        json!([]),
        json!({}),
        "AttributeError",
    );
    let module = json!({"channel": 1, "module": 9});
    check(
        &mut board,
        "get_frequency",
        json!([]),
        module,
        "Module must be between 1 and 8",
    );
    let set = board
        .ok("get_frequency", json!([]), at(1))
        .as_f64()
        .unwrap();
    assert!(near(set, 1e6));
    assert_eq!(board.ok("get_decimation", json!([]), json!({})), json!(6));
}

#[test]
fn the_band_can_be_extended() {
    let (_farm, mut board) = farm(0);
    board.ok("set_frequency", json!([250e6]), at(1));
    board.ok(
        "set_extended_module_bandwidth",
        json!([true]),
        json!({"module": 1}),
    );
    board.ok("set_frequency", json!([-313.5e6]), at(1));
    let other = json!({"channel": 1, "module": 2});
    board.refused("set_frequency", json!([-313.5e6]), other);
}

#[test]
fn a_module_is_reached_on_its_own_bank_alone() {
    let (_farm, mut board) = farm(0);
    let high = json!({"channel": 1, "module": 5});
    let error = board.refused("set_frequency", json!([1e6]), high.clone());
    assert!(
        error.contains("Can't access module 5") && error.contains("analog banking"),
        "{error}"
    );
    board.ok("set_analog_bank", json!([]), json!({"high": true}));
    assert_eq!(
        board.ok("get_analog_bank", json!([]), json!({})),
        json!(true)
    );
    board.ok("set_frequency", json!([1e6]), high);
    let error = board.refused("get_samples", json!([1]), json!({"module": 1}));
    assert!(error.contains("Can't access module 1"), "{error}");
    board.ok(
        "get_samples",
        json!([1]),
        json!({"module": 5, "channel": 1}),
    );
}
