//! Tests of farms (groups of simulated boards): their detectors, true parameters and hardware map
//! (the list of boards), the time of a board, and the number of boards that fit into a process.

mod client;

use serde_json::json;
use twotone_sim::{Farm, FarmBuilder, Profile, TimeMode, Truth};

use client::Client;

fn start(builder: FarmBuilder) -> Farm {
    builder.start_blocking().unwrap()
}

#[test]
fn detectors_are_spread_over_modules() {
    let check = |builder: FarmBuilder, want: &[usize]| {
        let truth = start(builder).truth();
        let counts = truth.boards[0]
            .modules
            .iter()
            .map(|module| module.detectors.len());
        assert_eq!(counts.collect::<Vec<_>>(), want);
        for (index, module) in truth.boards[0].modules.iter().enumerate() {
            assert_eq!(usize::from(module.module), index + 1);
        }
    };
    check(Farm::builder(), &[256]);
    check(Farm::builder().detectors(0), &[0]);
    check(Farm::builder().detectors(257), &[129, 128]);
    check(Farm::builder().detectors(1024), &[256, 256, 256, 256]);
    check(Farm::builder().detectors(1024).modules(1), &[1024]);
    check(Farm::builder().detectors(4096), &[1024, 1024, 1024, 1024]);
    check(Farm::builder().detectors(10).modules(3), &[4, 3, 3]);
}

#[test]
fn a_seed_gives_the_same_farm_and_another_seed_another() {
    let truth = |seed| start(Farm::builder().boards(2).detectors(30).seed(seed)).truth();
    let first = truth(5);
    assert_eq!(first, truth(5));
    assert_ne!(first.boards, truth(6).boards);
    assert_ne!(first.boards[0].modules, first.boards[1].modules);
}

#[test]
fn detectors_lie_in_the_band_of_the_map() {
    for profile in [Profile::Clean, Profile::Lab, Profile::Harsh] {
        let farm = start(
            Farm::builder()
                .detectors(256)
                .profile(profile)
                .band(2.0e9, 2.5e9),
        );
        let truth = farm.truth();
        let detectors = &truth.boards[0].modules[0].detectors;
        assert!(detectors.is_sorted_by(|a, b| a.fr_hz <= b.fr_hz));
        let outside = detectors
            .iter()
            .filter(|d| !(2.0e9..2.5e9).contains(&d.fr_hz))
            .count();
        assert_eq!(outside, 0, "{profile}");
    }
}

#[test]
fn the_truth_is_written_as_json() {
    let truth = start(Farm::builder().boards(2).detectors(3).seed(9)).truth();
    let value = serde_json::to_value(&truth).unwrap();
    assert_eq!(value["seed"], json!(9));
    assert_eq!(value["boards"][1]["name"], json!("crs0002"));
    assert_eq!(value["boards"][1]["modules"][0]["module"], json!(1));
    let detector = &value["boards"][1]["modules"][0]["detectors"][0];
    for key in [
        "id", "fr_hz", "qr", "qc", "qi", "isolated", "dead", "collided",
    ] {
        assert!(
            detector.get(key).is_some_and(|value| !value.is_null()),
            "{key} in {detector}"
        );
    }
    assert_eq!(serde_json::from_value::<Truth>(value).unwrap(), truth);
}

#[test]
fn the_map_names_every_board_and_populated_module() {
    let farm = start(Farm::builder().boards(2).detectors(300));
    let map: toml::Table = farm.map_toml().parse().unwrap();
    let boards = map["board"].as_array().unwrap();
    assert_eq!(boards.len(), 2);
    for (entry, board) in boards.iter().zip(farm.boards()) {
        assert_eq!(entry["name"].as_str(), Some(board.name()));
        assert_eq!(entry["kind"].as_str(), Some("crs"));
        assert_eq!(
            entry["address"].as_str(),
            Some(board.address().to_string().as_str())
        );
        assert_eq!(entry["serial"].as_str(), Some(board.serial().as_str()));
        let modules = entry["module"].as_array().unwrap();
        let numbers: Vec<_> = modules
            .iter()
            .map(|m| m["number"].as_integer().unwrap())
            .collect();
        assert_eq!(numbers, [1, 2]);
        let module = &modules[0];
        // The range in which detectors are designed: the band without four times the scatter of
        // their frequencies at each end.
        assert_eq!(module["f_min"].as_float(), Some(1.0012e9));
        assert_eq!(module["f_max"].as_float(), Some(1.4988e9));
        let number = |key: &str| module[key].as_float().unwrap();
        assert!(number("start_power_dbm") < number("max_tone_dbm"));
        assert!(number("max_tone_dbm") < number("max_total_dbm"));
        assert!(number("cold_attenuation_db") > 0.0);
        assert_eq!(module["safe_state"].as_str(), Some("off"));
    }
}

#[test]
fn in_real_time_an_acquisition_takes_its_time() {
    let farm = start(
        Farm::builder()
            .detectors(0)
            .time(TimeMode::RealTime { call_us: 100 }),
    );
    let mut board = Client::connect(farm.boards()[0].address());
    let seconds = |board: &mut Client| {
        let stamp = board.ok("get_timestamp", json!([]), json!({}));
        stamp["sbs"].as_f64().unwrap() + stamp["ss"].as_f64().unwrap() / 156.25e6
    };
    let before = seconds(&mut board);
    // 30 samples at 596 samples a second take 50 ms.
    let at = json!({"channel": 1, "module": 1});
    let first = board.ok("get_samples", json!([30]), at.clone());
    let after = seconds(&mut board);
    assert!(after - before > 0.050, "{} s", after - before);
    // The time of the module has advanced between the calls.
    let second = board.ok("get_samples", json!([1]), at);
    let start = |samples: &serde_json::Value| samples["ts"][0].as_f64().unwrap();
    assert!(start(&first) >= before - 0.002);
    assert!(
        start(&second) >= after - 0.002,
        "{} {after}",
        start(&second)
    );
}

#[test]
fn many_boards_fit_into_a_process() {
    let farm = start(Farm::builder().boards(256).detectors(0));
    for board in [0, 128, 255].map(|index| &farm.boards()[index]) {
        let mut client = Client::connect(board.address());
        assert_eq!(client.ok("get_decimation", json!([]), json!({})), json!(6));
    }
}
