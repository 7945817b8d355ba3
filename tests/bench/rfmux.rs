//! Benchmark of the same work with two clients: this library and the Python client rfmux. They take
//! turns on the same simulated board. The hardware map is the file that lists the boards.
//!
//! The work is a network analysis of 50,000 points, three sweeps of 101 points on 10 detectors, and
//! a nonlinear fit of every sweep of a detector. The time to start and to import is not counted.
//! The board counts the calls and bytes.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use twotone::Array;
use twotone::algorithms::fit::{FitParams, FitStatus, fit_nonlinear};
use twotone::algorithms::{
    Band, FineSweepParams, NetworkAnalysisParams, SweepTarget, fine_sweep, network_analysis,
};
use twotone::hal::{BoardHandle, ModuleId};
use twotone::map::HardwareMap;
use twotone::sim::{Counters, Farm};

mod table;

const ROUNDS: usize = 5;
const DETECTORS: usize = 10;
const AMPLITUDE: f64 = 0.002;
const SPAN_HZ: f64 = 400e3;
/// Number of steps of a sweep in one request of this library. The Python client can put at most the
/// settings of one step into a request, because it acquires the samples with a separate request.
const STEPS_PER_BATCH: usize = 8;
/// Smallest ratio of the wall time of the Python client to the wall time of this library with which
/// the benchmark passes.
const LEAST_RATIO: f64 = 20.0;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measurements of one client in one round: wall time, number of fits that succeeded, and what the
/// board counted.
struct Round {
    wall: Duration,
    fitted: usize,
    counted: Counters,
}

fn main() -> Outcome<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    let Ok(python) = std::env::var("TWOTONE_PYTHON") else {
        return Err("TWOTONE_PYTHON names no Python; run `cargo xtask bench rfmux`".into());
    };
    let farm = Farm::builder()
        .boards(1)
        .detectors(DETECTORS)
        .seed(2)
        // Both clients sweep from 1.0 to 1.5 GHz. The map limits modules to slightly less than the
        // band of the simulation.
        .band(0.99e9, 1.51e9)
        .start_blocking()?;
    let centres: Vec<f64> = farm.truth().boards[0].modules[0]
        .detectors
        .iter()
        .map(|d| d.fr_hz)
        .collect();
    let map = HardwareMap::try_from(&farm)?;
    let mut peer = Peer::start(&python, &farm, &centres)?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // The Python client has changed settings since the last round, so a new connection is made.
        // The wall time does not include this.
        let array = Array::connect(&map).wait();
        let board = array.board("crs0001").wait()?;
        ours.push(measured(&farm, || work(&board, &centres))?);
        theirs.push(measured(&farm, || peer.work())?);
    }
    report(&ours, &theirs, json);
    Ok(())
}

/// Runs the work of one client, and measures its wall time and what the board counts.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures wall time")]
fn measured(farm: &Farm, side: impl FnOnce() -> Outcome<usize>) -> Outcome<Round> {
    let before = farm.boards()[0].counters();
    let began = Instant::now();
    let fitted = side()?;
    let wall = began.elapsed();
    let after = farm.boards()[0].counters();
    let counted = Counters {
        requests: after.requests - before.requests,
        calls: after.calls - before.calls,
        bytes_in: after.bytes_in - before.bytes_in,
        bytes_out: after.bytes_out - before.bytes_out,
        by_method: after
            .by_method
            .iter()
            .map(|(method, count)| {
                (
                    method.clone(),
                    count - before.by_method.get(method).unwrap_or(&0),
                )
            })
            .collect(),
    };
    Ok(Round {
        wall,
        fitted,
        counted,
    })
}

