//! Tuning an array: connect, tune every module, report, record. `demo` and `tune` share it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use twotone::algorithms::resonator::Direction;
use twotone::algorithms::{Band, TuneOutcome, TuneParams, tune, tune_with_progress};
use twotone::hal::{Dbm, Description, Error, Result};
use twotone::map::{HardwareMap, ModuleEntry};
use twotone::record::{
    BoardRecord, Manifest, RecordError, RunDirectory, SweepHead, SweepKind, SweepTable, UtcTime,
};
use twotone::run::{Outcome, Runner};
use twotone::score::score;
use twotone::sim::Truth;
use twotone::{Array, hal};

use super::Exit;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::progress::Bars;
use super::report::Report;

/// The longest that the clean-up of a module may take, in seconds: who has lost a board wants to
/// know what may be left on soon.
const LONGEST_CLEANUP_S: f64 = 30.0;

/// Everything that a tune of an array needs.
pub(crate) struct Campaign {
    pub(crate) map: HardwareMap,
    pub(crate) tuning: Tuning,
    pub(crate) out: PathBuf,
    pub(crate) note: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) truth: Option<Truth>,
    pub(crate) deadline: Duration,
    pub(crate) at_once: usize,
    pub(crate) json: bool,
}

/// Parameters, and which of them were given and not just left at their defaults.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Tuning {
    pub(crate) params: TuneParams,
    /// The parameters that were given. Band and amplitudes that were not follow from the map.
    pub(crate) given: toml::Table,
}

impl Tuning {
    fn is_given(&self, part: &str, key: Option<&str>) -> bool {
        match (self.given.get(part), key) {
            (Some(found), Some(key)) => found.get(key).is_some(),
            (found, _) => found.is_some(),
        }
    }

    /// The parameters for one module.
    fn of(&self, entry: &ModuleEntry, description: &Description) -> Result<TuneParams> {
        let mut params = self.params.clone();
        let module = description.module(entry.module)?;
        let full_scale = module.power_scale()?;
        if !self.is_given("band", None) {
            let (low, high) = entry.band(module);
            params.band = Band::new(low.0, high.0);
        }
        if !self.is_given("tone_amplitude", None) {
            params.tone_amplitude = full_scale.amplitude_of(entry.start_power);
        }
        // Half the amplitude of a tone, as long as a full comb of them stays within the total.
        let tones = f64::from(module.channels);
        let each = Dbm(entry.max_total.0 - 10.0 * tones.log10());
        let comb = (0.5 * params.tone_amplitude).min(full_scale.amplitude_of(each));
        if !self.is_given("network_analysis", Some("amplitude")) {
            params.network_analysis.amplitude = comb;
        }
        if !self.is_given("cable_delay", Some("amplitude")) {
            params.cable_delay.amplitude = comb;
        }
        Ok(params)
    }
}

