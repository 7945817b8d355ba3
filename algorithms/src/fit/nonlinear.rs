//! Fit of a resonator that its own power pulls.

use super::judge::{has_jump, judge, points_on_line};
use super::levenberg::{Solution, Workspace, minimise};
use super::linear::search;
use super::model::Notches;
use super::outcome::{Fit, FitParams, FitStatus};
use super::prepare::{Prepared, SweepData};
use super::start::nonlinear_starts;

/// Nonlinearities to start from, and those tried if none of them leads to a success.
const PULLS: [f64; 5] = [0.0, 0.1, 0.3, 0.5, 0.7];
const MORE_PULLS: [f64; 6] = [-0.1, 0.2, 0.6, 0.85, 1.1, 1.6];

/// Steps of each search while none has succeeded; the best goes on to the end.
const SHORT: usize = 25;

/// Fits one resonator with its nonlinearity `a` to a complex sweep, on the branch that belongs to
/// the sweep's direction (Swenson et al., J. Appl. Phys. 113, 104501, 2013).
///
/// Success asks for the same as [`super::fit_linear`], and for a known `a`. A sweep that the model
/// cannot follow and that jumps is `bifurcated`; a line of too few points is `undersampled`,
/// never `bifurcated`. Never panics.
#[must_use]
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
    let model = Notches::new(&prepared, 1, params, true);
    let mut work = Workspace::default();
    let mut best: Option<(Solution, Fit)> = None;
    let mut attempt = |start, best: &mut Option<(Solution, Fit)>| {
        let solution = minimise(&model, start, params.max_iterations.min(SHORT), &mut work);
        let fit = judge(&model, &solution, 0, params);
        let done = fit.status.is_success();
        if best.as_ref().is_none_or(|(b, _)| solution.cost < b.cost) {
            *best = Some((solution, fit));
        }
        done
    };
    let near = nonlinear_starts(&prepared, &linear.p, &PULLS, &[0.8, 1.0]);
    let mut done = near.first().is_some_and(|start| attempt(start, &mut best));
    // A good linear fit that the first start misses: begin at its end.
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
    if !solution.converged && params.max_iterations > SHORT {
        solution = minimise(
            &model,
            &solution.p,
            params.max_iterations - SHORT,
            &mut work,
        );
        fit = judge(&model, &solution, 0, params);
    }
    let diameter = fit.model.coupling.norm() * fit.model.gain.norm() / prepared.scale;
    let sampled = points_on_line(&prepared, &fit.model) >= 4;
    let jumps = sampled && diameter.is_finite() && has_jump(&prepared.z, diameter);
    if jumps && !fit.status.is_success() && fit.status != FitStatus::Undersampled {
        fit.status = FitStatus::Bifurcated;
        fit.bifurcated = true;
    }
    Ok((prepared, solution, fit))
}
