//! A sample of faults at random calls, with real sockets and processes: what `tests/safety` tries
//! exhaustively in memory.

use tworoutine::Wait;
use twotone::Array;
use twotone::hal::ChannelId;
use twotone::map::HardwareMap;
use twotone::sim::Farm;
use twotone::sim::fault::{
    BlackHole, CloseMidAnswer, ErrorOnCall, Fault, Hang, Reboot, Scheduled, ServerError, Slow,
    WrongType,
};

use super::process::{run_json, write};

/// Cases of a run.
const CASES: u64 = 8;

/// Seed of the sample; printed, and set by this variable.
const SEED: &str = "TWOTONE_FAULTS_SEED";

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A fault that is over after some calls, so that the board is there at the deadline.
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

/// Number of tones that the second board drives.
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
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_261_129);
    let mut random = Random(seed);
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

        let boards = report["boards"].as_array().unwrap();
        assert_eq!(boards[0]["error"], serde_json::Value::Null, "{when}");
        farm.boards()[1].clear_faults();
        let on = tones(&map);
        // A board that could not be connected has no modules, and nothing was set on it.
        let module = &boards[1]["modules"][0];
        match module["hardware"]["state"].as_str() {
            Some("kept") => assert!(on > 0 && command == "tune", "{when}: {report}"),
            Some("as_declared" | "untouched") | None => assert_eq!(on, 0, "{when}: {report}"),
            Some(state) => {
                assert_eq!((state, status), ("left", 3), "{when}: {report}");
            }
        }
        assert!([0, 3].contains(&status), "{when}: {status}");

        let (status, off) = run_json(&["off", &file]);
        assert_eq!((status, tones(&map)), (0, 0), "{when}: {off}");
        let again = folder.path().join("again").display().to_string();
        let args = [command, &file, "--out", &again, "--no-listen"];
        let (status, report) = run_json(&args);
        assert_eq!(status, 0, "{when}: a rerun: {report}");
    }
}
