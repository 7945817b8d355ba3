//! Tests of the examples. Each example runs as a process, and its output and exit status are
//! checked.
//!
//! Cargo builds the examples for `cargo test`, but not if only single tests are selected. If an
//! example is missing, or older than one of its sources, its test fails with the command that
//! builds it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use twotone::hal::ModuleId;
use twotone::record::{Manifest, TuneRecord};
use twotone::sim::Farm;

/// Runs an example and returns the lines of its output. The example must end with status 0 and
/// print nothing to standard error.
fn lines(example: &str) -> Vec<String> {
    lines_with(example, &[])
}

/// Does the same as [`lines`], with arguments.
fn lines_with(example: &str, arguments: &[&Path]) -> Vec<String> {
    let output = Command::new(built(example))
        .args(arguments)
        .env("TWOTONE_LOCKS", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the example starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{complained}");
    assert_eq!(complained, "", "{said}");
    said.lines().map(str::to_owned).collect()
}

/// Path of the executable of an example, in the target folder of this test.
fn built(example: &str) -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let profile = test.ancestors().nth(2).expect("PROFILE/deps/TEST");
    let program = profile.join("examples").join(example);
    let changed = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let Ok(made) = changed(&program) else {
        panic!("{example} is not built: cargo build --workspace --examples");
    };
    let sources = fs::read_to_string(program.with_extension("d")).expect("cargo lists its sources");
    for source in listed(&sources) {
        let changed = changed(&source).unwrap_or(SystemTime::UNIX_EPOCH);
        assert!(
            changed <= made,
            "{} has changed since {example} was built: cargo build --workspace --examples",
            source.display()
        );
    }
    program
}

/// Returns the source files that a line of cargo's dependency file names. The line has the form
/// `program: source source ...`. A space in a name is written as `\ `.
fn listed(list: &str) -> Vec<PathBuf> {
    let (_, sources) = list.split_once(": ").expect("a program and its sources");
    let sources = sources.trim_end().replace("\\ ", "\0");
    let sources: Vec<_> = sources
        .split(' ')
        .map(|source| PathBuf::from(source.replace('\0', " ")))
        .collect();
    assert!(sources.len() > 1, "{list}");
    sources
}

