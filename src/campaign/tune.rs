//! Tune of an array: the search for the resonances of every module, and a tone on each resonance.

use std::path::PathBuf;

use twotone_algorithms::{TuneOutcome, tune_with_progress};

use super::measure::log_ends;
use super::need::Need;
use super::{Campaign, CampaignError, TuneReport, write};
use crate::run::{HardwareState, Outcome};

/// Result of a tune of an array.
#[derive(Debug)]
#[non_exhaustive]
pub struct TuneRun {
    /// Report on every board of the map.
    pub report: TuneReport,
    /// Outcome of every module of the boards that were connected, in the order of the map. Empty
    /// if the campaign was cancelled before the boards were connected.
    pub outcomes: Vec<Outcome<TuneOutcome>>,
}

/// Runs the tune: checks, connects, tunes, reports and records.
pub(super) async fn run(campaign: Campaign, out: PathBuf) -> Result<TuneRun, CampaignError> {
    let need = |campaign: &Campaign| Need::of_tune(&campaign.map, &campaign.params);
    let prepared = campaign.prepare(&out, need).await?;
    let Some(array) = &prepared.array else {
        return Ok(TuneRun {
            report: TuneReport::interrupted(prepared.elapsed_s()),
            outcomes: Vec::new(),
        });
    };
    let (connected, failed) = (array.boards().len(), array.failed().len());
    tracing::info!(connected, failed, "tuning");
    let runner = campaign.runner().keep_on_success();
    let tuning = campaign.measure(array, array.targets(), runner, {
        |board, module, params, progress| async move {
            tune_with_progress(&board, module, &params, &progress).await
        }
    });
    let outcomes = tuning.await;
    log_ends(&outcomes);
    let mut report = TuneReport::of(&campaign.map, array, &outcomes, prepared.elapsed_s());
    report.interrupted = campaign.was_interrupted(array, &outcomes);
    // A run that has set nothing leaves no run directory.
    let has_set = |outcome: &Outcome<_>| outcome.hardware != HardwareState::Untouched;
    if !outcomes.iter().any(has_set) && !array.has_changed_properties() {
        return Ok(TuneRun { report, outcomes });
    }
    let boards = report.records(array, &campaign.map);
    let run = prepared.run;
    let recording = campaign.record(
        prepared.started,
        boards,
        outcomes,
        |map, manifest, outcomes| write::record_tune(map, run, manifest, outcomes),
    );
    let (record, outcomes) = recording.await;
    report.record = record;
    Ok(TuneRun { report, outcomes })
}
