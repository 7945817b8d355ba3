//! Tests of `twotone setup`, and of the set-up by tunes and sweeps.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};
use twotone::map::HardwareMap;

use super::interrupt::any_tone_on;
use super::lock::slow;
use super::process::{SimProcess, error_of, run, run_json, twotone, write};

const OF_BOARD: &str = "clock_source = \"SMA\"\ntimestamp_port = \"BACKPLANE\"\n\
    analog_bank = \"low\"\ndecimation = 5\n";
const OF_MODULE: &str = "dac_scale_dbm = 4\nadc_attenuator_db = 6\nnyquist_zone = 1\n\
    cable_length_m = 2.5\n";

fn farm() -> SimProcess {
    SimProcess::start(&["--boards", "2", "--detectors", "8", "--seed", "2"])
}

/// Writes the map of a farm with these properties of each board and each module. Returns its path.
fn mapped(sim: &SimProcess, name: &str, of_board: &str, of_module: &str) -> String {
    let text = std::fs::read_to_string(sim.map()).unwrap();
    let text = text.replace(
        "\n[[board.module]]\n",
        &format!("{of_board}\n[[board.module]]\n"),
    );
    let text = text.replace(
        "safe_state = \"off\"\n",
        &format!("safe_state = \"off\"\n{of_module}"),
    );
    write(sim.folder.path(), name, &text)
}

/// Returns the settings of a board of a report: property, module, before, after and status.
fn settings(board: &Value) -> Vec<(String, Value, Value, Value, String)> {
    let settings = board["settings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    settings
        .map(|one| {
            let (before, after) = (one["before"].clone(), one["after"].clone());
            let status = text(&one["status"]);
            (
                text(&one["property"]),
                one["module"].clone(),
                before,
                after,
                status,
            )
        })
        .collect()
}

#[test]
fn what_differs_is_set_read_back_and_shown() {
    let sim = farm();
    let map = mapped(&sim, "set.toml", OF_BOARD, OF_MODULE);

    // A dry run compares, and sets nothing.
    for _ in 0..2 {
        let (status, report) = run_json(&["setup", &map, "--dry-run"]);
        assert_eq!((status, &report["ok"]), (0, &json!(true)), "{report}");
        assert_eq!(report["dry_run"], true);
        let found = settings(&report["boards"][1]);
        let none = Value::Null;
        let row = |name: &str, module: Value, before: Value, after: &Value, status: &str| {
            (
                name.to_owned(),
                module,
                before,
                after.clone(),
                status.to_owned(),
            )
        };
        let one = json!(1);
        let expected = [
            row("clock_source", json!(null), json!("VCXO"), &none, "differs"),
            row(
                "timestamp_port",
                json!(null),
                json!("TEST"),
                &none,
                "differs",
            ),
            row(
                "analog_bank",
                json!(null),
                json!("low"),
                &json!("low"),
                "as_in_map",
            ),
            row("decimation", json!(null), json!(6.0), &none, "differs"),
            row("dac_scale_dbm", one.clone(), json!(1.0), &none, "differs"),
            row(
                "adc_attenuator_db",
                one.clone(),
                json!(0.0),
                &none,
                "differs",
            ),
            row(
                "nyquist_zone",
                one.clone(),
                json!(1.0),
                &json!(1.0),
                "as_in_map",
            ),
            row("cable_length_m", one, json!(0.0), &none, "differs"),
        ];
        assert_eq!(found, expected);
    }
    let (status, table, _) = run(&["setup", &map, "--dry-run"]);
    assert_eq!(status, 0, "{table}");
    assert!(table.contains("dry run: nothing was set"), "{table}");
    assert!(
        table.contains("dac_scale_dbm") && table.contains("differs"),
        "{table}"
    );

    let (status, report) = run_json(&["setup", &map]);
    assert_eq!((status, &report["ok"]), (0, &json!(true)), "{report}");
    for board in report["boards"].as_array().unwrap() {
        let found = settings(board);
        let [clock, port, bank, stage, scale, attenuator, zone, cable] = &found[..] else {
            panic!("{found:?}");
        };
        for (one, before, after) in [
            (clock, json!("VCXO"), json!("SMA")),
            (port, json!("TEST"), json!("BACKPLANE")),
            (stage, json!(6.0), json!(5.0)),
            (scale, json!(1.0), json!(4.0)),
            (attenuator, json!(0.0), json!(6.0)),
            (cable, json!(0.0), json!(2.5)),
        ] {
            assert_eq!(
                (&one.2, &one.3, &*one.4),
                (&before, &after, "set"),
                "{one:?}"
            );
        }
        for one in [bank, zone] {
            assert_eq!(one.4, "as_in_map", "{one:?}");
        }
    }

    // It is not set again, and `info` shows it.
    let (status, table, _) = run(&["setup", &map]);
    assert_eq!(status, 0, "{table}");
    assert_eq!(table.matches("as in the map").count(), 16, "{table}");
    let (status, info) = run_json(&["info", &map]);
    assert_eq!(status, 0, "{info}");
    let board = &info["boards"][0];
    assert_eq!(board["properties"]["clock_source"], "SMA", "{board}");
    let module = &board["modules"][0];
    assert_eq!(module["full_scale_dbm"], json!(2.5), "{module}");
    assert_eq!(module["properties"]["adc_attenuator_db"], json!(6.0));
    let (_, table, _) = run(&["info", &map]);
    assert!(table.contains("cable_length_m 2.5"), "{table}");
}

#[test]
fn a_part_of_the_map_is_set_up() {
    let sim = farm();
    let map = mapped(&sim, "set.toml", "", OF_MODULE);
    let (status, report) = run_json(&["setup", &map, "--board", "crs0002"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["boards"].as_array().unwrap().len(), 1);
    let (_, report) = run_json(&["setup", &map, "--dry-run"]);
    let status_of = |board: usize| settings(&report["boards"][board])[0].4.clone();
    assert_eq!((&*status_of(0), &*status_of(1)), ("differs", "as_in_map"));
    // A map without properties has nothing to set.
    let (status, _, err) = run(&["setup", &sim.map()]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("no properties to set"), "{err}");
}

#[test]
fn what_cannot_be_set_is_named_and_the_rest_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let fault = "[[fault]]\nkind = \"error-on-call\"\nmethod = \"set_timestamp_port\"\n\
        message = \"no such timestamp port\"\n";
    let faults = write(folder.path(), "faults.toml", fault);
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "8", "--faults", &faults]);
    let refused = "timestamp_port = \"AUX_SMA\"\n";
    let map = mapped(&sim, "refused.toml", refused, OF_MODULE);
    let (status, report) = run_json(&["setup", &map]);
    assert_eq!((status, &report["ok"]), (3, &json!(false)), "{report}");
    let board = &report["boards"][0];
    let found = settings(board);
    assert_eq!(
        (&found[0].3, &*found[0].4),
        (&json!("TEST"), "not_set"),
        "{board}"
    );
    let error = error_of(&board["settings"][0]);
    assert!(
        error.contains("rejected") || error.contains("timestamp port"),
        "{error}"
    );
    assert!(
        found[1..]
            .iter()
            .all(|one| one.4 == "set" || one.4 == "as_in_map"),
        "{found:?}"
    );
    let (status, table, _) = run(&["setup", &map]);
    assert_eq!(status, 3, "{table}");
    assert!(table.contains("NOT SET"), "{table}");

    // A run does not use a board that is not as the map says.
    let out = sim.text_path("run");
    let (status, report) = run_json(&["sweep", &map, "--out", &out]);
    assert_eq!(status, 3, "{report}");
    let error = error_of(&report["boards"][0]);
    assert!(
        error.contains("timestamp_port") && error.contains("twotone setup"),
        "{error}"
    );
    assert_eq!(report["boards"][0]["modules"], json!([]));
    assert!(!std::path::Path::new(&out).exists(), "nothing was swept");
}

