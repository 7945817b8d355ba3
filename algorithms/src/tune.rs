//! Tune of a module: one calibrated tone on each detector.

mod bias;
mod choice;
mod geometry;
mod lines;
mod outcome;
mod params;
mod references;
mod refit;

pub use outcome::{
    ChannelOutcome, ChannelStatus, NotToned, NotTonedReason, Reason, ReferenceTone, TuneOutcome,
};
pub use params::TuneParams;
pub use refit::{RefitLine, RefitOutcome, RefitParams, refit};

use twotone_hal::{BoardHandle, ErrorKind, ModuleId, Result};

use crate::cable_delay;
use crate::finding::{Candidate, FindOutcome, find_resonances};
use crate::fine_sweep::{self, FineSweepOutcome};
use crate::network_analysis::{self, NetworkAnalysisOutcome};
use crate::progress::{Progress, Stage};
use crate::session::Session;
use choice::Choice;

/// Name of the operation in errors.
const OPERATION: &str = "tune";

/// Tunes a module: cable delay, network analysis, search, fine sweep, linear and nonlinear fit,
/// placement, rotation and calibration.
///
/// Returns a status with a reason for every resonance that has a channel, and the resonances
/// without one. The module's earlier tones are cleared before the first comb is set; the tones of
/// the outcome are left on.
///
/// **On cancel** (the future is dropped) the tones stay as they were last set. The caller must
/// clean up.
///
/// # Errors
/// An error before anything is set on the board, if parameters are out of range, if points are too
/// far apart, or if a comb exceeds full scale or a limit of the module; else the errors of the
/// board. It is not an error if no resonance is found.
#[tworoutine::tworoutine(Send)]
pub async fn tune(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
) -> Result<TuneOutcome> {
    tune_with_progress(board, module, params, &()).await
}

/// As [`tune()`], with a report of every step to `progress`.
#[tworoutine::tworoutine(Send)]
pub async fn tune_with_progress(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
    progress: &dyn Progress,
) -> Result<TuneOutcome> {
    let mut session = Session::open(board, module, progress).await?;
    if let Some(why) = params.problem() {
        return Err(session.refuse(ErrorKind::InvalidArgument, OPERATION, why));
    }
    // The number of detectors is not known yet, so only one tone on a detector and the reference
    // tones are checked.
    let tones = std::iter::repeat_n(params.tone_amplitude, 1 + params.reference_tones);
    session.check_powers(OPERATION, tones)?;
    let band = session.band(params.band);
    let settings = network_analysis::nco_settings(&session, band, &params.network_analysis)?;

    // If one NCO setting covers the band, the NCO is set only once, so that the phase reference
    // stays the same.
    let first_nco = match settings.as_slice() {
        [only] => *only,
        _ => session.nearest_nco(band.centre_hz()),
    };
    let (geometry, delay) = (params.geometry, &params.cable_delay);
    let delay = cable_delay::measure(&mut session, band, first_nco, geometry, delay).await?;
    let tau_s = delay.delay.tau_s;

    let wide = network_analysis::sweep(&mut session, band, tau_s, &params.network_analysis).await?;
    session.report(Stage::Finding, 0, 1);
    let (wide, found) = search(wide, tau_s, params).await;
    session.report(Stage::Finding, 1, 1);

    // One NCO setting must reach all tones, because each change of the NCO ends the phase epoch.
    let nco_hz = match settings.as_slice() {
        [only] => *only,
        _ => choice::best_nco(&found.candidates, &session, band.centre_hz()),
    };
    // Boards round the frequency of the NCO, so it is set before the reach is calculated from it.
    session.set_nco(nco_hz).await?;
    let Choice {
        chosen,
        mut targets,
        edge,
        not_toned,
    } = choice::choose(&found.candidates, &session, params);
    let mut outcome = TuneOutcome::new(&session, band, params.geometry, delay, wide, found);
    outcome.not_toned = not_toned;
    let (params, lowered) =
        lower_amplitude(params, &session, chosen.len() + params.reference_tones);
    let params = &params;
    outcome.warnings.extend(lowered);
    for target in &mut targets {
        target.amplitude = params.tone_amplitude;
    }
    if chosen.is_empty() {
        bias::add_edge_channels(&mut outcome, &edge, 0);
        session.set(&[]).await?;
        return Ok(outcome);
    }

    let mut sweeps = None;
    let mut fitted = Vec::new();
    // Each pass is centred on the fits of the pass before. The wide sweep gives frequencies only to
    // a fraction of a linewidth.
    for pass in 0..params.sweep_passes {
        if pass > 0 {
            let reach = session.reach(session.nco.frequency.0);
            let candidates = &outcome.find.candidates;
            choice::recentre(&mut targets, candidates, &chosen, &fitted, reach, params);
        }
        let fine = fine_sweep::sweep(&mut session, &targets, None, &params.fine_sweep).await?;
        session.report(Stage::Fitting, 0, targets.len());
        let (fine, fits) = fit(fine, &outcome.find.candidates, &chosen, tau_s, params).await;
        session.report(Stage::Fitting, targets.len(), targets.len());
        sweeps = Some(fine);
        fitted = fits;
    }
    if let Some(sweeps) = sweeps {
        outcome.warnings.extend(sweeps.warnings());
        outcome.fine_sweep = Some(sweeps);
    }

    let references = references::choose(
        &outcome.find.candidates,
        &session,
        band,
        &outcome.network_analysis,
        outcome.find.relative_noise,
        chosen.len() + edge.len(),
        params,
    );
    if references.len() < params.reference_tones {
        let (some, all) = (references.len(), params.reference_tones);
        let warning = format!("only {some} of {all} reference tones could be placed");
        outcome.warnings.push(warning);
    }
    bias::place_and_calibrate(
        &mut session,
        &mut outcome,
        &chosen,
        &fitted,
        &references,
        params,
    )
    .await?;
    geometry::doubt(&mut outcome, &chosen, &fitted);
    bias::add_edge_channels(&mut outcome, &edge, chosen.len() + references.len());
    Ok(outcome)
}

