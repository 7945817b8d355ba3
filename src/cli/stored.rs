//! What a tune leaves in its run directory.

use std::collections::BTreeMap;

use serde::Serialize;
use twotone::algorithms::resonator::Direction;
use twotone::algorithms::{NetworkAnalysisOutcome, NotToned, TuneOutcome};
use twotone::hal::{Hertz, ModuleId};
use twotone::input::shown;
use twotone::map::HardwareMap;
use twotone::record::{
    BoardRecord, Content, Manifest, MissingFile, RecordError, Recorded, RunDirectory,
    SWEEPS_FOLDER, SweepHead, SweepKind, SweepPoint, SweepTable, TUNE_FILE, Weight,
};
use twotone::run::{HardwareState, Outcome};
use twotone::{Array, ArrayBoard};

use super::Exit;
use super::output::complain;
use super::report::asked_again;

/// The tune of one module, as stored: its sweeps go into files of their own.
#[derive(Serialize)]
struct StoredTune<'a> {
    board: &'a str,
    module: u8,
    epoch: u64,
    phase_epoch: u64,
    nco_hz: f64,
    tau_s: f64,
    delay_status: &'static str,
    join_status: &'static str,
    find_status: &'static str,
    warnings: &'a [String],
    not_toned: &'a [NotToned],
    channel: &'a [twotone::algorithms::ChannelOutcome],
    reference: &'a [twotone::algorithms::ReferenceTone],
}

#[derive(Serialize)]
struct Stored<'a> {
    tune: Vec<StoredTune<'a>>,
}

/// Place of a recorded run, as printed with `--json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RecordReport {
    pub(crate) run_directory: Option<String>,
    /// Reason that it is not where it was to be.
    record_error: Option<String>,
    /// Files of the run that could not be written.
    missing_files: Vec<MissingFile>,
}

impl From<Recorded> for RecordReport {
    fn from(recorded: Recorded) -> Self {
        Self {
            run_directory: recorded.path.map(|path| path.display().to_string()),
            record_error: recorded.error,
            missing_files: recorded.missing,
        }
    }
}

/// What a manifest says of a board of the map.
pub(super) fn record_of(
    map: &HardwareMap,
    array: &Array,
    name: &str,
    status: &str,
    error: Option<String>,
) -> BoardRecord {
    let described = array.answered(name).map(ArrayBoard::description);
    let mapped = map.board(name).and_then(|entry| entry.serial.clone());
    BoardRecord {
        name: name.to_owned(),
        serial: described
            .map(|described| described.serial.clone())
            .filter(|serial| !serial.is_empty())
            .or(mapped),
        identity: array.identity(name).map(ToString::to_string),
        firmware: described
            .map(|described| described.firmware.clone())
            .filter(|firmware| !firmware.is_empty()),
        doubts: described.map_or_else(Vec::new, |described| described.doubts.clone()),
        taken_over: array.taken_over(name).cloned(),
        status: status.to_owned(),
        error,
        warnings: Vec::new(),
        channels: BTreeMap::new(),
    }
}

/// Facts about a module for the manifest of its run.
pub(super) struct ModuleNotes<'a> {
    pub(super) module: ModuleId,
    pub(super) error: Option<&'a str>,
    pub(super) repeats: u32,
    pub(super) warnings: &'a [String],
    pub(super) hardware: &'a HardwareState,
}

/// Everything that the modules of a board tell beside `error`, which the manifest has as the
/// board's, a sentence each.
pub(super) fn beside<'a>(
    error: Option<&str>,
    modules: impl Iterator<Item = ModuleNotes<'a>>,
) -> Vec<String> {
    let mut told = error;
    let mut notes = Vec::new();
    for module in modules {
        // The error of one module stands for the board's; those of the others would be lost.
        let another = module.error.filter(|error| told != Some(*error));
        if another.is_none() && module.error.is_some() {
            told = None;
        }
        let hardware = (!module.hardware.is_settled()).then(|| module.hardware.to_string());
        let all = another.map(ToOwned::to_owned).into_iter();
        let all = all
            .chain(asked_again(module.repeats))
            .chain(module.warnings.iter().cloned())
            .chain(hardware);
        notes.extend(all.map(|text| format!("module {}: {text}", module.module)));
    }
    notes
}