#[test]
fn nothing_is_changed_under_tones() {
    let sim = farm();
    let (status, report) = run_json(&["tune", &sim.map(), "--out", &sim.text_path("run")]);
    assert_eq!(status, 0, "{report}");
    let map = mapped(&sim, "set.toml", OF_BOARD, OF_MODULE);
    let (status, report) = run_json(&["setup", &map]);
    assert_eq!(status, 3, "{report}");
    for setting in report["boards"][0]["settings"].as_array().unwrap() {
        let error = error_of(setting);
        match setting["property"].as_str().unwrap() {
            "timestamp_port" => assert_eq!(setting["status"], "set", "{setting}"),
            "analog_bank" | "nyquist_zone" => assert_eq!(setting["status"], "as_in_map"),
            _ => {
                assert_eq!(setting["status"], "not_set", "{setting}");
                assert!(error.contains("tones of module 1 are on"), "{error}");
                assert!(error.contains("twotone off"), "{error}");
                assert_eq!(setting["before"], setting["after"], "{setting}");
            }
        }
    }
    assert!(any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
    assert_eq!(run(&["off", &map]).0, 0);
    let (status, report) = run_json(&["setup", &map]);
    assert_eq!(status, 0, "{report}");
}

#[test]
fn a_run_sets_up_its_boards_and_records_it() {
    let sim = farm();
    // No module of the bank in use is in this map.
    let high = std::fs::read_to_string(sim.map()).unwrap();
    let high = high.replace("number = 1\n", "number = 5\ndac_scale_dbm = -2\n");
    let high = high.replace(
        "\n[[board.module]]\n",
        "analog_bank = \"high\"\n\n[[board.module]]\n",
    );
    let map = write(sim.folder.path(), "high.toml", &high);
    let out = sim.text_path("run");
    // A board that only needs its set-up is shown before, with what is missing.
    let (status, info) = run_json(&["info", &map]);
    assert_eq!(status, 3, "{info}");
    let board = &info["boards"][0];
    assert_eq!(board["properties"]["analog_bank"], "low", "{board}");
    assert!(
        board["doubts"].to_string().contains("no module 5"),
        "{board}"
    );
    let (status, report) = run_json(&["sweep", &map, "--dry-run"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(settings(&report["boards"][0]["setup"])[0].4, "differs");
    let (_, table, _) = run(&["sweep", &map, "--dry-run"]);
    assert!(
        table.contains("`analog_bank` is low, and high in the map"),
        "{table}"
    );
    // A dry run of the set-up names modules that cannot be read yet, with the reason.
    let (status, report) = run_json(&["setup", &map, "--dry-run"]);
    assert_eq!(status, 0, "{report}");
    let setting = &report["boards"][0]["settings"][1];
    assert_eq!(setting["status"], "differs", "{setting}");
    assert!(!error_of(setting).is_empty(), "{setting}");

    let args = ["sweep", &map, "--out", &out];
    let (status, report) = run_json(&args);
    assert_eq!(status, 0, "{report}");
    let setup = &report["boards"][0]["setup"];
    let found = settings(setup);
    assert_eq!(found[0].0, "analog_bank", "{setup}");
    assert_eq!((&found[0].2, &found[0].3), (&json!("low"), &json!("high")));
    assert_eq!(
        (&found[1].1, &found[1].3),
        (&json!(5), &json!(-2.0)),
        "{setup}"
    );
    let manifest = std::fs::read_to_string(sim.path("run").join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["boards"][0]["setup"], *setup);

    // The table shows what was changed.
    let low = mapped(&sim, "low.toml", "analog_bank = \"low\"\n", "");
    let out = sim.text_path("low");
    let (status, table, err) = run(&["sweep", &low, "--out", &out]);
    assert_eq!(status, 0, "{table}{err}");
    assert!(
        table.contains("`analog_bank` was high and is set to low"),
        "{table}"
    );
}

#[test]
fn a_capture_sets_no_property() {
    let sim = farm();
    let map = mapped(&sim, "set.toml", "timestamp_port = \"BACKPLANE\"\n", "");
    let out = sim.text_path("run");
    let args = ["capture", &map, "--out", &out, "--seconds", "0.2", "--fast"];
    let args = [&args[..], &["--set-streamer", "--channel", "1:2"]].concat();
    let (_, report) = run_json(&args);
    // The simulated boards send no fast stream to this host.
    assert_eq!(
        report["boards"].as_array().map(Vec::len),
        Some(2),
        "{report}"
    );
    let (_, report) = run_json(&["setup", &map, "--dry-run"]);
    assert_eq!(settings(&report["boards"][0])[0].4, "differs", "{report}");
}

#[test]
fn boards_that_others_use_or_that_are_away_are_not_set_up() {
    let sim = slow();
    let tune = twotone(&["tune", &sim.map(), "--out", &sim.text_path("run"), "--json"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut tune = tune.unwrap();
    let plain = HardwareMap::load(sim.map()).unwrap();
    while !any_tone_on(&plain) {
        assert!(
            tune.try_wait().unwrap().is_none(),
            "it ended before it drove a tone"
        );
    }
    let map = mapped(&sim, "set.toml", "timestamp_port = \"BACKPLANE\"\n", "");
    let (status, report) = run_json(&["setup", &map]);
    assert_eq!(status, 3, "{report}");
    let told = report.to_string();
    assert!(told.contains(&format!("process {}", tune.id())), "{told}");
    assert_eq!(report["boards"][0]["settings"][0]["status"], "not_set");
    // A run that cannot set up the board has the reason and the advice of the lock.
    let out = sim.text_path("second");
    let (status, report) = run_json(&["sweep", &map, "--out", &out]);
    assert_eq!(status, 3, "{report}");
    let error = &report["boards"][0]["error"];
    assert_eq!(error["kind"], "busy", "{report}");
    let advice = error["advice"].as_str().unwrap();
    assert!(advice.contains("--take-over"), "{error}");
    let (status, report) = run_json(&["setup", &map, "--dry-run"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["boards"][0]["settings"][0]["before"], "TEST");
    drop(tune.kill());
    drop(tune.wait());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let away = format!(
        "[[board]]\nname = \"away\"\nkind = \"crs\"\naddress = \"{free}\"\nserial = \"9\"\n\
         timestamp_port = \"SMA\"\n"
    );
    let away = write(sim.folder.path(), "away.toml", &away);
    let (status, report) = run_json(&["setup", &away]);
    assert_eq!((status, &report["ok"]), (4, &json!(false)), "{report}");
    assert!(!error_of(&report["boards"][0]).is_empty(), "{report}");
}
