//! Tests of `twotone tune`, which sets a tone on the resonance of each detector: its results, the
//! files that it writes, and boards that fail.
//!
//! The map is the file that lists the boards. The manifest (`manifest.json`) is the overview of the
//! files that the command writes.

use std::net::TcpListener;

use twotone::map::HardwareMap;
use twotone::record::{Manifest, SweepTable};

use super::interrupt::any_tone_on;
use super::process::{SimProcess, error_of, run, run_json, write};

#[test]
fn a_farm_is_tuned_scored_recorded_and_switched_off() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "20", "--seed", "5"]);
    let (map, truth) = (sim.map(), sim.text_path("truth.json"));
    let out = sim.text_path("run");
    let args = [
        "tune",
        &map,
        "--out",
        &out,
        "--truth",
        &truth,
        "--note",
        "first light",
    ];
    let (status, report) = run_json(&args);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["score"]["detectors"], 40);
    assert_eq!(report["score"]["tuned"], 40);
    assert_eq!(report["score"]["found"], report["score"]["isolated"]);
    assert_eq!(report["score"]["false"], 0);
    let boards = report["boards"].as_array().unwrap();
    assert_eq!(boards.len(), 2);
    for board in boards {
        assert_eq!(board["status"], "ok");
        let channels = board["channels"].as_array().unwrap();
        assert_eq!(channels.len(), 20);
        for key in [
            "module",
            "channel",
            "tone_hz",
            "nco_hz",
            "amplitude",
            "fr_hz",
            "qr",
            "qi",
            "a",
        ] {
            assert!(channels[0][key].is_number(), "{key}: {}", channels[0]);
        }
        assert_eq!(
            (&channels[0]["status"], &channels[0]["reason"]),
            (&"tuned".into(), &"ok".into())
        );
    }

    // The run directory (the folder of results) is complete.
    let manifest = std::fs::read_to_string(sim.path("run").join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["note"], "first light");
    assert_eq!(manifest["boards"][0]["channels"]["tuned"], 20);
    assert!(
        !manifest["boards"][0]["firmware"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    let tune = std::fs::read_to_string(sim.path("run").join("tune.toml")).unwrap();
    let tune: toml::Table = tune.parse().unwrap();
    assert_eq!(tune["tune"].as_array().unwrap().len(), 2);
    let sweeps = std::fs::File::open(sim.path("run").join("sweeps/crs0001.arrow")).unwrap();
    let sweeps = SweepTable::read_arrow(sweeps, "crs0001.arrow").unwrap();
    // These are the points of the network analysis, and of a fine sweep of each detector.
    assert_eq!(sweeps.points().len(), 50_000 + 20 * 41);
    assert_eq!(sweeps.provenance["note"], "first light");

    // The program does not overwrite the files of an earlier run, and does not touch the boards.
    let (status, _, err) = run(&args);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("run"), "{err}");

    // The tones stay on until `off` switches them off. `off` reads the tones back to check this.
    let (status, report) = run_json(&["off", &map]);
    assert_eq!(
        (status, report["ok"].as_bool()),
        (0, Some(true)),
        "{report}"
    );
    assert_eq!(
        report["boards"][1]["modules"][0]["hardware"]["state"],
        "as_declared"
    );
}

#[test]
fn off_asks_again_and_says_what_it_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let late = "[[fault]]\nkind = \"refuse\"\nboards = [\"crs0002\"]\nfor_s = 2.0\n";
    let late = write(folder.path(), "late.toml", late);
    let size = ["--boards", "2", "--detectors", "8", "--modules", "2"];
    let sim = SimProcess::start(&[&size[..], &["--faults", &late]].concat());
    let (status, _, err) = run(&["off", &sim.map()]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("asking again"), "{err}");
    let (status, report) = run_json(&["tune", &sim.map(), "--out", &sim.text_path("run")]);
    assert_eq!(status, 0, "{report}");

    // The changed map has module 1 of the first board, and no other module.
    let map = std::fs::read_to_string(sim.map()).unwrap();
    let second = map.match_indices("[[board.module]]").nth(1).unwrap().0;
    let part = write(folder.path(), "part.toml", &map[..second]);
    let (status, report) = run_json(&["off", &part]);
    assert_eq!((status, &report["ok"]), (0, &true.into()), "{report}");
    assert_eq!(
        report["boards"][0]["not_in_map"],
        serde_json::json!([2, 3, 4])
    );
    let (_, text, _) = run(&["off", &part]);
    assert!(
        text.contains("module 1; not in the map and left alone: 2, 3, 4"),
        "{text}"
    );
    assert!(
        any_tone_on(&HardwareMap::load(sim.map()).unwrap()),
        "module 2 is on"
    );
    assert!(
        !any_tone_on(&HardwareMap::load(&part).unwrap()),
        "module 1 is off"
    );
}

