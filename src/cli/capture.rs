//! `twotone capture`: the sample streams of an array, to disk.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use twotone::Array;
use twotone::capture::{CaptureOutcome, CaptureParams, capture, plan};
use twotone::hal::Error;
use twotone::map::HardwareMap;
use twotone::record::{
    CAPTURE_FILE, Content, Manifest, RecordError, RunDirectory, TuneRecord, UtcTime, Weight,
};
use twotone::transport::readout::{StreamOptions, sample_rate_hz};

use super::captured::Report;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::room::Need;
use super::selection::Selection;
use super::stored::record_of;
use super::tune::parse_seconds;
use super::{Exit, limits};

/// The decimation stage that boards mostly have.
const MOSTLY_STAGE: u8 = 6;
/// Channels of a packet.
const MOST_CHANNELS: u16 = 1024;
/// Bytes of a row, beside its channels.
const ROW: u64 = 32;

/// The arguments of `twotone capture`.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Capture {
    /// The hardware map.
    map: PathBuf,
    /// For how long, in seconds from the first packet on.
    #[arg(long, value_name = "N", value_parser = parse_seconds)]
    seconds: f64,
    /// Where the run directory is to be; refused where something is there already.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The run directory of a tune: only its tones are written, calibrated in hertz.
    #[arg(long, value_name = "RUN_DIR")]
    tune: Option<PathBuf>,
    #[command(flatten)]
    part: Selection,
    /// Only the first so many channels; those with tones in the tune, or all, where not given.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=1024))]
    channels: Option<u16>,
    /// Largest difference between the boards' clocks and this computer's, in seconds. If not given, 10 s within
    /// two days and half a year beyond; boards that make their time up may show any.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    clock_within: Option<f64>,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The multicast group that the boards send to, where it is not 239.192.0.2.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_group)]
    group: Option<Ipv4Addr>,
    /// The port that the boards send to, where it is not 9876.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The address of the interface to listen on; by the host's routes where not given.
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
        match self.prepare() {
            Ok((map, tune, run)) => self.capture(&map, tune.as_ref(), run, json),
            Err(message) => {
                complain(&message);
                Exit::Usage
            }
        }
    }

    /// Everything that can be wrong before a board is touched.
    fn prepare(&self) -> Result<(HardwareMap, Option<TuneRecord>, RunDirectory), String> {
        let map = self.part.of(&self.map)?;
        if map.boards().iter().all(|board| board.serial.is_none()) {
            let file = map.file();
            return Err(format!(
                "{file}: no board has a serial number, which its packets are known by"
            ));
        }
        let tune = self
            .tune
            .as_ref()
            .map(|run| TuneRecord::read_for(&map, run));
        let tune = tune.transpose();
        let tune = tune.map_err(|error| error.to_string())?;
        limits::one_more_thread()?;
        // Rows with all channels at the rate that boards mostly have: where there are fewer, that much
        // more room is left.
        let rows = self.seconds * sample_rate_hz(MOSTLY_STAGE);
        let channels = self
            .channels
            .filter(|_| tune.is_none())
            .unwrap_or(MOST_CHANNELS);
        let bytes_of_row = match tune {
            // Its tones are not counted here.
            Some(_) => ROW,
            None => ROW + 8 * u64::from(channels),
        };
        let run = Need::of_capture(&map, rows, bytes_of_row).prepare(&self.out)?;
        Ok((map, tune, run))
    }

    fn capture(
        &self,
        map: &HardwareMap,
        tune: Option<&TuneRecord>,
        run: RunDirectory,
        json: bool,
    ) -> Exit {
        let interrupt = Interrupt::watch(
            "interrupted: ending the capture; interrupt again to give up what is not yet written",
        );
        let started = UtcTime::now();
        let params = self.params(&interrupt);
        let planned = interrupt.unless(async {
            let array = Array::connect(map).await;
            for error in array.failed().errors() {
                tracing::warn!(%error, "not connected");
            }
            let boards = plan(map, &array, tune, &params).await;
            (boards, array)
        });
        let report = match planned {
            Some((boards, array)) => self
                .manifest(map, &array, started)
                .map_err(Error::from)
                .and_then(|manifest| {
                    let provenance = manifest.provenance("");
                    let (run, outcome) = capture(boards, run, &params, &provenance).wait()?;
                    Ok(record(run, manifest, outcome, &params, &interrupt))
                })
                .unwrap_or_else(|error| Report {
                    error: Some(error.to_string()),
                    ..Report::default()
                }),
            None => Report {
                interrupted: true,
                ..Report::default()
            },
        };
        if json {
            say_json(&report);
        } else if !report.boards.is_empty() {
            say(&report.table());
        }
        if let Some(error) = &report.error {
            complain(error);
        } else if report.interrupted && report.received > 0 {
            complain("ended early: what has come until then is written whole");
        } else if report.interrupted {
            complain("ended early: nothing had come until then, and nothing is written");
        }
        report.exit()
    }

    /// The manifest, as far as it is known before the capture.
    fn manifest(
        &self,
        map: &HardwareMap,
        array: &Array,
        started: UtcTime,
    ) -> Result<Manifest, RecordError> {
        let mut manifest = Manifest::new(std::env::args(), map, self, started)?;
        manifest.note.clone_from(&self.note);
        let boards = map.boards().iter();
        let boards = boards.map(|entry| record_of(map, array, &entry.name, "not_captured", None));
        manifest.boards = boards.collect();
        Ok(manifest)
    }

    fn params(&self, interrupt: &Interrupt) -> CaptureParams {
        let mut stream = StreamOptions::new();
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
            seconds: self.seconds,
            channels: self.channels,
            clock_within: self
                .clock_within
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            stream,
            stop: interrupt.first.clone(),
            abandon: interrupt.second.clone(),
            ..CaptureParams::default()
        }
    }
}

/// Asks once more whether the tune holds, and puts what was captured in its place.
fn record(
    run: RunDirectory,
    mut manifest: Manifest,
    mut outcome: CaptureOutcome,
    params: &CaptureParams,
    interrupt: &Interrupt,
) -> Report {
    if outcome.received() == 0 {
        return Report::of(&outcome);
    }
    // An interrupt from now on ends the asking.
    let end = match outcome.stopped {
        true => &interrupt.second,
        false => &interrupt.first,
    };
    tworoutine::wait(outcome.check_tune(params.ask_within, end));
    let mut report = Report::of(&outcome);
    let whole = report.of_whole();
    for record in &mut manifest.boards {
        let mut boards = report.boards.iter();
        if let Some(board) = boards.find(|board| board.name == record.name) {
            board.note_in(record, &whole);
        }
    }
    manifest.ended = UtcTime::now();
    let path = run.path().display().to_string();
    report.run_directory = outcome.not_written.is_none().then_some(path);
    let is_broken = outcome.not_written.is_some();
    let recorded = {
        let contents = [Content::json(CAPTURE_FILE, Weight::Needed, &report)];
        run.record(manifest, &contents, outcome.not_written)
    };
    report.note(recorded, is_broken);
    report
}
