//! Test in which programs are killed at random moments. A program writes its results to a run
//! directory, which gets its final name at the end. After a kill, a directory that has its final
//! name is complete, no board is locked, and the next program starts and succeeds. The map is the
//! file that lists the boards.
//!
//! Each command is killed a few times, or as often as `cargo xtask soak --kills N` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use arrow_ipc::reader::FileReader;
use serde_json::Value;
use tokio::time::Instant;
use twotone::lock::{Asked, BoardLock};
use twotone::map::HardwareMap;
use twotone::record::{Manifest, TuneRecord};
use twotone::sim::Farm;

use super::asked_for;
use super::process::{locks, run, twotone, write};

/// Number of kills of each command in the short version.
const SHORT: u64 = 4;

/// Environment variable with the number of kills of each command.
const KILLS: &str = "TWOTONE_SOAK_KILLS";

/// Environment variable with the seed of the random moments. If it is not set, the number of the
/// process is the seed.
const SEED: &str = "TWOTONE_SOAK_SEED";

const BOARDS: usize = 2;

/// Commands that make a run directory. Their arguments come in addition to the map and `--out`.
const COMMANDS: [(&str, &[&str]); 3] = [
    ("tune", &[]),
    ("sweep", &["--no-listen"]),
    ("capture", &["--seconds", "0.3", "--channels", "16"]),
];

/// Moment at which a program is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// This long after the start of the program.
    After(Duration),
    /// Once the run has made this many files, in any folder.
    Files(u64),
    /// Once the run directory has its final name.
    Named,
}

/// Generator of random numbers from a seed.
struct Random(u64);

impl Random {
    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64, of Steele, Lea and Flood (2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Returns all files below a folder. Files that are removed while it is read may be missing.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            match path.is_dir() {
                true => files(&path),
                false => vec![path],
            }
        })
        .collect()
}

