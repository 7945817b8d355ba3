//! Tests of the state in which each command leaves a board. The entry `safe_state` of the hardware
//! map (the list of boards) determines this state.

use tworoutine::Wait;
use twotone::Array;
use twotone::hal::{ChannelId, Hertz, ModuleId, ToneUpdate};
use twotone::map::HardwareMap;
use twotone::run::ENDINGS;

use super::process::{SimProcess, run, run_json, write};

/// Returns the amplitudes of the first channels of the first module of the first board, and the
/// frequency of the module's NCO (oscillator).
fn settings(map: &HardwareMap) -> (Vec<f64>, f64) {
    let array = Array::connect(map).wait();
    let target = &array.boards()[0].targets()[0];
    let tones = target.board.tones();
    let tones = tones
        .read(target.module, ChannelId::FIRST, 1024)
        .wait()
        .unwrap();
    let amplitudes = tones.iter().map(|tone| tone.amplitude.unwrap_or(0.0));
    let nco = target.board.nco().read(target.module).wait().unwrap();
    (amplitudes.collect(), nco.frequency.0)
}

fn with_safe_state(sim: &SimProcess, safe_state: &str) -> String {
    let text = std::fs::read_to_string(sim.map()).unwrap();
    let text = text.replace(
        "safe_state = \"off\"",
        &format!("safe_state = \"{safe_state}\""),
    );
    write(sim.folder.path(), &format!("{safe_state}.toml"), &text)
}

#[test]
fn a_sweep_leaves_what_it_found_or_nothing() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let loaded = HardwareMap::load(sim.map()).unwrap();
    for safe_state in ["hold", "previous", "off"] {
        // Two tones are on, as after an observation. One of them is outside of the frequency range
        // that the map allows.
        let array = Array::connect(&loaded).wait();
        let board = array.boards()[0].handle();
        let module = ModuleId::FIRST;
        board.nco().set(module, Hertz(1.25e9)).wait().unwrap();
        let tone = |number, offset_hz| {
            let channel = ChannelId::new(number).unwrap();
            ToneUpdate::new(channel)
                .offset(Hertz(offset_hz))
                .amplitude(0.001)
        };
        let tones = [tone(3, 1e6), tone(7, -249.9e6)];
        board.tones().set(module, tones).wait().unwrap();
        drop(array);
        let before = settings(&loaded);

        let map = with_safe_state(&sim, safe_state);
        let out = sim.text_path(&format!("out-{safe_state}"));
        let part = ["--f-min", "1.1e9", "--f-max", "1.2e9", "--points", "12000"];
        let (status, report) = run_json(&[&["sweep", &map, "--out", &out], &part[..]].concat());
        assert_eq!(status, 0, "{safe_state}: {report}");
        let hardware = &report["boards"][0]["modules"][0]["hardware"]["state"];
        assert_eq!(hardware, "as_declared", "{safe_state}");
        let after = settings(&loaded);
        match safe_state {
            "off" => assert!(after.0.iter().all(|amplitude| *amplitude == 0.0)),
            _ => assert_eq!(after, before, "{safe_state}"),
        }
    }
}

#[test]
fn the_rule_stands_in_help_and_on_the_page() {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let rule = folded(ENDINGS);
    for command in ["tune", "sweep"] {
        let (status, help, _) = run(&[command, "--help"]);
        assert!(
            status == 0 && folded(&help).contains(&rule),
            "{command}: {help}"
        );
    }
    let page = include_str!("../../docs/hardware-map.md");
    assert!(folded(page).contains(&rule));
}

