//! Benchmark of `twotone capture`, which writes the sample streams of boards to disk. It captures
//! the default streams of 4 boards for a minute. Another process simulates the boards.
//!
//! With `--seconds N`, it captures for a shorter time.

use std::error::Error;
use std::io::Read;
use std::path::Path;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};

use process::Process;

mod process;
mod table;

const BOARDS: usize = 4;
const SECONDS: f64 = 60.0;
/// Number of packets that a board sends in a second, for 4 modules at the default decimation.
const PACKETS_A_SECOND: f64 = 4.0 * 625e6 / 256.0 / 64.0 / 64.0;

/// Smallest ratio of the rate at which packets are written to the rate at which they are due.
const LEAST: f64 = 0.99;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let given = arguments.iter().position(|one| one == "--seconds");
    let given = given.and_then(|at| arguments.get(at + 1));
    let seconds: f64 = given.map_or(Ok(SECONDS), |text| text.parse())?;

    let folder = tempfile::tempdir()?;
    let map = folder.path().join("map.toml");
    let out = folder.path().join("samples");
    let boards = BOARDS.to_string();
    let path = map.display().to_string();
    let size = ["--boards", &boards, "--modules", "4", "--detectors", "64"];
    let farm = Process::farm(&[&size[..], &["--write-map", &path]].concat())?;
    let before = farm.cost()?.processor_s;
    let (length, samples) = (seconds.to_string(), out.display().to_string());
    let mut capture = Process::start(&[
        "capture",
        &path,
        "--json",
        "--seconds",
        &length,
        "--out",
        &samples,
    ])?;
    let mut told = String::new();
    let pipe = capture.0.stdout.as_mut().ok_or("no pipe")?;
    pipe.read_to_string(&mut told)?;
    // With `NOWAIT`, the process table keeps the ended process, so that its processor time can be
    // read.
    let id = Pid::from_raw(i32::try_from(capture.0.id())?).ok_or("no process id")?;
    waitid(
        WaitId::Pid(id),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let writing = capture.cost()?.processor_s;
    let farm = farm.cost()?;
    let sending = farm.processor_s - before;
    let report: Value = serde_json::from_str(&told)?;

    let number = |key: &str| report[key].as_f64().ok_or(format!("no {key} in {report}"));
    let (received, lost, elapsed_s) = (number("received")?, number("lost")?, number("elapsed_s")?);
    let due = BOARDS as f64 * PACKETS_A_SECOND;
    let rate = received / elapsed_s;
    let whole = report["boards"].as_array().ok_or("no boards")?.iter();
    let whole = whole.filter(|board| board["ok"] == true).count();
    let megabytes = size_of(&out)? as f64 / 1e6;
    let rows = [
        json!({"name": "samples lost or not written", "value": lost, "unit": "packets", "limit": 0, "pass": lost == 0.0}),
        json!({"name": "streams whole to the end", "value": whole, "unit": "boards", "limit": BOARDS, "pass": whole == BOARDS}),
        json!({"name": "samples written", "value": rate, "unit": "packets/s", "peer": "due", "peer_value": due, "ratio": rate / due, "limit": LEAST, "pass": rate / due >= LEAST && seconds - elapsed_s < 0.1}),
        json!({"name": "written", "value": megabytes / elapsed_s, "unit": "MB/s"}),
        json!({"name": "capture's processor", "value": writing / elapsed_s, "unit": "cores"}),
        json!({"name": "farm's processor", "value": sending / elapsed_s, "unit": "cores"}),
        json!({"name": "farm's peak", "value": farm.peak_mb, "unit": "MB"}),
    ];
    let conditions = json!({
        "boards": BOARDS, "modules": 4, "stage": 6, "channels": 1024, "seconds": elapsed_s, "runs": 1,
        "processes": "the farm in one, the capture in another, on the same machine",
        "processors": std::thread::available_parallelism()?.get(),
    });
    table::print("capture", &conditions, &rows, json);
    Ok(())
}

fn size_of(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() {
            size_of(&entry.path())?
        } else {
            kind.len()
        };
    }
    Ok(bytes)
}
