//! Outcome of a capture.
//!
//! A *capture* writes the sample streams of boards to disk. A *tune* is the result of an earlier
//! run that has set a tone on each resonance. It *holds* while the tones are still set as it says.

use std::time::Duration;

use serde::Serialize;
use twotone_hal::{Error, ModuleId};

use super::Stop;
use super::clock::ClockOutcome;
use super::plan::{BoardPlan, ModulePlan};
use super::standing::{self, Standing};
use super::streamer::{StreamerEnd, StreamerOutcome};
use crate::record::{CounterRow, Failure, RecordError};
use crate::run::{Counted, locked};

/// Outcome of a capture.
#[derive(Debug)]
pub struct CaptureOutcome {
    /// Time from the first packet to the end of the capture, in seconds.
    pub elapsed_s: f64,
    /// True if the capture was stopped before its time was over.
    pub stopped: bool,
    /// Number of datagrams that the kernel dropped because its buffer was full.
    pub kernel_drops: u64,
    /// Sentence about the kernel's buffers and the setting to change, if they are smaller than
    /// requested.
    pub buffer_shortfall: Option<String>,
    /// Error of a socket, which ended the reception.
    pub not_received: Option<Error>,
    /// Error of a file, after which nothing more was written. The run is incomplete.
    pub not_written: Option<RecordError>,
    /// Every board that was planned, in order.
    pub boards: Vec<BoardOutcome>,
}

/// Outcome of a capture for one board.
#[derive(Debug, Clone)]
pub struct BoardOutcome {
    /// Name of the board in the map.
    pub name: String,
    /// Reason that nothing could be captured, or a doubt about the board: the board did not
    /// answer, no packet came from it, or packets of another board came from its address.
    pub error: Option<Failure>,
    /// Modules of the board that sent data or were expected to send them, in order.
    pub modules: Vec<ModuleOutcome>,
    pub(super) counted: Counted,
}

/// Outcome of a capture for one module.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleOutcome {
    /// Counters of the samples. The number of rows in the module's file is `received - unwritten -
    /// misfit`, which are fields of these counters.
    #[serde(flatten)]
    pub counters: CounterRow,
    /// Number of samples that were due in the time of the capture. `None` if no packet came,
    /// because the rate is then not known.
    pub due: Option<u64>,
    /// Number of samples among `due` that did not come and are not counted as lost, because no
    /// sequence number shows their absence. Either the stream ended, or the kernel could not hold
    /// the packets that came while the program was stopped. A small number is replaced by 0, if
    /// packets on their way, or a difference of the clocks, can explain it.
    pub missing: u64,
    /// Failure of the module's stream or file. Losses are not a failure.
    pub error: Option<Failure>,
    /// State of the board's clock, from the time stamps of the module.
    #[serde(flatten)]
    pub clock: ClockOutcome,
    /// Sentences about doubtful samples: contradictory times, changes of the packets' form,
    /// missing samples, inputs that were driven too hard.
    pub doubts: Vec<String>,
    /// The file within the run directory, even if it could not be created. `None` if no packet
    /// came.
    pub file: Option<String>,
    /// Number of channels in the file.
    pub channels: usize,
    /// Number of these channels that are calibrated.
    pub calibrated: usize,
    /// State of the tune when the capture was planned. `None` if the capture had no tune.
    pub tune: Option<Standing>,
    /// State of the tune after the end of the capture. `None` before
    /// [`CaptureOutcome::check_tune`], and always if no channel is calibrated.
    pub tune_after: Option<Standing>,
    /// End of the module's fast stream, if it was switched on for the capture.
    pub streamer: Option<StreamerOutcome>,
    /// Plan of the module.
    #[serde(skip)]
    pub plan: ModulePlan,
}

impl ModuleOutcome {
    /// The module.
    pub fn module(&self) -> ModuleId {
        self.counters.module
    }

    /// True if every expected sample of the module was written, and nothing is in doubt.
    pub fn is_whole(&self) -> bool {
        let holds = |standing: &Option<Standing>| standing.as_ref().is_none_or(Standing::is_whole);
        self.error.is_none()
            && self.file.is_some()
            && self.counters.received > 0
            && self.doubts.is_empty()
            && self.counters.missing() + self.missing == 0
            && holds(&self.tune)
            && holds(&self.tune_after)
            && self
                .streamer
                .as_ref()
                .is_none_or(StreamerOutcome::is_restored)
    }
}

impl BoardOutcome {
    /// True if there is at least one module, all modules have every expected sample and no doubt,
    /// and there is no doubt about the board.
    pub fn is_whole(&self) -> bool {
        self.error.is_none()
            && !self.modules.is_empty()
            && self.modules.iter().all(ModuleOutcome::is_whole)
    }

    /// Returns the different warnings that the board has sent with its answers so far, in its own
    /// words.
    pub fn board_warnings(&self) -> Vec<String> {
        locked(&self.counted).warnings.clone()
    }

    /// Returns the number of samples received from all modules.
    pub fn received(&self) -> u64 {
        self.modules.iter().map(|one| one.counters.received).sum()
    }
}

impl CaptureOutcome {
    /// Returns the outcome of a capture in which no board has a stream that can be captured.
    pub(super) fn nothing(boards: Vec<BoardPlan>) -> Self {
        let board = |board: BoardPlan| BoardOutcome {
            error: board.error(),
            name: board.name,
            modules: Vec::new(),
            counted: board.counted,
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

    /// Returns the number of samples received.
    pub fn received(&self) -> u64 {
        self.boards.iter().map(BoardOutcome::received).sum()
    }

    /// Returns the number of samples that were lost, are missing, or were not written.
    pub fn lost(&self) -> u64 {
        let modules = self.boards.iter().flat_map(|board| &board.modules);
        let lost = modules.map(|module| module.counters.missing() + module.missing);
        lost.sum()
    }

    /// True if every expected sample of the capture was written, and nothing is in doubt.
    pub fn is_whole(&self) -> bool {
        self.not_received.is_none()
            && self.not_written.is_none()
            && self.boards.iter().all(BoardOutcome::is_whole)
    }

    /// Records the end of the fast stream of a module. If the module has no outcome, because
    /// nothing of its board was captured, a stream that is not restored becomes a part of the
    /// board's error.
    pub(crate) fn note_streamer(&mut self, end: StreamerEnd) {
        let StreamerEnd {
            board,
            module,
            outcome: end,
        } = end;
        let Some(board) = self.boards.iter_mut().find(|one| one.name == board) else {
            return;
        };
        let mut modules = board.modules.iter_mut();
        if let Some(outcome) = modules.find(|one| one.module() == module) {
            outcome.streamer = Some(end);
        } else if let Some(doubt) = end.doubt() {
            let words = format!("module {module}: {doubt}");
            board.error = Some(match board.error.take() {
                Some(error) => error.and(words),
                None => Failure::of_words(words),
            });
        }
    }

    /// Checks once more, on all boards at the same time, that the tune holds, and records the state
    /// in [`ModuleOutcome::tune_after`]. Modules without a calibrated channel are left out. The
    /// state is [`TuneState::Unknown`](super::TuneState::Unknown) for a board that does not answer
    /// in the time `within`, or before `stop` is cancelled.
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
