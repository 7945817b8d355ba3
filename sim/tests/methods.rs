//! Tests of those methods of a simulated board that do not set tones: their arguments, refusals and
//! answers.

mod client;

use serde_json::{Value, json};
use twotone_sim::Farm;

use client::Client;

fn board() -> (Farm, Client) {
    let farm = Farm::builder().detectors(0).start_blocking().unwrap();
    let client = Client::connect(farm.boards()[0].address());
    (farm, client)
}

/// A call, and its result or the message of its error.
type Row = (&'static str, Value, Value, Result<Value, &'static str>);

/// Makes the calls in their order.
fn check(rows: Vec<Row>) {
    let (_farm, mut board) = board();
    for (index, (method, args, kwargs, expected)) in rows.into_iter().enumerate() {
        let got = board.call(method, args.clone(), kwargs.clone());
        match (&got, &expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "row {index}: {method}"),
            (Err(got), Err(expected)) => {
                assert!(got.contains(expected), "row {index}: {method}: {got}");
            }
            _ => panic!("row {index}: {method}{args}{kwargs} gave {got:?}, not {expected:?}"),
        }
    }
}

fn set(method: &'static str, args: Value, kwargs: Value) -> Row {
    (method, args, kwargs, Ok(Value::Null))
}

fn get(method: &'static str, kwargs: Value, expected: Value) -> Row {
    (method, json!([]), kwargs, Ok(expected))
}

fn refused(method: &'static str, args: Value, kwargs: Value, why: &'static str) -> Row {
    (method, args, kwargs, Err(why))
}

#[test]
fn decimation_is_refused_where_packets_or_the_link_are_too_small() {
    let set = |stage: u8, short: bool, module: Value| {
        set(
            "set_decimation",
            json!([stage, short]),
            json!({"module": module}),
        )
    };
    let refused = |stage: i64, short: bool, module: Value, why| {
        refused(
            "set_decimation",
            json!([stage, short]),
            json!({"module": module}),
            why,
        )
    };
    let is = |stage: Value| get("get_decimation", json!({}), stage);
    check(vec![
        is(json!(6)),
        // The stream needs 157 Mbit/s at decimation stage 6, and twice as much with each lower
        // stage.
        set(4, false, json!(null)),
        is(json!(4)),
        refused(
            3,
            false,
            json!(null),
            "Bandwidth limit exceeded: the streams would need 1257",
        ),
        is(json!(4)),
        set(3, false, json!([1, 2])),
        refused(3, false, json!([1, 2, 3]), "may have 800"),
        set(3, false, json!([2, 2, 1])),
        refused(2, false, json!(1), "requires short=True"),
        refused(0, false, json!([]), "requires short=True"),
        set(2, true, json!(null)),
        set(1, true, json!(null)),
        refused(0, true, json!(null), "Bandwidth limit exceeded"),
        set(0, true, json!([3])),
        is(json!(0)),
        refused(7, false, json!(null), "between 0 and 6"),
        refused(-1, true, json!(null), "between 0 and 6"),
        refused(6, false, json!([5]), "Invalid 'module' argument"),
        refused(6, false, json!([0]), "Invalid 'module' argument"),
        refused(6, false, json!(["1"]), "Invalid 'module' argument"),
        set(6, false, json!([])),
        is(Value::Null),
        // Older clients use the argument name `modules`.
        (
            "set_decimation",
            json!([]),
            json!({"stage": 3, "modules": [1, 2, 3]}),
            Err("may have 800"),
        ),
        (
            "set_decimation",
            json!([]),
            json!({"stage": 3, "modules": [1, 2]}),
            Ok(Value::Null),
        ),
        is(json!(3)),
        // A client can set the share of the network link that the streams may use.
        (
            "set_decimation",
            json!([]),
            json!({"stage": 3, "module": [1, 2, 3], "_bandwidth_derating": 0.95}),
            Ok(Value::Null),
        ),
        (
            "set_decimation",
            json!([]),
            json!({"stage": 6, "_bandwidth_derating": 0.1}),
            Err("may have 100"),
        ),
    ]);
}

#[test]
fn the_fast_stream_takes_one_two_or_four_channels_that_fit_the_link() {
    let set = |channel: Value, module: u8| {
        set(
            "set_pfb_streamer",
            json!([]),
            json!({"channel": channel, "module": module}),
        )
    };
    let is =
        |module: u8, channels: Value| get("get_pfb_streamer", json!({"module": module}), channels);
    let refused = |channel: Value, why| {
        refused(
            "set_pfb_streamer",
            json!([]),
            json!({"channel": channel, "module": 1}),
            why,
        )
    };
    check(vec![
        is(1, Value::Null),
        set(json!(7), 1),
        is(1, json!([7])),
        set(json!([13, 23, 37, 1024]), 1),
        is(1, json!([13, 23, 37, 1024])),
        refused(json!([1, 2, 3]), "1, 2 or 4 channels, not 3"),
        refused(json!([0]), "Channel must be between 1 and 1024"),
        refused(json!(1025), "Channel must be between 1 and 1024"),
        is(1, json!([13, 23, 37, 1024])),
        // Four channels need 629 Mbit/s, and the readout stream needs 157 Mbit/s.
        (
            "set_pfb_streamer",
            json!([]),
            json!({"channel": [1], "module": 2}),
            Err("Bandwidth limit exceeded"),
        ),
        set(Value::Null, 1),
        is(1, Value::Null),
        set(json!([1]), 2),
        is(2, json!([1])),
    ]);
}

