//! Tests that the samples that a simulated board sends over its socket follow from its settings and
//! detectors.

mod client;

use serde_json::{Value, json};
use twotone_sim::{Farm, Profile};

use client::{Client, call, outcome};

/// I and Q of one channel, averaged.
type Iq = (f64, f64);

fn start(seed: u64) -> (Farm, Client) {
    let builder = Farm::builder()
        .detectors(20)
        .seed(seed)
        .profile(Profile::Clean);
    let farm = builder.start_blocking().unwrap();
    let client = Client::connect(farm.boards()[0].address());
    (farm, client)
}

fn at(channel: u32) -> Value {
    json!({ "channel": channel, "module": 1 })
}

/// Sets one tone.
fn tone(channel: u32, offset_hz: f64, amplitude: f64) -> [Value; 2] {
    [
        call("set_frequency", json!([offset_hz]), at(channel)),
        call("set_amplitude", json!([amplitude]), at(channel)),
    ]
}

fn run(board: &mut Client, calls: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let batch: Vec<Value> = calls.into_iter().collect();
    let answers = board.json(&Value::Array(batch));
    answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| outcome(answer).unwrap())
        .collect()
}

/// Returns the mean of some samples of channel 1.
fn mean(board: &mut Client) -> Iq {
    let kwargs = json!({"channel": 1, "module": 1, "average": true});
    let samples = board.ok("get_samples", json!([20]), kwargs);
    (
        samples["mean"]["i"].as_f64().unwrap(),
        samples["mean"]["q"].as_f64().unwrap(),
    )
}

fn size((i, q): Iq) -> f64 {
    i.hypot(q)
}

/// Returns the phase of the second sample relative to the first, in degrees, from -180 to 180.
fn turn(from: Iq, to: Iq) -> f64 {
    (from.0 * to.1 - from.1 * to.0)
        .atan2(from.0 * to.0 + from.1 * to.1)
        .to_degrees()
}

/// Sets an NCO in the middle of the band, and a tone 0.5 MHz beside it.
fn set_up(board: &mut Client) {
    board.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    run(board, tone(1, 0.5e6, 0.001));
}

#[test]
fn within_a_request_the_filters_remember_what_was_before() {
    let (_farm, mut board) = start(3);
    set_up(&mut board);
    let settled = size(mean(&mut board));
    let get = || call("get_samples", json!([12]), at(1));
    let answers = run(
        &mut board,
        [call("set_amplitude", json!([0.002]), at(1)), get()],
    );
    let samples: Vec<f64> = (0..12)
        .map(|k| {
            let part = |axis: &str| answers[1][axis][k].as_f64().unwrap();
            part("i").hypot(part("q"))
        })
        .collect();
    assert!(
        (samples[0] / settled - 1.0).abs() < 0.1,
        "the first is as before: {samples:?}"
    );
    assert!(
        (samples[11] / settled - 2.0).abs() < 0.01,
        "the last is settled: {samples:?}"
    );
    // The filters settle between two requests.
    board.ok("set_amplitude", json!([0.001]), at(1));
    let answers = run(&mut board, [get()]);
    let first = answers[0]["i"][0]
        .as_f64()
        .unwrap()
        .hypot(answers[0]["q"][0].as_f64().unwrap());
    assert!((first / settled - 1.0).abs() < 0.01, "{first} {settled}");
}

#[test]
fn the_adc_phase_turns_samples_back_and_the_dac_phase_forward() {
    let (_farm, mut board) = start(3);
    set_up(&mut board);
    let before = mean(&mut board);
    board.ok("set_phase", json!([30, "degrees", "adc"]), at(1));
    let turned = turn(before, mean(&mut board));
    assert!((turned + 30.0).abs() < 0.2, "{turned}");
    board.ok("set_phase", json!([0, "degrees", "adc"]), at(1));
    board.ok("set_phase", json!([0.5, "radians", "dac"]), at(1));
    let turned = turn(before, mean(&mut board));
    assert!((turned - 0.5_f64.to_degrees()).abs() < 0.2, "{turned}");
}

#[test]
fn setting_the_nco_draws_a_new_phase() {
    let (_farm, mut board) = start(3);
    set_up(&mut board);
    let before = mean(&mut board);
    let again = mean(&mut board);
    assert!(turn(before, again).abs() < 0.2);
    board.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    let after = mean(&mut board);
    assert!((size(after) / size(before) - 1.0).abs() < 0.01);
    assert!(turn(before, after).abs() > 1.0, "{}", turn(before, after));
}

#[test]
fn counts_are_volts_at_the_board() {
    // 0.001 of full scale at 1 dBm is -60.5 dBm, and the clean line loses
    // 40 dB before the detectors and gains 40 dB after them.
    let (_farm, mut board) = start(3);
    set_up(&mut board);
    let volts = size(mean(&mut board)) * 1.374_542_590_8e-7;
    let dbm = 10.0 * (volts * volts / (2.0 * 50.0) * 1e3).log10();
    assert!((dbm + 60.5).abs() < 1.0, "{dbm} dBm");
    board.ok("set_dac_scale", json!([7, "dbm"]), json!({"module": 1}));
    let louder = size(mean(&mut board)) * 1.374_542_590_8e-7;
    assert!((20.0 * (louder / volts).log10() - 6.0).abs() < 0.1);
}

