//! Benchmark of the daemon, `twotone serve`. It compares the times to tune boards (to set a tone on
//! the resonance of each detector) with the daemon and without it. It also measures the processor
//! time and the memory that 256 unused boards need while the daemon holds them (keeps them
//! connected) for ten minutes. The farm (the simulated boards), the daemon and each client are
//! separate processes. A map is a file that lists boards.
//!
//! With `--seconds N`, the daemon holds the boards for a shorter time. This is too short to tell if
//! memory and processor time grow.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use process::Process;

mod process;
mod table;

/// Largest ratio of the time of a tune by the daemon to the time of one without it.
const LONGER: f64 = 1.05;
/// Number of tunes by the daemon, and of tunes without it.
const ROUNDS: usize = 7;
/// Number of boards that the daemon holds.
const HELD: usize = 256;
/// Time for which the daemon holds the boards, in seconds.
const SECONDS: f64 = 600.0;
/// Longest time to fetch the metrics of all boards, in milliseconds.
const SCRAPE_MS: f64 = 20.0;
/// Time for which the boards are held before the measurement, in seconds. After some 100 s, the
/// queue of each connection gets a second block of memory for its 32nd request. From then on it
/// uses both blocks.
const WARM_UP: f64 = 180.0;
/// Largest ratio of the memory at the end of the measurement to the memory at its start.
const FLAT: f64 = 1.05;
/// Largest ratio of the processor time in the last fifth of the measurement to that in the first
/// fifth. Each of these times is some hundred clock ticks, and varies with the other load of the
/// machine.
const STEADY: f64 = 1.2;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let given = arguments.iter().position(|one| one == "--seconds");
    let given = given.and_then(|at| arguments.get(at + 1));
    let seconds: f64 = given.map_or(Ok(SECONDS), |text| text.parse())?;
    let mut rows = tunes()?;
    rows.extend(held(seconds)?);
    let conditions = json!({
        "rounds": ROUNDS, "held_boards": HELD, "held_s": seconds,
        "warm_up_s": WARM_UP.min(seconds),
        "processes": "the farm, the daemon and each client in one of their own, on the same machine",
        "processors": std::thread::available_parallelism()?.get(),
    });
    table::print("serve", &conditions, &rows, json);
    Ok(())
}

/// A farm, and a daemon that holds its boards.
struct Rig {
    _farm: Process,
    daemon: Process,
    listen: String,
    map: String,
    host: String,
    folder: tempfile::TempDir,
}