#[test]
fn converters_clocks_and_the_front_panel() {
    let at = || json!({"module": 1});
    let block = |block: &str| json!({"block": block, "module": 1});
    check(vec![
        get("get_nyquist_zone", at(), json!(1)),
        set("set_nyquist_zone", json!([2]), at()),
        get(
            "get_nyquist_zone",
            json!({"module": 1, "target": "adc"}),
            json!(2),
        ),
        set("set_nyquist_zone", json!([3, "adc"]), at()),
        get(
            "get_nyquist_zone",
            json!({"module": 1, "target": "dac"}),
            json!(2),
        ),
        get(
            "get_nyquist_zone",
            json!({"module": 1, "target": "adc"}),
            json!(3),
        ),
        get("get_nyquist_zone", json!({"module": 2}), json!(1)),
        refused("set_nyquist_zone", json!([4]), at(), "1, 2 or 3"),
        get("get_adc_autocal", at(), json!(true)),
        set("set_adc_autocal", json!([false]), at()),
        get("get_adc_autocal", at(), json!(false)),
        set("set_adc_calibration_mode", json!(["MODE2"]), at()),
        get("get_adc_calibration_mode", at(), json!("MODE2")),
        refused(
            "set_adc_calibration_mode",
            json!(["MODE3"]),
            at(),
            "Invalid ADC calibration mode",
        ),
        get("get_adc_calibration_coefficients", block("GCB"), json!([])),
        set(
            "set_adc_calibration_coefficients",
            json!([[1, 2.5]]),
            block("GCB"),
        ),
        get(
            "get_adc_calibration_coefficients",
            block("GCB"),
            json!([1.0, 2.5]),
        ),
        get("get_adc_calibration_coefficients", block("OCB1"), json!([])),
        refused(
            "set_adc_calibration_coefficients",
            json!([3]),
            block("GCB"),
            "list of at most 8",
        ),
        refused(
            "get_adc_calibration_coefficients",
            json!([]),
            block("X"),
            "Invalid ADC calibration block",
        ),
        set(
            "clear_adc_calibration_coefficients",
            json!([]),
            block("GCB"),
        ),
        get("get_adc_calibration_coefficients", block("GCB"), json!([])),
        get("get_clock_source", json!({}), json!("VCXO")),
        set("set_clock_source", json!(["SMA"]), json!({})),
        get("get_clock_source", json!({}), json!("SMA")),
        set(
            "set_clock_priority",
            json!([["Backplane", "VCXO"]]),
            json!({}),
        ),
        get(
            "get_clock_priority",
            json!({}),
            json!(["Backplane", "VCXO"]),
        ),
        refused(
            "set_clock_source",
            json!(["QUARTZ"]),
            json!({}),
            "Invalid clock source",
        ),
        get("hmc7044_peek", json!({"address": 7}), json!(0)),
        set("hmc7044_poke", json!([7, 255]), json!({})),
        get("hmc7044_peek", json!({"address": 7}), json!(255)),
        refused(
            "hmc7044_poke",
            json!([7, 256]),
            json!({}),
            "value must be between 0 and 255",
        ),
        refused(
            "hmc7044_peek",
            json!([-1]),
            json!({}),
            "address must be between 0 and 8191",
        ),
        set("display", json!(["hello"]), json!({})),
        set("display", json!([]), json!({})),
    ]);
}

#[test]
fn a_reboot_unsets_all_of_it() {
    use twotone_sim::fault::{Fault, Reboot};
    let (farm, mut client) = board();
    client.ok("hmc7044_poke", json!([7, 255]), json!({}));
    client.ok("set_nyquist_zone", json!([2]), json!({"module": 1}));
    client.ok("set_pfb_streamer", json!([1]), json!({"module": 1}));
    farm.boards()[0].inject(Fault::from(Reboot { down_ms: 0 }).from_call(3));
    client.request(
        "",
        json!([client::call("get_decimation", json!([]), json!({}))])
            .to_string()
            .as_bytes(),
    );
    assert!(client.closed());
    farm.boards()[0].clear_faults();
    let address = farm.boards()[0].address();
    while !Client::answers(address) {}
    let mut client = Client::connect(address);
    let mut get = |method: &str, kwargs: Value| client.ok(method, json!([]), kwargs);
    assert_eq!(get("hmc7044_peek", json!({"address": 7})), json!(0));
    assert_eq!(get("get_nyquist_zone", json!({"module": 1})), json!(1));
    assert_eq!(get("get_pfb_streamer", json!({"module": 1})), Value::Null);
}
