//! Outcome of a capture.

use std::time::Duration;

use serde::Serialize;
use twotone_hal::{Error, ModuleId};

use super::Stop;
use super::clock::ClockOutcome;
use super::plan::{BoardPlan, ModulePlan};
use super::standing::{self, Standing};
use crate::record::{CounterRow, Failure, RecordError};

/// Outcome of a capture.
#[derive(Debug)]
pub struct CaptureOutcome {
    /// Time from the first packet to the end, in seconds.
    pub elapsed_s: f64,
    /// True if it was stopped before its time was over.
    pub stopped: bool,
    /// Number of datagrams that the kernel dropped because its buffer was full.
    pub kernel_drops: u64,
    /// Shortfall of the kernel's buffers, and the setting to change.
    pub buffer_shortfall: Option<String>,
    /// Error of a socket, after which nothing more was received.
    pub not_received: Option<Error>,
    /// Error of a file, after which nothing more was written: the run is incomplete.
    pub not_written: Option<RecordError>,
    /// Every board that was planned, in order.
    pub boards: Vec<BoardOutcome>,
}

/// Outcome of a capture for one board.
#[derive(Debug, Clone)]
pub struct BoardOutcome {
    /// Its name in the map.
    pub name: String,
    /// Reason for which nothing could be captured, or doubts about the board: it did not answer,
    /// or packets of another board came from its address.
    pub error: Option<Failure>,
    /// Its modules that sent anything or were expected to, in order.
    pub modules: Vec<ModuleOutcome>,
}

/// Outcome of a capture for one module.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleOutcome {
    /// Counters. The number of rows in the file is `received - unwritten - misfit`.
    #[serde(flatten)]
    pub counters: CounterRow,
    /// Number of samples that are due for the time of the capture. `None` if no packet came, as
    /// the rate is then not known.
    pub due: Option<u64>,
    /// Number of these samples that did not come and are not counted as lost, as no sequence
    /// number shows them: the stream ended, or the kernel could not hold the packets that came
    /// while the program was stopped. It is 0 if packets under way, or the difference of the
    /// clocks, explain all of them.
    pub missing: u64,
    /// Failure of its stream or its file, apart from losses.
    pub error: Option<Failure>,
    /// The board's clock, by the time stamps of the module.
    #[serde(flatten)]
    pub clock: ClockOutcome,
    /// Sentences about doubtful samples: contradictory times, changes of the packets' form,
    /// missing samples, inputs that were driven too hard.
    pub doubts: Vec<String>,
    /// The file within the run directory; `None` if no packet came.
    pub file: Option<String>,
    /// Number of channels in the file.
    pub channels: usize,
    /// Number of these channels that are calibrated.
    pub calibrated: usize,
    /// State of the tune when the capture began.
    pub tune: Option<Standing>,
    /// State of the tune after the end of the capture.
    pub tune_after: Option<Standing>,
    /// Plan of the module.
    #[serde(skip)]
    pub plan: ModulePlan,
}

impl ModuleOutcome {
    /// The module.
    pub fn module(&self) -> ModuleId {
        self.counters.module
    }

    /// True if everything that was expected of it is there.
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
    /// True if everything that was expected of it is there.
    pub fn is_whole(&self) -> bool {
        self.error.is_none()
            && !self.modules.is_empty()
            && self.modules.iter().all(ModuleOutcome::is_whole)
    }

    /// Number of samples received from all modules.
    pub fn received(&self) -> u64 {
        self.modules.iter().map(|one| one.counters.received).sum()
    }
}

impl CaptureOutcome {
    /// Outcome of a capture in which no board has a stream that can be captured.
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

    /// Number of samples received.
    pub fn received(&self) -> u64 {
        self.boards.iter().map(BoardOutcome::received).sum()
    }

    /// Number of samples lost on the way, missing or not written.
    pub fn lost(&self) -> u64 {
        let modules = self.boards.iter().flat_map(|board| &board.modules);
        let lost = modules.map(|module| module.counters.missing() + module.missing);
        lost.sum()
    }

    /// True if everything that was expected is there.
    pub fn is_whole(&self) -> bool {
        self.not_received.is_none()
            && self.not_written.is_none()
            && self.boards.iter().all(BoardOutcome::is_whole)
    }

    /// Asks the boards once more if the tune holds, all at the same time. The state is
    /// [`TuneState::Unknown`](super::TuneState::Unknown) for a board that has not answered `within`
    /// this time, or before `stop` is cancelled.
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
