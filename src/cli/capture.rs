//! `twotone capture`: the sample streams of an array, to disk.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use twotone::Array;
use twotone::capture::{CaptureOutcome, CaptureParams, ModuleOutcome, Standing, capture, plan};
use twotone::hal::ModuleId;
use twotone::map::HardwareMap;
use twotone::record::{BoardRecord, Manifest, RecordError, RunDirectory, TuneRecord, UtcTime};
use twotone::transport::readout::StreamOptions;

use super::Exit;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::table::Table;
use super::tune::parse_seconds;

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
    /// Only these modules, as in 1,3; those of the map where none are given.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse_module)]
    modules: Option<Vec<ModuleId>>,
    /// Only the first so many channels; those with tones in the tune, or all, where not given.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=1024))]
    channels: Option<u16>,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The multicast group that the boards send to, where it is not 239.192.0.2.
    #[arg(long, value_name = "ADDRESS")]
    group: Option<Ipv4Addr>,
    /// The port that the boards send to, where it is not 9876.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The address of the interface to listen on; by the host's routes where not given.
    #[arg(long, value_name = "ADDRESS")]
    interface: Option<Ipv4Addr>,
}

fn parse_module(text: &str) -> Result<ModuleId, String> {
    let number = text.trim().parse().ok();
    let module = number.and_then(|number| ModuleId::new(number).ok());
    module.ok_or_else(|| "a module, from 1".to_owned())
}

#[derive(Debug, Serialize)]
struct Report {
    elapsed_s: f64,
    interrupted: bool,
    run_directory: Option<String>,
    received: u64,
    lost: u64,
    kernel_drops: u64,
    buffer_shortfall: Option<String>,
    boards: Vec<BoardReport>,
}

#[derive(Debug, Serialize)]
struct BoardReport {
    name: String,
    ok: bool,
    error: Option<String>,
    modules: Vec<ModuleOutcome>,
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
        let map = HardwareMap::load(&self.map).map_err(|error| error.to_string())?;
        let tune = self.tune.as_ref().map(TuneRecord::read).transpose();
        let tune = tune.map_err(|error| error.to_string())?;
        let run = RunDirectory::prepare(&self.out).map_err(|error| error.to_string())?;
        Ok((map, tune, run))
    }

    fn capture(
        &self,
        map: &HardwareMap,
        tune: Option<&TuneRecord>,
        run: RunDirectory,
        json: bool,
    ) -> Exit {
        let interrupt = Interrupt::watch("interrupted: ending the capture");
        let started = UtcTime::now();
        let params = self.params(&interrupt);
        let planned = interrupt.unless(async {
            let array = Array::connect(map).await;
            for error in array.failed().errors() {
                tracing::warn!(%error, "not connected");
            }
            plan(map, &array, tune, &params).await
        });
        let Some(boards) = planned else {
            complain("nothing was captured");
            return Exit::Interrupted;
        };
        let manifest = Manifest::new(std::env::args(), map, self, started);
        let mut manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error) => return fail(&error),
        };
        manifest.note.clone_from(&self.note);
        // Not knowing the boards yet, it says of each no more than what they have in common.
        let provenance = manifest.provenance("");
        let captured = capture(boards, run, &params, &provenance).wait();
        let (run, mut outcome) = match captured {
            Ok(captured) => captured,
            Err(error) => return fail(&error),
        };
        if outcome.received() > 0 {
            tworoutine::wait(outcome.check_tune());
        }
        let mut report = Report::of(&outcome);
        let mut exit = report.exit();
        if outcome.received() > 0 {
            manifest.boards = records(map, &outcome);
            manifest.ended = UtcTime::now();
            match write(run, &manifest) {
                Ok(path) => report.run_directory = Some(path.display().to_string()),
                Err(error) => {
                    complain(&format!("the capture could not be recorded: {error}"));
                    exit = Exit::SomeFailed;
                }
            }
        }
        if json {
            say_json(&report);
        } else {
            say(&report.table());
        }
        if report.interrupted {
            complain("ended early: what has come until then is written whole");
        }
        exit
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
            modules: self.modules.clone(),
            channels: self.channels,
            stream,
            stop: interrupt.first.clone(),
            ..CaptureParams::default()
        }
    }
}

fn fail(error: &dyn std::fmt::Display) -> Exit {
    complain(&error.to_string());
    Exit::SomeFailed
}