impl Campaign {
    /// Connects, tunes, reports and records.
    pub(crate) fn run(self, command: Vec<String>) -> Exit {
        // Before any board is touched: a night's work must not end for want of a place to put it.
        let record = match RunDirectory::prepare(&self.out) {
            Ok(record) => record,
            Err(error) => {
                complain(&error.to_string());
                return Exit::Usage;
            }
        };
        let interrupt = Interrupt::watch(
            "interrupted: ending the run and restoring the hardware; interrupt again to leave at once",
        );
        let (started, began) = (UtcTime::now(), Instant::now());
        let Some(array) = interrupt.unless(Array::connect(&self.map)) else {
            complain("nothing has been sent");
            return Exit::Interrupted;
        };
        for error in array.failed().errors() {
            tracing::error!(%error, "not connected");
        }
        tracing::info!(
            connected = array.boards().len(),
            failed = array.failed().errors().count(),
            "tuning"
        );
        let outcomes = self.tune(&array, &interrupt);
        for outcome in &outcomes {
            let error = outcome.result.as_ref().err().map(tracing::field::display);
            let (board, module) = (&outcome.board, outcome.module);
            tracing::info!(%board, %module, hardware = %outcome.hardware, error, "module done");
        }
        let mut report = Report::of(&self.map, &array, &outcomes, began.elapsed().as_secs_f64());
        report.interrupted =
            interrupt.happened() && outcomes.iter().any(|outcome| outcome.result.is_err());
        if let Some(truth) = &self.truth {
            let tunes = outcomes.iter().filter_map(|outcome| {
                Some((outcome.board.as_str(), outcome.result.as_ref().ok()?))
            });
            report.score = Some(score(truth, tunes));
        }
        let mut exit = report.exit();
        if exit != Exit::NothingReachable {
            let manifest = self.manifest(command, started, &array, &report);
            match manifest.and_then(|manifest| write(record, &manifest, &outcomes)) {
                Ok(path) => report.run_directory = Some(path.display().to_string()),
                Err(error) => {
                    complain(&format!("the run could not be recorded: {error}"));
                    exit = if exit == Exit::Well {
                        Exit::SomeFailed
                    } else {
                        exit
                    };
                }
            }
        }
        if self.json {
            say_json(&report);
        } else {
            say(&report.table());
        }
        if report.interrupted {
            tell_hardware(&outcomes);
        } else if interrupt.happened() {
            complain("the run had ended before the interrupt: its tones are on");
        }
        exit
    }

    fn tune(&self, array: &Array, interrupt: &Interrupt) -> Vec<Outcome<TuneOutcome>> {
        let targets = array.targets();
        let bars = Arc::new(Bars::new(&targets, self.json));
        let entries = self.parameters(array);
        let running = Arc::clone(&bars);
        let outcomes = Runner::new()
            .deadline(self.deadline)
            .cleanup_share((LONGEST_CLEANUP_S / self.deadline.as_secs_f64()).min(0.25))
            .concurrency(self.at_once)
            .keep_on_success()
            .cancel(interrupt.first.clone())
            .abandon(interrupt.second.clone())
            .run(targets, move |board, module| {
                let bar = running.of(board.name(), module.number());
                let params = entries
                    .iter()
                    .find(|(name, number, _)| name == board.name() && *number == module.number());
                let params = params.map(|(_, _, params)| params.clone());
                async move {
                    let params = params.unwrap_or_else(|| Err("not in the map".to_owned()));
                    let params = params.map_err(|why| {
                        Error::new(hal::ErrorKind::InvalidArgument, why).on(board.name())
                    })?;
                    match bar {
                        Some(bar) => tune_with_progress(&board, module, &params, &*bar).await,
                        None => tune(&board, module, &params).await,
                    }
                }
            })
            .wait();
        bars.clear();
        outcomes
    }

    /// The parameters of every module, or why there are none.
    fn parameters(&self, array: &Array) -> Vec<(String, u8, Result<TuneParams, String>)> {
        let mut parameters = Vec::new();
        for board in array.boards() {
            let Some(entry) = self.map.board(board.name()) else {
                continue;
            };
            for target in board.targets() {
                let params = entry
                    .module(target.module)
                    .ok_or_else(|| format!("module {} is not in the map", target.module))
                    .and_then(|module| {
                        let of = self.tuning.of(&module, board.description());
                        of.map_err(|error| error.message().to_owned())
                    });
                parameters.push((board.name().to_owned(), target.module.number(), params));
            }
        }
        parameters
    }

    fn manifest(
        &self,
        command: Vec<String>,
        started: UtcTime,
        array: &Array,
        report: &Report,
    ) -> Result<Manifest, RecordError> {
        let mut manifest = Manifest::new(command, &self.map, &self.tuning, started)?;
        manifest.note = self.note.clone();
        manifest.seed = self.seed;
        manifest.boards = report
            .boards
            .iter()
            .map(|board| {
                let known = array
                    .boards()
                    .iter()
                    .find(|known| known.name() == board.name);
                let described = known.map(|known| known.description());
                let mapped = self
                    .map
                    .board(&board.name)
                    .and_then(|entry| entry.serial.clone());
                BoardRecord {
                    name: board.name.clone(),
                    serial: described
                        .map(|described| described.serial.clone())
                        .filter(|serial| !serial.is_empty())
                        .or(mapped),
                    firmware: described.map(|described| described.firmware.clone()),
                    status: board.status.as_str().replace(' ', "_"),
                    error: board.error.clone(),
                    channels: board.counts(),
                }
            })
            .collect();
        Ok(manifest)
    }
}

