//! Tests with boards that are not those of the hardware map (the list of boards). The streams of
//! boards have their serial numbers in the packets. So the program notices a wrong board before it
//! sets a tone.

use serde_json::Value;
use tempfile::TempDir;
use twotone::sim::{Farm, Streaming};

use super::process::{error_of, run, run_json, write};

/// A farm (group of simulated boards) of two boards, and a changed copy of the farm's own map.
struct Lab {
    farm: Farm,
    folder: TempDir,
    map: String,
}

impl Lab {
    fn new(streaming: Streaming, change: impl Fn(String) -> String) -> Self {
        let farm = Farm::builder().boards(2).detectors(4).seed(11);
        let farm = farm.streaming(streaming).start_blocking().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let map = write(folder.path(), "map.toml", &change(farm.map_toml()));
        Self { farm, folder, map }
    }

    fn out(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Returns the number of calls that the board with the index `at` has received, of methods
    /// whose name begins with `beginning`.
    fn told(&self, at: usize, beginning: &str) -> u64 {
        let methods = self.farm.boards()[at].counters().by_method;
        let told = methods
            .iter()
            .filter(|(name, _)| name.starts_with(beginning));
        told.map(|(_, count)| count).sum()
    }
}

/// Exchanges the serial numbers of the two boards in the text of a map.
fn swapped(map: String) -> String {
    let map = map.replace("serial = \"0001\"", "serial = \"new\"");
    let map = map.replace("serial = \"0002\"", "serial = \"0001\"");
    let swapped = map.replace("serial = \"new\"", "serial = \"0002\"");
    assert!(
        swapped.find("\"0002\"") < swapped.find("\"0001\""),
        "{swapped}"
    );
    swapped
}

/// Gives the second board in the text of a map a serial number that no board has.
fn replaced(map: String) -> String {
    let replaced = map.replace("serial = \"0002\"", "serial = \"0077\"");
    assert_ne!(replaced, map);
    replaced
}

fn error(report: &Value, board: usize) -> String {
    error_of(&report["boards"][board])
}

#[test]
fn nothing_is_set_on_boards_whose_places_were_exchanged() {
    let lab = Lab::new(Streaming::WhenJoined, swapped);
    for command in ["tune", "sweep"] {
        let out = lab.out(command);
        let (status, report) = run_json(&[command, &lab.map, "--out", &out]);
        assert_eq!(status, 3, "{report}");
        for (board, (mapped, found)) in [("0002", "0001"), ("0001", "0002")].iter().enumerate() {
            let error = error(&report, board);
            let identity = &report["boards"][board]["identity"];
            assert_eq!(identity["state"], "another", "{report}");
            for words in [
                format!(
                    "its packets bear serial number {found}, which is crs000{} of the map",
                    2 - board
                ),
                format!("the map says serial number {mapped}"),
            ] {
                assert!(error.contains(&words), "{error}");
            }
            for setting in ["set_", "clear_"] {
                assert_eq!(lab.told(board, setting), 0, "{command}");
            }
        }
        assert!(!std::path::Path::new(&out).exists());
    }
}

#[test]
fn one_board_that_is_another_leaves_the_rest_to_be_tuned() {
    let lab = Lab::new(Streaming::WhenJoined, replaced);
    let out = lab.out("run");
    let (status, report) = run_json(&["tune", &lab.map, "--out", &out]);
    assert_eq!(status, 3, "{report}");
    assert_eq!(report["boards"][0]["status"], "ok", "{report}");
    let why = error(&report, 1);
    assert!(
        why.contains("bear serial number 0002; the map says serial number 0077"),
        "{why}"
    );
    assert_eq!(lab.told(1, "set_"), 0);
    let manifest = std::fs::read_to_string(format!("{out}/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let identity = |board: usize| manifest["boards"][board]["identity"].as_str().unwrap();
    assert_eq!(identity(0), "confirmed: its packets bear its serial number");
    assert!(
        identity(1).contains("is not the one of the map"),
        "{}",
        identity(1)
    );
}

#[test]
fn info_shows_the_identity_in_packets_beside_that_of_the_map() {
    let lab = Lab::new(Streaming::WhenJoined, replaced);
    let (status, report) = run_json(&["info", &lab.map]);
    assert_eq!((status, &report["ok"]), (3, &false.into()), "{report}");
    let [one, other] = [0, 1].map(|board| &report["boards"][board]);
    assert_eq!(one["identity"]["state"], "confirmed", "{one}");
    assert_eq!(one["identity"]["packet_serials"], serde_json::json!([1]));
    assert_eq!(other["serial"], "0077");
    assert_eq!(other["identity"]["state"], "another", "{other}");
    assert_eq!(other["identity"]["packet_serials"], serde_json::json!([2]));
    // The wrong board answers, although it is not the board of the map.
    assert!(
        other["firmware"].is_string() && other["error"].is_null(),
        "{other}"
    );

    let (status, out, _) = run(&["info", &lab.map]);
    assert_eq!(status, 3);
    for words in [
        "0077",
        "ANOTHER BOARD",
        "its packets bear serial number 0002",
    ] {
        assert!(out.contains(words), "{out}");
    }
}

#[test]
fn whatever_is_at_an_address_is_switched_off_and_told() {
    let lab = Lab::new(Streaming::WhenJoined, replaced);
    let (status, report) = run_json(&["off", &lab.map]);
    assert_eq!((status, &report["ok"]), (3, &false.into()), "{report}");
    let [one, other] = [0, 1].map(|board| &report["boards"][board]);
    assert_eq!((&one["off"], &one["another"]), (&true.into(), &Value::Null));
    assert_eq!(other["off"], true, "{other}");
    let why = other["another"].as_str().unwrap();
    assert!(why.contains("serial number 0002; the map says"), "{why}");
    let (status, out, _) = run(&["off", &lab.map]);
    assert_eq!(status, 3);
    assert!(out.contains("crs0002: NOT THE BOARD OF THE MAP: "), "{out}");
    assert!(out.contains("crs0002: off, read back"), "{out}");
}

#[test]
fn a_board_of_which_nothing_tells_who_it_is_is_used_and_told_as_unknown() {
    let nameless = |map: String| map.replace("serial = \"0002\"", "");
    let lab = Lab::new(Streaming::Never, nameless);
    let (status, report) = run_json(&["info", &lab.map]);
    assert_eq!(status, 0, "{report}");
    for (board, why) in [
        (0, "no packet came from it"),
        (1, "the map has no serial number of it"),
    ] {
        let identity = &report["boards"][board]["identity"];
        assert_eq!(
            (&identity["state"], &identity["why"]),
            (&"unknown".into(), &why.into())
        );
    }
    // The report has the serial number from the packets of the board, so that a person can compare
    // it.
    let streaming = Lab::new(Streaming::WhenJoined, nameless);
    let (status, report) = run_json(&["info", &streaming.map]);
    assert_eq!(status, 0, "{report}");
    let identity = &report["boards"][1]["identity"];
    assert_eq!(identity["packet_serials"], serde_json::json!([2]));
    assert_eq!(identity["state"], "unknown", "{identity}");
    assert_eq!(identity["why"], "the map has no serial number of it");

    let out = lab.out("run");
    let (status, report) = run_json(&["tune", &lab.map, "--out", &out]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(
        report["boards"][0]["identity"]["state"], "unknown",
        "{report}"
    );
    let out = lab.out("told");
    let (status, table, _) = run(&["tune", &lab.map, "--out", &out]);
    assert_eq!(status, 0, "{table}");
    for words in ["no packet came", "the map has no serial number"] {
        let told = format!("not known if it is the board of the map: {words}");
        assert!(table.contains(&told), "{table}");
    }
    assert_eq!(run_json(&["off", &lab.map]).0, 0);
}

#[test]
fn a_tune_that_is_not_to_listen_repeats_to_the_bit() {
    let tuned = |name: &str| {
        let lab = Lab::new(Streaming::WhenJoined, |map| map);
        let out = lab.out(name);
        let args = ["tune", &lab.map, "--out", &out, "--no-listen"];
        let (status, report) = run_json(&args);
        assert_eq!(status, 0, "{report}");
        let identity = &report["boards"][0]["identity"];
        assert_eq!(identity["state"], "unknown");
        assert_eq!(identity["why"], "this program did not listen to its stream");
        let sent = lab.farm.boards()[0].stream_counters("readout");
        assert!(sent.iter().all(|module| module.made == 0), "{sent:?}");
        let tune = std::fs::read_to_string(lab.folder.path().join(name).join("tune.toml"));
        tune.unwrap()
    };
    assert_eq!(tuned("one"), tuned("two"));
}
