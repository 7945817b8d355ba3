//! `twotone sweep`: a network analysis of every module, to files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::time::Instant;
use twotone::algorithms::chunks::JoinStatus;
use twotone::algorithms::delay::DelayStatus;
use twotone::algorithms::{
    CableDelayOutcome, NetworkAnalysisOutcome, TuneParams, cable_delay,
    network_analysis_with_progress,
};
use twotone::hal::{ModuleId, legible};
use twotone::identity::Identity;
use twotone::lock::Holder;
use twotone::map::HardwareMap;
use twotone::record::{
    BoardRecord, Content, Manifest, RecordError, Recorded, RunDirectory, SWEEPS_FOLDER, SweepTable,
    UtcTime, Weight,
};
use twotone::run::{HardwareState, Outcome, Runner};
use twotone::{Array, ArrayBoard};

use super::Exit;
use super::access::{Access, tell_left_of_others};
use super::campaign::LONGEST_CLEANUP_S;
use super::interrupt::{self, Interrupt};
use super::output::{complain, say, say_json};
use super::progress::Bars;
use super::report::{BoardStatus, asked_again, taken_over};
use super::room::{ARROW_POINT, CSV_POINT, Need};
use super::selection::Selection;
use super::stored::{self, ModuleNotes, RecordReport};
use super::table::Table;
use super::tune::parse_seconds;
use super::tuning::{ForModule, Tuning, load_tuning};

/// The arguments of `twotone sweep`.
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// The hardware map.
    map: PathBuf,
    /// Where the run directory is to be; refused where something is there already.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How the sweeps are written.
    #[arg(long, value_enum, default_value_t = Form::Arrow)]
    format: Form,
    #[command(flatten)]
    part: Selection,
    /// The lowest frequency, in hertz, if not all of the map's range is to be swept. Refused if it is
    /// outside of that. If it is absent: that of the parameter file, or else of each module in the
    /// map.
    #[arg(long, value_name = "HZ", allow_negative_numbers = true)]
    f_min: Option<f64>,
    /// The highest frequency, in hertz. If it is absent: as with `--f-min`.
    #[arg(long, value_name = "HZ", allow_negative_numbers = true)]
    f_max: Option<f64>,
    /// How many points over the band.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    points: Option<usize>,
    /// A file of tuning parameters, in TOML, of which those of the network analysis and the delay count.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// How long each module may take, clean-up included, in seconds.
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = parse_seconds, allow_negative_numbers = true)]
    deadline: f64,
}

/// A form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Arrow IPC, which pandas and polars open: `sweeps/BOARD.arrow`.
    Arrow,
    /// Text with a line a point: `sweeps/BOARD.csv`.
    Csv,
}

/// Measurements on a module.
#[derive(Debug)]
struct Swept {
    delay: CableDelayOutcome,
    wide: NetworkAnalysisOutcome,
}

#[derive(Debug, Serialize)]
struct Report {
    elapsed_s: f64,
    interrupted: bool,
    #[serde(flatten)]
    record: RecordReport,
    boards: Vec<BoardReport>,
}

#[derive(Debug, Serialize)]
struct BoardReport {
    name: String,
    #[serde(skip)]
    reached: bool,
    error: Option<String>,
    /// Result of the check that it is the board of the map.
    identity: Option<Identity>,
    /// Program from which it was taken over.
    taken_over: Option<Holder>,
    /// Sentences about what the board did not say of itself, with what was assumed instead.
    doubts: Vec<String>,
    modules: Vec<ModuleReport>,
}

#[derive(Debug, Serialize)]
struct ModuleReport {
    module: ModuleId,
    error: Option<String>,
    /// Number of questions that the board had to be asked again.
    repeats: u32,
    /// Everything that any stage found to be less than well.
    warnings: Vec<String>,
    delay_status: Option<DelayStatus>,
    join_status: Option<JoinStatus>,
    points: usize,
    f_min_hz: Option<f64>,
    f_max_hz: Option<f64>,
    overrange: bool,
    hardware: HardwareState,
}

impl Sweep {
    pub(crate) fn run(self, json: bool) -> Exit {
        match self.prepare() {
            Ok((map, tuning, record)) => self.sweep(&map, &tuning, record, json),
            Err(message) => {
                complain(&message);
                Exit::Usage
            }
        }
    }

    /// All that can be wrong before a board is asked.
    fn prepare(&self) -> Result<(HardwareMap, Tuning, RunDirectory), String> {
        let map = self.part.of(&self.map)?;
        let file = self.params.as_deref().map(load_tuning).transpose()?;
        let mut tuning = file.unwrap_or_default();
        if let Some(points) = self.points {
            tuning.set_points(points);
        }
        tuning.set_ends(self.f_min, self.f_max);
        tuning.fit_for(&map)?;
        let bytes_of_point = match self.format {
            Form::Arrow => ARROW_POINT,
            Form::Csv => CSV_POINT,
        };
        self.access.check()?;
        let record = Need::of_sweep(&map, &tuning, bytes_of_point).prepare(&self.out)?;
        Ok((map, tuning, record))
    }

