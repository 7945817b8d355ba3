//! Tests of requests to a board over its socket: samples, time, batches, and the data that the
//! board reports about itself.

mod client;

use serde_json::{Value, json};
use twotone_sim::Farm;

use client::{Client, call, outcome};

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
fn samples_have_the_shape_that_was_asked_for() {
    let (_farm, mut board) = farm(0);
    let one = board.ok("get_samples", json!([5]), at(3));
    for key in ["i", "q", "ts"] {
        assert_eq!(one[key].as_array().unwrap().len(), 5, "{key}");
        assert!(one[key][0].is_number(), "{key}");
    }
    assert_eq!(
        one["flags"],
        json!({"overrange": false, "overvoltage": false})
    );
    assert!(one.get("mean").is_none());

    let all = board.ok(
        "get_samples",
        json!([4]),
        json!({"channel": null, "module": 1}),
    );
    assert_eq!(all["i"].as_array().unwrap().len(), 1024);
    assert_eq!(all["q"][1023].as_array().unwrap().len(), 4);
    assert_eq!(all["ts"].as_array().unwrap().len(), 4);

    let kwargs = json!({"channel": null, "module": 1, "average": true});
    let mean = board.ok("get_samples", json!([4]), kwargs);
    assert_eq!(mean["mean"]["i"].as_array().unwrap().len(), 1024);
    assert_eq!(mean["std"]["q"].as_array().unwrap().len(), 1024);
    let numbers = |value: &Value| -> Vec<f64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    for (channel, axis) in [(0, "i"), (1023, "q")] {
        let samples = numbers(&mean[axis][channel]);
        let average = samples.iter().sum::<f64>() / 4.0;
        let variance = samples.iter().map(|s| (s - average).powi(2)).sum::<f64>() / 4.0;
        let got = mean["mean"][axis][channel].as_f64().unwrap();
        assert!((got - average).abs() < 1e-9 * (1.0 + average.abs()));
        let got = mean["std"][axis][channel].as_f64().unwrap();
        assert!((got - variance.sqrt()).abs() < 1e-6 * (1.0 + variance.sqrt()));
    }

    board.ok("set_decimation", json!([4, true]), json!({}));
    let short = board.ok(
        "get_samples",
        json!([1]),
        json!({"channel": null, "module": 1}),
    );
    assert_eq!(short["i"].as_array().unwrap().len(), 128);
    let error = board.refused("set_amplitude", json!([0.1]), at(129));
    assert!(error.contains("between 1 and 128"), "{error}");
}

#[test]
fn time_advances_by_acquisitions_and_round_trips() {
    let (_farm, mut board) = farm(0);
    let first = board.ok("get_timestamp", json!([]), json!({}));
    assert_eq!(first["recent"], json!(true));
    assert_eq!(first["source"], json!("TEST"));
    let again = board.ok("get_timestamp", json!([]), json!({}));
    assert_eq!(first, again);
    board.ok("set_frequency", json!([1e6]), at(1));
    let set = board.ok("get_timestamp", json!([]), json!({}));
    let passed_s = set["ss"].as_f64().unwrap() / 156.25e6;
    assert!(
        (0.0199..0.0201).contains(&passed_s),
        "{passed_s}: the setting's round trip has passed"
    );
    // The board takes 596.046 samples a second at stage 6, and twice as many at stage 5.
    let answers = board.json(&json!([
        call("get_samples", json!([5961]), at(1)),
        call("get_timestamp", json!([]), json!({})),
        call("get_samples", json!([1]), at(1)),
    ]));
    let [samples, later, next] = [0, 1, 2].map(|k| outcome(&answers[k]).unwrap());
    let start = samples["ts"][0].as_f64().unwrap();
    assert!(start < 0.1, "{start}");
    assert_eq!(
        (later["s"].as_i64(), later["sbs"].as_i64()),
        (Some(10), Some(10))
    );
    let step = samples["ts"][5960].as_f64().unwrap() - samples["ts"][5959].as_f64().unwrap();
    let gap = next["ts"][0].as_f64().unwrap() - samples["ts"][5960].as_f64().unwrap();
    assert!((step - 64.0 * 64.0 * 256.0 / 625e6).abs() < 1e-9);
    assert!(
        (gap - step).abs() < 1e-9,
        "samples are contiguous over the calls of a request"
    );
    let apart = board.ok("get_samples", json!([1]), at(1));
    let gap = apart["ts"][0].as_f64().unwrap() - next["ts"][0].as_f64().unwrap();
    assert!(
        (0.02..0.023).contains(&gap),
        "{gap}: a round trip lies between requests"
    );
    board.ok("set_decimation", json!([5]), json!({}));
    let half = board.ok("get_samples", json!([2]), at(1));
    let halved = half["ts"][1].as_f64().unwrap() - half["ts"][0].as_f64().unwrap();
    assert!((halved - step / 2.0).abs() < 1e-9);
    assert!(half["ts"][0].as_f64() > apart["ts"][0].as_f64());
    board.ok("set_timestamp_port", json!(["BACKPLANE"]), json!({}));
    assert_eq!(
        board.ok("get_timestamp_port", json!([]), json!({})),
        json!("BACKPLANE")
    );
    let stamp = board.ok("get_timestamp", json!([]), json!({}));
    assert_eq!(stamp["source"], json!("BACKPLANE"));
}

