//! Benchmark of tuning an array of boards. The boards are farms (groups of simulated boards) of
//! growing size. The boards of the first farms are accelerated: they answer as soon as they have
//! computed the samples. The boards of the last farms run in real time: an acquisition takes as
//! long as its samples. The farm and the client are two processes on one machine.
//!
//! Linux reports the processor time and the peak memory of both processes.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use twotone::Array;
use twotone::algorithms::{TuneParams, tune};
use twotone::map::HardwareMap;
use twotone::run::Runner;

use process::{Cost, Process};

mod process;
mod table;

/// Largest factor by which the processor time for each detector may grow between a farm of one
/// board and a large farm.
const FLAT: f64 = 1.25;
/// Largest ratio of the time to tune 64 boards to the time to tune one board, both in real time.
const LONGER: f64 = 1.3;
/// Longest time to tune 1000 tones of one module in real time, in seconds.
const THOUSAND_S: f64 = 90.0;
/// Longest time to read a hardware map (the file that lists the boards) with 256 boards and to
/// connect to all of them, in seconds.
const CONNECT_S: f64 = 1.0;

/// Smallest part of a farm's detectors that must be tuned.
const LEAST_TUNED: f64 = 0.95;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--client") {
        return client(arguments.get(at + 1).ok_or("a map is missing")?);
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let mut rows = Vec::new();

    let farms = [1, 16, 64, 256].map(|boards| (boards, Farm::accelerated(boards, 256)));
    let mut alone = None;
    for (boards, farm) in farms {
        let run = farm.tuned()?;
        let detectors = (boards * 256) as f64;
        let each = 1e3 * (run.client.processor_s + run.farm.processor_s) / detectors;
        let name = |what: &str| format!("{boards} boards of 256: {what}");
        rows.push(json!({"name": name("wall"), "value": run.wall_s, "unit": "s"}));
        rows.push(tuned(&name("tuned"), run.tuned, boards * 256));
        for (who, cost) in [("client", &run.client), ("farm", &run.farm)] {
            let (processor, peak) = (format!("{who}'s processor"), format!("{who}'s peak"));
            rows.push(json!({"name": name(&processor), "value": cost.processor_s, "unit": "s"}));
            rows.push(json!({"name": name(&peak), "value": cost.peak_mb, "unit": "MB"}));
        }
        let one = *alone.get_or_insert(each);
        let limited = boards > 1;
        rows.push(json!({
            "name": name("processor a detector"), "value": each, "unit": "ms",
            "peer": limited.then_some("1 board"), "peer_value": limited.then_some(one),
            "ratio": limited.then_some(each / one), "limit": limited.then_some(FLAT),
            "pass": limited.then_some(each / one <= FLAT),
        }));
        if boards == 256 {
            rows.push(json!({
                "name": name("map read, connected"), "value": run.connect_s, "unit": "s",
                "limit": CONNECT_S, "pass": run.connect_s <= CONNECT_S,
            }));
        }
    }

    let real = |boards, detectors| Farm {
        real_time: Some(200),
        ..Farm::accelerated(boards, detectors)
    };
    let one = real(1, 64).tuned()?;
    let many = real(64, 64).tuned()?;
    let ratio = many.wall_s / one.wall_s;
    rows.push(json!({
        "name": "real time, 64 boards of 64: wall", "value": many.wall_s, "unit": "s",
        "peer": "1 board", "peer_value": one.wall_s, "ratio": ratio,
        "limit": LONGER, "pass": ratio <= LONGER,
    }));
    rows.push(tuned(
        "real time, 64 boards of 64: tuned",
        many.tuned,
        64 * 64,
    ));
    let thousand = Farm {
        modules: Some(1),
        ..real(1, 1000)
    };
    let thousand = thousand.tuned()?;
    rows.push(json!({
        "name": "real time, 1000 tones of a module: wall", "value": thousand.wall_s, "unit": "s",
        "limit": THOUSAND_S, "pass": thousand.wall_s <= THOUSAND_S,
    }));
    rows.push(tuned(
        "real time, 1000 tones of a module: tuned",
        thousand.tuned,
        1000,
    ));
    let conditions = json!({
        "work": "tune with default parameters", "profile": "clean", "runs": 1,
        "processes": "the farm in one, the client in another, on the same machine",
        "processors": std::thread::available_parallelism()?.get(),
        "cores_kept_awake": false, "real_time_call_us": 200,
    });
    table::print("array", &conditions, &rows, json);
    Ok(())
}