/// Writes the tunes, the manifest and the sweeps, the weightiest first, and puts the directory in its
/// place or the next best one.
pub(super) fn write(
    record: RunDirectory,
    manifest: Manifest,
    outcomes: &[Outcome<TuneOutcome>],
) -> Recorded {
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
        delay_status: tune.cable_delay.delay.status.as_str(),
        join_status: tune.network_analysis.join.as_str(),
        find_status: tune.find.status.as_str(),
        warnings: &tune.warnings,
        not_toned: &tune.not_toned,
        channel: &tune.channels,
        reference: &tune.references,
    });
    let stored = Stored {
        tune: tune.collect(),
    };
    let mut contents = vec![Content::toml(TUNE_FILE, Weight::First, &stored)];
    for BoardRecord { name, .. } in &manifest.boards {
        if !tuned().any(|(outcome, _)| outcome.board == *name) {
            continue;
        }
        let provenance = manifest.provenance(name);
        let file = format!("{SWEEPS_FOLDER}/{name}.arrow");
        contents.push(Content::new(file, Weight::Further, {
            let name = name.clone();
            move |writer| {
                let mut table = SweepTable::new(provenance.clone());
                for (_, tune) in tuned().filter(|(outcome, _)| outcome.board == name) {
                    add_sweeps(&mut table, tune)?;
                }
                table.write_arrow(writer)
            }
        }));
    }
    record.record(manifest, &contents, None)
}

/// Says what of a run is not where it was to be. Returns the exit status of a program that would
/// otherwise have `exit`.
pub(super) fn tell(recorded: &Recorded, exit: Exit) -> Exit {
    if recorded.is_whole() {
        return exit;
    }
    if let Some(error) = &recorded.error {
        complain(&format!("the run could not be recorded as asked: {error}"));
    }
    if recorded.path.is_none() {
        complain("nothing of the run could be recorded anywhere");
    } else if let Some(first) = recorded.missing.first() {
        let files = match recorded.missing.len() {
            1 => "1 file of the run is missing".to_owned(),
            count => format!("{count} files of the run are missing, the first of them"),
        };
        complain(&format!("{files}: {}: {}", first.file, first.reason));
    }
    if let Some(path) = &recorded.path {
        complain(&format!("the run was recorded in {}", shown(path)));
    }
    match exit {
        Exit::Well | Exit::Interrupted => Exit::SomeFailed,
        other => other,
    }
}

/// Adds the points of a network analysis.
pub(super) fn add_wide_sweep(table: &mut SweepTable, wide: &NetworkAnalysisOutcome) {
    for (&frequency_hz, &mean) in wide.frequency_hz.iter().zip(&wide.z) {
        let head = SweepHead {
            module: wide.module,
            channel: None,
            kind: SweepKind::NetworkAnalysis,
            nco: Hertz(wide.nco_at(frequency_hz).unwrap_or(f64::NAN)),
        };
        table.push(SweepPoint {
            head,
            frequency: Hertz(frequency_hz),
            mean,
            noise: wide.noise,
        });
    }
}

fn add_sweeps(table: &mut SweepTable, tune: &TuneOutcome) -> Result<(), RecordError> {
    add_wide_sweep(table, &tune.network_analysis);
    for sweep in tune.fine_sweep.iter().flat_map(|fine| &fine.sweeps) {
        let kind = match sweep.direction {
            Direction::Up => SweepKind::FineUp,
            Direction::Down => SweepKind::FineDown,
        };
        let head = SweepHead {
            module: tune.module,
            channel: Some(sweep.channel),
            kind,
            nco: Hertz(tune.nco_hz),
        };
        table.push_sweep(head, &sweep.frequency_hz, &sweep.z, sweep.noise)?;
    }
    Ok(())
}
