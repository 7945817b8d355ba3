//! Tests that every write to a board is checked against the limits of the hardware map (the file
//! that lists the boards).

use tworoutine::Wait;
use twotone::algorithms::{Band, TuneParams};
use twotone::hal::{Acquire, ChannelId, ErrorKind, Hertz, ModuleId, ToneUpdate};
use twotone::sim::Farm;
use twotone::transport::{ConnectOptions, CrsBoard};

use super::{BAND_HZ, connect, params, tune_all};

#[test]
fn direct_use_of_a_board_keeps_to_the_map() {
    let farm = Farm::builder()
        .boards(1)
        .detectors(2)
        .band(BAND_HZ.0, BAND_HZ.1);
    let farm = farm.start_blocking().unwrap();
    let board = connect(&farm).board("crs0001").wait().unwrap();
    let (module, channel) = (ModuleId::new(1).unwrap(), ChannelId::new(1).unwrap());
    board.nco().set(module, Hertz(1.05e9)).wait().unwrap();
    let before = farm.boards()[0].counters().calls;
    let tone = ToneUpdate::new(channel).offset(Hertz(1e6));
    // The map of the simulated boards allows -34.5 dBm for each tone, which is an amplitude of
    // 0.02.
    let loud = board
        .tones()
        .set(module, [tone.amplitude(0.03)])
        .wait()
        .unwrap_err();
    assert_eq!(loud.kind(), ErrorKind::Limit, "{loud}");
    assert!(loud.to_string().contains("-34.50 dBm allowed"), "{loud}");
    let outside = tone.offset(Hertz(200e6)).amplitude(0.001);
    let outside = board.tones().set(module, [outside]).wait().unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Limit, "{outside}");
    assert_eq!(
        farm.boards()[0].counters().calls,
        before,
        "something was sent"
    );
    board
        .tones()
        .set(module, [tone.amplitude(0.01)])
        .wait()
        .unwrap();
}

#[test]
fn parameters_out_of_range_are_refused_before_anything_is_set() {
    let farm = Farm::builder()
        .boards(1)
        .detectors(2)
        .band(BAND_HZ.0, BAND_HZ.1);
    let farm = farm.start_blocking().unwrap();
    let array = connect(&farm);
    // The first connection writes a marker to a board that has none, to notice a restart later.
    // This write must not be counted below.
    array.board("crs0001").wait().unwrap();
    type Change = fn(&mut TuneParams);
    let wrong: [(&str, ErrorKind, Change); 7] = [
        ("empty span", ErrorKind::InvalidArgument, |params| {
            params.band = Some(Band::new(1.1e9, 1.1e9));
        }),
        ("zero points", ErrorKind::InvalidArgument, |params| {
            params.network_analysis.points = 0;
        }),
        ("too coarse", ErrorKind::InvalidArgument, |params| {
            params.network_analysis.points = 100;
        }),
        ("too many tones", ErrorKind::InvalidArgument, |params| {
            params.network_analysis.max_tones = Some(1025);
        }),
        ("above full scale", ErrorKind::Limit, |params| {
            params.network_analysis.amplitude = 0.1;
        }),
        ("beyond the map's band", ErrorKind::Limit, |params| {
            params.band = Some(Band::new(0.99e9, 1.05e9));
        }),
        ("above the map's power", ErrorKind::Limit, |params| {
            params.tone_amplitude = 0.05;
        }),
    ];
    for (what, kind, change) in wrong {
        let mut wrong = params();
        change(&mut wrong);
        let before = farm.boards()[0].counters().by_method;
        let outcomes = tune_all(&array, &wrong);
        let error = outcomes[0].result.as_ref().expect_err(what);
        assert_eq!(error.kind(), kind, "{what}: {error}");
        let after = farm.boards()[0].counters().by_method;
        for (method, calls) in &after {
            let new = calls - before.get(method).copied().unwrap_or(0);
            let only_asks = method.starts_with("get_");
            assert!(only_asks || new == 0, "{what}: {new} calls of {method}");
        }
    }
}

#[test]
fn cbor_is_preferred_and_json_says_the_same() {
    let farm = Farm::builder()
        .boards(1)
        .detectors(2)
        .start_blocking()
        .unwrap();
    let host = farm.boards()[0]
        .address()
        .to_string()
        .parse::<twotone::transport::Host>()
        .unwrap();
    let module = ModuleId::new(1).unwrap();
    let bytes = |cbor: bool| {
        let options = ConnectOptions::new().cbor(cbor);
        let board = CrsBoard::connect("b", host.clone(), options)
            .wait()
            .unwrap();
        assert_eq!(board.speaks_cbor(), cbor);
        let before = farm.boards()[0].counters().bytes_out;
        let means = board
            .handle()
            .samples()
            .mean(module, Acquire::new(10))
            .wait()
            .unwrap();
        assert_eq!(means.mean.len(), 1024);
        (
            farm.boards()[0].counters().bytes_out - before,
            means.mean[0].is_finite(),
        )
    };
    let (cbor, json) = (bytes(true), bytes(false));
    assert!(cbor.1 && json.1);
    assert!(
        json.0 > 2 * cbor.0,
        "{} bytes of JSON, {} of CBOR",
        json.0,
        cbor.0
    );
}
