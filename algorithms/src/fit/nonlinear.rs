//! Fit of a resonator whose frequency is pulled by its own power.

use super::assess::{assess, has_jump, points_on_line};
use super::levenberg::{Solution, Workspace, minimise};
use super::linear::search;
use super::model::Resonators;
use super::outcome::{Fit, FitParams, FitStatus};
use super::prepare::{Prepared, SweepData};
use super::start::nonlinear_starts;

/// Nonlinearities of the first starting points, and further nonlinearities that are tried if no
/// first starting point succeeds.
const PULLS: [f64; 5] = [0.0, 0.1, 0.3, 0.5, 0.7];
const MORE_PULLS: [f64; 6] = [-0.1, 0.2, 0.6, 0.85, 1.1, 1.6];

/// Largest number of steps of each search. If the search with the smallest residual has not
/// converged in these steps, it is continued.
const SHORT_SEARCH: usize = 25;

/// Fits one resonator with its nonlinearity `a` to a complex sweep, on the branch of the sweep's
/// direction (Swenson et al., J. Appl. Phys. 113, 104501, 2013).
///
/// The conditions of success are those of [`super::fit_linear`], and an error of `a` of at most
/// [`FitParams::max_a_error`]. The status is `bifurcated` if the sweep has a jump that the model
/// does not follow. A resonance with too few points is `undersampled` and never `bifurcated`, and
/// one of another geometry is `other_geometry`. Never panics.
pub fn fit_nonlinear(data: &SweepData<'_>, params: &FitParams) -> Fit {
    match search_nonlinear(data, params) {
        Ok((_, _, fit)) => fit,
        Err(status) => Fit::failed(status, data.direction),
    }
}

fn search_nonlinear(
    data: &SweepData<'_>,
    params: &FitParams,
) -> Result<(Prepared, Solution, Fit), FitStatus> {
    let (prepared, linear, linear_fit) = search(data, params)?;
    let model = Resonators::new(&prepared, 1, params, true);
    let mut work = Workspace::default();
    let mut best: Option<(Solution, Fit)> = None;
    // Each search is short, because a few steps show for most starting points that they are wrong.
    let mut attempt = |start, best: &mut Option<(Solution, Fit)>| {
        let solution = minimise(
            &model,
            start,
            params.max_iterations.min(SHORT_SEARCH),
            &mut work,
        );
        let fit = assess(&model, &solution, 0, params);
        let done = fit.status.is_success();
        if best.as_ref().is_none_or(|(b, _)| solution.cost < b.cost) {
            *best = Some((solution, fit));
        }
        done
    };
    let near = nonlinear_starts(&prepared, &linear.p, &PULLS, &[0.8, 1.0]);
    let mut done = near.first().is_some_and(|start| attempt(start, &mut best));
    // The linear fit may be good although the first starting point is not, so its result is tried
    // too.
    if !done && linear_fit.status.is_success() {
        done = attempt(&linear.p, &mut best);
    }
    if !done {
        let far = nonlinear_starts(&prepared, &linear.p, &MORE_PULLS, &[0.6, 1.0]);
        let others = near.iter().skip(1).take(2).chain(far.iter().take(3));
        for start in others {
            if attempt(start, &mut best) {
                break;
            }
        }
    }
    let (mut solution, mut fit) = best.ok_or(FitStatus::NoResonance)?;
    // The best search may only have ended because it was short.
    if !solution.converged && params.max_iterations > SHORT_SEARCH {
        solution = minimise(
            &model,
            &solution.p,
            params.max_iterations - SHORT_SEARCH,
            &mut work,
        );
        fit = assess(&model, &solution, 0, params);
    }
    let diameter = fit.model.diameter() / prepared.scale;
    let sampled = points_on_line(&prepared, &fit.model) >= 4;
    // A fit that succeeds has followed the jump, so the jump matters only for fits that fail. Two
    // of the reasons explain more than a jump does.
    let jumps = sampled && diameter.is_finite() && has_jump(&prepared.z, diameter);
    let is_known = matches!(
        fit.status,
        FitStatus::Success | FitStatus::Undersampled | FitStatus::OtherGeometry
    );
    if jumps && !is_known {
        fit.status = FitStatus::Bifurcated;
        fit.bifurcated = true;
    }
    Ok((prepared, solution, fit))
}
