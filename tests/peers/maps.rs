//! Tests that a hardware map of the Python client rfmux means the same to rfmux and to the import
//! of this project.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use twotone::map::HardwareMap;

use crate::python::{Script, python};

/// The end of a map in both programs.
enum End {
    /// Both have the same boards and detectors.
    Same,
    /// Both refuse it.
    Refused,
    /// rfmux refuses it, and the import has a warning that says so.
    Warned(&'static str),
}

/// A file and its text.
type Written<'t> = (&'t str, &'t str);

const BOARDS: &str = "\
- !CRS { serial: \"0024\", hostname: 127.0.0.3 }
- !Crate { serial: \"007\", slots: { 3: !CRS { hostname: 127.0.0.2, serial: 25 } } }
";
const WAFER: &str = "- !Wafer { name: w, resonators: !Resonators \"r.csv\" }\n";
const MAPPING: &str = "- !ChannelMappings \"m.csv\"\n";
const RESONATORS: &str = "# a cooldown\nname\tbias_freq\tbias_amplitude\nsteve\t1100e6\t0.001\n\
                          nancy\t1_101.5e6\t\n\"two words\"\t9.9e8\t2\n\n#end\nbob\t\t\n";
const ROWS: &str = "readout_channel\tresonator\n0024/1/1\tw/steve\n007/3/08/1024\tw/nancy\n\
                    0024/2/1\t\"w/two words\"\n25/2/7\tw/bob\n";

fn cases() -> Vec<(Vec<(&'static str, String)>, End)> {
    let map = format!("!HardwareMap\n{BOARDS}{WAFER}{MAPPING}");
    let session = format!("note: x\nhardware_map: {}", map.replace('\n', "\n  "));
    let twice =
        format!("{WAFER}- x: [ !Wafer {{ name: \"1.5\", resonators: !Resonators sub/r.csv }} ]\n");
    let sub = RESONATORS.replace('\n', "\r\n");
    let two = format!("{ROWS}0024/4/9\t1.5/steve\n0024/4/10\t1.5/nancy");
    let with = |map: &str, resonators: &str, rows: &str| {
        let files = [
            ("lab.yaml", map),
            ("r.csv", resonators),
            ("m.csv", rows),
            ("sub/r.csv", &sub),
        ];
        files.map(|(name, text)| (name, text.to_owned())).to_vec()
    };
    let mut cases = vec![
        (with(&map, RESONATORS, ROWS), End::Same),
        (with(&session, RESONATORS, ROWS), End::Same),
        (
            with(&map.replace(WAFER, &twice), RESONATORS, &two),
            End::Same,
        ),
        (
            with(
                &map.replace('\n', "\r\n"),
                &sub,
                &ROWS.replace('\n', "\r\n"),
            ),
            End::Same,
        ),
        (with(&map.replace(MAPPING, ""), "", ""), End::Same),
        (
            with(
                &map.replace("w, res", "\"12/x\", res").replace(MAPPING, ""),
                RESONATORS,
                "",
            ),
            End::Same,
        ),
        (
            with(
                &map,
                "bias_freq\tname\n1e9\t\"a\"\"b\"\n2e9\ta\"b\tx",
                "resonator\treadout_channel\n",
            ),
            End::Refused,
        ),
        (
            with(&map.replace(WAFER, ""), RESONATORS, ROWS),
            End::Refused,
        ),
        (with(&map, RESONATORS, &two), End::Refused),
        (with(&map, "", ROWS), End::Refused),
        (
            with(&map, &RESONATORS.replace("1100e6", "1100 e6"), ROWS),
            End::Refused,
        ),
        (
            with(&map, &RESONATORS.replace("1100e6", "1100Hz"), ROWS),
            End::Refused,
        ),
        (with(&map, &format!("\n{RESONATORS}"), ROWS), End::Refused),
        (
            with(
                &format!("!HardwareMap\n{MAPPING}{BOARDS}{WAFER}"),
                RESONATORS,
                ROWS,
            ),
            End::Warned("Python reads a map in its order"),
        ),
        (
            with(&map, &format!("\u{feff}{}", &RESONATORS[13..]), ROWS),
            End::Warned("byte order mark"),
        ),
    ];
    for (from, to) in [
        ("0024/1/1", "24/1/1"),
        ("0024/1/1", "0024/9/1"),
        ("0024/1/1", "0024/1/0"),
        ("0024/1/1", "0024/1/1025"),
        ("0024/1/1", "0024/1"),
        ("007/3/08", "7/3/08"),
        ("007/3/08", "007/2/08"),
        ("w/steve", "steve"),
        ("w/steve", "W/steve"),
        ("w/steve", "w/steve\tmore"),
        ("\tresonator", "\t\"resonator \""),
    ] {
        cases.push((
            with(&map, RESONATORS, &ROWS.replacen(from, to, 1)),
            End::Refused,
        ));
    }
    let include = format!("!HardwareMap\n- !include b.yaml\n{WAFER}{MAPPING}");
    let mut files = with(&include, RESONATORS, ROWS);
    files.push(("b.yaml", BOARDS.to_owned()));
    cases.push((
        files,
        End::Warned("Python reads an included file without a schema"),
    ));
    let mut files = with(
        &map.replace("\"0024\"", "!include s.yaml"),
        RESONATORS,
        ROWS,
    );
    files.push(("s.yaml", "'0024'".to_owned()));
    cases.push((files, End::Same));
    cases
}

#[test]
fn maps_mean_the_same_to_rfmux_and_to_the_import() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    let written = cases.iter().enumerate().map(|(number, (files, _))| {
        let folder = folder.path().join(number.to_string());
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        write(&folder, &files)
    });
    let maps: Vec<PathBuf> = written.collect();
    let said = Script::new(&python, "rfmux_maps.py").args(&maps).run();
    let theirs = said["maps"].as_array().unwrap();
    assert_eq!(theirs.len(), cases.len());
    for ((path, theirs), (files, end)) in maps.iter().zip(theirs).zip(&cases) {
        let (toml, complaints) = import(path);
        let shown = || format!("{files:#?}\n{theirs}\n{toml:?}\n{complaints}");
        let refused = !theirs["error"].is_null();
        match end {
            End::Same => {
                assert!(!refused, "{}", shown());
                let toml = toml.as_ref().unwrap_or_else(|| panic!("{}", shown()));
                assert_eq!(ours(toml), of_rfmux(theirs), "{}", shown());
            }
            End::Refused => assert!(refused && toml.is_none(), "{}", shown()),
            End::Warned(words) => {
                let warned = complaints.contains("WARNING: ") && complaints.contains(words);
                assert!(refused && warned && toml.is_some(), "{}", shown());
            }
        }
    }
}

/// Writes the files of a map into `folder`. Returns the path of the first one.
fn write(folder: &Path, files: &[Written<'_>]) -> PathBuf {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder.join(files[0].0)
}

/// Imports a map. Returns the TOML if the import succeeds, and what it writes to standard error.
fn import(path: &Path) -> (Option<String>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twotone"));
    let done = command.arg("import").arg(path).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let toml = done.status.success().then(|| text(&done.stdout));
    (toml, text(&done.stderr))
}

/// Returns boards and detectors, each as text. Boards in crates have several host names, which are
/// not compared.
fn ours(toml: &str) -> BTreeSet<String> {
    let map = HardwareMap::parse(toml, "imported.toml").unwrap();
    let boards = map.boards().iter().map(|board| {
        let (in_crate, slot) = (&board.crate_serial, board.slot);
        let host = board.address();
        let host = in_crate.is_none().then(|| host.name());
        format!("{:?} {in_crate:?} {slot:?} {host:?}", board.serial)
    });
    // The channel and the amplitude of a detector stand in a comment above it.
    let comments = toml
        .lines()
        .filter_map(|line| line.strip_prefix("# channel "));
    let detectors = map.detectors().iter().zip(comments).map(|(one, comment)| {
        let serial = map.board(&one.board).unwrap().serial.as_deref().unwrap();
        let (channel, amplitude) = match comment.split_once(", bias_amplitude ") {
            Some((channel, amplitude)) => (channel, amplitude.parse::<f64>().ok()),
            None => (comment, None),
        };
        let (module, f_hz) = (one.module.number(), one.expected.0);
        format!(
            "{} {serial} {module} {channel} {f_hz} {amplitude:?}",
            one.id
        )
    });
    boards.chain(detectors).collect()
}

/// Returns the boards and detectors that rfmux has found, as [`ours`] does.
fn of_rfmux(said: &Value) -> BTreeSet<String> {
    let list = |key: &str| said[key].as_array().unwrap().iter();
    let boards = list("boards").map(|board| {
        let text = |key: &str| board[key].as_str().map(str::to_owned);
        let (in_crate, slot) = (text("crate"), board["slot"].as_u64());
        let host = text("host").filter(|_| in_crate.is_none());
        format!("{:?} {in_crate:?} {slot:?} {host:?}", text("serial"))
    });
    let detectors = list("detectors").map(|one| {
        let (id, serial) = (one["id"].as_str().unwrap(), one["serial"].as_str().unwrap());
        let (module, channel) = (&one["module"], &one["channel"]);
        let (f_hz, amplitude) = (
            one["f_hz"].as_f64().unwrap(),
            one["bias_amplitude"].as_f64(),
        );
        format!("{id} {serial} {module} {channel} {f_hz} {amplitude:?}")
    });
    boards.chain(detectors).collect()
}
