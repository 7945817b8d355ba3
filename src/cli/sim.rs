//! `twotone sim`: runs a farm (a set of simulated boards) in the foreground.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tworoutine::Wait;
use twotone::input::{self, shown};
use twotone::map::{HIGHEST_TONE, LOWEST_TONE};
use twotone::sim::fault::FaultScript;
use twotone::sim::{Farm, FarmBuilder, Geometry, Profile, Streaming, TimeMode};
use twotone::transport::wire::mdns;

use super::Exit;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::parent::end_with_parent;
use super::tune::parse_seconds;

/// Smallest width of the band of a simulated farm, in hertz.
const NARROWEST_BAND_HZ: f64 = 1e6;

/// Options of the simulated farm.
#[derive(Debug, Args)]
pub(crate) struct FarmArgs {
    /// Number of boards.
    #[arg(long, default_value_t = 16, value_parser = parse_boards)]
    pub(crate) boards: usize,
    /// Number of detectors on each board.
    #[arg(long, default_value_t = 256)]
    pub(crate) detectors: usize,
    /// Number of modules of each board over which the detectors are spread. If it is absent: one
    /// for each 256 detectors.
    #[arg(long, value_parser = parse_modules)]
    pub(crate) modules: Option<usize>,
    /// Seed of everything that is drawn at random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Difficulty of the tune: clean, lab or harsh.
    #[arg(long, default_value_t = Profile::Clean)]
    pub(crate) profile: Profile,
    /// Connection of the detectors to their line: notch, reflection or peak.
    #[arg(long, default_value = "notch")]
    pub(crate) geometry: Geometry,
    /// Band of the feedline of each module, in hertz. The boards have it in the Nyquist zone of
    /// their converters in which it lies.
    #[arg(long, value_name = "HZ:HZ", default_value = "1.0e9:1.5e9", value_parser = parse_band)]
    pub(crate) band: (f64, f64),
    /// Let the boards take real time: an acquisition takes as long as its samples, and filters
    /// settle as on a board.
    #[arg(long)]
    pub(crate) real_time: bool,
    /// With --real-time: time that a board takes for each call, in microseconds.
    #[arg(long, value_name = "US", default_value_t = 0, requires = "real_time")]
    pub(crate) call_us: u64,
}

impl FarmArgs {
    /// Returns a builder of the farm.
    pub(crate) fn builder(&self) -> FarmBuilder {
        let farm = match self.modules {
            Some(modules) => Farm::builder().modules(modules),
            None => Farm::builder(),
        };
        farm.boards(self.boards)
            .detectors(self.detectors)
            .seed(self.seed)
            .profile(self.profile)
            .geometry(self.geometry)
            .band(self.band.0, self.band.1)
            .time(match self.real_time {
                true => TimeMode::RealTime {
                    call_us: self.call_us,
                },
                false => TimeMode::Accelerated,
            })
    }
}

fn parse_boards(text: &str) -> Result<usize, String> {
    let boards = text
        .parse()
        .ok()
        .filter(|boards| (1..=4096).contains(boards));
    boards.ok_or_else(|| "a number of boards from 1 to 4096".to_owned())
}

/// Reads a band: its lowest and its highest frequency in hertz.
fn parse_band(text: &str) -> Result<(f64, f64), String> {
    let ends = text.split_once(':');
    let ends =
        ends.and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    let plausible = LOWEST_TONE.0..=HIGHEST_TONE.0;
    let is_band = |&(low, high): &(f64, f64)| {
        plausible.contains(&low) && plausible.contains(&high) && high - low >= NARROWEST_BAND_HZ
    };
    ends.filter(is_band).ok_or_else(|| {
        format!(
            "two frequencies from {} MHz to {} GHz, at least {} MHz apart, such as 4.0e9:4.5e9",
            LOWEST_TONE.0 / 1e6,
            HIGHEST_TONE.0 / 1e9,
            NARROWEST_BAND_HZ / 1e6,
        )
    })
}

fn parse_modules(text: &str) -> Result<usize, String> {
    let modules = text
        .parse()
        .ok()
        .filter(|modules| (1..=4).contains(modules));
    modules.ok_or_else(|| "a number of modules from 1 to 4".to_owned())
}

/// The arguments of `twotone sim`.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    #[command(flatten)]
    farm: FarmArgs,
    /// Connect the output of each module to its input by a cable, in the place of a cryostat with
    /// detectors.
    #[arg(long, conflicts_with_all = ["detectors", "modules", "profile"])]
    loopback: bool,
    /// Write the hardware map of the farm to this file.
    #[arg(long, value_name = "FILE")]
    write_map: Option<PathBuf>,
    /// Write the true parameters of the detectors to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Times at which the boards send their sample streams.
    #[arg(long, value_enum, default_value_t = Stream::WhenJoined)]
    stream: Stream,
    /// A file of faults of the boards, in TOML.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Give the boards a boot window of this many seconds after each start, in which they send
    /// beacons and can be flashed. The signal USR1 switches all boards off and on.
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    boot_window: Option<f64>,
    /// Put the boards into crates, this many into each. The map and the beacons of the boards name
    /// the crates.
    #[arg(long, value_name = "BOARDS", value_parser = clap::value_parser!(u8).range(1..))]
    crate_size: Option<u8>,
    /// Address to which boards in their boot window send beacons.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9875")]
    beacons_to: SocketAddr,
    /// Let the boards answer questions of multicast DNS on the loopback interface, so that they
    /// are found by `twotone find` and reached by their names. Every program on this machine
    /// then reaches them by the names of real boards with their serial numbers.
    #[arg(long)]
    mdns: bool,
    /// End when the parent process ends.
    #[arg(long)]
    with_parent: bool,
}

