//! Sweep of an array: a network analysis of every module.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;
use tworoutine::offload;
use twotone_algorithms::{
    CableDelayOutcome, NetworkAnalysisOutcome, Step, TuneParams, cable_delay,
    network_analysis_with_progress,
};
use twotone_hal::{BoardHandle, ModuleId, Result};

use super::need::Need;
use super::{Campaign, CampaignError, SweepFormat, SweepReport, write};
use crate::Array;
use crate::record::{Manifest, RecordError, Recorded, UtcTime};
use crate::run::Outcome;

/// Measurements of a sweep on a module.
#[derive(Debug)]
pub struct Swept {
    /// Delay of the line, measured first.
    pub cable_delay: CableDelayOutcome,
    /// Sweep over the band.
    pub network_analysis: NetworkAnalysisOutcome,
}

/// Result of a sweep of an array.
#[derive(Debug)]
#[non_exhaustive]
pub struct SweepRun {
    /// Report on every board of the map.
    pub report: SweepReport,
    /// Outcome of every module of the boards that were connected, in the order of the map. Empty
    /// if the campaign was cancelled before they were.
    pub outcomes: Vec<Outcome<Swept>>,
}

/// Checks, connects, sweeps, reports and records.
pub(super) async fn run(
    campaign: Campaign,
    out: PathBuf,
    format: SweepFormat,
) -> std::result::Result<SweepRun, CampaignError> {
    campaign.params.check(&campaign.map)?;
    campaign.access.check()?;
    let need = Need::of_sweep(&campaign.map, &campaign.params, format);
    let run = need.prepare(&out, &*campaign.observer)?;
    let (started, began) = (UtcTime::now(), Instant::now());
    let Some(array) = campaign.connect().await else {
        return Ok(SweepRun {
            report: SweepReport::interrupted(began.elapsed().as_secs_f64()),
            outcomes: Vec::new(),
        });
    };
    let outcomes = sweep_all(&campaign, &array).await;
    let elapsed_s = began.elapsed().as_secs_f64();
    let mut report = SweepReport::of(&campaign.map, &array, &outcomes, elapsed_s);
    report.interrupted =
        campaign.cancel.is_cancelled() && outcomes.iter().any(|outcome| outcome.result.is_err());
    if outcomes.iter().all(|outcome| outcome.result.is_err()) {
        return Ok(SweepRun { report, outcomes });
    }
    let manifest = manifest(&campaign, &array, &report, started);
    let map = campaign.map.clone();
    let recording = offload(move || {
        let recorded = match manifest {
            Ok(manifest) => write::record_sweep(&map, run, manifest, &outcomes, format),
            Err(error) => Recorded::failed(&error),
        };
        (recorded, outcomes)
    });
    let (recorded, outcomes) = recording.await;
    report.record = recorded.into();
    Ok(SweepRun { report, outcomes })
}

async fn sweep_all(campaign: &Campaign, array: &Array) -> Vec<Outcome<Swept>> {
    let targets = array.targets();
    campaign.begin(&targets);
    let params = campaign.params.for_array(&campaign.map, array);
    let observer = Arc::clone(&campaign.observer);
    let outcomes = campaign
        .runner()
        .leave_as_found()
        .run(targets, move |board, module| {
            let params = params.of(board.name(), module);
            let observer = Arc::clone(&observer);
            async move {
                let params = params?;
                let name = board.name().to_owned();
                let progress = |step: &Step| observer.step(&name, step);
                sweep(&board, module, &params, &progress).await
            }
        })
        .await;
    campaign.observer.end();
    outcomes
}

/// Measures the delay of the line of a module, and sweeps its band.
pub(super) async fn sweep(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
    progress: &dyn twotone_algorithms::Progress,
) -> Result<Swept> {
    let band = params.band.unwrap_or_default();
    let delay = cable_delay(board, module, band, &params.cable_delay).await?;
    let tau_s = delay.delay.tau_s;
    let wide = &params.network_analysis;
    let wide = network_analysis_with_progress(board, module, band, tau_s, wide, progress);
    Ok(Swept {
        network_analysis: wide.await?,
        cable_delay: delay,
    })
}

fn manifest(
    campaign: &Campaign,
    array: &Array,
    report: &SweepReport,
    started: UtcTime,
) -> std::result::Result<Manifest, RecordError> {
    let mut manifest = campaign.manifest(&campaign.params, started)?;
    manifest.boards = report.records(array, &campaign.map);
    Ok(manifest)
}
