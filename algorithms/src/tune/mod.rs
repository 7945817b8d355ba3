//! Tuning a module: from nothing to one tone on each detector, and what its samples mean.

mod bias;
mod lines;
mod outcome;
mod params;
mod references;

pub use outcome::{
    ChannelOutcome, ChannelStatus, NotToned, NotTonedReason, Reason, ReferenceTone, TuneOutcome,
};
pub use params::TuneParams;

use twotone_hal::{BoardHandle, ErrorKind, ModuleId, Result};

use crate::cable_delay;
use crate::finding::{Candidate, FindOutcome, find_resonances};
use crate::fine_sweep::{self, FineSweepOutcome};
use crate::fit::FitStatus;
use crate::network_analysis::{self, NetworkAnalysisOutcome};
use crate::progress::{Progress, Stage};
use crate::session::Session;

const WHAT: &str = "tune";

/// Tunes a module: cable delay, network analysis, search, fine sweep, linear and nonlinear fit,
/// placement, rotation and calibration.
///
/// Answers a status with its reason for every channel that carries a tone, and says which
/// resonances got none. The module's earlier tones are cleared; the tones of the outcome are left
/// on. When the future is dropped the tones stay as they were last set: cleaning up is the
/// caller's.
///
/// # Errors
/// Parameters out of range, points too coarse, a comb above full scale are refused before anything
/// is sent. Otherwise the errors of the board. A module on which nothing is found is no error.
#[tworoutine::tworoutine(Send)]
pub async fn tune(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
) -> Result<TuneOutcome> {
    tune_with_progress(board, module, params, &()).await
}

/// As [`tune()`], telling `progress` of every step.
#[tworoutine::tworoutine(Send)]
pub async fn tune_with_progress(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
    progress: &dyn Progress,
) -> Result<TuneOutcome> {
    let mut session = Session::open(board, module, progress).await?;
    if let Some(why) = params.problem() {
        return Err(session.refuse(ErrorKind::InvalidArgument, WHAT, why));
    }
    // One tone on a detector and those beside it: how many there will be, nobody knows yet.
    let tones = std::iter::repeat_n(params.tone_amplitude, 1 + params.reference_tones);
    session.check_powers(WHAT, tones)?;
    let settings = network_analysis::nco_settings(&session, params.band, &params.network_analysis)?;
    let mut warnings = Vec::new();

    // Where one NCO setting covers the band, it is set once and the phase reference stays.
    let first_nco = match settings.as_slice() {
        [only] => *only,
        _ => session.settable(params.band.centre_hz()),
    };
    let delay =
        cable_delay::measure(&mut session, params.band, first_nco, &params.cable_delay).await?;
    if !delay.delay.status.is_success() {
        warnings.push(format!("cable delay: {}", delay.delay.status.as_str()));
    }
    let tau_s = delay.delay.tau_s;

    let wide =
        network_analysis::sweep(&mut session, params.band, tau_s, &params.network_analysis).await?;
    if wide.overrange {
        warnings.push("a converter was over its range during the network analysis".to_owned());
    }
    session.report(Stage::Finding, 0, 1);
    let (wide, found) = search(wide, tau_s, params).await;
    session.report(Stage::Finding, 1, 1);

    let nco_hz = match settings.as_slice() {
        [only] => *only,
        _ => session.settable(lines::best_nco(&found.candidates, &session, params)),
    };
    let (chosen, not_toned) = lines::choose(&found.candidates, &session, nco_hz, params);
    let mut outcome = TuneOutcome::new(&session, params.band, delay, wide, found);
    outcome.not_toned = not_toned;
    outcome.warnings = warnings;
    if chosen.is_empty() {
        outcome.warnings.push("no resonance was found".to_owned());
        session.set(&[]).await?;
        return Ok(outcome);
    }

    let mut targets = lines::targets(&outcome.find.candidates, &chosen, params);
    let mut sweeps = None;
    let mut fitted = Vec::new();
    for pass in 0..params.sweep_passes {
        if pass > 0 {
            lines::recentre(&mut targets, &fitted);
        }
        let fine =
            fine_sweep::sweep(&mut session, &targets, Some(nco_hz), &params.fine_sweep).await?;
        session.report(Stage::Fitting, 0, targets.len());
        let (fine, fits) = fit(fine, &outcome.find.candidates, &chosen, tau_s, params).await;
        session.report(Stage::Fitting, targets.len(), targets.len());
        sweeps = Some(fine);
        fitted = fits;
    }
    if let Some(sweeps) = sweeps {
        if sweeps.overrange {
            let what = "a converter was over its range during the fine sweep";
            outcome.warnings.push(what.to_owned());
        }
        outcome.fine_sweep = Some(sweeps);
    }

    let references = references::choose(
        &outcome.find.candidates,
        &session,
        nco_hz,
        chosen.len(),
        params,
    );
    bias::place_and_calibrate(
        &mut session,
        &mut outcome,
        &chosen,
        &fitted,
        &references,
        params,
    )
    .await?;
    Ok(outcome)
}

async fn search(
    wide: NetworkAnalysisOutcome,
    tau_s: f64,
    params: &TuneParams,
) -> (NetworkAnalysisOutcome, FindOutcome) {
    let find = params.find.clone();
    tworoutine::offload(move || {
        let found = find_resonances(&wide.as_sweep(tau_s), &find);
        (wide, found)
    })
    .await
}

async fn fit(
    fine: FineSweepOutcome,
    candidates: &[Candidate],
    chosen: &[usize],
    tau_s: f64,
    params: &TuneParams,
) -> (FineSweepOutcome, Vec<crate::fit::Fit>) {
    let (candidates, chosen) = (candidates.to_vec(), chosen.to_vec());
    let (fit, widest_hz) = (params.fit.clone(), params.find.max_linewidth_hz);
    tworoutine::offload(move || {
        let mut fits = lines::fit_all(&fine, &candidates, &chosen, tau_s, &fit);
        // What is wider than any detector is a box mode, however well it fits.
        for fit in &mut fits {
            if fit.status.is_success() && fit.linewidth_hz() > widest_hz {
                fit.status = FitStatus::TooWide;
            }
        }
        (fine, fits)
    })
    .await
}