#[test]
fn a_batch_stops_at_its_first_error_unless_told_to_go_on() {
    let (_farm, mut board) = farm(0);
    let batch = json!([
        call("set_frequency", json!([1e6]), at(1)),
        call("set_frequency", json!([9e9]), at(1)),
        call("set_amplitude", json!([0.5]), at(1)),
    ]);
    let answer = board.json(&batch);
    assert_eq!(outcome(&answer[0]), Ok(Value::Null));
    assert!(outcome(&answer[1]).unwrap_err().starts_with("ValueError"));
    assert_eq!(
        outcome(&answer[2]).unwrap_err(),
        "Something went wrong in a preceding call"
    );
    assert_eq!(board.ok("get_amplitude", json!([]), at(1)), Value::Null);
    let headers = "Content-Type: application/json\r\nX-Tuber-Options: continue-on-error\r\n";
    let answer = board.post(headers, batch.to_string().as_bytes()).json();
    assert!(outcome(&answer[1]).is_err());
    assert_eq!(outcome(&answer[2]), Ok(Value::Null));
    assert_eq!(board.ok("get_amplitude", json!([]), at(1)), json!(0.5));
}

#[test]
fn the_board_describes_itself() {
    let (_farm, mut board) = farm(0);
    assert_eq!(
        board.json(&json!({})),
        json!({"result": {"objects": ["Dfmux", "Sim"]}})
    );
    let answer = board.json(&json!([{"object": "Dfmux", "resolve": true}]));
    let dfmux = &answer[0]["result"];
    assert_eq!(dfmux["properties"]["UNITS"]["DEGREES"], json!("degrees"));
    assert_eq!(dfmux["properties"]["TARGET"]["ADC"], json!("adc"));
    assert_eq!(dfmux["properties"]["TIMESTAMP_PORT"]["TEST"], json!("TEST"));
    assert_eq!(
        dfmux["properties"]["RAIL"]["MB_VCC3V3"],
        json!("MOTHERBOARD_RAIL_VCC3V3")
    );
    let parameters = &dfmux["methods"]["get_samples"]["__signature__"]["parameters"];
    let names: Vec<_> = parameters
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            Some("self"),
            Some("num_samples"),
            Some("channel"),
            Some("module"),
            Some("average"),
            Some("_extra_metadata")
        ]
    );
    let answer = board.json(&json!([{"object": "Dfmux", "property": "CLOCKSOURCE"}]));
    assert_eq!(answer[0]["result"]["BACKPLANE"], json!("Backplane"));
}

#[test]
fn sensors_answer_by_name_and_by_value() {
    let (_farm, mut board) = farm(0);
    let by_value = board.ok(
        "get_motherboard_temperature",
        json!(["MOTHERBOARD_TEMPERATURE_FPGA"]),
        json!({}),
    );
    assert!((0.0..100.0).contains(&by_value.as_f64().unwrap()));
    board.ok("get_motherboard_temperature", json!(["MB_R5V0"]), json!({}));
    let volts = board.ok("get_motherboard_voltage", json!(["MB_VCC3V3"]), json!({}));
    assert_eq!(volts, json!(3.3));
    board.ok(
        "get_motherboard_current",
        json!(["MOTHERBOARD_RAIL_VADJ"]),
        json!({}),
    );
    let all = board.ok("dump_housekeeping", json!([]), json!({}));
    assert!(all["temperatures"].as_object().unwrap().len() > 10);
    let release = board.ok("get_firmware_release", json!([]), json!({}));
    assert!(release["version"].is_string());
}

#[test]
fn the_board_counts_its_traffic() {
    let (farm, mut board) = farm(0);
    board.ok("set_frequency", json!([1e6]), at(1));
    board.json(&json!([
        call("get_samples", json!([1]), at(1)),
        call("get_samples", json!([2]), at(1))
    ]));
    let counters = board.json(&json!([{"object": "Sim", "method": "counters"}]));
    let counters = &counters[0]["result"];
    assert_eq!(counters["requests"], json!(2));
    assert_eq!(counters["calls"], json!(3));
    assert_eq!(
        counters["by_method"],
        json!({"get_samples": 2, "set_frequency": 1})
    );
    assert!(counters["bytes_in"].as_u64().unwrap() > 100);
    assert!(counters["bytes_out"].as_u64().unwrap() > 100);
    let seen = farm.boards()[0].counters();
    assert_eq!(json!(seen.bytes_out), counters["bytes_out"]);
    board.json(&json!([{"object": "Sim", "method": "reset_counters"}]));
    assert_eq!(
        farm.boards()[0].counters(),
        twotone_sim::Counters::default()
    );
}