#[test]
fn the_demo_tunes_scores_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo").display().to_string();
    let args = ["demo", "--boards", "2", "--detectors", "16", "--out", &out];
    let (status, report) = run_json(&args);
    assert_eq!(status, 0, "{report}");
    assert_eq!(
        (&report["score"]["detectors"], &report["score"]["tuned"]),
        (&32.into(), &32.into())
    );
    assert_eq!(report["run_directory"].as_str(), Some(out.as_str()));

    // In real time, the samples alone take longer than the whole command above.
    let real = folder.path().join("real").display().to_string();
    let one = ["--boards", "1", "--detectors", "1", "--real-time"];
    let (status, report) = run_json(&[&["demo", "--out", &real], &one[..]].concat());
    assert_eq!(status, 0, "{report}");
    assert!(report["elapsed_s"].as_f64() > Some(1.5), "{report}");

    let other = folder.path().join("other").display().to_string();
    let (status, text, _) = run(&[
        "demo",
        "--boards",
        "2",
        "--detectors",
        "16",
        "--out",
        &other,
    ]);
    assert_eq!(status, 0);
    for words in [
        "crs0002       1  ok",
        "32 of 32 detectors tuned",
        "0 false",
        "run directory: ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn boards_that_are_not_there_do_not_keep_the_others() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    // The first port never answers. The second port is closed.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent_at = silent.local_addr().unwrap();
    let map = std::fs::read_to_string(sim.path("map.toml")).unwrap();
    let board = |name, at: std::net::SocketAddr| {
        format!("\n[[board]]\nname = \"{name}\"\nkind = \"crs\"\naddress = \"{at}\"\n")
    };
    let more = format!(
        "{map}{}{}",
        board("silent", silent_at),
        board("closed", closed)
    );
    let map = write(sim.folder.path(), "more.toml", &more);
    let out = sim.text_path("run");
    let (status, report) = run_json(&["tune", &map, "--out", &out]);
    assert_eq!(status, 3, "{report}");
    let status_of = |index: usize| {
        report["boards"][index]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        [status_of(0), status_of(1), status_of(2)],
        ["ok", "unreachable", "unreachable"]
    );
    for (index, words) in [
        (1, ["timeout", "connect", "not_executed"]),
        (2, ["unreachable", "connect", "not_executed"]),
    ] {
        let error = &report["boards"][index]["error"];
        let parts = [&error["kind"], &error["operation"], &error["certainty"]];
        assert_eq!(parts, words, "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
    }
    // The manifest contains the failures.
    let manifest = Manifest::read(sim.path("run")).unwrap();
    for (record, board) in manifest.boards.iter().zip(0..) {
        let found = serde_json::to_value(&record.error).unwrap();
        assert_eq!(found, report["boards"][board]["error"]);
    }
    let (_, table, _) = run(&["tune", &map, "--out", &sim.text_path("again")]);
    for line in ["board silent: connect: timed out", "board closed: connect"] {
        assert!(table.contains(line), "{table}");
    }

    // `off` waits until the deadline for a board that does not answer. This does not delay the
    // other boards.
    let (status, report) = run_json(&["off", &map, "--deadline", "2"]);
    assert_eq!(status, 3, "{report}");
    let off = |index: usize| report["boards"][index]["off"].as_bool().unwrap();
    assert_eq!([off(0), off(1), off(2)], [true, false, false], "{report}");

    let range = "[[board.module]]\nnumber = 1\nf_min = 1e9\nf_max = 1.5e9\n";
    let only = board("closed", closed) + range;
    let only = write(sim.folder.path(), "only.toml", &only);
    let (status, report) = run_json(&["tune", &only, "--out", &sim.text_path("none")]);
    assert_eq!(status, 4, "{report}");
    assert!(
        !sim.path("none").exists(),
        "a run that reached nothing left a record"
    );
    assert_eq!(run(&["off", &only, "--deadline", "1"]).0, 4);
}

#[test]
fn parameters_out_of_range_are_refused_before_anything_is_sent() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    // Tones are on before the command, as on an array that observes.
    let (status, _) = run_json(&["tune", &sim.map(), "--out", &sim.text_path("before")]);
    assert_eq!(status, 0);
    let tune = |text: &str| {
        let params = write(sim.folder.path(), "params.toml", text);
        let out = sim.text_path("run");
        run(&[
            "tune",
            &sim.map(),
            "--out",
            &out,
            "--params",
            &params,
            "--json",
        ])
    };
    // These parameters are wrong for any board, so the exit status is that of wrong usage.
    for (text, words) in [
        ("[fine_sweep]\npoints = 0\n", "points"),
        ("tone_amplitude = 2.0\n", "tone_amplitude"),
        ("[network_analysis]\npoints = 100\n", "too coarse"),
        ("[band]\nf_min_hz = 1e9\nf_max_hz = 1e9\n", "empty"),
    ] {
        let (status, stdout, err) = tune(text);
        assert_eq!((status, stdout.as_str()), (2, ""), "{text}: {err}");
        assert!(err.contains(words), "{text}: {err}");
        assert!(!sim.path("run").exists(), "{text}");
    }
    // These parameters are wrong for this board: tuning fails before anything is sent to it.
    for (text, words) in [
        ("[network_analysis]\namplitude = 0.5\n", "dBm"),
        ("[network_analysis]\namplitude = 0.015\n", "full scale"),
        ("[network_analysis]\nmax_tones = 5000\n", "1024 channels"),
        (
            "tone_amplitude = 0.05\n[network_analysis]\namplitude = 0.001\n",
            "dBm",
        ),
    ] {
        let (status, stdout, err) = tune(text);
        assert_eq!(status, 3, "{text}: {err}");
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let module = &report["boards"][0]["modules"][0];
        assert!(error_of(module).contains(words), "{text}: {module}");
        assert_eq!(module["hardware"]["state"], "untouched", "{text}: {module}");
        // No folder has taken the name of the run.
        assert!(!sim.path("run").exists(), "{text}");
    }
    assert!(
        any_tone_on(&HardwareMap::load(sim.map()).unwrap()),
        "the tones are off"
    );
}
