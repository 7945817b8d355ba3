//! `twotone capture`: writes the sample streams of an array (the boards of a hardware map) to disk.

mod fast;
mod table;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use twotone::campaign::{CaptureReport, CaptureSettings};
use twotone::capture::{CaptureParams, FastParams};
use twotone::hal::ReceiveOptions;
use twotone::map::HardwareMap;

use super::access::Access;
use super::campaign::campaign;
use super::exit::complain_of_refusal;
use super::interrupt::Interrupt;
use super::job;
use super::output::{complain, say, say_json};
use super::selection::Selection;
use super::tune::parse_seconds;
use super::{Exit, limits};
use crate::serve::{Claim, Use};
use fast::FastChannel;

/// The arguments of `twotone capture`.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Capture {
    /// The hardware map. It is not needed with --host and --site: a daemon has a map of its own.
    map: Option<PathBuf>,
    /// Length of the capture in seconds, from the first packet on.
    #[arg(long, value_name = "N", value_parser = parse_seconds, required_unless_present = "samples")]
    seconds: Option<f64>,
    /// Capture the fast streams of the boards, which carry a few channels before the decimation.
    #[arg(long)]
    fast: bool,
    /// Channel of a fast stream: the module and the channel, as in 1:3,1:7; may be given again. If
    /// it is absent: those that the boards send.
    #[arg(
        long,
        value_name = "MODULE:CHANNEL",
        value_delimiter = ',',
        value_parser = fast::parse_channel,
        requires = "fast",
        conflicts_with = "module"
    )]
    channel: Vec<FastChannel>,
    /// Switch the fast streams of the channels on, or of the tuned channels of the tune, and
    /// restore their former state afterwards. The boards are locked meanwhile.
    #[arg(long, requires = "fast")]
    set_streamer: bool,
    #[command(flatten)]
    #[serde(skip)]
    access: Access,
    /// Number of samples of each channel of a fast stream, in place of --seconds.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=fast::MOST_SAMPLES),
        requires = "fast",
        conflicts_with = "seconds"
    )]
    samples: Option<u64>,
    /// Path of the new run directory. Refused if something is there already.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The run directory of a tune: only its tones are written, calibrated in hertz.
    #[arg(long, value_name = "RUN_DIR")]
    tune: Option<PathBuf>,
    #[command(flatten)]
    part: Selection,
    /// Number of channels to write, from the first on. If it is absent: the channels with tones in
    /// the tune, or all if there is no tune.
    #[arg(
        long,
        value_name = "K",
        value_parser = clap::value_parser!(u16).range(1..=1024),
        conflicts_with = "fast"
    )]
    channels: Option<u16>,
    /// Largest difference between the boards' clocks and this computer's, in seconds. If it is
    /// absent: 10 s if the clocks are within two days, half a year if they are not. Boards that
    /// generate their time themselves may report any time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    clock_within: Option<f64>,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Multicast group that the boards send to, if it is not 239.192.0.2.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_group)]
    group: Option<Ipv4Addr>,
    /// Port that the boards send to, if it is not 9876, or 9877 for fast streams.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Address of the network interface to listen on. If it is absent: by the routes of this host.
    #[arg(long, value_name = "ADDRESS")]
    interface: Option<Ipv4Addr>,
}

fn parse_group(text: &str) -> Result<Ipv4Addr, String> {
    let group: Option<Ipv4Addr> = text.parse().ok();
    let group = group.filter(Ipv4Addr::is_multicast);
    group.ok_or_else(|| "an address from 224.0.0.0 to 239.255.255.255".to_owned())
}

impl Capture {
    pub(crate) fn run(self, json: bool) -> Exit {
        match self.read() {
            Ok((map, settings)) => self.capture(map, settings, json),
            Err(message) => Exit::usage(&message),
        }
    }

    pub(crate) fn out(&self) -> &Path {
        &self.out
    }

