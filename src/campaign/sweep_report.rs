//! Report of a sweep.
//!
//! A *sweep* measures the transmission of every module of the boards in a map over the module's
//! band.

use serde::Serialize;
use twotone_algorithms::chunks::JoinStatus;
use twotone_algorithms::delay::DelayStatus;
use twotone_hal::ModuleId;

use super::array_report::{ArrayReport, BoardFacts, has_changed};
use super::completion::{ModuleNotes, board_record, module_warnings};
use super::{BoardSetup, BoardStatus, Completion, Swept};
use crate::Array;
use crate::identity::Identity;
use crate::lock::Holder;
use crate::map::HardwareMap;
use crate::record::{BoardRecord, Failure};
use crate::run::{HardwareState, Outcome};

/// Report of a sweep. It serializes to the JSON object of `twotone sweep --json`.
pub type SweepReport = ArrayReport<SweptBoard>;

/// Report of the sweep of a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SweptBoard {
    /// Name of the board in the map.
    pub name: String,
    #[serde(skip)]
    reached: bool,
    /// Error of the board, if it could not be used.
    pub error: Option<Failure>,
    /// Result of the check that the board is the one in the map. `None` if this was not checked.
    pub identity: Option<Identity>,
    /// Program that had locked the board, if this run took the board over from another program.
    pub taken_over: Option<Holder>,
    /// Sentences about facts that the board did not report about itself, and about the assumptions
    /// in their place.
    pub doubts: Vec<String>,
    /// Properties that were set before the run. `None` if the map has none for the board.
    pub setup: Option<BoardSetup>,
    /// Modules of the board that were to be swept.
    pub modules: Vec<SweptModule>,
}

/// Report of the sweep of a module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SweptModule {
    /// The module.
    pub module: ModuleId,
    /// Error of the module, if it was not swept.
    pub error: Option<Failure>,
    /// Number of times that a request to the board had to be repeated.
    pub repeats: u32,
    /// Warnings of the measurement of the delay and of the sweep, a sentence each.
    pub warnings: Vec<String>,
    /// Warnings that the board sent with its answers, in its own words. The board did nevertheless
    /// what was asked, so they do not change the status of the board.
    pub board_warnings: Vec<String>,
    /// Status of the measurement of the delay. This field and the other optional fields below are
    /// `None` if the module was not swept.
    pub delay_status: Option<DelayStatus>,
    /// Status of the join of the parts of the sweep that were measured at different NCO
    /// frequencies.
    pub join_status: Option<JoinStatus>,
    /// Number of points of the sweep.
    pub points: usize,
    /// Lowest frequency of the sweep, in hertz.
    pub f_min_hz: Option<f64>,
    /// Highest frequency of the sweep, in hertz.
    pub f_max_hz: Option<f64>,
    /// True if a converter (ADC or DAC) was over its range during the sweep.
    pub overrange: bool,
    /// State in which the sweep has left the tones of the module.
    pub hardware: HardwareState,
}

impl SweepReport {
    /// Returns the report of a run over the modules of `array`, with every board of `map`.
    /// `elapsed_s` is the time of the run in seconds.
    pub fn of(
        map: &HardwareMap,
        array: &Array,
        outcomes: &[Outcome<Swept>],
        elapsed_s: f64,
    ) -> Self {
        let boards = map.boards().iter().map(|entry| {
            let modules = outcomes
                .iter()
                .filter(|outcome| outcome.board == entry.name);
            SweptBoard::of(&entry.name, array, modules.map(SweptModule::of).collect())
        });
        Self::new(elapsed_s, boards.collect())
    }

    /// Returns the degree to which the sweep was done and recorded.
    pub fn completion(&self) -> Completion {
        let settled = |module: &SweptModule| module.hardware.is_settled();
        self.completion_by(SweptBoard::status, |board| {
            !has_changed(board.setup.as_ref()) && board.modules.iter().all(settled)
        })
    }

    /// Returns the entries of the boards in the manifest of the run.
    pub fn records(&self, array: &Array, map: &HardwareMap) -> Vec<BoardRecord> {
        let records = self.boards.iter().map(|board| {
            let mut errors = board.modules.iter().map(|module| module.error.as_ref());
            let error = board.error.as_ref();
            let error = error.or_else(|| errors.find_map(|error| error));
            let notes = board.modules.iter().map(|module| ModuleNotes {
                module: module.module,
                error: module.error.as_ref(),
                repeats: module.repeats,
                warnings: &module.warnings,
                board_warnings: &module.board_warnings,
                hardware: &module.hardware,
            });
            let status = board.status().as_str();
            BoardRecord {
                warnings: module_warnings(error, notes),
                ..board_record(map, array, &board.name, status, error.cloned())
            }
        });
        records.collect()
    }
}

impl SweptBoard {
    fn of(name: &str, array: &Array, modules: Vec<SweptModule>) -> Self {
        let facts = BoardFacts::of(array, name);
        Self {
            name: name.to_owned(),
            reached: array.reached(name),
            error: facts.error,
            identity: facts.identity,
            taken_over: facts.taken_over,
            doubts: facts.doubts,
            setup: facts.setup,
            modules,
        }
    }

    /// Returns the status of the board.
    pub fn status(&self) -> BoardStatus {
        if !self.reached {
            BoardStatus::Unreachable
        } else if self.modules.iter().all(|module| module.error.is_some()) {
            BoardStatus::Failed
        } else if self.error.is_none() && self.modules.iter().all(SweptModule::is_well) {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        }
    }
}

impl SweptModule {
    fn of(outcome: &Outcome<Swept>) -> Self {
        let swept = outcome.result.as_ref().ok();
        let wide = swept.map(|swept| &swept.network_analysis);
        let warnings = swept.map(|swept| {
            [
                swept.cable_delay.warnings(),
                swept.network_analysis.warnings(),
            ]
            .concat()
        });
        let points = wide
            .map(|wide| wide.frequency_hz.as_slice())
            .unwrap_or_default();
        Self {
            module: outcome.module,
            error: outcome.result.as_ref().err().map(Failure::from),
            repeats: outcome.repeats,
            warnings: warnings.unwrap_or_default(),
            board_warnings: outcome.board_warnings.clone(),
            delay_status: swept.map(|swept| swept.cable_delay.delay.status),
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
