//! Tests of two programs that use one board at the same time. To tune is to set a tone on the
//! resonance of each detector. A map is a file that lists boards.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use twotone::map::HardwareMap;
use twotone::sim::Farm;
use twotone::sim::fault::{Fault, Hang};

use super::interrupt::any_tone_on;
use super::process::{SimProcess, error_of, failure, rest, run_json, signal_to, twotone, write};

/// Starts `twotone tune` on boards that take some seconds to tune, and waits until tones are on.
fn tuning(sim: &SimProcess, run: &str) -> Child {
    let tune = twotone(&["tune", &sim.map(), "--out", &sim.text_path(run), "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let map = HardwareMap::load(sim.map()).unwrap();
    while !any_tone_on(&map) {}
    tune
}

/// Starts a board whose tune takes some seconds.
pub(super) fn slow() -> SimProcess {
    SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        "200",
        "--real-time",
        "--call-us",
        "40",
    ])
}

/// Runs the program to its end. It keeps its locks in the folder `locks`. Returns its exit status,
/// its report (null if there is none) and its standard error.
fn run_with(locks: &Path, args: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = twotone(&[args, &["--json"]].concat());
    let done = command.env("TWOTONE_LOCKS", locks).output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    let report = serde_json::from_slice(&done.stdout).unwrap_or(Value::Null);
    (done.status.code(), report, err)
}

/// Waits for the end of `twotone tune`. Returns its exit status, its report and its standard error.
fn end(mut tune: Child) -> (Option<i32>, Value, String) {
    let (out, err) = (rest(tune.stdout.take()), rest(tune.stderr.take()));
    let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}\n{err}"));
    (tune.wait().unwrap().code(), report, err)
}

#[test]
fn a_second_tune_is_refused_and_told_by_whom_and_the_first_goes_on() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let process = format!("process {}", first.id());
    for command in [&["tune"][..], &["sweep"]] {
        let out = sim.text_path(command[0]);
        let (status, report) = run_json(&[command, &[&sim.map(), "--out", &out]].concat());
        assert_eq!(status, 3, "{report}");
        let told = report.to_string();
        assert!(
            told.contains(&process) && told.contains("--take-over"),
            "{told}"
        );
        let module = &report["boards"][0]["modules"][0];
        assert_eq!(module["hardware"]["state"], "untouched", "{report}");
        assert!(!std::path::Path::new(&out).exists(), "it has set nothing");
    }
    let (status, report, err) = end(first);
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(
        report["boards"][0]["modules"][0]["hardware"]["state"],
        "kept"
    );
}

#[test]
fn a_board_that_is_taken_over_is_no_more_set_by_the_first() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let out = sim.text_path("second");
    let process = json!(first.id());
    let (status, report) = run_json(&["tune", &sim.map(), "--out", &out, "--take-over"]);
    assert_eq!(status, 0, "{report}");
    let board = &report["boards"][0];
    assert_eq!(board["modules"][0]["hardware"]["state"], "kept");
    assert_eq!(board["taken_over"]["process"], process, "{report}");
    let command = board["taken_over"]["command"].as_str().unwrap();
    assert!(command.contains("tune") && command.contains("first"));
    for field in ["user", "since"] {
        assert!(board["taken_over"][field].is_string(), "{report}");
    }
    let manifest = fs::read_to_string(Path::new(&out).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["boards"][0]["taken_over"], board["taken_over"]);
    let (status, report, err) = end(first);
    assert_eq!(status, Some(3), "{err}");
    let told = report.to_string();
    assert!(told.contains("has taken this board over"), "{told}");
    // The tones that the second `tune` has set are still on: the first one, which has lost the
    // board, has not switched them off at its end.
    assert!(any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

#[test]
fn off_switches_off_what_another_program_works_on() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let process = json!(first.id());
    let (status, report) = run_json(&["off", &sim.map()]);
    assert_eq!((status, &report["ok"]), (0, &true.into()), "{report}");
    let taken = &report["boards"][0]["taken_over"]["process"];
    assert_eq!(*taken, process, "{report}");
    assert_eq!(report["boards"][0]["lock_error"], Value::Null);
    let (status, ..) = end(first);
    assert_eq!(status, Some(3));
    assert!(
        !any_tone_on(&HardwareMap::load(sim.map()).unwrap()),
        "the tune went on"
    );
}

#[test]
fn a_program_of_another_host_is_seen_by_what_it_sets() {
    let sim = slow();
    let first = tuning(&sim, "first");
    // A program on another host cannot see the locks of this host. To run a program with a second
    // folder of locks has the same effect.
    let locks = sim.path("locks");
    fs::create_dir(&locks).unwrap();
    let (map, out) = (sim.map(), sim.text_path("second"));
    let second = |command: &str, option: &[&str]| {
        let args = [&[command, &map, "--out", &out], option].concat();
        run_with(&locks, &args)
    };
    for (command, option) in [
        ("tune", &[][..]),
        ("sweep", &["--no-listen"]),
        ("tune", &["--no-listen", "--take-over"]),
    ] {
        let (status, report, err) = second(command, option);
        assert_eq!(status, Some(3), "{option:?}: {report} {err}");
        let told = report.to_string();
        for words in ["another program sets module 1 right now", "--ignore-others"] {
            assert!(told.contains(words), "{option:?}: {told}");
        }
        // `--take-over` has no effect on a program on another host, so the message does not suggest
        // it.
        assert!(!told.contains("(--take-over)"), "{told}");
        assert_eq!(report["boards"][0]["taken_over"], Value::Null, "{told}");
    }
    let (status, _, err) = end(first);
    assert_eq!(status, Some(0), "the first one goes on: {err}");
}

