//! Tests of the commands that describe and sweep boards (`info`, `sweep`, `import`), and of their
//! output for other programs.

use twotone::record::SweepTable;
use twotone::sim::fault::{Fault, FaultScript};

use super::interrupt::any_tone_on;
use super::process::{SimProcess, error_of, run, run_json, write};

#[test]
fn info_says_what_answers_and_what_does_not() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "4"]);
    let (status, report) = run_json(&["info", &sim.map()]);
    assert_eq!((status, &report["ok"]), (0, &true.into()), "{report}");
    let board = &report["boards"][1];
    assert_eq!(
        (&board["name"], &board["kind"]),
        (&"crs0002".into(), &"crs".into())
    );
    assert!(!board["firmware"].as_str().unwrap().is_empty());
    assert_eq!(board["clock"]["recent"], true);
    let readings = board["housekeeping"].as_array().unwrap();
    assert!(
        readings.iter().any(|reading| reading["unit"] == "celsius"),
        "{board}"
    );
    assert_eq!(board["modules"].as_array().unwrap().len(), 4);
    assert_eq!(board["modules"][0]["channels"], 1024);

    let text = std::fs::read_to_string(sim.map()).unwrap();
    let absent = "\n[[board]]\nname = \"gone\"\nkind = \"crs\"\naddress = \"127.0.0.1:1\"\n";
    let map = write(sim.folder.path(), "more.toml", &(text + absent));
    let (status, report) = run_json(&["info", &map]);
    assert_eq!(status, 3, "{report}");
    let gone = &report["boards"][2];
    assert!(error_of(gone).contains("refused"), "{gone}");
    let (status, table, _) = run(&["info", &map, "--readings"]);
    assert_eq!(status, 3);
    for words in ["crs0001", "1-4", "596.05", "gone", "refused"] {
        assert!(table.contains(words), "{words}: {table}");
    }

    let map = write(sim.folder.path(), "none.toml", absent);
    assert_eq!(run(&["info", &map]).0, 4);
}

/// Starts a farm (a group of simulated boards) of one board. Calls of some methods of this board
/// fail.
fn failing(folder: &std::path::Path, methods: &[&str]) -> SimProcess {
    let kind = "kind = \"error-on-call\"\nmessage = \"i2c read failed\"";
    faulty(folder, kind, methods)
}

/// Starts a farm of one board, on which calls of some methods have a fault of the kind `kind`.
fn faulty(folder: &std::path::Path, kind: &str, methods: &[&str]) -> SimProcess {
    let fault = |method: &&str| {
        format!("[[fault]]\n{kind}\nboards = [\"crs0001\"]\nmethod = \"{method}\"\n")
    };
    let text: String = methods.iter().map(fault).collect();
    let faults = write(folder, "faults.toml", &text);
    SimProcess::start(&["--boards", "1", "--detectors", "4", "--faults", &faults])
}

#[test]
fn info_says_what_it_cannot_read_beside_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let is_null = |board: &serde_json::Value, pointer: &str| {
        board
            .pointer(pointer)
            .is_some_and(serde_json::Value::is_null)
    };
    for (method, words, unknown) in [
        (
            "get_motherboard_temperature",
            "not read: ",
            "/housekeeping/0/value",
        ),
        ("get_timestamp", "clock: unknown", "/clock"),
        (
            "get_decimation",
            "sample rate: ",
            "/modules/0/sample_rate_hz",
        ),
        ("get_firmware_release", "firmware: ", "/firmware"),
        (
            "get_dac_scale",
            "the scale of the DAC",
            "/modules/3/full_scale_dbm",
        ),
        (
            "get_nco_frequency",
            "module 1: NCO unknown",
            "/modules/0/nco_hz",
        ),
    ] {
        let sim = failing(folder.path(), &[method]);
        let (status, report) = run_json(&["info", &sim.map()]);
        assert_eq!((status, &report["ok"]), (3, &false.into()), "{report}");
        let board = &report["boards"][0];
        assert!(
            is_null(board, "/error") && is_null(board, unknown),
            "{method}: {board}"
        );
        // The report has the values of all other methods.
        for known in [
            "/housekeeping/0/value",
            "/clock",
            "/firmware",
            "/modules/0/nco_hz",
        ] {
            assert_eq!(
                is_null(board, known),
                known == unknown,
                "{method}: {known}: {board}"
            );
        }
        let (status, table, _) = run(&["info", &sim.map()]);
        assert_eq!(status, 3);
        assert!(
            table.contains(words) && table.contains("i2c read failed"),
            "{method}: {table}"
        );
        assert!(!table.contains("NaN"), "{method}: {table}");
    }
}

