//! Steps that tunes and sweeps have in common: before, during and after the measurement of each
//! module.
//!
//! Both are *campaigns*: they measure the modules of all boards of a hardware map, and record the
//! results in a run directory.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;
use tworoutine::offload;
use twotone_algorithms::{Progress, Step, TuneParams};
use twotone_hal::{BoardHandle, Error, ErrorKind, ModuleId, Result};

use super::need::Need;
use super::{Campaign, CampaignError, Observer, RecordReport};
use crate::Array;
use crate::map::HardwareMap;
use crate::record::{BoardRecord, Manifest, Recorded, RunDirectory, UtcTime};
use crate::run::{Outcome, Runner, Target};

/// A campaign that passed its checks, with its run directory and its connected boards.
pub(super) struct Prepared {
    pub(super) run: RunDirectory,
    pub(super) started: UtcTime,
    began: Instant,
    /// Boards of the map. `None` if the campaign was cancelled before they were connected.
    pub(super) array: Option<Array>,
}

impl Prepared {
    /// Time since the campaign began, in seconds.
    pub(super) fn elapsed_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// Progress on a board, for the observer of the campaign.
pub(super) struct BoardProgress {
    observer: Arc<dyn Observer>,
    board: String,
}

impl Progress for BoardProgress {
    fn report(&self, step: &Step) {
        self.observer.step(&self.board, step);
    }
}

impl Campaign {
    /// Checks the parameters, the folder of locks and the free space of the file system, prepares
    /// the run directory `out`, and connects and sets up the boards.
    pub(super) async fn prepare(
        &self,
        out: &Path,
        need: impl FnOnce(&Self) -> Need,
    ) -> std::result::Result<Prepared, CampaignError> {
        // These checks come before any board is contacted, so that no result of a long run is lost
        // for lack of disk space.
        self.params.check(&self.map)?;
        self.access.check()?;
        let run = need(self).prepare(out, &*self.observer)?;
        let (started, began) = (UtcTime::now(), Instant::now());
        let array = self.connect_set_up().await;
        Ok(Prepared {
            run,
            started,
            began,
            array,
        })
    }

    /// Runs the measurement on each target (a module of a board) with the parameters of this
    /// module, and reports progress to the observer. The outcomes are in the order of the targets.
    pub(super) async fn measure<T, M, F>(
        &self,
        array: &Array,
        targets: Vec<Target>,
        runner: Runner,
        measure: M,
    ) -> Vec<Outcome<T>>
    where
        T: Send + 'static,
        M: Fn(BoardHandle, ModuleId, TuneParams, BoardProgress) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.begin(&targets);
        let params = self.params.for_array(&self.map, array);
        let observer = Arc::clone(&self.observer);
        let outcomes = runner.run(targets, move |board, module| {
            let progress = BoardProgress {
                observer: Arc::clone(&observer),
                board: board.name().to_owned(),
            };
            let params = params.of(board.name(), module);
            let measuring = params.map(|params| measure(board, module, params, progress));
            async move { measuring?.await }
        });
        let outcomes = outcomes.await;
        self.observer.end();
        outcomes
    }

    /// True if the campaign was cancelled before every module was done.
    pub(super) fn was_interrupted<T>(&self, array: &Array, outcomes: &[Outcome<T>]) -> bool {
        let is_cut = |error: &Error| error.kind() == ErrorKind::Cancelled;
        let is_undone = outcomes.iter().any(|outcome| outcome.result.is_err());
        self.cancel.is_cancelled() && (is_undone || array.failed().iter().any(is_cut))
    }

    /// Records the outcomes: the function `write` writes them, with a manifest that lists `boards`.
    /// Returns the outcomes, and the report of the place and completeness of the record.
    pub(super) async fn record<T: Send + 'static>(
        &self,
        started: UtcTime,
        boards: Vec<BoardRecord>,
        outcomes: Vec<Outcome<T>>,
        write: impl FnOnce(&HardwareMap, Manifest, &[Outcome<T>]) -> Recorded + Send + 'static,
    ) -> (RecordReport, Vec<Outcome<T>>) {
        let manifest = self.manifest(&self.params, started);
        let map = self.map.clone();
        let recording = offload(move || {
            let recorded = match manifest {
                Ok(manifest) => write(&map, Manifest { boards, ..manifest }, &outcomes),
                Err(error) => Recorded::failed(&error),
            };
            (recorded.into(), outcomes)
        });
        recording.await
    }
}

/// Logs the result of each module.
pub(super) fn log_ends<T>(outcomes: &[Outcome<T>]) {
    for outcome in outcomes {
        let error = outcome.result.as_ref().err().map(Error::chain);
        let error = error.map(tracing::field::display);
        let (board, module) = (&outcome.board, outcome.module);
        tracing::info!(%board, %module, hardware = %outcome.hardware, error, "module done");
    }
}