/// Returns the parameters with an amplitude at which `tones` tones may be driven together, and a
/// warning if this amplitude is less than the requested one. So a limit on the total power lowers
/// the amplitude of all tones, and does not make the tune fail.
fn lower_amplitude(
    params: &TuneParams,
    session: &Session<'_>,
    tones: usize,
) -> (TuneParams, Option<String>) {
    let mut params = params.clone();
    let asked = params.tone_amplitude;
    let problem = |amplitude: f64| {
        let comb = std::iter::repeat_n(amplitude, tones);
        session.description.comb_problem(comb)
    };
    let Some(reason) = problem(asked) else {
        return (params, None);
    };
    // Bisection is used because the limits include the peak of the comb, which has no simple
    // inverse.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..30 {
        let middle = 0.5 * (low + high);
        match problem(middle * asked) {
            None => low = middle,
            Some(_) => high = middle,
        }
    }
    // Limits tolerate rounding errors. The amplitude stays a little below the limit, so that it
    // never needs this tolerance.
    low *= 1.0 - 1e-6;
    params.tone_amplitude = low * asked;
    let down_db = -20.0 * low.log10();
    let warning =
        format!("{tones} tones are driven {down_db:.1} dB below the requested power: {reason}");
    (params, Some(warning))
}

async fn search(
    wide: NetworkAnalysisOutcome,
    tau_s: f64,
    params: &TuneParams,
) -> (NetworkAnalysisOutcome, FindOutcome) {
    // The search takes many milliseconds, so it runs outside the event loop.
    let (find, geometry) = (params.find.clone(), params.geometry);
    tworoutine::offload(move || {
        let sweep = wide.as_sweep(tau_s).geometry(geometry);
        let found = find_resonances(&sweep, &find);
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
    let feed = lines::Feedline {
        tau_s,
        geometry: params.geometry,
    };
    tworoutine::offload(move || {
        // The channel of a sweep is the index of its target.
        let of_target = |target| {
            let sweeps = fine.sweeps.iter();
            sweeps.filter(|s| s.channel.index() == target).collect()
        };
        let sweeps: Vec<_> = (0..chosen.len()).map(of_target).collect();
        let mut fits = lines::fit_all(&sweeps, &candidates, &chosen, feed, &fit);
        lines::refuse_wide(&mut fits, widest_hz);
        (fine, fits)
    })
    .await
}
