//! Tests of wrong command lines, of hardware maps (lists of boards) and of parameter files. They
//! need no board.

use twotone::algorithms::{Band, TuneParams};
use twotone::map::parse_params;

use super::process::{SimProcess, run, run_json, twotone, write};

#[test]
fn wrong_usage_is_status_2_and_help_is_0() {
    assert_eq!(run(&["--nonsense"]).0, 2);
    assert_eq!(run(&["tune"]).0, 2);
    assert_eq!(run(&["demo", "--profile", "easy"]).0, 2);
    let (status, out, _) = run(&["--help"]);
    assert_eq!(status, 0);
    for command in ["demo", "sim", "tune", "check", "off"] {
        assert!(out.contains(command), "{out}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_not_well() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "1"]);
    let full = std::fs::File::create("/dev/full").unwrap();
    let said = twotone(&["check", &sim.map(), "--json"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(3));
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("standard output"), "{said}");
    for asked in ["--help", "--version"] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let said = twotone(&[asked]).stdout(full).output().unwrap();
        assert_eq!(said.status.code(), Some(3), "{asked}");
    }
    // A map is not written to a path that is not a regular file, either.
    let (status, _, said) = run(&["sim", "--boards", "1", "--write-map", "/dev/full"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("/dev/full cannot be written"), "{said}");
    assert!(!std::path::Path::new("/dev/full").is_file());
}

#[test]
fn a_name_of_a_file_forges_no_line() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "1"]);
    let odd = |name: &str| sim.folder.path().join(name).display().to_string();
    let map = odd("x\nOK: 100 boards are off\u{1b}[2J.toml");
    std::fs::copy(sim.map(), &map).unwrap();
    let out = odd("run\nFORGED");
    for (args, status) in [
        (vec!["check", &map], 0),
        (vec!["check", &odd("none\nOK")], 2),
        (vec!["tune", &map, "--out", &out, "--no-listen"], 0),
        (vec!["tune", &map, "--out", &out, "--no-listen"], 2),
        (
            vec!["sweep", &map, "--out", &odd("s\nFORGED"), "--no-listen"],
            0,
        ),
        (
            vec![
                "capture",
                &map,
                "--seconds",
                "0.1",
                "--out",
                &odd("c\nFORGED"),
            ],
            0,
        ),
    ] {
        let (ended, said, complained) = run(&args);
        assert_eq!(ended, status, "{args:?}: {said}{complained}");
        for line in said.lines().chain(complained.lines()) {
            let forged = ["OK", "FORGED"].iter().any(|word| line.starts_with(word));
            assert!(!forged && !line.contains('\u{1b}'), "{args:?}: {line}");
        }
    }
}

#[test]
fn a_wrong_map_is_told_by_line_and_nothing_else_happens() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[board]]\nname = \"b1\"\nkind = \"crs\"\nadress = \"127.0.0.1:1\"\n";
    let map = write(folder.path(), "bad.toml", text);
    let out = folder.path().join("run").display().to_string();
    for args in [
        vec!["check", &map],
        vec!["tune", &map, "--out", &out],
        vec!["off", &map],
    ] {
        let (status, _, err) = run(&args);
        assert_eq!(status, 2, "{args:?}: {err}");
        assert!(
            err.contains("bad.toml:4:1: unknown key `adress`"),
            "{args:?}: {err}"
        );
        assert!(err.contains("did you mean `address`?"), "{args:?}: {err}");
    }
    assert!(!folder.path().join("run").exists());
    let (status, report) = run_json(&["check", &map]);
    assert_eq!((status, report["ok"].as_bool()), (2, Some(false)));
    assert_eq!((report["problems"][0]["line"].as_u64()), Some(4));
}

#[test]
fn a_good_map_and_parameter_file_are_well() {
    let sim = SimProcess::start(&["--boards", "3", "--detectors", "2"]);
    let params = write(sim.folder.path(), "params.toml", "reference_tones = 4\n");
    let (status, report) = run_json(&["check", &sim.map(), "--params", &params]);
    assert_eq!(
        (status, report["ok"].as_bool()),
        (0, Some(true)),
        "{report}"
    );
    assert_eq!(report["boards"].as_u64(), Some(3));

    for (text, words) in [
        ("referense_tones = 4\n", "did you mean `reference_tones`?"),
        ("[network_analysis]\npoints = 0\n", "points"),
        ("[band]\nf_min_hz = 2e9\nf_max_hz = 1e9\n", "empty"),
    ] {
        let params = write(sim.folder.path(), "params.toml", text);
        let (status, _, err) = run(&["check", &sim.map(), "--params", &params]);
        assert_eq!(status, 2, "{text}");
        assert!(
            err.contains("params.toml") && err.contains(words),
            "{text}: {err}"
        );
    }
}