    pub(crate) fn tune(&self) -> Option<&Path> {
        self.tune.as_deref()
    }

    /// Path of the hardware map on the command line.
    pub(crate) fn map(&self) -> Option<&Path> {
        self.map.as_deref()
    }

    /// Boards and modules that the command line selects.
    pub(crate) fn part(&self) -> &Selection {
        &self.part
    }

    /// Returns the part of `map` that is captured, and how its modules are used.
    pub(crate) fn claim(&self, map: &HardwareMap) -> Result<Claim, String> {
        let uses = match self.set_streamer {
            true => Use::Sets,
            false => Use::Listens,
        };
        Ok(Claim::of(&self.selected().part_of(map)?, uses))
    }

    /// Boards and modules that are captured: those of the selection, or the modules of the fast
    /// streams, if their channels are named.
    fn selected(&self) -> Selection {
        let modules = self.channel.iter().map(|channel| channel.module);
        self.part.and_modules(modules)
    }

    /// Reads the map, and checks that the system grants the additional thread that a capture needs.
    fn read(&self) -> Result<(HardwareMap, CaptureSettings), String> {
        if !self.set_streamer && !self.access.is_default() {
            let why = "--no-listen, --take-over and --ignore-others need --set-streamer";
            return Err(why.to_owned());
        }
        if self.set_streamer && self.channel.is_empty() && self.tune.is_none() {
            let why = "--set-streamer needs channels: name them with --channel or give a --tune";
            return Err(why.to_owned());
        }
        let map = self.selected().of(self.map.as_deref())?;
        limits::one_more_thread()?;
        let mut noted = serde_json::to_value(self).map_err(|error| error.to_string())?;
        noted["map"] = map.file().into();
        // The manifest may be read from another folder.
        let tune = self.tune.clone().map(job::run_directory);
        let tune = tune.map(|tune| std::path::absolute(&tune).unwrap_or(tune));
        noted["tune"] = tune.map(|tune| tune.display().to_string()).into();
        let settings = CaptureSettings {
            params: self.params(),
            tune: self.tune.clone().map(job::run_directory),
            noted: Some(noted),
        };
        Ok((map, settings))
    }

    fn capture(self, map: HardwareMap, settings: CaptureSettings, json: bool) -> Exit {
        let interrupt = Interrupt::watch(
            "interrupted: ending the capture; interrupt again to give up what is not yet written",
        );
        let mut campaign = campaign(map, &interrupt, json).access(self.access.checks());
        if let Some(note) = self.note {
            campaign = campaign.note(note);
        }
        let report = match campaign
            .capture(job::run_directory(self.out), settings)
            .wait()
        {
            Ok(report) => report,
            Err(error) => return complain_of_refusal(&error),
        };
        print(&report, json);
        report.completion().into()
    }

    fn params(&self) -> CaptureParams {
        let mut stream = ReceiveOptions::new();
        if let Some(group) = self.group {
            stream = stream.group(group);
        }
        if let Some(port) = self.port {
            stream = stream.port(port);
        }
        if let Some(interface) = self.interface {
            stream = stream.interface(interface);
        }
        CaptureParams {
            seconds: self.seconds.unwrap_or_default(),
            fast: self.fast.then(|| FastParams {
                channels: fast::by_module(&self.channel),
                samples: self.samples,
                is_set: self.set_streamer,
            }),
            channels: self.channels,
            clock_within: self
                .clock_within
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            stream,
            ..CaptureParams::default()
        }
    }
}

/// Prints the result of a capture, and the reason if it ended early.
fn print(report: &CaptureReport, json: bool) {
    if json {
        say_json(report);
    } else if !report.boards.is_empty() {
        say(&table::table(report));
    }
    if let Some(error) = &report.error {
        complain(&error.to_string());
    } else if report.interrupted && report.received > 0 {
        complain("ended early: what has come until then is written whole");
    } else if report.interrupted {
        complain("ended early: nothing had come until then, and nothing is written");
    }
}