#[test]
fn a_board_that_another_program_sets_is_set_if_that_is_wanted() {
    let sim = slow();
    let first = tuning(&sim, "first");
    let locks = sim.path("locks");
    fs::create_dir(&locks).unwrap();
    let out = sim.text_path("second");
    let args = ["sweep", &sim.map(), "--out", &out, "--ignore-others"];
    let (status, report, err) = run_with(&locks, &args);
    assert_ne!(status, Some(2), "{err}");
    let told = report.to_string();
    assert!(!told.contains("another program sets module"), "{told}");
    end(first);
}

#[test]
fn a_board_that_is_another_than_the_map_says_is_not_taken_over() {
    let sim = slow();
    let wrong = fs::read_to_string(sim.map()).unwrap();
    let wrong = wrong.replace("serial = \"0001\"", "serial = \"0077\"");
    assert!(wrong.contains("0077"), "{wrong}");
    let wrong = write(sim.folder.path(), "wrong.toml", &wrong);
    let first = tuning(&sim, "first");
    for command in ["tune", "sweep"] {
        let out = sim.text_path(command);
        let (status, report) = run_json(&[command, &wrong, "--out", &out, "--take-over"]);
        assert_eq!(status, 3, "{report}");
        let board = &report["boards"][0];
        assert_eq!(board["identity"]["state"], "another", "{report}");
        assert_eq!(board["taken_over"], Value::Null, "{report}");
    }
    let (status, report, err) = end(first);
    assert_eq!(status, Some(0), "{report}\n{err}");
}

#[test]
fn programs_leave_no_locks_behind() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "2"]);
    let locks = sim.path("locks");
    fs::create_dir(&locks).unwrap();
    let out = |name: &str| sim.text_path(name);
    for args in [
        &["tune", &sim.map(), "--out", &out("tune")][..],
        &["sweep", &sim.map(), "--out", &out("sweep"), "--take-over"],
        &["off", &sim.map()],
    ] {
        let (status, report, err) = run_with(&locks, args);
        assert_eq!(status, Some(0), "{args:?}: {report} {err}");
        let left: Vec<_> = fs::read_dir(&locks).unwrap().collect();
        assert!(left.is_empty(), "{args:?}: {left:?}");
    }
    // `demo` needs no locks, because no other program knows the boards that it simulates itself.
    let nowhere = out("nowhere");
    let demo = ["demo", "--boards", "1", "--detectors", "2"];
    let (status, report, err) = run_with(
        Path::new(&nowhere),
        &[&demo[..], &["--out", &out("demo")]].concat(),
    );
    assert_eq!(status, Some(0), "{report} {err}");
}

#[test]
fn nothing_is_set_on_boards_that_cannot_be_locked_but_they_are_switched_off() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "2"]);
    let map = HardwareMap::load(sim.map()).unwrap();
    let address = map.boards()[0].address().to_string().replace(':', "_");
    let no_lock = sim.path("no-lock");
    fs::create_dir_all(no_lock.join(format!("twotone-board-{address}.lock"))).unwrap();
    let file = write(sim.folder.path(), "file", "");
    for (locks, whole) in [
        (sim.path("nowhere"), true),
        (file.into(), true),
        (no_lock, false),
    ] {
        for command in ["tune", "sweep"] {
            let out = sim.text_path(command);
            let (status, report, err) = run_with(&locks, &[command, &sim.map(), "--out", &out]);
            let told = match whole {
                true => {
                    assert_eq!((status, &report), (Some(2), &Value::Null), "{err}");
                    err
                }
                false => {
                    assert_eq!(status, Some(3), "{report} {err}");
                    let module = &report["boards"][0]["modules"][0];
                    assert_eq!(module["hardware"]["state"], "untouched", "{report}");
                    error_of(module)
                }
            };
            let shown = locks.display().to_string();
            for words in ["cannot be locked on this host", "TWOTONE_LOCKS", &shown] {
                assert!(told.contains(words), "{command}: {told}");
            }
            assert!(!Path::new(&out).exists(), "it has set nothing");
        }
        let (status, report, err) = run_with(&locks, &["off", &sim.map()]);
        assert_eq!(status, Some(0), "{report} {err}");
        let board = &report["boards"][0];
        let why = failure(&board["lock_error"]);
        for words in [
            "cannot be locked",
            "\"operation\":\"lock\"",
            "\"advice\":\"mend",
        ] {
            assert!(why.contains(words), "{why}");
        }
        assert!(err.contains("switched off without its lock"), "{err}");
    }
}

