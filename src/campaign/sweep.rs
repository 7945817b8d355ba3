//! Sweep of an array: a network analysis (a measurement of the transmission over the band) of every
//! module of the boards in a map.

use std::path::PathBuf;

use twotone_algorithms::{
    CableDelayOutcome, Geometry, NetworkAnalysisOutcome, Progress, TuneParams, cable_delay_of,
    network_analysis_with_progress,
};
use twotone_hal::{BoardHandle, ModuleId, Result};

use super::measure::log_ends;
use super::need::Need;
use super::{Campaign, CampaignError, SweepFormat, SweepReport, write};
use crate::run::Outcome;

/// Measurements of a sweep on a module.
#[derive(Debug)]
pub struct Swept {
    /// Delay of the line, measured before the sweep.
    pub cable_delay: CableDelayOutcome,
    /// Sweep over the band.
    pub network_analysis: NetworkAnalysisOutcome,
    /// Connection of the detectors to the line, as the sweep was given it.
    pub geometry: Geometry,
}

/// Result of a sweep of an array.
#[derive(Debug)]
#[non_exhaustive]
pub struct SweepRun {
    /// Report on every board of the map.
    pub report: SweepReport,
    /// Outcome of every module of the boards that were connected, in the order of the map. Empty
    /// if the campaign was cancelled before the boards were connected.
    pub outcomes: Vec<Outcome<Swept>>,
}

/// Runs the sweep: checks, connects, sweeps, reports and records.
pub(super) async fn run(
    campaign: Campaign,
    out: PathBuf,
    format: SweepFormat,
) -> std::result::Result<SweepRun, CampaignError> {
    let need = |campaign: &Campaign| Need::of_sweep(&campaign.map, &campaign.params, format);
    let prepared = campaign.prepare(&out, need).await?;
    let Some(array) = &prepared.array else {
        return Ok(SweepRun {
            report: SweepReport::interrupted(prepared.elapsed_s()),
            outcomes: Vec::new(),
        });
    };
    let runner = campaign.runner().leave_as_found();
    let sweeping =
        campaign.measure(array, array.targets(), runner, {
            |board, module, params, progress| async move {
                sweep(&board, module, &params, &progress).await
            }
        });
    let outcomes = sweeping.await;
    log_ends(&outcomes);
    let mut report = SweepReport::of(&campaign.map, array, &outcomes, prepared.elapsed_s());
    report.interrupted = campaign.was_interrupted(array, &outcomes);
    if outcomes.iter().all(|outcome| outcome.result.is_err()) {
        return Ok(SweepRun { report, outcomes });
    }
    let boards = report.records(array, &campaign.map);
    let run = prepared.run;
    let write = move |map: &_, manifest, outcomes: &[_]| {
        write::record_sweep(map, run, manifest, outcomes, format)
    };
    let recording = campaign.record(prepared.started, boards, outcomes, write);
    let (record, outcomes) = recording.await;
    report.record = record;
    Ok(SweepRun { report, outcomes })
}

/// Measures the delay of the line of a module, and sweeps its band.
pub(super) async fn sweep(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
    progress: &dyn Progress,
) -> Result<Swept> {
    let band = params.band.unwrap_or_default();
    let (geometry, delay) = (params.geometry, &params.cable_delay);
    let delay = cable_delay_of(board, module, band, geometry, delay).await?;
    let tau_s = delay.delay.tau_s;
    let wide = &params.network_analysis;
    let wide = network_analysis_with_progress(board, module, band, tau_s, wide, progress);
    Ok(Swept {
        network_analysis: wide.await?,
        cable_delay: delay,
        geometry,
    })
}