#[test]
fn a_band_beyond_the_maps_range_is_refused_before_any_board_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    // No board answers at this address: a refusal after connecting would have status 4.
    let map = "[[board]]\nname = \"b\"\nkind = \"crs\"\naddress = \"127.0.0.1:1\"\n\
               [[board.module]]\nnumber = 1\nf_min_hz = 1.0e9\nf_max_hz = 1.5e9\n\
               [[board.module]]\nnumber = 2\nf_min_hz = 1.2e9\nf_max_hz = 1.7e9\n";
    let map = write(folder.path(), "map.toml", map);
    let out = folder.path().join("out").display().to_string();
    for (band, module, key) in [
        (("0.9e9", "1.4e9"), "b module 1", "f_min_hz = 1000000000"),
        (("1.3e9", "1.6e9"), "b module 1", "f_max_hz = 1500000000"),
        (("1.1e9", "1.4e9"), "b module 2", "f_min_hz = 1200000000"),
    ] {
        let args = [
            "sweep", &map, "--out", &out, "--f-min", band.0, "--f-max", band.1,
        ];
        let (status, _, err) = run(&args);
        assert_eq!(status, 2, "{band:?}: {err}");
        assert!(err.contains(module) && err.contains(key), "{band:?}: {err}");
        let params = format!("[band]\nf_min_hz = {}\nf_max_hz = {}\n", band.0, band.1);
        let params = write(folder.path(), "params.toml", &params);
        for command in ["tune", "sweep", "check"] {
            let mut args = vec![command, &map, "--params", &params];
            if command != "check" {
                args.extend(["--out", &out]);
            }
            let (status, _, err) = run(&args);
            assert_eq!(status, 2, "{command} {band:?}: {err}");
            assert!(
                err.contains(module) && err.contains(key),
                "{command}: {err}"
            );
        }
    }
    let sweep = |more: &[&str]| run(&[&["sweep", &map, "--out", &out], more].concat());
    for (band, says) in [
        (
            &["--f-min", "0.9e9", "--f-max", "1.6e9"][..],
            "b module 1: 900 to 1600 MHz asked",
        ),
        (
            &["--f-min", "0.9e9", "--f-max", "1.6e9"],
            "; 1 more module has such a problem",
        ),
        (&["--f-min", "0.9e9"], "b module 1: 900 to 1500 MHz asked"),
        (&["--f-min", "0.9e9"], "; 1 more module has such a problem"),
        (&["--f-max", "1.6e9"], "b module 1: 1000 to 1600 MHz asked"),
        (
            &["--f-min", "1.6e9"],
            "b module 1: the span from 1600000000 Hz to 1500000000 Hz is empty",
        ),
        (
            &["--f-max", "1.1e9"],
            "b module 2: the span from 1200000000 Hz to 1100000000 Hz is empty",
        ),
        (&["--f-min", "1300"], "did you mean `1300e6`?"),
        (&["--f-max", "20e9"], "no board here has tones above 10 GHz"),
        (&["--f-min", "-1e9"], "is no frequency"),
        (&["--f-max", "-1.5e9"], "is no frequency"),
        (&["--f-min", "-1e9", "--f-max", "1e9"], "not a range"),
        (&["--f-min", "nan"], "is no frequency"),
        (&["--f-max", "0"], "is no frequency"),
        (&["--deadline", "-1"], "--deadline"),
    ] {
        let (status, _, err) = sweep(band);
        assert_eq!(status, 2, "{band:?}: {err}");
        assert!(err.contains(says), "{band:?}: {err}");
        assert!(!err.contains("unexpected argument"), "{band:?}: {err}");
        assert!(
            !err.contains("1 more module") || band.contains(&"0.9e9"),
            "{band:?}: {err}"
        );
    }
    // The command line needs only one end of a band. The other end is that of the range of each
    // module, or of the band in the parameter file.
    for band in [["--f-min", "1.3e9"], ["--f-max", "1.4e9"]] {
        assert_eq!(sweep(&band).0, 4, "{band:?}");
    }
    let params = "[band]\nf_min_hz = 1.3e9\nf_max_hz = 1.45e9\n";
    let params = write(folder.path(), "params.toml", params);
    assert_eq!(sweep(&["--params", &params, "--f-max", "1.4e9"]).0, 4);
    let (status, _, err) = sweep(&["--params", &params, "--f-max", "1.25e9"]);
    assert!(
        status == 2 && err.contains("from 1300000000 Hz to 1250000000 Hz"),
        "{err}"
    );
    // A band within the range is accepted, so the command goes on to connect to the boards.
    let args = [
        "sweep", &map, "--out", &out, "--f-min", "1.3e9", "--f-max", "1.4e9",
    ];
    assert_eq!(run(&args).0, 4);
    let args = [
        &args[..4],
        &["--module", "1", "--f-min", "1.1e9", "--f-max", "1.4e9"],
    ]
    .concat();
    assert_eq!(run(&args).0, 4);
}

#[test]
fn one_end_of_a_band_leaves_the_other_to_each_module() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4", "--modules", "2"]);
    let text = std::fs::read_to_string(sim.map()).unwrap();
    let mut map: toml::Table = text.parse().unwrap();
    let modules = map["board"][0]["module"].as_array_mut().unwrap();
    for (module, (low, high)) in modules.iter_mut().zip([(1.1e9, 1.3e9), (1.15e9, 1.4e9)]) {
        let module = module.as_table_mut().unwrap();
        module.insert("f_min".to_owned(), low.into());
        module.insert("f_max".to_owned(), high.into());
    }
    map.remove("detector");
    let map = write(sim.folder.path(), "narrow.toml", &map.to_string());
    for (end, hz, bands) in [
        ("--f-min", "1.25e9", [(1.25e9, 1.3e9), (1.25e9, 1.4e9)]),
        ("--f-max", "1.2e9", [(1.1e9, 1.2e9), (1.15e9, 1.2e9)]),
    ] {
        let out = sim.text_path(end);
        let (status, report) = run_json(&["sweep", &map, "--out", &out, end, hz]);
        assert_eq!(status, 0, "{report}");
        for (index, (low, high)) in bands.into_iter().enumerate() {
            let module = &report["boards"][0]["modules"][index];
            for (key, expected) in [("f_min_hz", low), ("f_max_hz", high)] {
                // The points of the sweep are within the band. The first and the last are at most
                // one step from its ends.
                let swept = module[key].as_f64().unwrap();
                assert!((swept - expected).abs() < 20e3, "{end}: {key} of {module}");
            }
        }
    }
}