/// Function that returns true if the report of a board contains the value that a certain method
/// reads.
type IsKnown = Box<dyn Fn(&serde_json::Value) -> bool + Sync>;

#[test]
fn a_question_that_hangs_hides_no_other_answer() {
    let folder = tempfile::tempdir().unwrap();
    let value = |unit: &'static str| {
        move |board: &serde_json::Value| {
            let readings = board["housekeeping"].as_array().unwrap();
            let mut of_unit = readings.iter().filter(|reading| reading["unit"] == unit);
            assert!(of_unit.clone().count() > 1, "{board}");
            of_unit.all(|reading| reading["value"].is_f64())
        }
    };
    let known: [(&str, IsKnown); 5] = [
        ("get_motherboard_temperature", Box::new(value("celsius"))),
        ("get_motherboard_voltage", Box::new(value("volts"))),
        ("get_motherboard_current", Box::new(value("amperes"))),
        (
            "get_timestamp",
            Box::new(|board| board["clock"].is_object()),
        ),
        (
            "get_nco_frequency",
            Box::new(|board| board["modules"][0]["nco_hz"].is_f64()),
        ),
    ];
    // All commands run at the same time, because each takes until its hanging request is given up.
    std::thread::scope(|scope| {
        for (method, _) in &known {
            let sim = faulty(folder.path(), "kind = \"hang\"", &[method]);
            let known = &known;
            scope.spawn(move || {
                let (status, report) = run_json(&["info", &sim.map()]);
                assert_eq!(status, 3, "{method}: {report}");
                let board = &report["boards"][0];
                assert!(board["error"].is_null(), "{method}: {board}");
                for (of_method, is_known) in known {
                    assert_eq!(
                        is_known(board),
                        of_method != method,
                        "{method}: {of_method}: {board}"
                    );
                }
            });
        }
    });
}

#[test]
fn no_sample_is_needed_to_know_a_board_and_to_switch_it_off() {
    let folder = tempfile::tempdir().unwrap();
    let sim = failing(folder.path(), &["get_samples"]);
    let (status, report) = run_json(&["info", &sim.map()]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["boards"][0]["modules"][0]["channels"], 1024);
    let (status, report) = run_json(&["off", &sim.map()]);
    assert_eq!((status, &report["ok"]), (0, &true.into()), "{report}");
}

#[test]
fn a_board_that_answers_with_errors_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["server-error", "not-tuber"] {
        let fault = format!("[[fault]]\nkind = \"{kind}\"\nboards = [\"crs0001\"]\n");
        let faults = write(folder.path(), "faults.toml", &fault);
        let sim = SimProcess::start(&["--boards", "1", "--detectors", "4", "--faults", &faults]);
        let (map, out) = (sim.map(), sim.text_path("run"));
        for args in [
            vec!["info", &map],
            vec!["off", &map, "--deadline", "2"],
            vec!["tune", &map, "--out", &out],
        ] {
            let (status, report) = run_json(&args);
            assert_eq!(status, 3, "{kind} {args:?}: {report}");
            let told = error_of(&report["boards"][0]);
            assert!(
                told.contains("Tuber server") || told.contains("a web page"),
                "{told}"
            );
            assert_ne!(report["boards"][0]["status"], "unreachable", "{report}");
        }
    }
}