fn work(board: &BoardHandle, centres: &[f64]) -> Outcome<usize> {
    let module = ModuleId::new(1)?;
    let wide = NetworkAnalysisParams {
        points: 50_000,
        amplitude: AMPLITUDE / 2.0,
        samples: 10,
        ..Default::default()
    };
    let wide = network_analysis(board, module, Band::new(1.0e9, 1.5e9), 0.0, &wide).wait()?;
    assert_eq!(wide.frequency_hz.len(), 50_000);
    let fine = FineSweepParams {
        points: 101,
        samples: 10,
        span_lw: 6.0,
        steps_per_batch: STEPS_PER_BATCH,
        ..Default::default()
    };
    let targets: Vec<SweepTarget> = centres
        .iter()
        .map(|centre_hz| SweepTarget {
            centre_hz: *centre_hz,
            linewidth_hz: SPAN_HZ / 6.0,
            amplitude: AMPLITUDE,
        })
        .collect();
    let mut fitted = 0;
    for _ in 0..3 {
        let swept = fine_sweep(board, module, &targets, None, &fine).wait()?;
        fitted += swept
            .sweeps
            .iter()
            .map(|sweep| fit_nonlinear(&sweep.data(0.0), &FitParams::default()))
            .filter(|fit| fit.status == FitStatus::Success)
            .count();
    }
    Ok(fitted)
}

/// The Python client as a process. It does the work each time it is asked to.
struct Peer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &str, farm: &Farm, centres: &[f64]) -> Outcome<Self> {
        let board = &farm.boards()[0];
        let mut child = Command::new(python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/interop/rfmux_bench.py"
            ))
            .args([board.address().to_string(), board.serial()])
            .args([AMPLITUDE.to_string(), SPAN_HZ.to_string()])
            .args(centres.iter().map(f64::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let requests = child.stdin.take().ok_or("no pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut peer = Self {
            child,
            requests,
            answers,
        };
        peer.answer()?;
        Ok(peer)
    }

    fn work(&mut self) -> Outcome<usize> {
        writeln!(self.requests, "work")?;
        let answer = self.answer()?;
        Ok(answer["fitted"].as_u64().ok_or("no fits were told")? as usize)
    }

    fn answer(&mut self) -> Outcome<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(ours: &[Round], theirs: &[Round], json: bool) {
    let calls = |method: &'static str| {
        move |round: &Round| round.counted.by_method.get(method).copied().unwrap_or(0) as f64
    };
    type Measure = Box<dyn Fn(&Round) -> f64>;
    let measures: Vec<(&str, &str, Measure)> = vec![
        ("wall time", "s", Box::new(|round| round.wall.as_secs_f64())),
        (
            "fits that succeeded, of 30",
            "fits",
            Box::new(|round| round.fitted as f64),
        ),
        (
            "requests",
            "requests",
            Box::new(|round| round.counted.requests as f64),
        ),
        (
            "calls",
            "calls",
            Box::new(|round| round.counted.calls as f64),
        ),
        (
            "bytes sent",
            "bytes",
            Box::new(|round| round.counted.bytes_in as f64),
        ),
        (
            "bytes received",
            "bytes",
            Box::new(|round| round.counted.bytes_out as f64),
        ),
        ("set_frequency", "calls", Box::new(calls("set_frequency"))),
        ("set_amplitude", "calls", Box::new(calls("set_amplitude"))),
        ("set_phase", "calls", Box::new(calls("set_phase"))),
        ("get_samples", "calls", Box::new(calls("get_samples"))),
        ("clear_channels", "calls", Box::new(calls("clear_channels"))),
    ];
    let rows: Vec<Value> = measures
        .iter()
        .map(|(name, unit, of)| {
            let (value, peer) = (median(ours, of), median(theirs, of));
            let ratio = (value > 0.0).then(|| peer / value);
            let limited = *name == "wall time";
            json!({
                "name": name, "value": value, "unit": unit,
                "peer": "rfmux 1.7.0", "peer_value": peer, "ratio": ratio,
                "limit": limited.then_some(LEAST_RATIO),
                "pass": limited.then_some(ratio.is_some_and(|ratio| ratio >= LEAST_RATIO)),
            })
        })
        .collect();
    let conditions = json!({
        "rounds": ROUNDS, "statistic": "median, sides in turn",
        "work": "network analysis of 50000 points, 3 sweeps of 101 points on 10 detectors, fits",
        "board": "one simulated board in the benchmark's process, accelerated, clean",
        "steps_per_request": STEPS_PER_BATCH, "cores_kept_awake": false, "ratio": "peer over ours",
    });
    table::print("rfmux", &conditions, &rows, json);
}