#[test]
fn detectors_are_where_the_truth_says() {
    let (farm, mut board) = start(3);
    board.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    let truth = farm.truth();
    for detector in &truth.boards[0].modules[0].detectors {
        // The tones are weak, so that they do not pull the resonance. One tone is on the resonance,
        // one is half a linewidth away from it, and one is twenty linewidths away.
        let at = |linewidths: f64| detector.fr_hz + linewidths * detector.linewidth_hz - 1.25e9;
        let calls = [0.0, 0.5, -0.5, 20.0].map(at).into_iter().zip(1..);
        run(
            &mut board,
            calls.flat_map(|(offset, channel)| tone(channel, offset, 0.0002)),
        );
        let kwargs = json!({"channel": null, "module": 1, "average": true});
        let samples = board.ok("get_samples", json!([20]), kwargs);
        let size = |channel: usize| {
            let part = |axis: &str| samples["mean"][axis][channel].as_f64().unwrap();
            part("i").hypot(part("q"))
        };
        // |S21| at the resonance, of a notch with asymmetry phi.
        let depth = detector.qr / detector.qc;
        let expected = (1.0 - depth).hypot(depth * detector.phi_rad.tan());
        let got = size(0) / size(3);
        assert!(
            (got - expected).abs() < 0.05,
            "{}: {got}, not {expected}",
            detector.id
        );
        assert!(size(1).max(size(2)) > size(0), "{}", detector.id);
    }
}

#[test]
fn two_farms_of_a_seed_give_the_same_samples() {
    let samples = |seed| {
        let (_farm, mut board) = start(seed);
        set_up(&mut board);
        board.ok(
            "get_samples",
            json!([5]),
            json!({"channel": null, "module": 1}),
        )
    };
    let first = samples(3);
    assert_eq!(first, samples(3));
    assert_ne!(first["i"][1000], samples(4)["i"][1000]);
}

#[test]
fn the_converters_samples_show_the_tone() {
    let (_farm, mut board) = start(3);
    board.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    run(&mut board, tone(1, 625e6 / 64.0, 0.1));
    let samples = board.ok("get_fast_samples", json!([640]), json!({"module": 1}));
    let parts = |axis: &str| -> Vec<f64> {
        samples[axis]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    let (i, q) = (parts("i"), parts("q"));
    // The Fourier sum at the tone is compared with the sum at another frequency.
    let sum = |cycles: f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (k, (i, q)) in i.iter().zip(&q).enumerate() {
            let angle = -std::f64::consts::TAU * cycles * k as f64 / 640.0;
            re += i * angle.cos() - q * angle.sin();
            im += i * angle.sin() + q * angle.cos();
        }
        re.hypot(im) / 640.0
    };
    let full_scale = 7.9e6;
    let got = sum(10.0) * full_scale;
    let slow = size(mean(&mut board));
    assert!((got / slow - 1.0).abs() < 0.05, "{got} {slow}");
    assert!(sum(17.0) < 1e-3 * sum(10.0));
}

#[test]
fn fast_channel_samples_show_the_tone() {
    let (_farm, mut board) = start(3);
    set_up(&mut board);
    let slow = mean(&mut board);
    let samples = board.ok("get_pfb_samples", json!([2000]), at(1));
    let average = |axis: &str| {
        let values = samples[axis].as_array().unwrap();
        values.iter().map(|v| v.as_f64().unwrap()).sum::<f64>() / values.len() as f64
    };
    let fast = (average("i"), average("q"));
    assert!(
        (size(fast) / size(slow) - 1.0).abs() < 0.05,
        "{fast:?} {slow:?}"
    );
    assert!(turn(slow, fast).abs() < 3.0, "{fast:?} {slow:?}");
}

#[test]
fn detectors_follow_the_conditions_around_them() {
    let (farm, mut board) = start(3);
    board.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    let truth = farm.truth();
    let detector = &truth.boards[0].modules[0].detectors[4];
    run(&mut board, tone(1, detector.fr_hz - 1.25e9, 0.0002));
    let on = size(mean(&mut board));
    let moved = twotone_sim::Conditions {
        common_shift_lw: 3.0,
        ..Default::default()
    };
    farm.boards()[0].set_conditions(1, moved);
    let off = size(mean(&mut board));
    assert!(off > 1.5 * on, "{off} {on}");
    farm.boards()[0].set_conditions(1, twotone_sim::Conditions::default());
    let back = size(mean(&mut board));
    assert!((back / on - 1.0).abs() < 0.02, "{back} {on}");
}