#[test]
fn a_sweep_goes_to_files_and_leaves_no_tone_on() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "4"]);
    let (map, csv) = (sim.map(), sim.text_path("csv"));
    let part = ["--f-min", "1.1e9", "--f-max", "1.2e9", "--points", "12000"];
    let args = [
        &["sweep", &map, "--out", &csv, "--format", "csv"],
        &part[..],
    ]
    .concat();
    let (status, report) = run_json(&args);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["boards"][1]["modules"][0]["points"], 12000);
    let text = std::fs::read_to_string(sim.path("csv").join("sweeps/crs0002.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("module,channel,sweep,frequency_hz,nco_hz,i,q,noise")
    );
    let frequencies: Vec<f64> = lines
        .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
        .collect();
    assert_eq!(frequencies.len(), 12000);
    assert!(frequencies.is_sorted() && frequencies[0] >= 1.1e9 && frequencies[11999] <= 1.2e9);
    let ncos = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(4).unwrap());
    let ncos: std::collections::BTreeSet<_> = ncos.collect();
    assert_eq!(ncos.len(), 1, "{ncos:?}");
    assert!(
        (1.1e9..1.2e9).contains(&ncos.first().unwrap().parse::<f64>().unwrap()),
        "{ncos:?}"
    );
    let loaded = twotone::map::HardwareMap::load(&map).unwrap();
    assert!(!any_tone_on(&loaded), "a tone is on");
    // A sweep does not overwrite the files of an earlier one.
    assert_eq!(run(&args).0, 2);

    let arrow = sim.text_path("arrow");
    let one = ["--board", "crs0001", "--format", "arrow"];
    let args = [&["sweep", &map, "--out", &arrow], &part[..], &one].concat();
    let (status, report) = run_json(&args);
    assert_eq!(
        (status, report["boards"].as_array().unwrap().len()),
        (0, 1),
        "{report}"
    );
    let file = std::fs::File::open(sim.path("arrow").join("sweeps/crs0001.arrow")).unwrap();
    let table = SweepTable::read_arrow(file, "crs0001.arrow").unwrap();
    assert_eq!(table.points().len(), 12000);
    assert!(table.points().iter().all(|point| point.noise > Some(0.0)));
    assert!(sim.path("arrow").join("manifest.json").exists());

    // The band is so wide that it needs several settings of the NCO (the oscillator to which tones
    // are relative). Each point names the setting at which it was measured.
    let wide = sim.text_path("wide");
    let band = ["--f-min", "1.0e9", "--f-max", "2.2e9", "--format", "csv"];
    let free = std::fs::read_to_string(&map).unwrap();
    let free: String = free
        .lines()
        .filter(|line| !line.starts_with("f_min") && !line.starts_with("f_max"))
        .map(|line| format!("{line}\n"))
        .collect();
    let free = write(sim.folder.path(), "free.toml", &free);
    let args = [
        &["sweep", &free, "--out", &wide, "--board", "crs0001"],
        &band[..],
    ]
    .concat();
    let (status, report) = run_json(&args);
    // The hardware map (the list of boards) has no frequency range, so only the band of the command
    // line limits the sweep.
    assert_eq!(status, 0, "{report}");
    let text = std::fs::read_to_string(sim.path("wide").join("sweeps/crs0001.csv")).unwrap();
    let mut ncos = std::collections::BTreeSet::new();
    for line in text.lines().skip(1) {
        let column = |at: usize| line.split(',').nth(at).unwrap().parse::<f64>().unwrap();
        let (nco, frequency) = (column(4), column(3));
        assert!((frequency - nco).abs() <= 313.5e6, "{line}");
        ncos.insert(nco.to_bits());
    }
    assert!(ncos.len() >= 2, "{} settings", ncos.len());

    let nowhere = sim.text_path("nowhere");
    for (wrong, says) in [
        (["--points", "0"], "points"),
        (["--points", "1000"], "too coarse"),
        (["--f-min=2e9", "--f-max=1e9"], "empty"),
        (["--f-min=nan", "--f-max=1e9"], "not a range"),
    ] {
        let (status, _, err) = run(&[&["sweep", &map, "--out", &nowhere], &wrong[..]].concat());
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(says) && err.lines().count() == 1, "{err}");
    }
    let (status, _, err) = run(&["sweep", &map, "--out", &nowhere, "--module", "4"]);
    assert_eq!(status, 2);
    assert!(err.contains("module 4"), "{err}");
    let (status, _, err) = run(&["sweep", &map, "--out", &nowhere, "--board", "crs0003"]);
    assert_eq!(status, 2);
    assert!(err.contains("crs0003"), "{err}");
}

