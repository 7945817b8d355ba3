//! Tests of run directories, which appear under their names as a whole or not at all.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use twotone_hal::{ChannelId, Complex64, ErrorKind, Hertz, ModuleId};

use super::*;
use crate::map::HardwareMap;

pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn write_text(run: &RunDirectory, file: &str, text: &str) -> Result<(), RecordError> {
    run.write(file, |writer| {
        let written = writer.write_all(text.as_bytes());
        written.map_err(RecordError::format("write", file))
    })
}

fn map() -> HardwareMap {
    let text = "# µ\n[[board]]\nname = \"b1\"\nkind = \"crs\"\nserial = \"0042\"\n";
    HardwareMap::parse(text, "farm.toml").unwrap()
}

pub(super) fn manifest() -> Manifest {
    let started = serde_json::from_str("\"2026-11-22T12:37:27.123Z\"").unwrap();
    let parameters = serde_json::json!({"points": 5});
    let command = ["twotone", "tune", "farm.toml"].map(String::from);
    let mut manifest = Manifest::new(command, &map(), &parameters, started).unwrap();
    manifest.note = Some("clear sky".into());
    manifest.seed = Some(u64::MAX);
    manifest.boards.push(BoardRecord {
        warnings: vec!["module 1: cable delay: uncertain".to_owned()],
        name: "b1".into(),
        identity: None,
        serial: Some("0042".into()),
        firmware: Some("1.7".into()),
        status: "ok".into(),
        doubts: Vec::new(),
        taken_over: None,
        setup: None,
        error: None,
        channels: [("tuned".to_owned(), 20)].into(),
    });
    manifest
}

pub(super) fn table() -> SweepTable {
    let mut table = SweepTable::new(manifest().provenance("b1"));
    let mut head = SweepHead {
        module: ModuleId::new(2).unwrap(),
        channel: None,
        kind: SweepKind::NetworkAnalysis,
        nco: Hertz(4.25e9),
    };
    let mean = [
        Complex64::new(1.0, -2.0),
        Complex64::new(1e6, f64::MIN_POSITIVE),
    ];
    table
        .push_sweep(head, &[4.1e9 + 0.125, 4.2e9], &mean, Some(0.5))
        .unwrap();
    head.channel = ChannelId::new(1024).ok();
    head.kind = SweepKind::FineDown;
    table.push_sweep(head, &[4.15e9], &mean[..1], None).unwrap();
    table
}

#[test]
fn a_run_appears_all_at_once() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("night.1");
    let run = RunDirectory::prepare(&path).unwrap();
    run.write_manifest(&manifest()).unwrap();
    write_text(&run, "tune.toml", "").unwrap();
    write_text(&run, "deep/er/notes.txt", "µ").unwrap();
    assert!(!path.exists());
    let [hidden] = &names_in(parent.path())[..] else {
        panic!("more than one name")
    };
    assert!(
        hidden.starts_with(".night.1.") && hidden.ends_with(".partial"),
        "{hidden}"
    );
    assert_eq!(run.commit().unwrap(), path);
    assert_eq!(names_in(parent.path()), ["night.1"]);
    assert_eq!(names_in(&path), ["deep", "manifest.json", "tune.toml"]);
    assert_eq!(
        fs::read_to_string(path.join("deep/er/notes.txt")).unwrap(),
        "µ"
    );
    assert_eq!(Manifest::read(&path).unwrap(), manifest_at(&path));
    // A temporary folder is for its owner only. The finished run has the same permissions as any
    // other folder, which the umask limits.
    use std::os::unix::fs::PermissionsExt;
    let plain = parent.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

fn manifest_at(path: &Path) -> Manifest {
    let text = fs::read_to_string(path.join(MANIFEST_FILE)).unwrap();
    assert!(
        text.contains("\"started\": \"2026-11-22T12:37:27.123Z\""),
        "{text}"
    );
    // The end of the run is the time at which the manifest was written, which a test cannot know.
    let ended: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ended = serde_json::from_value(ended["ended"].clone()).unwrap();
    Manifest {
        ended,
        ..manifest()
    }
}

#[test]
fn a_run_that_is_dropped_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let run = RunDirectory::prepare(parent.path().join("run")).unwrap();
    write_text(&run, "sweeps/b1.arrow", "half a f").unwrap();
    drop(run);
    assert_eq!(names_in(parent.path()), [""; 0]);
}

