//! Tests with real sockets and processes. Boards have a sample of the possible faults at random
//! calls, and programs are killed or suspended. `tests/safety` tries every fault at every request
//! in memory.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tworoutine::Wait;
use twotone::Array;
use twotone::hal::ChannelId;
use twotone::map::HardwareMap;
use twotone::sim::Farm;
use twotone::sim::fault::{
    BlackHole, CloseMidAnswer, ErrorOnCall, Fault, Hang, Reboot, Scheduled, ServerError, Slow,
    WrongType,
};

use super::process::{failure, rest, run, run_json, signal_to, twotone, write};

/// Number of faults that one test run tries.
const CASES: u64 = 8;

/// Environment variable with the seed of the sample. The tests print the seed.
const SEED: &str = "TWOTONE_FAULTS_SEED";

/// Generator of random numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The seed of the sample, and its generator.
fn sample() -> (u64, Random) {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_261_129);
    (seed, Random(seed))
}

/// Returns a fault that ends after some calls. So the board answers again before the time limit of
/// the command.
fn fault(random: &mut Random) -> Scheduled {
    let method = |random: &mut Random| {
        ["get_samples", "get_amplitude", "set_frequency"][random.below(3) as usize].to_owned()
    };
    let fault: Fault = match random.below(8) {
        0 => ErrorOnCall {
            method: None,
            message: "RuntimeError: busy".to_owned(),
        }
        .into(),
        1 => WrongType {
            method: method(random),
        }
        .into(),
        2 => Hang {
            method: method(random),
        }
        .into(),
        3 => Reboot { down_ms: 200 }.into(),
        4 => CloseMidAnswer { after_bytes: None }.into(),
        5 => ServerError {}.into(),
        6 => Slow { delay_ms: 700 }.into(),
        _ => BlackHole {}.into(),
    };
    fault.during(random.below(20_000), 1 + random.below(3))
}

/// Returns the number of tones that are on at the second board.
fn tones(map: &HardwareMap) -> usize {
    let array = Array::connect(map).wait();
    let targets = array.board_targets("crs0002");
    let on = targets.iter().map(|target| {
        let read = target.board.tones();
        let read = read.read(target.module, ChannelId::FIRST, 1024).wait();
        let tones = read.expect("a board without a fault");
        tones.iter().filter(|tone| tone.is_on()).count()
    });
    on.sum()
}

#[test]
fn a_fault_at_any_call_leaves_what_is_told() {
    let (seed, mut random) = sample();
    for case in 0..CASES {
        let (fault, command) = (
            fault(&mut random),
            ["tune", "sweep"][random.below(2) as usize],
        );
        let when = format!("{SEED}={seed}, case {case}: {command}, {fault:?}");
        let farm = Farm::builder().boards(2).detectors(16).seed(case + 1);
        let farm = farm.fault(1, fault).start_blocking().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "map.toml", &farm.map_toml());
        let map = HardwareMap::load(&file).unwrap();
        let out = folder.path().join("run").display().to_string();
        let args = [
            command,
            &file,
            "--out",
            &out,
            "--no-listen",
            "--deadline",
            "60",
        ];
        let (status, report) = run_json(&args);

        assert_eq!(report["boards"][0]["error"], Value::Null, "{when}");
        farm.boards()[1].clear_faults();
        check_told(command, status, &report, tones(&map), &when);
        check_next(command, folder.path(), &map, &when);
    }
}

/// Checks that the report of the command agrees with `on`, the number of tones that are on at the
/// second board.
fn check_told(command: &str, status: i32, report: &Value, on: usize, when: &str) {
    // A board to which no connection was made has no modules in the report, and nothing was set on
    // it.
    let module = &report["boards"][1]["modules"][0];
    match module["hardware"]["state"].as_str() {
        Some("kept") => assert!(on > 0 && command == "tune", "{when}: {report}"),
        Some("as_declared" | "untouched") | None => assert_eq!(on, 0, "{when}: {report}"),
        Some(state) => {
            assert_eq!((state, status), ("left", 3), "{when}: {report}");
            let reason = failure(&module["hardware"]["reason"]);
            assert!(!reason.is_empty(), "{when}: {report}");
        }
    }
    assert!([0, 3].contains(&status), "{when}: {status}");
}

/// Checks that `off` switches all tones off, and that `command` succeeds after that.
fn check_next(command: &str, folder: &Path, map: &HardwareMap, when: &str) {
    let (status, off) = run_json(&["off", map.file()]);
    assert_eq!((status, tones(map)), (0, 0), "{when}: {off}");
    let again = folder.join("again").display().to_string();
    let args = [command, map.file(), "--out", &again, "--no-listen"];
    let (status, report) = run_json(&args);
    assert_eq!(status, 0, "{when}: a rerun: {report}");
}

/// Mishap of the process of the program. The file `unread.rs` tests readers that do not read, and
/// `lock.rs` tests other programs that use the board.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    /// The process is suspended for longer than its deadline.
    Stopped,
    /// The process is killed.
    Killed,
}

/// Deadline of a command whose process has a mishap, in seconds.
const DEADLINE_S: &str = "20";

/// Time for which the process is suspended, in seconds.
const STOPPED_S: &str = "21";

/// Starts a program and waits until it has switched tones on. On a busy machine it may end before
/// this function notices the tones. Then it is started again.
fn driving(args: &[&str], map: &HardwareMap, out: &Path, when: &str) -> Child {
    for _ in 0..20 {
        let mut child = twotone(args)
            .args(["--deadline", DEADLINE_S])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        loop {
            if tones(map) > 0 && child.try_wait().unwrap().is_none() {
                return child;
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        // If `tune` has ended, its tones are still on.
        run(&["off", map.file()]);
        std::fs::remove_dir_all(out).unwrap();
    }
    panic!("{when}: it drove none");
}

#[test]
fn a_mishap_of_the_process_at_any_moment_leaves_what_is_told() {
    let (seed, mut random) = sample();
    for (case, mishap) in [Mishap::Stopped, Mishap::Killed, Mishap::Killed]
        .into_iter()
        .enumerate()
    {
        let command = ["tune", "sweep"][random.below(2) as usize];
        let looks = random.below(2);
        let when = format!("{SEED}={seed}, case {case}: {command}, {mishap:?} after {looks} looks");
        let farm = Farm::builder().boards(2).detectors(100).seed(7);
        let farm = farm.start_blocking().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "map.toml", &farm.map_toml());
        let map = HardwareMap::load(&file).unwrap();
        let out = folder.path().join("run").display().to_string();
        let args = [command, &file, "--out", &out, "--no-listen", "--json"];
        let mut child = driving(&args, &map, Path::new(&out), &when);
        for _ in 0..looks {
            tones(&map);
        }
        if let Mishap::Killed = mishap {
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!Path::new(&out).exists(), "{when}: it had ended");
        } else {
            signal_to(&child, Signal::STOP);
            let mut sleep = Command::new("sleep");
            assert!(sleep.arg(STOPPED_S).status().unwrap().success());
            signal_to(&child, Signal::CONT);
            let (said, err) = (rest(child.stdout.take()), rest(child.stderr.take()));
            let status = child.wait().unwrap().code().unwrap_or(-1);
            let report = serde_json::from_str(&said);
            let report = report.unwrap_or_else(|error| panic!("{when}: {error}: {said}{err}"));
            check_told(command, status, &report, tones(&map), &when);
            // The time for which the process was suspended does not count towards its deadline.
            assert_eq!(status, 0, "{when}: {report}");
        }
        check_next(command, folder.path(), &map, &when);
    }
}