#[test]
fn frequencies_in_another_unit_are_asked_about_before_a_board_is() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").display().to_string();
    let board = "[[board]]\nname = \"b1\"\nkind = \"crs\"\naddress = \"127.0.0.1:1\"\n";
    let module = |low: &str, high: &str| {
        format!("{board}[[board.module]]\nnumber = 1\nf_min_hz = {low}\nf_max = {high}\n")
    };
    let detector = "[[detector]]\nid = \"d1\"\nboard = \"b1\"\nmodule = 1\nf_hz = 1250\n";
    for (text, lines) in [
        (
            module("1000", "1500"),
            ["map.toml:7:12: ", "map.toml:8:9: "].as_slice(),
        ),
        (
            module("4", "5.0"),
            &["did you mean `4e9`?", "did you mean `5e9`?"],
        ),
        (
            module("0.5", "1.0"),
            &["did you mean `0.5e9`?", "did you mean `1e9`?"],
        ),
        (
            module("4e6", "8e6"),
            &["did you mean `4e9`?", "did you mean `8e9`?"],
        ),
        (
            module("20e9", "25e9"),
            &[
                "`f_min_hz` = 20e9 is in hertz",
                "no board here has tones above 10 GHz",
            ],
        ),
        (module("1e9", "1_500"), &["`f_max` = 1500 is in hertz"]),
        (module("1e9", "1.5e9") + detector, &["map.toml:13:8: "]),
        (
            board.to_owned() + "[[board.module]]\nnumber = 1\nmax_tone_dbm = 40\n",
            &["did you mean `-40`?"],
        ),
    ] {
        let map = write(folder.path(), "map.toml", &text);
        for args in [
            vec!["check", &map],
            vec!["tune", &map, "--out", &out],
            vec!["off", &map],
        ] {
            let (status, _, err) = run(&args);
            assert_eq!(status, 2, "{args:?}: {err}");
            assert_eq!(err.lines().count(), lines.len(), "{args:?}: {err}");
            for (line, words) in err.lines().zip(lines) {
                assert!(line.contains(words), "{args:?}: {err}");
            }
        }
    }

    let map = write(folder.path(), "map.toml", &module("100e6", "1500e6"));
    assert_eq!(run(&["check", &map]).0, 0);
    let text = "[band]\nf_min_hz = 1000\nf_max_hz = 1500\n";
    let params = write(folder.path(), "params.toml", text);
    let sweep = ["sweep", &map, "--out", &out];
    for args in [
        vec!["check", &map, "--params", &params],
        vec!["tune", &map, "--params", &params, "--out", &out],
        [&sweep[..], &["--f-min", "1000", "--f-max", "1500"]].concat(),
    ] {
        let (status, _, err) = run(&args);
        assert_eq!(status, 2, "{args:?}: {err}");
        assert!(err.contains("did you mean `1000e6`?"), "{args:?}: {err}");
    }
    assert!(!folder.path().join("run").exists());
}

#[test]
fn addresses_that_can_be_read_in_two_ways_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let check = |boards: &[(&str, &str)]| {
        let boards = boards.iter().enumerate().map(|(number, (key, value))| {
            format!("[[board]]\nname = \"b{number}\"\nkind = \"crs\"\n{key} = \"{value}\"\n\n")
        });
        let map = write(folder.path(), "map.toml", &boards.collect::<String>());
        let (status, _, err) = run(&["check", &map]);
        (status, err)
    };
    let refused = |boards: &[(&str, &str)], words: &str| {
        let (status, err) = check(boards);
        assert!(status == 2 && err.contains(words), "{boards:?}: {err}");
    };
    for address in [
        "010.000.003.043",
        "127.1",
        "0x7f000001",
        "2130706433",
        "10.0.3.256:80",
    ] {
        refused(&[("address", address)], "map.toml:4:11: ");
    }
    refused(&[("address", "-b.lab")], "begins or ends with `-`");
    for address in [
        "10.0.3.43",
        "[fe80::1%eth0]:80",
        "rfmux0042.local.",
        "[fd00::12]",
    ] {
        assert_eq!(check(&[("address", address)]).0, 0, "{address}");
    }
    // Both entries of the map are the same board, with a different spelling of the address.
    for (one, other) in [
        (("address", "Rfmux7.local"), ("serial", "7")),
        (("address", "b7.lab."), ("address", "b7.lab")),
        (("address", "[fd00:0::12]"), ("address", "[FD00::12]:80")),
        (("serial", "0042"), ("serial", "42")),
        (("serial", "MOCK1"), ("serial", "mock1")),
    ] {
        refused(&[one, other], "is taken already");
    }
    let zones = [("address", "[fe80::1%eth0]"), ("address", "[fe80::1%eth1]")];
    assert_eq!(check(&zones).0, 0);
}