/// Makes a row with the number of tuned channels. It shows that a tune did not just fail early,
/// which would make its time short.
fn tuned(name: &str, tuned: u64, detectors: usize) -> Value {
    let limit = LEAST_TUNED * detectors as f64;
    json!({
        "name": name, "value": tuned, "unit": "channels",
        "limit": limit, "pass": tuned as f64 >= limit,
    })
}

/// A farm to start.
struct Farm {
    boards: usize,
    detectors: usize,
    modules: Option<usize>,
    /// Time that a board takes for each call, in microseconds; `None` if the farm is accelerated.
    real_time: Option<usize>,
}

/// Measurements of a run that tunes a farm.
struct Run {
    connect_s: f64,
    wall_s: f64,
    tuned: u64,
    client: Cost,
    farm: Cost,
}

impl Farm {
    fn accelerated(boards: usize, detectors: usize) -> Self {
        Self {
            boards,
            detectors,
            modules: None,
            real_time: None,
        }
    }

    fn tuned(&self) -> Outcome<Run> {
        let folder = tempfile::tempdir()?;
        let map = folder.path().join("map.toml");
        let path = map.display().to_string();
        let number = |number: usize| number.to_string();
        let mut arguments = vec!["--stream".to_owned(), "never".to_owned()];
        arguments.extend(["--write-map".to_owned(), path]);
        arguments.extend(["--boards".to_owned(), number(self.boards)]);
        arguments.extend(["--detectors".to_owned(), number(self.detectors)]);
        if let Some(modules) = self.modules {
            arguments.extend(["--modules".to_owned(), number(modules)]);
        }
        if let Some(call_us) = self.real_time {
            arguments.push("--real-time".to_owned());
            arguments.extend(["--call-us".to_owned(), number(call_us)]);
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let farm = Process::farm(&arguments)?;
        let client = Command::new(std::env::current_exe()?)
            .arg("--client")
            .arg(&map)
            .stderr(Stdio::inherit())
            .output()?;
        let told: Value = serde_json::from_slice(&client.stdout)?;
        let number = |key: &str| told[key].as_f64().ok_or(format!("no {key} in {told}"));
        Ok(Run {
            connect_s: number("connect_s")?,
            wall_s: number("wall_s")?,
            tuned: told["tuned"].as_u64().ok_or("no channels")?,
            client: Cost {
                processor_s: number("processor_s")?,
                peak_mb: told["peak_mb"].as_f64(),
            },
            farm: farm.cost()?,
        })
    }
}

/// Connects to all boards of the map and tunes them. Prints the times.
fn client(map: &str) -> Outcome<()> {
    let began = now();
    let map = HardwareMap::load(map)?;
    let array = Array::connect(&map).wait();
    let connected = began.elapsed();
    if let Some(error) = array.failed().first() {
        return Err(error.to_string().into());
    }
    let params = TuneParams::default();
    let run = Runner::new()
        .deadline(Duration::from_secs(1200))
        .keep_on_success()
        .run(array.targets(), move |board, module| {
            let params = params.clone();
            async move {
                let outcome = tune(&board, module, &params).await?;
                // The benchmark drops the rest of the outcome. A real program would store it,
                // without the points of the sweeps.
                Ok::<_, twotone::hal::Error>(outcome.tuned())
            }
        });
    let mut tuned = 0;
    for outcome in run.wait() {
        tuned += outcome.result?;
    }
    let wall = began.elapsed();
    let cost = Cost::of("self")?;
    println!(
        "{}",
        json!({
            "connect_s": connected.as_secs_f64(), "wall_s": wall.as_secs_f64(), "tuned": tuned,
            "processor_s": cost.processor_s, "peak_mb": cost.peak_mb,
        })
    );
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
