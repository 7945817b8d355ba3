//! Tests of the recording of runs on full disks, and in folders that are removed. If a place has no
//! space for an important file, the run goes to the next place of a list.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use twotone_hal::ErrorKind;

use super::*;
use crate::record::tests::{manifest, names_in};

fn full(file: &str) -> RecordError {
    RecordError::Format {
        action: "write",
        file: file.to_owned(),
        source: io::Error::from(io::ErrorKind::StorageFull).into(),
    }
}

/// Content of a file that cannot be written at the first `from` places, as on a full disk.
fn content(file: &'static str, weight: Weight, from: usize) -> Content<'static> {
    let tried = Cell::new(0);
    Content::new(file, weight, move |writer| {
        tried.set(tried.get() + 1);
        if tried.get() <= from {
            // The part for which there is space is written.
            writer.write_all(&[0; 20_000]).unwrap();
            return Err(full(file));
        }
        writer
            .write_all(b"all")
            .map_err(RecordError::format("write", file))
    })
}

fn read(path: &Path) -> Manifest {
    Manifest::read(path).unwrap()
}

fn files(recorded: &Recorded) -> Vec<&str> {
    recorded
        .missing
        .iter()
        .map(|one| one.file.as_str())
        .collect()
}

#[test]
fn a_file_without_room_is_left_out_and_named() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let run = RunDirectory::prepare(&path).unwrap();
    let contents = [
        content("sweeps/a", Weight::Further, 1),
        content("sweeps/b", Weight::Further, 0),
        content("tune.toml", Weight::First, 0),
    ];
    let recorded = run.record(manifest(), &contents, None);
    assert!(!recorded.is_whole());
    assert_eq!(recorded.path.as_deref(), Some(&*path));
    assert_eq!(
        (&recorded.error, files(&recorded)),
        (&None, vec!["sweeps/a"])
    );
    assert_eq!(names_in(&path), ["manifest.json", "sweeps", "tune.toml"]);
    assert_eq!(names_in(&path.join("sweeps")), ["b"]);
    assert_eq!(read(&path).missing, recorded.missing);
    let reason = &recorded.missing[0].reason;
    // The certainty of an error is about its effect on a board, so the error of a missing file has
    // none.
    assert_eq!(
        (reason.kind, reason.certainty),
        (Some(ErrorKind::Storage), None)
    );
    assert_eq!(reason.operation.as_deref(), Some("write `sweeps/a`"));
}

/// Environment variable with the path of the run, for the process that the test below starts.
const FILLED: &str = "TWOTONE_TEST_OF_A_FILLED_DISK";

/// Keeps this process from writing to files from now on, as on a full disk.
fn fill_disk() {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = Some(0);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

/// Part of the next test that runs in a process of its own. Does nothing unless that test has
/// started the process.
#[test]
fn run_on_a_disk_that_is_filled_meanwhile() {
    let Some(path) = std::env::var_os(FILLED) else {
        return;
    };
    let run = RunDirectory::prepare(&path).unwrap();
    let sweeps = |file| {
        Content::new(file, Weight::Further, move |_| {
            fill_disk();
            Err(full(file))
        })
    };
    let contents = [
        content("tune.toml", Weight::First, 0),
        sweeps("sweeps/a"),
        sweeps("sweeps/b"),
    ];
    let recorded = run.record(manifest(), &contents, None);
    let path = Path::new(&path);
    assert_eq!(recorded.path.as_deref(), Some(path));
    assert_eq!(read(path).missing, []);
    assert_eq!(names_in(path), ["manifest.json", "sweeps", "tune.toml"]);
    // The manifest cannot name the missing files, because there is no space to write it again. So
    // the result names them.
    assert_eq!(files(&recorded), ["sweeps/a", "sweeps/b"]);
    for one in &recorded.missing {
        let (first, unnamed) = one.reason.message.split_once("; ").unwrap();
        assert_eq!(first, Failure::from(&full(&one.file)).message);
        assert!(
            unnamed.starts_with("the manifest does not name this file: cannot write"),
            "{unnamed}"
        );
    }
    println!("all was looked at");
}

#[test]
fn a_manifest_that_cannot_be_replaced_stays() {
    let parent = tempfile::tempdir().unwrap();
    let body = "record::recorded::tests::run_on_a_disk_that_is_filled_meanwhile";
    let output = Command::new("bash")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "bash"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", body, "--nocapture"])
        .env(FILLED, parent.path().join("run"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("all was looked at"), "{said}");
}

#[test]
fn a_run_that_has_no_room_for_what_is_needed_goes_elsewhere_whole() {
    for weight in [Weight::First, Weight::Needed] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        // The first alternative name is taken, too.
        fs::create_dir(parent.path().join("run-kept")).unwrap();
        let run = RunDirectory::prepare(&path).unwrap();
        let contents = [
            content("needed", weight, 1),
            content("more", Weight::Further, 0),
        ];
        let recorded = run.record(manifest(), &contents, None);
        let kept = parent.path().join("run-kept-2");
        assert_eq!(recorded.path.as_deref(), Some(&*kept));
        let error = recorded.error.unwrap().to_string();
        assert!(
            error.starts_with("write `needed`: storage failed: "),
            "{error}"
        );
        assert!(error.contains(kept.to_str().unwrap()), "{error}");
        assert_eq!(recorded.missing, []);
        assert_eq!(names_in(&kept), ["manifest.json", "more", "needed"]);
        assert_eq!(names_in(parent.path()), ["run-kept", "run-kept-2"]);
        let remark = &read(&kept).remarks[0];
        assert!(remark.contains(path.to_str().unwrap()), "{remark}");
    }
}

#[test]
fn a_run_that_fits_nowhere_stays_as_far_as_it_could_be_written() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let run = RunDirectory::prepare(&path).unwrap();
    let contents = [
        content("needed", Weight::First, 9),
        content("other", Weight::Needed, 0),
    ];
    let recorded = run.record(manifest(), &contents, None);
    assert_eq!(recorded.path.as_deref(), Some(&*path));
    assert_eq!(files(&recorded), ["needed"]);
    assert_eq!(names_in(&path), ["manifest.json", "other"]);
    assert_eq!(names_in(parent.path()), ["run"]);
    assert_eq!(read(&path).missing, recorded.missing);
}