#[test]
fn the_page_on_parameters_has_every_one_at_its_default() {
    let page = include_str!("../../docs/parameters.md");
    let (_, text) = page.split_once("```toml").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let default = TuneParams::default();
    assert_eq!(parse_params::<TuneParams>(text, "page").unwrap(), default);
    // The page of the documentation also has the parameters without a default.
    let default = TuneParams {
        band: Some(Band::default()),
        ..default
    };
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(key) => key.to_owned() + "\n",
        None => line.to_owned() + "\n",
    };
    let whole: String = text.lines().map(uncommented).collect();
    let whole: serde_json::Value = toml::from_str(&whole).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let sections = value.as_object().unwrap().iter();
        let mut keys: Vec<_> = sections
            .flat_map(|(name, part)| match part.as_object() {
                Some(part) => part.keys().map(|key| format!("{name}.{key}")).collect(),
                None => vec![name.clone()],
            })
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&whole), keys(&serde_json::to_value(&default).unwrap()));
}

#[test]
fn points_too_few_for_a_module_are_found_without_touching_it() {
    let folder = tempfile::tempdir().unwrap();
    let map = "[[board]]\nname = \"b1\"\nkind = \"crs\"\naddress = \"127.0.0.1:1\"\n\
               [[board.module]]\nnumber = 1\nf_min_hz = 1.0e9\nf_max_hz = 1.5e9\n";
    let map = write(folder.path(), "map.toml", map);
    let check = |points: usize| {
        let text = format!("[network_analysis]\npoints = {points}\n");
        let params = write(folder.path(), "params.toml", &text);
        run_json(&["check", &map, "--params", &params])
    };
    assert_eq!(check(50_000).0, 0);
    let (status, checked) = check(100);
    assert_eq!(
        (status, checked["ok"].as_bool()),
        (2, Some(false)),
        "{checked}"
    );
    let message = checked["problems"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("b1 module 1") && message.contains("50000 points"),
        "{message}"
    );
}

#[test]
fn a_farm_ends_with_an_interrupt_and_with_its_parent() {
    let mut sim = SimProcess::start(&["--boards", "1", "--detectors", "1"]);
    sim.signal(rustix::process::Signal::INT);
    assert_eq!(sim.wait(), 0);

    // With `--with-parent`, a farm (`twotone sim`) ends when the shell ends that has started it.
    let program = env!("CARGO_BIN_EXE_twotone");
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.toml").display().to_string();
    let script = format!(
        "{program} sim --boards 1 --detectors 1 --with-parent --write-map {map} >/dev/null & \
         echo $!; until [ -s {map} ]; do sleep 0.05; done; kill -0 $!"
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "it never ran");
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let gone = || !std::path::Path::new(&format!("/proc/{id}/cmdline")).exists();
    let ended = (0..100).any(|_| {
        let ended = gone();
        if !ended {
            drop(std::process::Command::new("sleep").arg("0.1").status());
        }
        ended
    });
    assert!(ended, "process {id} outlived its parent");
}

#[test]
fn the_version_says_which_form_of_the_state_the_program_reads() {
    let (status, out, _) = run(&["--version"]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((status, lines.len()), (0, 2), "{out}");
    assert!(lines[0].starts_with("twotone 0."), "{out}");
    // `cargo xtask dist` reads this line.
    assert_eq!(lines[1], "state format 1");
    assert_eq!(run(&["-V"]).1.lines().count(), 1);
}