/// Runs `own_kind` with the words of `words` and the path `map` as arguments. Returns its exit
/// status, and the JSON that it prints.
fn own_kind(words: &str, map: &Path) -> (Option<i32>, serde_json::Value) {
    let output = Command::new(built("own_kind"))
        .args(words.split(' '))
        .arg(map)
        .env("TWOTONE_LOCKS", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the example starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let json = said.lines().last().map(serde_json::from_str);
    let json = json.and_then(Result::ok).unwrap_or_else(|| {
        let complained = String::from_utf8_lossy(&output.stderr);
        panic!("{words}: {said}{complained}")
    });
    (output.status.code(), json)
}

/// Returns the number at the start of a line, and the rest of the line.
fn number(line: &str) -> (f64, &str) {
    let (number, rest) = line.split_once(' ').expect("more than a number");
    let number = number.parse();
    (number.unwrap_or_else(|_| panic!("{line}")), rest)
}

/// Checks lines of the form `crs0001: 31 of 32 channels tuned`. There must be one line for each
/// board, in order.
fn check_tunes(lines: &[String], boards: usize, detectors: f64) {
    assert_eq!(lines.len(), boards, "{lines:?}");
    for (line, board) in lines.iter().zip(1..) {
        let told = line.strip_prefix(&format!("crs{board:04}: "));
        let (tuned, rest) = number(told.unwrap_or_else(|| panic!("{line}")));
        assert!(rest.ends_with("channels tuned"), "{line}");
        assert!((0.8 * detectors..=detectors).contains(&tuned), "{line}");
    }
}

#[test]
fn hello() {
    let lines = lines("hello");
    let alone = lines[0].strip_prefix("alone: ").expect("the board alone");
    assert!(alone.ends_with("channels tuned"), "{alone}");
    assert_eq!(lines[1], format!("crs0001: {alone}"), "the same function");
    check_tunes(&lines[1..], 4, 32.0);
}

#[test]
fn an_array_is_tuned_as_by_the_program() {
    let farm = Farm::builder().boards(2).detectors(8);
    let farm = farm.start_blocking().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [map, out] = ["map.toml", "run"].map(|name| folder.path().join(name));
    fs::write(&map, farm.map_toml()).unwrap();
    let lines = lines_with("campaign", &[&map, &out]);
    assert_eq!(lines, ["crs0001: ok", "crs0002: ok"]);
    assert_eq!(Manifest::read(&out).unwrap().boards.len(), 2);
    let tune = TuneRecord::read(&out).unwrap();
    let module = tune.module("crs0002", ModuleId::FIRST).unwrap();
    assert_eq!(module.channel.len(), 8);
}

#[test]
fn side_by_side() {
    let lines = lines("side_by_side");
    let [below, on, above, all] = &lines[..] else {
        panic!("{lines:?}")
    };
    let depth = |line: &str, before: &str| {
        let told = line.strip_prefix(before);
        number(told.unwrap_or_else(|| panic!("{line}"))).0
    };
    assert!(depth(on, "crs0001, 0 kHz off: ") > 3.0, "{on}");
    assert!(
        depth(below, "crs0001, -100 kHz off: ").abs() < 3.0,
        "{below}"
    );
    assert!(
        depth(above, "crs0001, 100 kHz off: ").abs() < 3.0,
        "{above}"
    );
    assert!(depth(all, "100 boards: ") > 3.0, "{all}");
}

#[test]
fn an_application_with_a_multi_thread_runtime() {
    let lines = lines("own_runtime");
    let (beats, tunes) = lines.split_last().expect("a line");
    check_tunes(tunes, 3, 16.0);
    let (beats, rest) = number(beats);
    assert_eq!(rest, "heartbeats meanwhile");
    assert!(beats > 1.0, "the application stood still");
}

#[test]
fn an_application_with_a_single_thread_runtime() {
    let lines = lines("single_thread");
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    let (tuned, rest) = number(line);
    assert!((13.0..=16.0).contains(&tuned), "{line}");
    let beats = rest.strip_prefix("channels tuned, ").expect("heartbeats");
    assert!(number(beats).0 > 1.0, "the application stood still: {line}");
}

#[test]
fn a_program_without_a_runtime() {
    let lines = lines("no_runtime");
    assert!(lines[0].starts_with("crs0001: NCO at "), "{lines:?}");
    assert!(lines[1].starts_with("crs0002: NCO at "), "{lines:?}");
    check_tunes(&lines[2..], 2, 16.0);
}

#[test]
fn an_algorithm_over_an_array_with_a_board_that_hangs() {
    let lines = lines("own_algorithm");
    assert_eq!(lines.len(), 8, "{lines:?}");
    for (line, board) in lines.iter().zip(1..) {
        let told = line.strip_prefix(&format!("crs{board:04}: "));
        if board == 3 {
            assert!(line.starts_with("board crs0003: "), "{line}");
            assert!(line.contains("timed out"), "{line}");
            assert!(line.ends_with("; its tones: as declared"), "{line}");
            continue;
        }
        let (noise, rest) = number(told.unwrap_or_else(|| panic!("{line}")));
        assert_eq!(rest, "of the level");
        assert!(noise > 0.0 && noise < 0.1, "{line}");
    }
}

#[test]
fn a_board_driven_directly() {
    let lines = lines("direct");
    let [board, level, on, source, left] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(board, "crs: 1024 channels");
    let level = level.strip_prefix("level: ").expect("a level");
    assert!(number(level).0 > 100.0, "{level}");
    assert_eq!(on, "tones on: [true, false]");
    assert!(source.starts_with("time source: "), "{source}");
    assert_eq!(left, "left on: false");
}

#[test]
fn a_stream_of_samples() {
    let lines = lines("streams");
    let [samples, period, lost] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(samples, "200 samples");
    assert_eq!(period, "1.7 ms from one to the next");
    let (lost, rest) = number(lost);
    let expected = rest.strip_prefix("lost of ").expect("a count");
    let expected: f64 = expected.parse().expect("a number");
    assert!(expected >= 200.0 + lost, "{lost} of {expected}");
}

/// Tests every command with boards of a kind that the program does not know. They work at base
/// band, and have no NCO (oscillator), no scale in dBm, no clock and no housekeeping (voltages and
/// temperatures).
#[test]
fn a_program_with_a_board_kind_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.toml");
    let board = "name = \"bb1\"\nkind = \"baseband\"\naddress = \"127.0.0.1\"\nserial = \"0007\"";
    let module = "number = 1\nf_min = 80e6\nf_max = 100e6";
    fs::write(
        &map,
        format!("[[board]]\n{board}\n[[board.module]]\n{module}\n"),
    )
    .unwrap();
    let out = |command: &str| {
        let out = folder.path().join(command.replace(' ', "-"));
        format!("--json {command} --out {}", out.display())
    };

    let (status, info) = own_kind("--json info", &map);
    assert_eq!(status, Some(0), "{info}");
    assert_eq!(info["boards"][0]["clock"], serde_json::Value::Null);
    assert_eq!(info["boards"][0]["clock_error"], serde_json::Value::Null);

    let (status, swept) = own_kind(&out("sweep"), &map);
    assert_eq!(status, Some(0), "{swept}");
    let (status, tuned) = own_kind(&out("tune"), &map);
    assert_eq!(status, Some(0), "{tuned}");
    let record = TuneRecord::read(folder.path().join("tune")).unwrap();
    let module = record.module("bb1", ModuleId::FIRST).unwrap();
    // The resonances are 34 kHz wide. The tones must be at the true resonances, to a hundredth of
    // this width.
    let truth = [82.1e6, 84.4e6, 87.3e6, 90.6e6, 93.9e6, 97.2e6];
    let found: Vec<f64> = module
        .channel
        .iter()
        .map(|one| one.fr_hz.unwrap())
        .collect();
    let all = || truth.iter().zip(&found);
    assert!(
        found.len() == 6 && all().all(|(fr, found)| (fr - found).abs() < 340.0),
        "{found:?}"
    );

    let (status, captured) = own_kind(&out("capture --seconds 1"), &map);
    assert_eq!(status, Some(0), "{captured}");
    let (received, lost) = (&captured["received"], &captured["lost"]);
    assert!(received.as_u64() > Some(100) && *lost == 0, "{captured}");
    let (status, off) = own_kind("--json off", &map);
    assert_eq!(status, Some(0), "{off}");
    assert!(!off.to_string().contains("unknown"), "{off}");
}