#[test]
fn a_folder_that_was_moved_is_found_and_one_that_was_removed_is_replaced() {
    let contents = || [content("tune.toml", Weight::First, 0)];
    for is_replaced in [false, true] {
        let top = tempfile::tempdir().unwrap();
        let [parent, moved] = ["runs", "moved"].map(|name| top.path().join(name));
        let path = parent.join("run");
        let run = RunDirectory::prepare(&path).unwrap();
        fs::rename(&parent, &moved).unwrap();
        if is_replaced {
            fs::create_dir(&parent).unwrap();
        }
        let recorded = run.record(manifest(), &contents(), None);
        assert_eq!(recorded.path.as_deref(), Some(&*moved.join("run")));
        let error = recorded.error.unwrap().to_string();
        assert!(error.contains("was moved in the meantime"), "{error}");
        assert_eq!(names_in(&moved), ["run"]);
        assert_eq!(names_in(&moved.join("run")), ["manifest.json", "tune.toml"]);
    }

    // Only the hidden folder in which the run is written is removed, and not its parent. So the run
    // goes to the same parent, under an alternative name.
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let run = RunDirectory::prepare(&path).unwrap();
    let hidden = names_in(parent.path()).remove(0);
    fs::remove_dir(parent.path().join(hidden)).unwrap();
    let recorded = run.record(manifest(), &contents(), None);
    let kept = parent.path().join("run-kept");
    assert_eq!(recorded.path.as_deref(), Some(&*kept));
    let error = recorded.error.unwrap().to_string();
    assert!(error.contains("was removed in the meantime"), "{error}");
    assert_eq!(names_in(&kept), ["manifest.json", "tune.toml"]);
}

#[test]
fn a_name_that_is_taken_meanwhile_stays_another_s() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let run = RunDirectory::prepare(&path).unwrap();
    fs::write(&path, "another's").unwrap();
    let recorded = run.record(manifest(), &[], None);
    let kept = parent.path().join("run-kept");
    assert_eq!(recorded.path.as_deref(), Some(&*kept));
    assert!(
        recorded
            .error
            .unwrap()
            .message
            .contains("was taken by something else")
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    assert_eq!(names_in(parent.path()), ["run", "run-kept"]);
}

#[test]
fn data_that_lie_there_already_stay_and_are_named_elsewhere() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let run = RunDirectory::prepare(&path).unwrap();
    let mut samples = run.create("samples").unwrap();
    samples.write_all(b"many").unwrap();
    samples.finish().unwrap();
    let contents = [content("capture.json", Weight::Needed, 1)];
    let recorded = run.record(manifest(), &contents, None);
    let kept = parent.path().join("run-kept");
    assert_eq!(recorded.path.as_deref(), Some(&*kept));
    let error = recorded.error.unwrap().to_string();
    for there in [&path, &kept] {
        assert!(error.contains(&format!("`{}`", there.display())), "{error}");
    }
    assert_eq!(names_in(&path), ["manifest.json", "samples"]);
    assert_eq!(names_in(&kept), ["capture.json", "manifest.json"]);
    let remarks = read(&kept).remarks;
    assert!(
        remarks.iter().any(|text| text.contains("its data lie in")),
        "{remarks:?}"
    );

    // If files that were already written are gone, the error says so.
    let run = RunDirectory::prepare(parent.path().join("other")).unwrap();
    drop(run.create("samples").unwrap());
    let hidden = names_in(parent.path()).remove(0);
    fs::remove_dir_all(parent.path().join(hidden)).unwrap();
    let broken = run.is_there().unwrap_err();
    let recorded = run.record(manifest(), &[], Some(broken));
    assert_eq!(recorded.path, Some(parent.path().join("other-kept")));
    let error = recorded.error.unwrap().to_string();
    assert!(error.contains("is gone with what was in it"), "{error}");
}
