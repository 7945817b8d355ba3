//! Tuning an array: connect, tune every module, report, record. `demo` and `tune` share it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use twotone::Array;
use twotone::algorithms::{TuneOutcome, tune, tune_with_progress};
use twotone::map::HardwareMap;
use twotone::record::{BoardRecord, Manifest, RecordError, Recorded, UtcTime};
use twotone::run::{HardwareState, Outcome, Runner};
use twotone::score::score;
use twotone::sim::Truth;

use super::Exit;
use super::access::{Access, tell_left_of_others};
use super::interrupt::{self, Interrupt};
use super::output::{complain, say, say_json};
use super::progress::Bars;
use super::report::Report;
use super::room::Need;
use super::stored;
use super::tuning::{ForModule, Tuning};

/// The longest that the clean-up of a module may take, in seconds: who has lost a board wants to
/// know what may be left on soon.
pub(crate) const LONGEST_CLEANUP_S: f64 = 30.0;

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
    pub(crate) access: Access,
}

impl Campaign {
    /// Connects, tunes, reports and records.
    pub(crate) fn run(self, command: Vec<String>) -> Exit {
        // Before any board is touched: a night's work must not end for want of a place to put it.
        let need = Need::of_tune(&self.map, &self.tuning);
        let checked = self.access.check().and_then(|()| need.prepare(&self.out));
        let record = match checked {
            Ok(record) => record,
            Err(message) => {
                complain(&message);
                return Exit::Usage;
            }
        };
        let interrupt = Interrupt::watch(
            "interrupted: ending the run and restoring the hardware; interrupt again to leave at once",
        );
        let (started, began) = (UtcTime::now(), Instant::now());
        let Some(array) = self.access.connect(&self.map, &interrupt) else {
            if self.json {
                say_json(&Report::interrupted(began.elapsed().as_secs_f64()));
            }
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
        // A run that has set nothing leaves its name free.
        if outcomes
            .iter()
            .any(|outcome| outcome.hardware != HardwareState::Untouched)
        {
            let manifest = self.manifest(command, started, &array, &report);
            let recorded = match manifest {
                Ok(manifest) => stored::write(record, manifest, &outcomes),
                Err(error) => Recorded::failed(&error),
            };
            exit = stored::tell(&recorded, exit);
            report.record = recorded.into();
        }
        if self.json {
            say_json(&report);
        } else {
            let outlive = !self.access.is_to_own_farm();
            say(&report.table(outlive.then_some(self.map.file())));
        }
        tell_left_of_others(&self.map, &array, &outcomes);
        if report.interrupted {
            interrupt::tell_hardware(&outcomes);
        } else if interrupt.happened() {
            complain("the run had ended before the interrupt: its tones are on");
        }
        exit
    }

    fn tune(&self, array: &Array, interrupt: &Interrupt) -> Vec<Outcome<TuneOutcome>> {
        let targets = array.targets();
        let bars = Arc::new(Bars::new(&targets, self.json));
        let entries = self.tuning.for_array(&self.map, array);
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
                let params = ForModule::find(&entries, board.name(), module);
                async move {
                    let params = params?;
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
                let (status, error) = (board.status.as_str(), board.error.clone());
                let record = stored::record_of(&self.map, array, &board.name, status, error);
                BoardRecord {
                    channels: board.counts(),
                    warnings: board.warnings(),
                    ..record
                }
            })
            .collect();
        Ok(manifest)
    }
}
