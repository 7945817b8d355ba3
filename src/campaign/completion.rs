//! Common parts of the reports of campaigns (tunes, sweeps, captures and switch-offs).

use std::collections::BTreeMap;

use serde::Serialize;
use twotone_hal::ModuleId;

use crate::lock::Holder;
use crate::map::HardwareMap;
use crate::record::{BoardRecord, Failure, MissingFile, Recorded};
use crate::run::HardwareState;
use crate::{Array, ArrayBoard};

/// Degree to which a campaign was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Everything was done, and recorded in the requested place.
    Complete,
    /// Some boards, modules or channels failed, or the record is incomplete.
    Incomplete,
    /// No board could be reached, or no sample was received in a capture.
    Unreachable,
    /// The campaign was cancelled. Each module was left unchanged, or was brought to its declared
    /// state, which is the `safe_state` that the map gives for it.
    Interrupted,
}

/// Status of a board after a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BoardStatus {
    /// Every module and channel succeeded, without a warning.
    Ok,
    /// Some channels or some modules failed, or have a warning.
    SomeFailed,
    /// Every module failed, or the board has answered and could not be used.
    Failed,
    /// The board did not answer.
    Unreachable,
}

impl BoardStatus {
    /// Name of the status in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SomeFailed => "some_failed",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Place and completeness of a recorded run. All fields are empty if nothing had to be recorded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecordReport {
    /// The run directory. `None` if there is none.
    pub run_directory: Option<String>,
    /// Reason that the run directory is not at the requested place, or could not be written at
    /// all.
    pub record_error: Option<Failure>,
    /// Files of the run that could not be written.
    pub missing_files: Vec<MissingFile>,
}

impl RecordReport {
    /// True if the complete record is in the requested place, or if nothing had to be recorded.
    pub fn is_whole(&self) -> bool {
        self.record_error.is_none() && self.missing_files.is_empty()
    }

    /// Returns the degree to which a campaign was done and recorded. `completion` is the degree to
    /// which it was done, without regard to the record.
    pub(super) fn lower(&self, completion: Completion) -> Completion {
        match completion {
            Completion::Complete | Completion::Interrupted if !self.is_whole() => {
                Completion::Incomplete
            }
            other => other,
        }
    }
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

/// Returns the entry of a board in a manifest, with the fields that all kinds of campaigns fill in.
/// A manifest is the file that notes the origin of a run and the result of each board.
pub(super) fn board_record(
    map: &HardwareMap,
    array: &Array,
    name: &str,
    status: &str,
    error: Option<Failure>,
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
        setup: array.setup(name).cloned(),
        status: status.to_owned(),
        error,
        warnings: Vec::new(),
        channels: BTreeMap::new(),
    }
}

/// Facts about a module for the manifest of its run.
pub(super) struct ModuleNotes<'a> {
    pub(super) module: ModuleId,
    pub(super) error: Option<&'a Failure>,
    pub(super) repeats: u32,
    pub(super) warnings: &'a [String],
    pub(super) board_warnings: &'a [String],
    pub(super) hardware: &'a HardwareState,
}

/// Returns sentences about the modules of a board for the manifest. `error` is the error of the
/// board, which is left out here because the manifest has it in another field.
pub(super) fn module_warnings<'a>(
    error: Option<&Failure>,
    modules: impl Iterator<Item = ModuleNotes<'a>>,
) -> Vec<String> {
    let mut board_error = error;
    let mut sentences = Vec::new();
    for module in modules {
        // The error of the board may be the error of one of its modules. The manifest has it
        // already, so only the errors of other modules are added here.
        let another = module.error.filter(|error| board_error != Some(*error));
        if another.is_none() && module.error.is_some() {
            board_error = None;
        }
        let hardware = (!module.hardware.is_settled()).then(|| module.hardware.to_string());
        let all = another.map(ToString::to_string).into_iter();
        let all = all
            .chain(repeats_in_words(module.repeats))
            .chain(module.warnings.iter().cloned())
            .chain(board_warnings_in_words(module.board_warnings))
            .chain(hardware);
        sentences.extend(all.map(|text| format!("module {}: {text}", module.module)));
    }
    sentences
}

/// Returns a sentence about the program from which a board was taken over.
pub fn taken_over_in_words(from: &Holder) -> String {
    format!("taken over from {from}")
}

/// Returns a sentence for each warning that a board sent with its answers.
pub fn board_warnings_in_words(warnings: &[String]) -> impl Iterator<Item = String> + '_ {
    let warnings = warnings.iter();
    warnings.map(|warning| format!("the board warns: {warning}"))
}

/// Returns a sentence about the requests to a board that had to be repeated, if there were any.
pub fn repeats_in_words(repeats: u32) -> Option<String> {
    match repeats {
        0 => None,
        1 => Some("one question had to be asked again, as its answer failed".to_owned()),
        _ => Some(format!(
            "{repeats} questions had to be asked again, as answers failed"
        )),
    }
}
