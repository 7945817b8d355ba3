//! Tests with inputs that are not files, are too large, or are full of mistakes. The program
//! reports such an input at once, and does nothing else.

use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::process::{run, twotone, write};

const MAP: &str = "[[board]]\nname = \"b1\"\nkind = \"crs\"\naddress = \"127.0.0.1:1\"\n\
                   serial = \"1\"\n[[board.module]]\nnumber = 1\nf_min_hz = 1e9\nf_max_hz = 1.5e9\n";

/// Every command that reads a file, with its arguments. `FILE` stands for the path of the file.
const READERS: [&[&str]; 12] = [
    &["check", "FILE"],
    &["check", "MAP", "--params", "FILE"],
    &["tune", "FILE", "--out", "OUT"],
    &["tune", "MAP", "--params", "FILE", "--out", "OUT"],
    &["tune", "MAP", "--truth", "FILE", "--out", "OUT"],
    &["sweep", "FILE", "--out", "OUT"],
    &["sweep", "MAP", "--params", "FILE", "--out", "OUT"],
    &["capture", "FILE", "--seconds", "1", "--out", "OUT"],
    &["off", "FILE"],
    &["info", "FILE"],
    &["import", "FILE"],
    &["sim", "--boards", "1", "--faults", "FILE"],
];

/// Checks that every command refuses the file at `path` with a message that contains `words`, and
/// does nothing else.
fn check(folder: &Path, path: &str, words: &str) {
    let map = write(folder, "map.toml", MAP);
    let out = folder.join("run").display().to_string();
    for reader in READERS {
        let args = reader.iter().map(|arg| match *arg {
            "FILE" => path,
            "MAP" => &map,
            "OUT" => &out,
            arg => arg,
        });
        let (status, said, error) = run(&args.collect::<Vec<_>>());
        assert_eq!((status, said.as_str()), (2, ""), "{reader:?}: {error}");
        assert!(
            error.contains(path) && error.contains(words),
            "{reader:?}: {error}"
        );
        assert!(!Path::new(&out).exists(), "{reader:?}");
    }
}

#[test]
fn every_command_refuses_an_input_that_is_not_a_file_or_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    File::create(at("sparse"))
        .unwrap()
        .set_len(100 << 30)
        .unwrap();
    for (path, words) in [
        (at("fifo"), "it is a pipe, and only a file is read"),
        (at("socket"), "it is a socket"),
        (folder.path().display().to_string(), "it is a folder"),
        ("/dev/zero".to_owned(), "it is a device"),
        (at("sparse"), "it has 107374182400 bytes, and no more than "),
    ] {
        check(folder.path(), &path, words);
    }
}

#[test]
fn a_capture_refuses_pipes_in_the_place_of_the_files_of_its_tune() {
    let folder = tempfile::tempdir().unwrap();
    let map = write(folder.path(), "map.toml", MAP);
    let out = folder.path().join("run").display().to_string();
    for (file, other) in [
        ("manifest.json", None),
        ("tune.toml", Some("manifest.json")),
    ] {
        let tune = folder.path().join(file.replace('.', "-"));
        std::fs::create_dir(&tune).unwrap();
        mkfifoat(CWD, tune.join(file), Mode::RUSR | Mode::WUSR).unwrap();
        if let Some(other) = other {
            write(&tune, other, &manifest());
        }
        let tune = tune.display().to_string();
        let (status, _, error) = run(&[
            "capture",
            &map,
            "--seconds",
            "1",
            "--tune",
            &tune,
            "--out",
            &out,
        ]);
        assert_eq!(status, 2, "{error}");
        assert!(
            error.contains(file) && error.contains("it is a pipe"),
            "{error}"
        );
        assert!(!Path::new(&out).exists());
    }
}

/// Returns the text of the manifest (`manifest.json`) of a run.
fn manifest() -> String {
    let map = twotone::map::HardwareMap::parse(MAP, "map.toml").unwrap();
    let started = twotone::record::UtcTime::now();
    let manifest = twotone::record::Manifest::new(["tune".to_owned()], &map, &(), started);
    serde_json::to_string(&manifest.unwrap()).unwrap()
}

#[test]
fn a_map_full_of_mistakes_tells_the_first_and_counts_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let boards = (0..20_000).map(|n| {
        format!(
            "[[board]]\nname = \"b{n}\"\nkynd = \"crs\"\naddress = \"10.1.{}.{}\"\n",
            n / 256,
            n % 256
        )
    });
    let map = write(folder.path(), "map.toml", &boards.collect::<String>());
    let (status, _, error) = run(&["check", &map]);
    let lines: Vec<_> = error.lines().collect();
    assert_eq!((status, lines.len()), (2, 101));
    assert!(
        lines[0].contains(":3:1: unknown key `kynd` in [[board]]"),
        "{}",
        lines[0]
    );
    assert!(
        lines[100].ends_with(": 19900 more problems: mend these first"),
        "{}",
        lines[100]
    );
    let said = twotone(&["check", &map, "--json"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let last = &said["problems"][100];
    assert!(last["line"].is_null(), "{last}");
    assert_eq!(last["message"], "19900 more problems: mend these first");
}
