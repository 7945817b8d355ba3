//! Tests of commands that write their results to a run directory. The disk is full when they write,
//! or somebody moves or removes the folder while they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use twotone::record::{Manifest, TuneRecord};

use super::process::{SimProcess, error_of, failure, twotone};

/// Runs the program with `--json`. No file may grow beyond `kb` kB, which has the effect of a full
/// disk.
fn run_limited(kb: u32, args: &[&str]) -> (i32, Value, String) {
    let script = format!("trap '' XFSZ; ulimit -f {kb}; exec \"$@\"");
    let program = env!("CARGO_BIN_EXE_twotone");
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", program]);
    let output = command.args(args).arg("--json").output().unwrap();
    told(output)
}

fn told(output: Output) -> (i32, Value, String) {
    let err = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {err}"));
    (output.status.code().unwrap_or(-1), report, err)
}

fn missing(report: &Value) -> Vec<&str> {
    let files = report["missing_files"].as_array().unwrap().iter();
    files.map(|one| one["file"].as_str().unwrap()).collect()
}

#[test]
fn a_disk_that_is_full_costs_the_sweeps_and_not_the_tune() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "8", "--seed", "5"]);
    let (map, out) = (sim.map(), sim.text_path("run"));
    // The file with the points of the sweeps needs 2 MB for each board.
    let (status, report, err) = run_limited(400, &["tune", &map, "--out", &out]);
    assert_eq!(status, 3, "{report}");
    let swept = ["sweeps/crs0001.arrow", "sweeps/crs0002.arrow"];
    assert_eq!(missing(&report), swept, "{report}");
    assert_eq!(report["run_directory"], out.as_str());
    assert_eq!(report["record_error"], Value::Null);
    assert!(err.contains("2 files of the run are missing"), "{err}");
    assert!(err.contains(&out), "{err}");
    let manifest = Manifest::read(&out).unwrap();
    let named: Vec<_> = manifest.missing.iter().map(|one| &one.file).collect();
    assert_eq!(named, swept);
    assert!(
        manifest.missing[0].reason.message.contains("too large"),
        "{manifest:?}"
    );
    let reason = &report["missing_files"][0]["reason"];
    assert_eq!(reason["operation"], "write `sweeps`");
    assert_eq!(
        (&reason["kind"], &reason["certainty"]),
        (&"storage".into(), &Value::Null)
    );
    assert!(
        fs::read_dir(sim.path("run/sweeps"))
            .unwrap()
            .next()
            .is_none()
    );
    let tune = TuneRecord::read(&out).unwrap();
    for board in ["crs0001", "crs0002"] {
        let module = tune.module(board, twotone::hal::ModuleId::FIRST).unwrap();
        assert_eq!(module.channel.len(), 8);
    }

    // A sweep without its points is of no use. The program tries to write the file of every board,
    // and keeps the files that it could write.
    let out = sim.text_path("swept");
    for more in [&[][..], &["--format", "csv"]] {
        let args = [&["sweep", &map, "--out", &out], more].concat();
        let (status, report, _) = run_limited(400, &args);
        assert_eq!(status, 3, "{report}");
        assert_eq!(missing(&report).len(), 2, "{report}");
        let kept = report["run_directory"].as_str().unwrap();
        assert_eq!(Manifest::read(kept).unwrap().missing.len(), 2);
        fs::remove_dir_all(kept).unwrap();
    }
}

/// Mishap that happens to the run directory while the command runs.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Moved,
    Replaced,
    Removed,
    Taken,
}