    fn sweep(self, map: &HardwareMap, tuning: &Tuning, record: RunDirectory, json: bool) -> Exit {
        let interrupt = Interrupt::watch(
            "interrupted: ending the run and restoring the hardware; interrupt again to leave at once",
        );
        let (started, began) = (UtcTime::now(), Instant::now());
        let Some(array) = self.access.connect(map, &interrupt) else {
            if json {
                say_json(&Report::of(began.elapsed().as_secs_f64(), true, Vec::new()));
            }
            return Exit::Interrupted;
        };
        let outcomes = self.outcomes(map, tuning, &array, &interrupt, json);
        let mut report = self.report(map, &array, &outcomes);
        report.elapsed_s = began.elapsed().as_secs_f64();
        report.interrupted = interrupt.happened() && outcomes.iter().any(|o| o.result.is_err());
        let mut exit = report.exit();
        if outcomes.iter().any(|outcome| outcome.result.is_ok()) {
            let command = std::env::args().collect::<Vec<_>>();
            let manifest = Manifest::new(command, map, tuning, started);
            let recorded = match manifest {
                Ok(mut manifest) => {
                    manifest.note = self.note.clone();
                    manifest.boards = report.records(&array, map);
                    self.write(record, manifest, &outcomes)
                }
                Err(error) => Recorded::failed(&error),
            };
            exit = stored::tell(&recorded, exit);
            report.record = recorded.into();
        }
        if json {
            say_json(&report);
        } else {
            say(report.table().trim_end());
        }
        tell_left_of_others(map, &array, &outcomes);
        if report.interrupted {
            if outcomes.iter().all(|outcome| outcome.result.is_err()) {
                complain("no module was swept to its end, and nothing is recorded");
            }
            interrupt::tell_hardware(&outcomes);
        }
        exit
    }

    fn outcomes(
        &self,
        map: &HardwareMap,
        tuning: &Tuning,
        array: &Array,
        interrupt: &Interrupt,
        json: bool,
    ) -> Vec<Outcome<Swept>> {
        let targets = array.targets();
        let bars = Arc::new(Bars::new(&targets, json));
        let (running, parameters) = (Arc::clone(&bars), tuning.for_array(map, array));
        let deadline = Duration::from_secs_f64(self.deadline);
        let outcomes = Runner::new()
            .deadline(deadline)
            .cleanup_share((LONGEST_CLEANUP_S / self.deadline).min(0.25))
            .leave_as_found()
            .cancel(interrupt.first.clone())
            .abandon(interrupt.second.clone())
            .run(targets, move |board, module| {
                let bar = running.of(board.name(), module.number());
                let params = ForModule::find(&parameters, board.name(), module);
                async move {
                    let TuneParams {
                        band,
                        cable_delay: delay,
                        network_analysis: wide,
                        ..
                    } = params?;
                    let band = band.unwrap_or_default();
                    let delay = cable_delay(&board, module, band, &delay).await?;
                    let tau_s = delay.delay.tau_s;
                    let progress: &dyn twotone::algorithms::Progress = match &bar {
                        Some(bar) => &**bar,
                        None => &(),
                    };
                    let wide = network_analysis_with_progress(
                        &board, module, band, tau_s, &wide, progress,
                    );
                    let wide = wide.await?;
                    Ok::<_, twotone::hal::Error>(Swept { delay, wide })
                }
            })
            .wait();
        bars.clear();
        outcomes
    }

    fn report(&self, map: &HardwareMap, array: &Array, outcomes: &[Outcome<Swept>]) -> Report {
        let boards = map.boards().iter().map(|entry| {
            let modules = outcomes
                .iter()
                .filter(|outcome| outcome.board == entry.name);
            let modules: Vec<_> = modules.map(ModuleReport::of).collect();
            let described = array.answered(&entry.name).map(ArrayBoard::description);
            BoardReport {
                name: entry.name.clone(),
                reached: array.reached(&entry.name),
                error: array.failure(&entry.name).map(ToString::to_string),
                identity: array.identity(&entry.name).cloned(),
                taken_over: array.taken_over(&entry.name).cloned(),
                doubts: described.map_or_else(Vec::new, |described| described.doubts.clone()),
                modules,
            }
        });
        Report::of(0.0, false, boards.collect())
    }

    fn write(
        &self,
        record: RunDirectory,
        manifest: Manifest,
        outcomes: &[Outcome<Swept>],
    ) -> Recorded {
        let swept = |board: &str| {
            let mine = outcomes.iter().filter(|outcome| outcome.board == board);
            let swept = mine.filter_map(|outcome| outcome.result.as_ref().ok());
            swept.map(|swept| &swept.wide).collect::<Vec<_>>()
        };
        let form = self.format;
        let mut contents = Vec::new();
        for BoardRecord { name, .. } in &manifest.boards {
            let swept = swept(name);
            if swept.iter().all(|wide| wide.frequency_hz.is_empty()) {
                continue;
            }
            let provenance = manifest.provenance(name);
            let file = format!("{SWEEPS_FOLDER}/{name}.{}", form.extension());
            let shown = file.clone();
            contents.push(Content::new(file, Weight::Needed, move |writer| {
                let mut table = SweepTable::new(provenance.clone());
                for wide in &swept {
                    stored::add_wide_sweep(&mut table, wide);
                }
                match form {
                    Form::Arrow => table.write_arrow(writer),
                    Form::Csv => table
                        .write_csv(writer)
                        .map_err(|error| RecordError::Format {
                            action: "write",
                            file: shown.clone(),
                            source: error.into(),
                        }),
                }
            }));
        }
        record.record(manifest, &contents, None)
    }
}