#[test]
fn a_path_that_exists_is_refused_before_anything_is_created() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", parent.path().join("link")).unwrap();
    for name in ["folder", "file", "link", "folder/"] {
        let path = parent.path().join(name);
        let error = RunDirectory::prepare(&path).unwrap_err();
        assert!(
            matches!(error, RecordError::Exists { .. }),
            "{name}: {error}"
        );
        let told = format!(
            "`{}` exists already, and runs are never overwritten: choose another name",
            path.display()
        );
        assert_eq!(error.to_string(), told);
        assert_eq!(
            twotone_hal::Error::from(error).kind(),
            ErrorKind::InvalidArgument
        );
    }
    for name in ["..", "folder/..", "/"] {
        let error = RunDirectory::prepare(parent.path().join(name)).unwrap_err();
        assert!(matches!(error, RecordError::Name { .. }), "{name}: {error}");
    }
    let error = RunDirectory::prepare(parent.path().join("file/run")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create `"), "{error}");
    assert_eq!(names_in(parent.path()), ["file", "folder", "link"]);
    assert_eq!(names_in(&folder), [""; 0]);
}

#[test]
fn files_stay_within_their_run_and_are_written_once() {
    let parent = tempfile::tempdir().unwrap();
    let run = RunDirectory::prepare(parent.path().join("run")).unwrap();
    for file in ["", "../escaped", "/tmp/escaped", "a/../../b"] {
        let error = write_text(&run, file, "").unwrap_err();
        assert!(matches!(error, RecordError::Name { .. }), "{file}: {error}");
    }
    write_text(&run, "a", "first").unwrap();
    assert_eq!(
        write_text(&run, "a", "second").unwrap_err().to_string(),
        "`a` cannot be used: this run has that file already"
    );
    let path = run.commit().unwrap();
    assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "first");
    assert_eq!(names_in(parent.path()), ["run"]);
}

#[test]
fn a_name_that_is_taken_in_the_meantime_costs_no_data() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let [first, second] = ["first", "second"].map(|content| {
        let run = RunDirectory::prepare(&path).unwrap();
        write_text(&run, "content", content).unwrap();
        run
    });
    first.commit().unwrap();
    let error = second.commit().unwrap_err();
    let RecordError::Taken { kept, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(fs::read_to_string(path.join("content")).unwrap(), "first");
    assert_eq!(fs::read_to_string(kept.join("content")).unwrap(), "second");
    assert_eq!(twotone_hal::Error::from(error).kind(), ErrorKind::Storage);
}

/// Part of the next test that runs in several processes. Does nothing unless that test has started
/// the process.
#[test]
fn racer() {
    let Ok(path) = std::env::var("TWOTONE_RACE_FOR") else {
        return;
    };
    let run = RunDirectory::prepare(&path).unwrap();
    let me = std::process::id().to_string();
    for file in ["a", "b/c", "d"] {
        write_text(&run, file, &me).unwrap();
    }
    // The parent process closes the standard input of this process after all processes have
    // prepared their runs, so that none commits before.
    println!("\nprepared");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    match run.commit() {
        Ok(_) => println!("\nwon {me}"),
        Err(RecordError::Taken { .. }) => println!("\nlost {me}"),
        Err(error) => println!("\nfailed: {error}"),
    }
}

#[test]
fn of_processes_that_race_for_a_name_one_wins() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let mut racers: Vec<_> = (0..6)
        .map(|_| {
            let mut racer = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "record::tests::racer", "--nocapture"])
                .env("TWOTONE_RACE_FOR", &path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(racer.stdout.take().unwrap()).lines();
            (racer, lines.map(Result::unwrap))
        })
        .collect();
    for (_, lines) in &mut racers {
        assert!(lines.any(|line| line == "prepared"));
    }
    assert!(!path.exists());
    for (racer, _) in &mut racers {
        drop(racer.stdin.take());
    }
    let mut winners = Vec::new();
    let mut losers = 0;
    for (mut racer, mut lines) in racers {
        let verdict = lines.find(|line| line.starts_with("won ") || line.starts_with("lost "));
        match verdict.as_deref().and_then(|line| line.split_once(' ')) {
            Some(("won", racer)) => winners.push(racer.to_owned()),
            Some(_) => losers += 1,
            None => panic!("a racer neither won nor lost"),
        }
        // The rest of the process's output is read, so that the process never writes into a closed
        // pipe.
        lines.for_each(drop);
        assert!(racer.wait().unwrap().success());
    }
    assert_eq!((winners.len(), losers), (1, 5));
    for file in ["a", "b/c", "d"] {
        assert_eq!(fs::read_to_string(path.join(file)).unwrap(), winners[0]);
    }
}

#[test]
fn a_map_is_recorded_to_the_byte() {
    let record = MapRecord::of(&map());
    assert_eq!(record.text, map().text());
    // The check sum was computed with `printf '# µ\n[[board]]\n...' | sha256sum`.
    assert_eq!(
        record.sha256,
        "9210b8ddb6e8459d4fbaabdb30184ddf9b5279302f99b5e2bfca855b08a390cf"
    );
}

#[test]
fn a_manifest_of_a_later_format_is_refused_as_such() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join(MANIFEST_FILE);
    let shown = file.display();
    for (text, told) in [
        (
            "{\"format_version\": 3, \"new\": true}",
            format!(
                "cannot read `{shown}`: it is of format 3, and this twotone knows up to 2: update twotone"
            ),
        ),
        (
            "{}",
            format!("cannot read `{shown}`: missing field `format_version` at line 1 column 2"),
        ),
        (
            "[",
            format!("cannot read `{shown}`: EOF while parsing a list at line 1 column 1"),
        ),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(Manifest::read(parent.path()).unwrap_err().to_string(), told);
    }
    fs::remove_file(&file).unwrap();
    let error = Manifest::read(parent.path()).unwrap_err();
    assert!(matches!(error, RecordError::Io { .. }), "{error}");
}

#[test]
fn a_manifest_of_format_1_has_its_errors_as_sentences() {
    let parent = tempfile::tempdir().unwrap();
    let written = manifest();
    let mut old = serde_json::to_value(&written).unwrap();
    old["format_version"] = 1.into();
    old["boards"][0]["error"] = "board b1: connect: timed out: no answer".into();
    fs::write(parent.path().join(MANIFEST_FILE), old.to_string()).unwrap();
    let read = Manifest::read(parent.path()).unwrap();
    let error = read.boards[0].error.as_ref().unwrap();
    assert_eq!(error.to_string(), "board b1: connect: timed out: no answer");
    assert_eq!(error.kind, None);
    let expected = Manifest {
        format_version: 1,
        boards: read.boards.clone(),
        ..written
    };
    assert_eq!(read, expected);
}

#[test]
fn sweeps_of_unequal_columns_are_refused() {
    let mut table = table();
    let head = table.points()[0].head;
    let error = table.push_sweep(head, &[1.0], &[], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot record `the sweep of module 2`: 1 frequencies and 0 samples do not match"
    );
    assert_eq!(table.points().len(), 3);
}

#[cfg(feature = "arrow")]
mod arrow {
    use std::fs::File;
    use std::io::Cursor;

    use super::*;

    fn bytes(table: &SweepTable) -> Vec<u8> {
        let mut bytes = Vec::new();
        table.write_arrow(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn sweeps_read_back_as_they_were_written() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunDirectory::prepare(parent.path().join("run")).unwrap();
        let written = run.write("b1.arrow", |writer| table().write_arrow(writer));
        written.unwrap();
        let file = run.commit().unwrap().join("b1.arrow");
        let read = SweepTable::read_arrow(File::open(file).unwrap(), "b1.arrow").unwrap();
        assert_eq!(read, table());
        assert_eq!(read.provenance["map_sha256"], MapRecord::of(&map()).sha256);
        assert_eq!(read.points()[2].noise, None);
    }

    #[test]
    fn tables_of_any_length_do() {
        let one = table().points()[2];
        // Numbers of rows below, at and beyond the size of a record batch.
        for rows in [0, 1, 65_536, 65_537, 140_000] {
            let mut table = SweepTable::default();
            for row in 0..rows {
                let kind = SweepKind::ALL[row % 3];
                let channel = ChannelId::new(row as u16 % 1024 + 1).ok();
                let head = SweepHead {
                    kind,
                    channel,
                    ..one.head
                };
                table.push(SweepPoint { head, ..one });
            }
            let bytes = bytes(&table);
            assert_eq!(
                SweepTable::read_arrow(Cursor::new(&bytes), "x").unwrap(),
                table
            );
        }
    }

    #[test]
    fn the_same_sweeps_give_the_same_bytes() {
        assert_eq!(bytes(&table()), bytes(&table().clone()));
    }

    #[test]
    fn a_damaged_file_of_sweeps_is_refused() {
        let whole = bytes(&table());
        for cut in 0..whole.len() {
            let read = SweepTable::read_arrow(Cursor::new(&whole[..cut]), "cut.arrow");
            let error = read.expect_err("a file that was cut off");
            assert!(
                error.to_string().starts_with("cannot read `cut.arrow`: "),
                "{error}"
            );
        }
        assert!(SweepTable::read_arrow(Cursor::new(b"{}"), "x").is_err());
    }

    #[test]
    fn no_damaged_file_makes_reading_panic() {
        let whole = bytes(&table());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            // Damage to a number or to padding is not noticed. The test is that reading does not
            // panic.
            let _ = SweepTable::read_arrow(Cursor::new(&damaged), "damaged.arrow");
        }
    }
}
