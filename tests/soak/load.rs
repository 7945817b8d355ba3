//! Test with many simulated boards. In each turn, another tenth of them has a fault. Every failure
//! is reported, and the results of the other boards are the same as without faults. To tune is to
//! set a tone on the resonance of each detector. The manifest (`manifest.json`) is the overview of
//! the files that the program writes.
//!
//! There are a few dozen boards, or as many as `cargo xtask soak --boards N` says.

use std::path::Path;

use serde_json::Value;
use twotone::record::Manifest;
use twotone::sim::fault::{
    BlackHole, CloseMidAnswer, ErrorOnCall, Fault, Hang, HugeAnswer, NotTuber, Reboot, Refuse,
    Scheduled, ServerError, WrongType,
};
use twotone::sim::{Farm, FarmBuilder};

use super::asked_for;
use super::process::{run_json, write};

/// Number of boards of the short version.
const SHORT: u64 = 40;

/// Environment variable with the number of boards.
const BOARDS: &str = "TWOTONE_SOAK_BOARDS";

/// Number of turns. In each turn, one board of every [`TURNS`] boards fails.
const TURNS: usize = 10;

/// Number of turns of the short version. The long version runs all turns.
const SHORT_TURNS: usize = 2;

/// Faults that make the tuning of a board fail. They begin at the first call or at a later one.
/// Faults that take as long as several requests come last, because the short version does not reach
/// them.
fn faults() -> Vec<Scheduled> {
    let samples = || "get_samples".to_owned();
    let fails = || ErrorOnCall {
        method: None,
        message: "RuntimeError: no".to_owned(),
    };
    let within = |fault: Fault| fault.from_call(2000);
    vec![
        Refuse {}.into(),
        within(ServerError {}.into()),
        WrongType { method: samples() }.into(),
        within(CloseMidAnswer { after_bytes: None }.into()),
        NotTuber {}.into(),
        within(fails().into()),
        HugeAnswer { bytes: 300 << 20 }.into(),
        Fault::from(Reboot { down_ms: 0 }).during(2000, 1),
        ServerError {}.into(),
        CloseMidAnswer { after_bytes: None }.into(),
        BlackHole {}.into(),
        within(Hang { method: samples() }.into()),
    ]
}

/// Largest difference, in linewidths, between the frequencies that two tunes of the same board
/// find. On a busy computer a board may get more requests, and then its noise is different.
const NOISE_LW: f64 = 0.01;

/// A farm whose boards have few detectors in a narrow band, so that they are tuned quickly.
fn farm(boards: usize) -> FarmBuilder {
    Farm::builder()
        .boards(boards)
        .detectors(2)
        .seed(23)
        .band(1.0e9, 1.03e9)
}

/// Tunes all boards with the program. Returns its exit status, the report and the manifest.
fn tuned(farm: &Farm, folder: &Path) -> (i32, Value, Manifest) {
    let map = write(folder, "map.toml", &farm.map_toml());
    let run = folder.join("run");
    let out = run.display().to_string();
    // The tune takes no samples from streams, because its results would then depend on the time of
    // each packet.
    let args = [
        "tune",
        &map,
        "--out",
        &out,
        "--no-listen",
        "--deadline",
        "60",
    ];
    let (status, report) = run_json(&args);
    let manifest = Manifest::read(&run).unwrap();
    std::fs::remove_dir_all(run).unwrap();
    (status, report, manifest)
}

/// Returns the entry of a board in a report. Left out are the numbers of its channels, and values
/// that differ from run to run.
fn lasting(board: &Value) -> Value {
    let mut board = board.clone();
    let mut remove = |list: &str, names: &[&str]| {
        for one in board[list].as_array_mut().unwrap() {
            let one = one.as_object_mut().unwrap();
            one.retain(|name, _| !names.contains(&name.as_str()));
        }
    };
    remove("modules", &["elapsed_s", "repeats", "tau_s"]);
    remove("channels", &["tone_hz", "fr_hz", "qr", "qi", "a"]);
    board
}

/// Checks that a board has the same result as among boards without faults.
fn check_unmoved(board: &Value, sound: &Value, told: &str) {
    assert_eq!(lasting(board), lasting(sound), "{told}");
    let channels = |board: &Value| board["channels"].as_array().unwrap().clone();
    for (channel, sound) in channels(board).iter().zip(&channels(sound)) {
        let number = |channel: &Value, name: &str| channel[name].as_f64().unwrap();
        let linewidth_hz = number(sound, "fr_hz") / number(sound, "qr");
        for name in ["fr_hz", "tone_hz"] {
            let moved_hz = number(channel, name) - number(sound, name);
            assert!(
                moved_hz.abs() < NOISE_LW * linewidth_hz,
                "{moved_hz} Hz of {name}: {told}"
            );
        }
    }
}

fn boards(report: &Value) -> &[Value] {
    report["boards"].as_array().unwrap()
}

/// Returns the error messages of a board and of its modules.
fn errors(board: &Value) -> Vec<&str> {
    let modules = board["modules"].as_array().unwrap();
    let all = std::iter::once(board).chain(modules);
    all.filter_map(|one| one["error"]["message"].as_str())
        .collect()
}

#[test]
fn a_tenth_of_the_boards_fails_in_turn_and_the_others_never_notice() {
    let _alone = super::alone();
    let number = usize::try_from(asked_for(BOARDS, SHORT)).unwrap();
    let is_short = std::env::var_os(BOARDS).is_none();
    let turns = if is_short { SHORT_TURNS } else { TURNS };
    let folder = tempfile::tempdir().unwrap();
    let (status, sound, _) = tuned(&farm(number).start_blocking().unwrap(), folder.path());
    assert_eq!(status, 0, "{sound}");
    assert_eq!(boards(&sound).len(), number);
    let channels = boards(&sound)
        .iter()
        .map(|board| board["channels"].as_array().unwrap().len());
    assert!(channels.sum::<usize>() > number, "few detectors were found");

    let faults = faults();
    for turn in 0..turns {
        let mut farm = farm(number);
        let mut failing = vec![None; number];
        for (place, board) in (turn..number).step_by(TURNS).enumerate() {
            let fault = &faults[(turn * number.div_ceil(TURNS) + place) % faults.len()];
            failing[board] = Some(fault);
            farm = farm.fault(board, fault.clone());
        }
        let (status, report, manifest) = tuned(&farm.start_blocking().unwrap(), folder.path());
        println!("turn {turn}: {} s", report["elapsed_s"]);
        assert_eq!(status, 3, "turn {turn}");
        assert_eq!(boards(&report).len(), number, "turn {turn}");
        assert_eq!(manifest.boards.len(), number, "turn {turn}");
        for (at, fault) in failing.iter().enumerate() {
            let (board, record) = (&boards(&report)[at], &manifest.boards[at]);
            let told = format!("turn {turn}, {fault:?}: {board}");
            assert_eq!(board["status"], record.status, "{told}");
            assert_eq!(board["name"], record.name, "{told}");
            if fault.is_none() {
                check_unmoved(board, &boards(&sound)[at], &told);
                continue;
            }
            let errors = errors(board);
            assert_ne!(board["status"], "ok", "{told}");
            assert!(!errors.is_empty(), "{told}");
            let kept = record.error.iter().map(ToString::to_string);
            let kept: Vec<String> = kept.chain(record.warnings.iter().cloned()).collect();
            for error in errors {
                assert!(
                    kept.iter().any(|kept| kept.contains(error)),
                    "{error} of {told}: {kept:?}"
                );
            }
        }
    }
}