/// Times at which boards send their sample streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stream {
    /// While a program on this machine has joined the group for this board's source address.
    WhenJoined,
    /// As `when-joined`, and also while a program has joined the group without a source address.
    WhenAnyJoined,
    /// From start to end.
    Always,
    /// Never.
    Never,
}

impl From<Stream> for Streaming {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::WhenJoined => Self::WhenJoined,
            Stream::WhenAnyJoined => Self::WhenAnyJoined,
            Stream::Always => Self::Always,
            Stream::Never => Self::Never,
        }
    }
}

#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    boards: Vec<ReadyBoard>,
    map: Option<PathBuf>,
    truth: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct ReadyBoard {
    name: String,
    address: String,
    serial: String,
}

impl Sim {
    pub(crate) fn run(self, json: bool) -> Exit {
        if self.with_parent {
            match end_with_parent() {
                Ok(true) => {}
                Ok(false) => return Exit::Interrupted,
                Err(error) => {
                    return Exit::usage(&format!(
                        "the end of the parent cannot be watched for: {error}"
                    ));
                }
            }
        }
        let interrupt = Interrupt::watch("");
        let mut builder = self.farm.builder().streaming(self.stream.into());
        if self.loopback {
            builder = builder.loopback();
        }
        if let Some(path) = &self.faults {
            let script = input::read_text(path, input::PARAMS_BYTES)
                .map_err(|error| error.to_string())
                .and_then(|text| FaultScript::parse(&text).map_err(|error| error.to_string()));
            builder = match script {
                Ok(script) => builder.script(script),
                Err(error) => return Exit::usage(&format!("{}: {error}", shown(path))),
            };
        }
        if let Some(seconds) = self.boot_window {
            let lasting = Duration::from_secs_f64(seconds);
            builder = builder.boot_window(lasting, self.beacons_to);
        }
        if let Some(boards) = self.crate_size {
            builder = builder.crate_size(boards);
        }
        if self.mdns {
            builder = builder.mdns(mdns::PORT);
        }
        let farm = match start(builder) {
            Ok(farm) => farm,
            Err(exit) => return exit,
        };
        if let Some(path) = &self.write_map
            && let Err(exit) = write_file(path, &farm.map_toml())
        {
            return exit;
        }
        if let Some(path) = &self.truth {
            let text = match serde_json::to_string(&farm.truth()) {
                Ok(text) => text,
                Err(error) => {
                    return Exit::usage(&format!("the truth cannot be written as JSON: {error}"));
                }
            };
            if let Err(exit) = write_file(path, &text) {
                return exit;
            }
        }
        self.print_ready(&farm, json);
        tworoutine::wait(async {
            let power = power_cycles(&farm);
            interrupt.first.run_until_cancelled(power).await;
        });
        farm.shut_down().wait();
        Exit::Well
    }

    fn print_ready(&self, farm: &Farm, json: bool) {
        if json {
            let boards = farm.boards().iter().map(|board| ReadyBoard {
                name: board.name().to_owned(),
                address: board.address().to_string(),
                serial: board.serial(),
            });
            say_json(&Ready {
                ready: true,
                boards: boards.collect(),
                map: self.write_map.clone(),
                truth: self.truth.clone(),
            });
        } else {
            let first = farm
                .boards()
                .first()
                .map(|board| board.address().to_string());
            say(&format!(
                "ready: {} boards of {} detectors, the first at {}",
                self.farm.boards,
                if self.loopback {
                    0
                } else {
                    self.farm.detectors
                },
                first.as_deref().unwrap_or("nowhere"),
            ));
        }
    }
}

/// Switches all boards off and on at each signal USR1. Never returns.
async fn power_cycles(farm: &Farm) {
    let mut signals = match signal(SignalKind::user_defined1()) {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("the signal USR1 cannot be received: {error}"));
            return std::future::pending().await;
        }
    };
    while signals.recv().await.is_some() {
        for board in farm.boards() {
            board.power_cycle(Duration::ZERO);
        }
    }
}

/// Starts a farm. If this fails, prints the reason on standard error.
pub(crate) fn start(farm: FarmBuilder) -> Result<Farm, Exit> {
    tworoutine::wait(farm.start())
        .map_err(|error| Exit::usage(&format!("the farm cannot be started: {error}")))
}

/// Writes a file atomically, so that a program that waits for the file never reads an incomplete
/// file. If `path` is a device or a pipe, writes to it directly.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), Exit> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let whole = || {
        // By default, only the owner can read a temporary file. This file gets all permissions that
        // the umask allows.
        let readable = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new()
            .permissions(readable)
            .tempfile_in(folder)?;
        std::fs::write(file.path(), text)?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    // A device or a pipe must not be replaced by a file.
    let special = path.metadata().is_ok_and(|found| !found.is_file());
    let written = match special {
        true => std::fs::write(path, text),
        false => whole(),
    };
    written.map_err(|error| Exit::usage(&format!("{} cannot be written: {error}", shown(path))))
}