/// The tune of one module, as stored: its sweeps go into files of their own.
#[derive(Serialize)]
struct StoredTune<'a> {
    board: &'a str,
    module: u8,
    epoch: u64,
    phase_epoch: u64,
    nco_hz: f64,
    tau_s: f64,
    warnings: &'a [String],
    channel: &'a [twotone::algorithms::ChannelOutcome],
    reference: &'a [twotone::algorithms::ReferenceTone],
}

#[derive(Serialize)]
struct Stored<'a> {
    tune: Vec<StoredTune<'a>>,
}

fn write(
    record: RunDirectory,
    manifest: &Manifest,
    outcomes: &[Outcome<TuneOutcome>],
) -> Result<PathBuf, RecordError> {
    record.write_manifest(manifest)?;
    let tuned = || {
        outcomes
            .iter()
            .filter_map(|outcome| Some((outcome, outcome.result.as_ref().ok()?)))
    };
    let tune = tuned().map(|(outcome, tune)| StoredTune {
        board: &outcome.board,
        module: tune.module.number(),
        epoch: tune.epoch.0,
        phase_epoch: tune.phase_epoch.0,
        nco_hz: tune.nco_hz,
        tau_s: tune.cable_delay.delay.tau_s,
        warnings: &tune.warnings,
        channel: &tune.channels,
        reference: &tune.references,
    });
    record.write_toml(
        "tune.toml",
        &Stored {
            tune: tune.collect(),
        },
    )?;
    for board in &manifest.boards {
        let mut table = SweepTable::new(manifest.provenance(&board.name));
        for (_, tune) in tuned().filter(|(outcome, _)| outcome.board == board.name) {
            add_sweeps(&mut table, tune)?;
        }
        if !table.points().is_empty() {
            record.write_sweeps(&board.name, &table)?;
        }
    }
    record.commit()
}

fn add_sweeps(table: &mut SweepTable, tune: &TuneOutcome) -> Result<(), RecordError> {
    let wide = &tune.network_analysis;
    for point in 0..wide.frequency_hz.len() {
        let nco = wide.nco_hz.get(point).copied().unwrap_or(tune.nco_hz);
        let head = SweepHead {
            module: tune.module,
            channel: None,
            detector: None,
            kind: SweepKind::NetworkAnalysis,
            nco: hal::Hertz(nco),
        };
        let (frequency, z) = (&wide.frequency_hz[point..=point], &wide.z[point..=point]);
        table.push_sweep(head, frequency, z, &[f64::NAN])?;
    }
    for sweep in tune.fine_sweep.iter().flat_map(|fine| &fine.sweeps) {
        let kind = match sweep.direction {
            Direction::Up => SweepKind::FineUp,
            Direction::Down => SweepKind::FineDown,
        };
        let head = SweepHead {
            module: tune.module,
            channel: Some(sweep.channel),
            detector: Some(u32::from(sweep.channel.number()) - 1),
            kind,
            nco: hal::Hertz(tune.nco_hz),
        };
        let unknown = vec![f64::NAN; sweep.z.len()];
        table.push_sweep(head, &sweep.frequency_hz, &sweep.z, &unknown)?;
    }
    Ok(())
}

/// Says what an interrupted run has left behind.
fn tell_hardware<T>(outcomes: &[Outcome<T>]) {
    let mut restored = 0;
    for outcome in outcomes {
        if outcome.hardware.is_settled() {
            restored += 1;
        } else {
            complain(&format!(
                "board {} module {}: {}",
                outcome.board, outcome.module, outcome.hardware
            ));
        }
    }
    complain(&format!(
        "{restored} of {} modules are in their declared state",
        outcomes.len()
    ));
}
