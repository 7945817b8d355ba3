//! What a capture came to.

use std::time::Duration;

use serde::Serialize;
use twotone_hal::{Error, ModuleId};

use super::Stop;
use super::clock::ClockOutcome;
use super::plan::{BoardPlan, ModulePlan};
use super::standing::{self, Standing};
use crate::record::{CounterRow, RecordError};

/// What a capture came to.
#[derive(Debug)]
pub struct CaptureOutcome {
    /// Seconds from the first packet to the end.
    pub elapsed_s: f64,
    /// It was stopped before its time.
    pub stopped: bool,
    /// Datagrams that the kernel dropped because its buffer was full.
    pub kernel_drops: u64,
    /// What the kernel's buffers are short of, and what to change.
    pub buffer_shortfall: Option<String>,
    /// Why nothing more was received, where a socket failed.
    pub not_received: Option<Error>,
    /// Why nothing more was written, where a file could not be: the run is not whole.
    pub not_written: Option<RecordError>,
    /// Every board that was planned, in order.
    pub boards: Vec<BoardOutcome>,
}

/// What was captured of a board.
#[derive(Debug, Clone)]
pub struct BoardOutcome {
    /// Its name in the map.
    pub name: String,
    /// Why nothing could be captured, or what is not known of it because it did not answer.
    pub error: Option<String>,
    /// Its modules that sent anything or were expected to, in order.
    pub modules: Vec<ModuleOutcome>,
}

/// What was captured of a module.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleOutcome {
    /// Counts. The rows in the file are `received - unwritten - misfit`.
    #[serde(flatten)]
    pub counters: CounterRow,
    /// Number of samples that the time of the capture asks for. `None` if nothing came, as the rate is
    /// not known.
    pub due: Option<u64>,
    /// Number of these that did not come and are not counted as lost, as no sequence number tells of
    /// them: the stream ended, or the kernel could not hold what came while the program was stopped. 0 if
    /// they are so few that packets under way, or the clocks, make up for them.
    pub missing: u64,
    /// What went wrong with its stream or its file, beside losses.
    pub error: Option<String>,
    /// The board's clock, by the module's stamps.
    #[serde(flatten)]
    pub clock: ClockOutcome,
    /// Contradictions of its packets, in words: in their times and in their form.
    pub doubts: Vec<String>,
    /// The file within the run directory; `None` where nothing came.
    pub file: Option<String>,
    /// How many channels it holds.
    pub channels: usize,
    /// How many of them are calibrated.
    pub calibrated: usize,
    /// Whether the tune held when the capture began.
    pub tune: Option<Standing>,
    /// Whether it did when the capture had ended.
    pub tune_after: Option<Standing>,
    /// What it was planned as.
    #[serde(skip)]
    pub plan: ModulePlan,
}

impl ModuleOutcome {
    /// The module.
    pub fn module(&self) -> ModuleId {
        self.counters.module
    }

    /// Whether everything that was expected of it is there.
    pub fn is_whole(&self) -> bool {
        let holds = |standing: &Option<Standing>| standing.as_ref().is_none_or(Standing::is_whole);
        self.error.is_none()
            && self.file.is_some()
            && self.counters.received > 0
            && self.doubts.is_empty()
            && self.counters.missing() + self.missing == 0
            && holds(&self.tune)
            && holds(&self.tune_after)
    }
}

impl BoardOutcome {
    /// Whether everything that was expected of it is there.
    pub fn is_whole(&self) -> bool {
        self.error.is_none()
            && !self.modules.is_empty()
            && self.modules.iter().all(ModuleOutcome::is_whole)
    }

    /// Samples received of all modules.
    pub fn received(&self) -> u64 {
        self.modules.iter().map(|one| one.counters.received).sum()
    }
}

impl CaptureOutcome {
    /// What comes of boards none of which can be listened to.
    pub(super) fn nothing(boards: Vec<BoardPlan>) -> Self {
        let board = |board: BoardPlan| BoardOutcome {
            error: board.error(),
            name: board.name,
            modules: Vec::new(),
        };
        Self {
            elapsed_s: 0.0,
            stopped: false,
            kernel_drops: 0,
            buffer_shortfall: None,
            not_received: None,
            not_written: None,
            boards: boards.into_iter().map(board).collect(),
        }
    }

    /// Samples received.
    pub fn received(&self) -> u64 {
        self.boards.iter().map(BoardOutcome::received).sum()
    }

    /// Samples lost on the way, missing or not written.
    pub fn lost(&self) -> u64 {
        let modules = self.boards.iter().flat_map(|board| &board.modules);
        let lost = modules.map(|module| module.counters.missing() + module.missing);
        lost.sum()
    }

    /// Whether everything that was expected is there.
    pub fn is_whole(&self) -> bool {
        self.not_received.is_none()
            && self.not_written.is_none()
            && self.boards.iter().all(BoardOutcome::is_whole)
    }

    /// Asks the boards once more whether the tune holds, all at the same time. Of those that have
    /// not answered `within` that time, or before `stop` is cancelled, it is not known.
    pub async fn check_tune(&mut self, within: Duration, stop: &Stop) {
        let modules = self.boards.iter_mut().flat_map(|board| &mut board.modules);
        let (mut places, mut asks) = (Vec::new(), Vec::new());
        for module in modules.filter(|module| module.calibrated > 0) {
            if let Some(ask) = module.plan.ask() {
                asks.push(ask);
                places.push(&mut module.tune_after);
            }
        }
        let standings = standing::ask_all(asks, within, stop).await;
        for (place, standing) in places.into_iter().zip(standings) {
            *place = Some(standing);
        }
    }
}
