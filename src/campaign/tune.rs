//! Tune of an array.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;
use tworoutine::offload;
use twotone_algorithms::{Step, TuneOutcome, tune_with_progress};
use twotone_hal::Error;

use super::need::Need;
use super::{Campaign, CampaignError, TuneReport, write};
use crate::Array;
use crate::record::{Manifest, RecordError, Recorded, UtcTime};
use crate::run::{HardwareState, Outcome};

/// Result of a tune of an array.
#[derive(Debug)]
#[non_exhaustive]
pub struct TuneRun {
    /// Report on every board of the map.
    pub report: TuneReport,
    /// Outcome of every module of the boards that were connected, in the order of the map. Empty
    /// if the campaign was cancelled before they were.
    pub outcomes: Vec<Outcome<TuneOutcome>>,
}

/// Checks, connects, tunes, reports and records.
pub(super) async fn run(campaign: Campaign, out: PathBuf) -> Result<TuneRun, CampaignError> {
    // Before any board is touched: a night's work must not end for want of a place to put it.
    campaign.params.check(&campaign.map)?;
    campaign.access.check()?;
    let need = Need::of_tune(&campaign.map, &campaign.params);
    let run = need.prepare(&out, &*campaign.observer)?;
    let (started, began) = (UtcTime::now(), Instant::now());
    let Some(array) = campaign.connect().await else {
        return Ok(TuneRun {
            report: TuneReport::interrupted(began.elapsed().as_secs_f64()),
            outcomes: Vec::new(),
        });
    };
    tracing::info!(
        connected = array.boards().len(),
        failed = array.failed().len(),
        "tuning"
    );
    let outcomes = tune_all(&campaign, &array).await;
    for outcome in &outcomes {
        let error = outcome.result.as_ref().err().map(Error::chain);
        let error = error.map(tracing::field::display);
        let (board, module) = (&outcome.board, outcome.module);
        tracing::info!(%board, %module, hardware = %outcome.hardware, error, "module done");
    }
    let mut report = TuneReport::of(
        &campaign.map,
        &array,
        &outcomes,
        began.elapsed().as_secs_f64(),
    );
    report.interrupted =
        campaign.cancel.is_cancelled() && outcomes.iter().any(|outcome| outcome.result.is_err());
    // A run that has set nothing leaves its name free.
    let has_set = |outcome: &Outcome<_>| outcome.hardware != HardwareState::Untouched;
    if !outcomes.iter().any(has_set) {
        return Ok(TuneRun { report, outcomes });
    }
    let manifest = manifest(&campaign, &array, &report, started);
    let map = campaign.map.clone();
    let recording = offload(move || {
        let recorded = match manifest {
            Ok(manifest) => write::record_tune(&map, run, manifest, &outcomes),
            Err(error) => Recorded::failed(&error),
        };
        (recorded, outcomes)
    });
    let (recorded, outcomes) = recording.await;
    report.record = recorded.into();
    Ok(TuneRun { report, outcomes })
}

async fn tune_all(campaign: &Campaign, array: &Array) -> Vec<Outcome<TuneOutcome>> {
    let targets = array.targets();
    campaign.begin(&targets);
    let params = campaign.params.for_array(&campaign.map, array);
    let observer = Arc::clone(&campaign.observer);
    let outcomes = campaign
        .runner()
        .keep_on_success()
        .run(targets, move |board, module| {
            let params = params.of(board.name(), module);
            let observer = Arc::clone(&observer);
            async move {
                let params = params?;
                let name = board.name().to_owned();
                let progress = |step: &Step| observer.step(&name, step);
                tune_with_progress(&board, module, &params, &progress).await
            }
        })
        .await;
    campaign.observer.end();
    outcomes
}

fn manifest(
    campaign: &Campaign,
    array: &Array,
    report: &TuneReport,
    started: UtcTime,
) -> Result<Manifest, RecordError> {
    let mut manifest = campaign.manifest(&campaign.params, started)?;
    manifest.boards = report.records(array, &campaign.map);
    Ok(manifest)
}