#[test]
fn a_holder_that_does_not_say_who_it_is_is_told_without_what_is_not_known() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "2"]);
    let locks = sim.path("locks");
    fs::create_dir(&locks).unwrap();
    let map = HardwareMap::load(sim.map()).unwrap();
    let address = map.boards()[0].address().to_string().replace(':', "_");
    let path = locks.join(format!("twotone-board-{address}.lock"));
    fs::write(&path, "nonsense").unwrap();
    let stranger = fs::File::open(&path).unwrap();
    rustix::fs::flock(&stranger, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let out = sim.text_path("run");
    let (status, report, _) = run_with(&locks, &["tune", &sim.map(), "--out", &out]);
    assert_eq!(status, Some(3), "{report}");
    let error = error_of(&report["boards"][0]);
    assert!(
        error.contains("another program has this board\""),
        "{error}"
    );
    assert!(error.contains("\"advice\":\"wait for its end, "), "{error}");
    let (status, report, _) = run_with(&locks, &["off", &sim.map()]);
    assert_eq!(status, Some(0), "{report}");
    let taken = &report["boards"][0]["taken_over"];
    let unknown = json!({"command": null, "process": null, "user": null, "since": null});
    assert_eq!(*taken, unknown, "{report}");
}

/// Writes a map of one board at `address`. Returns its path.
fn map_of(folder: &Path, address: &str) -> String {
    let map = format!(
        "[[board]]\nname = \"b1\"\nkind = \"crs\"\naddress = \"{address}\"\n\
         [[board.module]]\nnumber = 1\nf_min_hz = 1e9\nf_max_hz = 1.1e9\n"
    );
    write(folder, "map.toml", &map)
}

#[test]
fn an_interrupt_while_connecting_leaves_a_report_and_true_words() {
    let folder = tempfile::tempdir().unwrap();
    // This board accepts connections and does not answer.
    let board = TcpListener::bind("127.0.0.1:0").unwrap();
    let map = map_of(folder.path(), &board.local_addr().unwrap().to_string());
    for command in ["tune", "sweep"] {
        let out = folder.path().join(command).display().to_string();
        let run = twotone(&[command, &map, "--out", &out, "--take-over", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _connection = board.accept().unwrap();
        signal_to(&run, Signal::INT);
        let (status, report, err) = end(run);
        assert_eq!(status, Some(130), "{err}");
        assert_eq!(report["interrupted"], true, "{report}");
        assert_eq!(report["boards"], json!([]), "{report}");
        let words = "nothing was set on any board, and none was taken over";
        assert!(err.contains(words), "{err}");
    }
}

/// Method that is called first when the settings of a module are read.
const READ_FIRST: &str = "get_nco_frequency";

/// Starts a farm of two simulated boards. The second one never answers calls of `method`. Returns
/// the farm, a folder, and the path of the map in it.
fn hanging(method: &str) -> (Farm, tempfile::TempDir, String) {
    let farm = Farm::builder()
        .boards(2)
        .detectors(2)
        .start_blocking()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let map = write(folder.path(), "map.toml", &farm.map_toml());
    let hang = Hang {
        method: method.to_owned(),
    };
    farm.boards()[1].inject(Fault::from(hang));
    (farm, folder, map)
}

#[test]
fn an_interrupt_ends_the_watch_for_other_programs() {
    let (farm, folder, map) = hanging(READ_FIRST);
    for command in ["tune", "sweep"] {
        let asked = || {
            let methods = farm.boards()[1].counters().by_method;
            methods.get(READ_FIRST).copied().unwrap_or(0)
        };
        let before = asked();
        let out = folder.path().join(command).display().to_string();
        let run = twotone(&[command, &map, "--out", &out, "--no-listen", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while asked() == before {}
        signal_to(&run, Signal::INT);
        let (status, report, err) = end(run);
        assert_eq!(status, Some(130), "{report} {err}");
        assert_eq!(report["interrupted"], true, "{report}");
        // The board was connected before the interrupt.
        let hardware = &report["boards"][1]["modules"][0]["hardware"];
        assert_eq!(hardware["state"], "untouched", "{report}");
        assert_eq!(asked(), before + 1, "it went on asking");
    }
}

#[test]
fn a_board_that_cannot_be_watched_is_a_doubt_and_holds_up_no_other() {
    let (_farm, folder, map) = hanging(READ_FIRST);
    let out = folder.path().join("run").display().to_string();
    let args = [
        "tune",
        &map,
        "--out",
        &out,
        "--no-listen",
        "--deadline",
        "4",
    ];
    let (status, report) = run_json(&args);
    assert_eq!(status, 3, "{report}");
    assert_eq!(report["boards"][0]["status"], "ok", "{report}");
    let told = |board: usize| report["boards"][board]["doubts"].to_string();
    let doubt = "it is not known if another program sets module 1: its settings could not be read";
    assert!(told(1).contains(doubt), "{report}");
    assert!(!told(0).contains(doubt), "{report}");
}