impl Form {
    fn extension(self) -> &'static str {
        match self {
            Self::Arrow => "arrow",
            Self::Csv => "csv",
        }
    }
}

impl BoardReport {
    fn status(&self) -> BoardStatus {
        if !self.reached {
            BoardStatus::Unreachable
        } else if self.modules.iter().all(|module| module.error.is_some()) {
            BoardStatus::Failed
        } else if self.error.is_none() && self.modules.iter().all(ModuleReport::is_well) {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        }
    }
}

impl ModuleReport {
    fn of(outcome: &Outcome<Swept>) -> Self {
        let swept = outcome.result.as_ref().ok();
        let wide = swept.map(|swept| &swept.wide);
        let warnings = swept.map(|swept| [swept.delay.warnings(), swept.wide.warnings()].concat());
        let points = wide
            .map(|wide| wide.frequency_hz.as_slice())
            .unwrap_or_default();
        Self {
            module: outcome.module,
            error: outcome.result.as_ref().err().map(ToString::to_string),
            repeats: outcome.repeats,
            warnings: warnings.unwrap_or_default(),
            delay_status: swept.map(|swept| swept.delay.delay.status),
            join_status: wide.map(|wide| wide.join),
            points: points.len(),
            f_min_hz: points.first().copied(),
            f_max_hz: points.last().copied(),
            overrange: wide.is_some_and(|wide| wide.overrange),
            hardware: outcome.hardware.clone(),
        }
    }

    fn is_well(&self) -> bool {
        self.error.is_none() && self.hardware.is_settled() && self.warnings.is_empty()
    }
}

impl Report {
    fn of(elapsed_s: f64, interrupted: bool, boards: Vec<BoardReport>) -> Self {
        Self {
            elapsed_s,
            interrupted,
            record: RecordReport::default(),
            boards,
        }
    }

    fn exit(&self) -> Exit {
        let modules = || self.boards.iter().flat_map(|board| &board.modules);
        if self.interrupted && modules().all(|module| module.hardware.is_settled()) {
            Exit::Interrupted
        } else if !self.boards.iter().any(|board| board.reached) {
            Exit::NothingReachable
        } else if modules().all(ModuleReport::is_well)
            && modules().next().is_some()
            && self.boards.iter().all(|board| board.error.is_none())
        {
            Exit::Well
        } else {
            Exit::SomeFailed
        }
    }

    fn records(&self, array: &Array, map: &HardwareMap) -> Vec<BoardRecord> {
        let records = self.boards.iter().map(|board| {
            let mut errors = board.modules.iter().map(|module| module.error.as_deref());
            let error = board.error.as_deref();
            let error = error.or_else(|| errors.find_map(|error| error));
            let notes = board.modules.iter().map(|module| ModuleNotes {
                module: module.module,
                error: module.error.as_deref(),
                repeats: module.repeats,
                warnings: &module.warnings,
                hardware: &module.hardware,
            });
            let (status, told) = (board.status().as_str(), error.map(ToOwned::to_owned));
            BoardRecord {
                warnings: stored::beside(error, notes),
                ..stored::record_of(map, array, &board.name, status, told)
            }
        });
        records.collect()
    }

    fn table(&self) -> String {
        let mut table = Table::new(["board", "module", "points", "from/MHz", "to/MHz"]);
        let mhz = |hz: Option<f64>| hz.map_or_else(String::new, |hz| format!("{:.3}", hz / 1e6));
        for board in &self.boards {
            if board.modules.is_empty() {
                table.row([&board.name]);
            }
            board.error.iter().for_each(|error| table.note(error));
            let taken = board.taken_over.as_ref().map(taken_over);
            taken.into_iter().for_each(|taken| table.note(taken));
            for module in &board.modules {
                table.row([
                    board.name.clone(),
                    module.module.to_string(),
                    module.points.to_string(),
                    mhz(module.f_min_hz),
                    mhz(module.f_max_hz),
                ]);
                module.error.iter().for_each(|error| table.note(error));
                asked_again(module.repeats)
                    .into_iter()
                    .for_each(|told| table.note(told));
                module.warnings.iter().for_each(|text| table.note(text));
                if !module.hardware.is_settled() {
                    table.note(module.hardware.to_string());
                }
            }
            board.doubts.iter().for_each(|doubt| table.note(doubt));
            let unknown = board.identity.as_ref().and_then(Identity::doubt);
            unknown.into_iter().for_each(|doubt| table.note(doubt));
        }
        let mut text = table.to_string();
        if let Some(directory) = &self.record.run_directory {
            text.push_str(&format!("run directory: {}\n", legible(directory)));
        }
        text
    }
}

#[cfg(test)]
mod tests;