impl Rig {
    fn start(boards: usize, detectors: usize) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (map, socket) = (path("map.toml"), path("control.sock"));
        let (boards, detectors) = (boards.to_string(), detectors.to_string());
        let size = ["--boards", &boards, "--detectors", &detectors];
        let farm = Process::farm(&[&size[..], &["--write-map", &map]].concat())?;
        let mut daemon = Command::new(env!("CARGO_BIN_EXE_twotone"));
        daemon.args(["serve", "--json", "--listen", "127.0.0.1:0", "--map", &map]);
        daemon.args(["--socket", &socket, "--state", &path("state")]);
        daemon
            .env("TWOTONE_LOCKS", folder.path())
            .env("TWOTONE_LOG", "warn");
        let mut daemon = Process(daemon.stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        BufReader::new(daemon.0.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let listen = ready["listen"].as_str().ok_or("no address")?;
        Ok(Self {
            _farm: farm,
            daemon,
            listen: listen.trim_start_matches("http://").to_owned(),
            map,
            host: format!("unix:{socket}"),
            folder,
        })
    }

    /// Tunes all boards with the daemon. If `direct` is the path of a map, tunes the boards of this
    /// map without the daemon. Returns the time, in seconds.
    fn tune(&self, direct: Option<&str>, out: &Path) -> Outcome<f64> {
        let mut tune = Command::new(env!("CARGO_BIN_EXE_twotone"));
        tune.env("TWOTONE_LOCKS", self.folder.path());
        if direct.is_none() {
            tune.args(["--host", &self.host]);
        }
        let map = direct.unwrap_or(&self.map);
        tune.args(["tune", map, "--json", "--out"]).arg(out);
        let begun = now();
        let ended = tune.stderr(Stdio::null()).output()?;
        let elapsed = begun.elapsed().as_secs_f64();
        match ended.status.success() {
            true => Ok(elapsed),
            false => Err(String::from_utf8_lossy(&ended.stdout).into()),
        }
    }

    /// Returns the number of the daemon's open descriptors, and its memory in megabytes.
    fn resources(&self) -> Outcome<(usize, f64)> {
        // After a second, the daemon has also closed the connection of the last fetch of the
        // metrics.
        sleep(1);
        let process = format!("/proc/{}", self.daemon.0.id());
        let descriptors = std::fs::read_dir(format!("{process}/fd"))?.count();
        let status = std::fs::read_to_string(format!("{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.split_whitespace().next());
        let kb: f64 = resident.ok_or("no memory")?.parse()?;
        Ok((descriptors, kb / 1024.0))
    }

    /// Fetches the metrics every second, for `seconds`. Returns the average number of processor
    /// cores that the daemon used, and the durations of the fetches in milliseconds.
    fn scrape_for(&self, seconds: f64) -> Outcome<(f64, Vec<f64>)> {
        let (before, begun) = (self.daemon.cost()?.processor_s, now());
        let mut scrapes = Vec::new();
        while begun.elapsed().as_secs_f64() < seconds {
            sleep(1);
            scrapes.push(self.scrape()?);
        }
        let processor_s = self.daemon.cost()?.processor_s - before;
        Ok((processor_s / begun.elapsed().as_secs_f64(), scrapes))
    }

    /// Fetches the metrics once. Returns the duration in milliseconds.
    fn scrape(&self) -> Outcome<f64> {
        let begun = now();
        let mut stream = TcpStream::connect(&self.listen)?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let elapsed = begun.elapsed().as_secs_f64() * 1e3;
        match answer.matches("twotone_board_connected{").count() {
            HELD => Ok(elapsed),
            count => Err(format!("metrics of {count} boards: {answer}").into()),
        }
    }
}

/// Compares the median time of tunes with the daemon to that of tunes without it.
fn tunes() -> Outcome<Vec<Value>> {
    let rig = Rig::start(8, 128)?;
    // The tunes without the daemon have a second farm of the same boards. On the first farm, the
    // daemon would find its boards changed by another program.
    let map = rig.folder.path().join("direct.toml").display().to_string();
    let size = ["--boards", "8", "--detectors", "128"];
    let _farm = Process::farm(&[&size[..], &["--write-map", &map]].concat())?;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (direct, times) in [Some(map.as_str()), None].into_iter().zip(&mut times) {
            let out = format!("{}-{round}", direct.is_some());
            times.push(rig.tune(direct, &rig.folder.path().join(out))?);
        }
    }
    let [direct, by_daemon] = times.map(median);
    let ratio = by_daemon / direct;
    Ok(vec![json!({
        "name": "tune of 8 boards of 128, median", "value": by_daemon, "unit": "s",
        "peer": "without the daemon", "peer_value": direct,
        "ratio": ratio, "limit": LONGER, "pass": ratio <= LONGER,
    })])
}

/// Measures the costs of boards that the daemon holds and nobody uses.
fn held(seconds: f64) -> Outcome<Vec<Value>> {
    let rig = Rig::start(HELD, 4)?;
    rig.scrape_for(WARM_UP.min(seconds))?;
    let (descriptors, memory) = rig.resources()?;
    let (first, mut scrapes) = rig.scrape_for(seconds / 5.0)?;
    let (middle, more) = rig.scrape_for(seconds * 3.0 / 5.0)?;
    scrapes.extend(more);
    let (last, more) = rig.scrape_for(seconds / 5.0)?;
    scrapes.extend(more);
    let (descriptors_after, memory_after) = rig.resources()?;
    let peak = rig.daemon.cost()?.peak_mb;
    let longest = scrapes.iter().copied().fold(0.0, f64::max);
    let (growth, more_work) = (memory_after / memory, last / first);
    Ok(vec![
        json!({
            "name": "256 boards held: processor", "unit": "cores",
            "value": (first + 3.0 * middle + last) / 5.0,
        }),
        json!({
            "name": "256 boards held: processor, last fifth", "value": last, "unit": "cores",
            "peer": "first fifth", "peer_value": first,
            "ratio": more_work, "limit": STEADY, "pass": more_work <= STEADY,
        }),
        json!({"name": "256 boards held: peak", "value": peak, "unit": "MB"}),
        json!({
            "name": "256 boards held: memory", "value": memory_after, "unit": "MB",
            "peer": "at the start", "peer_value": memory,
            "ratio": growth, "limit": FLAT, "pass": growth <= FLAT,
        }),
        json!({
            "name": "256 boards held: descriptors", "value": descriptors_after,
            "peer": "at the start", "peer_value": descriptors,
            "pass": descriptors_after <= descriptors,
        }),
        json!({
            "name": "metrics of 256 boards, median", "value": median(scrapes), "unit": "ms",
            "limit": SCRAPE_MS,
        }),
        json!({
            "name": "metrics of 256 boards, longest", "value": longest, "unit": "ms",
            "limit": SCRAPE_MS, "pass": longest < SCRAPE_MS,
        }),
    ])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "nothing is to happen for a time")]
fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}