/// Runs the program in a folder of its own. The program writes its files in a hidden folder, which
/// becomes the run directory at the end. Once `is_far` returns true for the hidden folder, the
/// mishap happens to the place of the run. Returns the exit status, the report, and the folder.
fn run_fated(
    fate: Fate,
    args: &[&str],
    is_far: impl Fn(&Path) -> bool,
) -> (i32, Value, tempfile::TempDir) {
    let top = tempfile::tempdir().unwrap();
    let [runs, moved] = ["runs", "moved"].map(|name| top.path().join(name));
    let out = runs.join("run");
    let child = twotone(args)
        .arg("--json")
        .arg("--out")
        .arg(&out)
        .current_dir(top.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let hidden = || -> Option<PathBuf> {
        let mut entries = fs::read_dir(&runs).ok()?;
        Some(entries.next()?.unwrap().path())
    };
    while !hidden().is_some_and(|hidden| is_far(&hidden)) {
        Command::new("sleep").arg("0.02").status().unwrap();
    }
    match fate {
        Fate::Moved => fs::rename(&runs, &moved).unwrap(),
        Fate::Replaced => {
            fs::rename(&runs, &moved).unwrap();
            fs::create_dir(&runs).unwrap();
        }
        Fate::Removed => fs::remove_dir_all(&runs).unwrap(),
        Fate::Taken => fs::write(&out, "another's").unwrap(),
    }
    let (status, report, err) = told(child.wait_with_output().unwrap());
    let told = report["run_directory"]
        .as_str()
        .or(report["error"]["message"].as_str());
    let place = match fate {
        Fate::Moved | Fate::Replaced => moved.join("run"),
        Fate::Removed => top.path().join("run-kept"),
        Fate::Taken => runs.join("run-kept"),
    };
    assert!(
        told.unwrap().contains(place.to_str().unwrap()),
        "{fate:?}: {report}"
    );
    assert!(err.contains(place.to_str().unwrap()), "{fate:?}: {err}");
    assert!(Manifest::read(&place).is_ok(), "{fate:?}");
    if let Fate::Taken = fate {
        assert_eq!(fs::read_to_string(&out).unwrap(), "another's");
    }
    (status, report, top)
}

#[test]
fn a_run_whose_folder_went_away_goes_to_the_next_best_place() {
    // In real time a command takes so long that the mishap happens while it runs.
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "1", "--real-time"]);
    let map = sim.map();
    for (fate, words) in [
        (Fate::Moved, "was moved in the meantime"),
        (Fate::Replaced, "was moved in the meantime"),
        (Fate::Removed, "was removed in the meantime"),
        (Fate::Taken, "was taken by something else"),
    ] {
        for (command, file) in [("tune", "tune.toml"), ("sweep", "sweeps/crs0001.arrow")] {
            let args = [command, &map, "--no-listen"];
            let (status, report, _folder) = run_fated(fate, &args, |_| true);
            assert_eq!(status, 3, "{command} {fate:?}: {report}");
            let error = failure(&report["record_error"]);
            assert!(error.contains(words), "{command} {fate:?}: {error}");
            assert_eq!(missing(&report), [""; 0], "{command} {fate:?}");
            let place = Path::new(report["run_directory"].as_str().unwrap());
            assert!(place.join(file).exists(), "{command} {fate:?}");
        }
    }
}

#[test]
fn a_capture_whose_folder_went_away_says_where_its_samples_are() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "1"]);
    let map = sim.map();
    let args = ["capture", &map, "--seconds", "3", "--channels", "4"];
    let samples = "samples/crs0001/module-1.arrow";
    for fate in [Fate::Moved, Fate::Replaced, Fate::Removed, Fate::Taken] {
        let begun = |hidden: &Path| hidden.join(samples).exists();
        let (status, report, _folder) = run_fated(fate, &args, begun);
        assert_eq!(status, 3, "{fate:?}: {report}");
        if let Fate::Removed = fate {
            // The capture of streams ends when the program notices the mishap, and not only after
            // three seconds.
            assert!(
                report["boards"][0]["modules"][0]["missing"].as_u64() > Some(300),
                "{report}"
            );
            assert_eq!(report["run_directory"], Value::Null);
            let error = error_of(&report);
            assert!(error.contains("is gone with what was in it"), "{error}");
        } else {
            let place = Path::new(report["run_directory"].as_str().unwrap());
            let rows = super::capture::batches(place, samples);
            let rows: usize = rows.iter().map(|rows| rows.num_rows()).sum();
            assert_eq!(report["received"], rows, "{fate:?}");
        }
    }
}