#[test]
fn a_python_map_is_imported_and_its_boards_answer() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let map = twotone::map::HardwareMap::load(sim.map()).unwrap();
    let host = map.boards()[0].address();
    let yaml = format!(
        "!HardwareMap\n- !CRS {{ serial: \"0001\", hostname: \"{host}\" }}\n- !Wafer {{ name: w3 }}\n"
    );
    let yaml = write(sim.folder.path(), "lab.yaml", &yaml);
    let (status, toml, err) = run(&["import", &yaml]);
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("!Wafer"), "{err}");
    let imported = write(sim.folder.path(), "imported.toml", &toml);
    let (status, report) = run_json(&["info", &imported]);
    assert_eq!(
        (status, &report["boards"][0]["name"]),
        (0, &"crs0001".into()),
        "{report}"
    );

    // The import reports a board that the Python map marks as offline.
    let off =
        "session: 14\nhardware_map: !HardwareMap\n  - !CRS { serial: \"71\", online: false }\n";
    let off = write(sim.folder.path(), "off.yaml", off);
    let (status, toml, err) = run(&["import", &off]);
    assert_eq!(status, 0, "{err}");
    assert!(toml.contains("serial = \"71\""), "{toml}");
    for words in [
        "WARNING: ",
        "off.yaml:3:5: crs71 is offline",
        "not imported: crs71's online: false",
        "not imported: the session's \"session\"",
    ] {
        assert!(err.contains(words), "{err}");
    }

    // The imported map has no frequency range, so `tune` and `sweep` refuse it before they set
    // anything.
    let out = sim.text_path("run");
    for command in ["tune", "sweep"] {
        let (status, _, err) = run(&[command, &imported, "--out", &out]);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("need f_min_hz and f_max_hz"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    assert!(!sim.path("run").exists());

    let wrong = write(
        sim.folder.path(),
        "wrong.yaml",
        "!HardwareMap\n- !CRS { serail: \"1\" }\n",
    );
    let (status, out, err) = run(&["import", &wrong]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(
        err.contains("wrong.yaml") && err.contains("line 2"),
        "{err}"
    );
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, script, _) = run(&["completions", shell]);
        assert_eq!(status, 0);
        for command in [
            "demo", "sim", "tune", "sweep", "info", "capture", "check", "off", "import",
        ] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn a_farm_can_have_real_time_and_faults_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[fault]]\nkind = \"refuse\"\nboards = [\"crs0002\"]\n";
    let faults = write(folder.path(), "faults.toml", text);
    let args = [
        "--boards",
        "2",
        "--detectors",
        "4",
        "--real-time",
        "--call-us",
        "100",
    ];
    let sim = SimProcess::start(&[&args[..], &["--faults", &faults]].concat());
    let (status, report) = run_json(&["info", &sim.map()]);
    assert_eq!(status, 3, "{report}");
    assert!(report["boards"][0]["error"].is_null() && report["boards"][1]["error"].is_object());
    // In real time a sweep takes as long as its samples. Without `--real-time` it takes about a
    // tenth of that.
    let swept = sim.text_path("swept");
    let args = ["sweep", &sim.map(), "--board", "crs0001", "--out", &swept];
    let (status, report) = run_json(&args);
    assert_eq!(status, 0, "{report}");
    assert!(report["elapsed_s"].as_f64() > Some(1.0), "{report}");

    let wrong = write(
        folder.path(),
        "wrong.toml",
        "[[fault]]\nkind = \"refused\"\n",
    );
    let (status, _, err) = run(&["sim", "--boards", "1", "--faults", &wrong]);
    assert_eq!(status, 2);
    assert!(err.contains("line 2") && err.contains("refuse"), "{err}");
    assert_eq!(run(&["sim", "--call-us", "100"]).0, 2);
}

#[test]
fn the_page_on_farms_knows_every_fault_and_its_script_is_one() {
    let page = include_str!("../../docs/simulated-farms.md");
    let known: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(known, Fault::KINDS);
    let (_, script) = page.split_once("```toml").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    assert_eq!(FaultScript::parse(script).unwrap().len(), 3);
}