fn write(run: RunDirectory, manifest: &Manifest) -> Result<PathBuf, RecordError> {
    run.write_manifest(manifest)?;
    run.commit()
}

fn records(map: &HardwareMap, outcome: &CaptureOutcome) -> Vec<BoardRecord> {
    let boards = outcome.boards.iter().map(|board| {
        let sum = |of: fn(&ModuleOutcome) -> u64| {
            let modules = board.modules.iter();
            modules.map(of).sum::<u64>() as usize
        };
        BoardRecord {
            name: board.name.clone(),
            serial: map
                .board(&board.name)
                .and_then(|entry| entry.serial.clone()),
            firmware: None,
            status: if board.is_whole() {
                "ok"
            } else {
                "some_failed"
            }
            .to_owned(),
            error: board.error.clone(),
            channels: [
                ("received".to_owned(), sum(|one| one.counters.received)),
                ("lost".to_owned(), sum(|one| one.counters.lost)),
                ("unwritten".to_owned(), sum(|one| one.counters.unwritten)),
            ]
            .into(),
        }
    });
    boards.collect()
}

impl Report {
    fn of(outcome: &CaptureOutcome) -> Self {
        let boards = outcome.boards.iter().map(|board| BoardReport {
            name: board.name.clone(),
            ok: board.is_whole(),
            error: board.error.clone(),
            modules: board.modules.clone(),
        });
        Self {
            elapsed_s: outcome.elapsed_s,
            interrupted: outcome.stopped,
            run_directory: None,
            received: outcome.received(),
            lost: outcome.lost(),
            kernel_drops: outcome.kernel_drops,
            buffer_shortfall: outcome.buffer_shortfall.clone(),
            boards: boards.collect(),
        }
    }

    fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.received == 0 {
            Exit::NothingReachable
        } else if self.boards.iter().all(|board| board.ok) {
            Exit::Well
        } else {
            Exit::SomeFailed
        }
    }

    fn table(&self) -> String {
        let mut table = Table::new([
            "board",
            "module",
            "channels",
            "calibrated",
            "received",
            "lost",
            "gaps",
            "late",
            "duplicate",
            "foreign",
            "malformed",
            "unwritten",
        ]);
        for board in &self.boards {
            for module in &board.modules {
                let row = &module.counters;
                let numbers = [
                    module.channels as u64,
                    module.calibrated as u64,
                    row.received,
                    row.lost,
                    row.gaps,
                    row.late,
                    row.duplicate,
                    row.foreign,
                    row.malformed,
                    row.unwritten,
                ];
                let head = [board.name.clone(), row.module.to_string()];
                table.row(
                    head.into_iter()
                        .chain(numbers.map(|number| number.to_string())),
                );
                for (when, standing) in [("", &module.tune), ("afterwards, ", &module.tune_after)] {
                    if let Some(note) = standing.as_ref().and_then(|one| doubt(when, one)) {
                        table.note(note);
                    }
                }
            }
            if board.modules.is_empty() {
                table.row([board.name.clone()]);
            }
            if let Some(error) = &board.error {
                table.note(error);
            }
        }
        let mut text = table.to_string();
        text += &match self.lost {
            0 => format!("nothing lost in {:.1} s\n", self.elapsed_s),
            lost => format!(
                "{lost} samples lost or not written in {:.1} s\n",
                self.elapsed_s
            ),
        };
        if self.kernel_drops > 0 {
            text += &format!(
                "{} datagrams were dropped by the kernel\n",
                self.kernel_drops
            );
            text.extend(
                self.buffer_shortfall
                    .iter()
                    .map(|short| format!("{short}\n")),
            );
        }
        if let Some(path) = &self.run_directory {
            text += &format!("run directory: {path}");
        }
        text
    }
}

/// Why not everything is calibrated that was tuned.
fn doubt(when: &str, standing: &Standing) -> Option<String> {
    if standing.is_whole() {
        return None;
    }
    let changed = || {
        let channels = standing.changed.iter().map(ToString::to_string);
        format!(
            "channels {} are set otherwise",
            channels.collect::<Vec<_>>().join(", ")
        )
    };
    let why = standing.why.clone().unwrap_or_else(changed);
    Some(format!("{when}the tune does not hold: {why}"))
}