/// Starts the program and kills it at a moment, unless the program ends before.
fn kill(args: &[&str], runs: &Path, moment: Moment) {
    let begin = Instant::now();
    let mut child = twotone(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (_never, told) = mpsc::channel::<()>();
    let has_come = || match moment {
        Moment::After(time) => begin.elapsed() >= time,
        Moment::Files(number) => files(runs).len() as u64 >= number,
        Moment::Named => runs.join("run").exists(),
    };
    while child.try_wait().unwrap().is_none() && !has_come() {
        let _ = told.recv_timeout(Duration::from_millis(1));
    }
    // The kill fails if the program has ended just now.
    let _ = child.kill();
    child.wait().unwrap();
}

/// Checks a run directory: all files of the command exist, and every file can be read.
fn check_whole(run: &Path, command: &str, map: &HardwareMap) {
    let manifest = Manifest::read(run).unwrap_or_else(|error| panic!("{}: {error}", run.display()));
    assert_eq!(manifest.command[1], command);
    assert_eq!(manifest.boards.len(), BOARDS);
    assert!(manifest.missing.is_empty(), "{:?}", manifest.missing);
    let mut named = Vec::new();
    for board in map.boards() {
        match command {
            "capture" => named.push(format!("counters/{}.arrow", board.name)),
            _ => named.push(format!("sweeps/{}.arrow", board.name)),
        }
    }
    if command == "tune" {
        TuneRecord::read(run).unwrap();
        named.push("tune.toml".to_owned());
    }
    if command == "capture" {
        let text = fs::read_to_string(run.join("capture.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let boards = report["boards"].as_array().unwrap();
        let is_sound = |board: &Value| board["error"].is_null();
        assert!(boards.iter().all(is_sound), "{report}");
        let modules = boards.iter();
        let modules = modules.flat_map(|board| board["modules"].as_array().unwrap());
        named.extend(
            modules
                .filter_map(|module| module["file"].as_str())
                .map(str::to_owned),
        );
        assert!(named.len() > BOARDS, "{report}");
    }
    for file in named {
        assert!(run.join(&file).is_file(), "{} lacks {file}", run.display());
    }
    for file in files(run) {
        let shown = file.display();
        match file.extension().and_then(|end| end.to_str()) {
            Some("arrow") => {
                let reader = FileReader::try_new(fs::File::open(&file).unwrap(), None);
                let reader = reader.unwrap_or_else(|error| panic!("{shown}: {error}"));
                let rows = reader.map(|batch| batch.unwrap().num_rows());
                assert!(rows.sum::<usize>() > 0, "{shown} is empty");
            }
            Some("json") => {
                drop(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap())
            }
            Some("toml") => {}
            _ => panic!("{shown} belongs to no run"),
        }
    }
}

/// Checks everything in the folder of the run directories. Returns true if the run directory has
/// its final name.
fn check_left(runs: &Path, name: &str, command: &str, map: &HardwareMap) -> bool {
    for entry in fs::read_dir(runs).into_iter().flatten() {
        let found = entry.unwrap().file_name().into_string().unwrap();
        let is_hidden = found.starts_with(&format!(".{name}.")) && found.ends_with(".partial");
        assert!(found == name || is_hidden, "{found} was left by {command}");
    }
    let run = runs.join(name);
    let is_there = run.symlink_metadata().is_ok();
    if is_there {
        check_whole(&run, command, map);
    }
    is_there
}

#[test]
fn a_program_that_is_killed_leaves_whole_runs_and_free_boards() {
    let _alone = super::alone();
    let seed = asked_for(SEED, u64::from(std::process::id()));
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let farm = Farm::builder()
        .boards(BOARDS)
        .detectors(2)
        .band(1.0e9, 1.03e9);
    let farm = farm.start_blocking().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let map_file = write(folder.path(), "map.toml", &farm.map_toml());
    let map = HardwareMap::load(&map_file).unwrap();
    for (command, more) in COMMANDS {
        let with = |runs: &Path, name: &str| -> Vec<String> {
            let out = runs.join(name).display().to_string();
            let args = [
                command.to_owned(),
                map_file.clone(),
                "--out".to_owned(),
                out,
            ];
            args.into_iter()
                .chain(more.iter().map(|word| (*word).to_owned()))
                .collect()
        };
        let succeeds = |runs: &Path, name: &str| {
            let args = with(runs, name);
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let (status, out, err) = run(&args);
            // A busy computer loses samples of a capture. The command then ends with this status.
            let is_lossy = command == "capture" && status == 3;
            assert!(status == 0 || is_lossy, "{command}: {out}\n{err}");
            check_whole(&runs.join(name), command, &map);
        };
        let begin = Instant::now();
        let undisturbed = at(command);
        succeeds(&undisturbed, "run");
        let lasting = begin.elapsed();
        let most_files = files(&undisturbed).len() as u64;
        let (mut whole, mut hidden) = (0, 0);
        for kill_number in 0..asked_for(KILLS, SHORT) {
            let moment = match kill_number % 4 {
                0 => Moment::After(lasting.mul_f64(random.below(1100) as f64 / 1000.0)),
                1 => Moment::Files(1 + random.below(most_files)),
                2 => Moment::Files(most_files),
                _ => Moment::Named,
            };
            println!("{command}: {moment:?}");
            let runs = at(&format!("{command}-{kill_number}"));
            let args = with(&runs, "run");
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            kill(&args, &runs, moment);
            let is_there = check_left(&runs, "run", command, &map);
            for board in map.boards() {
                let address = board.address().to_string();
                let asked = BoardLock::ask_in(&locks(), &address, false).unwrap();
                assert!(
                    matches!(asked, Asked::Taken(_, None)),
                    "{moment:?}: {asked:?}"
                );
            }
            let left = files(&runs);
            let next = if is_there { "next" } else { "run" };
            succeeds(&runs, next);
            // Files that the killed program has left are not removed by the next command.
            assert!(
                left.iter().all(|file| file.exists()),
                "{moment:?}: {left:?}"
            );
            whole += u32::from(is_there);
            hidden += u32::from(!is_there && !left.is_empty());
        }
        println!("{command}: {whole} were whole, of {hidden} a hidden folder was left");
    }
}
