//! Fit of a linear resonator.

use super::assess::assess;
use super::levenberg::{Solution, Workspace, minimise};
use super::model::Resonators;
use super::outcome::{Fit, FitParams, FitStatus};
use super::prepare::{Prepared, SweepData};
use super::start::{linear_starts, wing_delay};

/// Smallest number of points for a fit of one resonator.
pub(super) const LEAST_POINTS: usize = 9;

/// Fits one linear resonator to a complex sweep by least squares on the complex residuals. If the
/// phase at the ends of the sweep shows another delay than the known one, the known delay is
/// corrected first. The starting points come from a grid of notches, and from a Taubin circle with
/// the phase around its centre.
///
/// The model is the model of [`crate::resonator`] with `a = 0` (Khalil et al., J. Appl. Phys. 111,
/// 054510, 2012; Probst et al., Rev. Sci. Instrum. 86, 024706, 2015). Never panics: if the data
/// cannot be fitted or the fit fails, the status is the reason.
pub fn fit_linear(data: &SweepData<'_>, params: &FitParams) -> Fit {
    match search(data, params) {
        Ok((_, _, fit)) => fit,
        Err(status) => Fit::failed(status, data.direction),
    }
}

/// Returns the prepared data, the solution of the search, and the fit.
pub(super) fn search(
    data: &SweepData<'_>,
    params: &FitParams,
) -> Result<(Prepared, Solution, Fit), FitStatus> {
    let mut prepared = Prepared::new(data, LEAST_POINTS)?;
    let tau_s = wing_delay(data, &prepared);
    if tau_s != data.tau_s {
        prepared = Prepared::new(&data.delay(tau_s), LEAST_POINTS)?;
    }
    let model = Resonators::new(&prepared, 1, params, false);
    let mut work = Workspace::default();
    let mut best: Option<(Solution, Fit)> = None;
    for start in linear_starts(&prepared) {
        let solution = minimise(&model, &start, params.max_iterations, &mut work);
        let fit = assess(&model, &solution, 0, params);
        let done = fit.status.is_success();
        if best.as_ref().is_none_or(|(b, _)| solution.cost < b.cost) {
            best = Some((solution, fit));
        }
        if done {
            break;
        }
    }
    let (solution, fit) = best.ok_or(FitStatus::NoResonance)?;
    Ok((prepared, solution, fit))
}
