//! Joint fit of neighbours that overlap.

use super::judge::judge;
use super::levenberg::{MAX_PARAMETERS, Parameters, Workspace, minimise};
use super::linear::LEAST_POINTS;
use super::model::{EACH, LINE, MAX_RESONATORS, Notches, parameters};
use super::outcome::{Fit, FitParams, FitStatus};
use super::prepare::{Prepared, SweepData};
use crate::resonator::Resonator;

/// Fits up to four neighbours at once to a sweep over all of them, starting from `guesses`.
///
/// The line's gain is taken from the first guess. Answers one fit for each guess, in their order;
/// with no guess, or more than four, or data that no fit can be tried on, all of them fail with
/// the reason. Never panics.
#[must_use]
pub fn fit_joint(
    data: &SweepData<'_>,
    guesses: &[Resonator],
    nonlinear: bool,
    params: &FitParams,
) -> Vec<Fit> {
    let fail = |status| vec![Fit::failed(status, data.direction); guesses.len()];
    let Some(first) = guesses.first() else {
        return Vec::new();
    };
    if guesses.len() > MAX_RESONATORS {
        return fail(FitStatus::NoConvergence);
    }
    if guesses.iter().any(|g| !g.is_finite()) {
        return fail(FitStatus::NonFinite);
    }
    let prepared = match Prepared::new(data, LEAST_POINTS + 3 * guesses.len()) {
        Ok(prepared) => prepared,
        Err(status) => return fail(status),
    };
    let mut start: Parameters = [0.0; MAX_PARAMETERS];
    start[..LINE].copy_from_slice(&parameters(first, &prepared)[..LINE]);
    for (k, guess) in guesses.iter().enumerate() {
        let own = parameters(guess, &prepared);
        start[LINE + EACH * k..LINE + EACH * (k + 1)].copy_from_slice(&own[LINE..LINE + EACH]);
        if nonlinear && start[LINE + EACH * k + 4] == 0.0 {
            start[LINE + EACH * k + 4] = 0.05;
        }
    }
    let mut model = Notches::new(&prepared, guesses.len(), params, nonlinear);
    model.reach = 2.0;
    let mut work = Workspace::default();
    let solution = minimise(&model, &start, 2 * params.max_iterations, &mut work);
    (0..guesses.len())
        .map(|k| judge(&model, &solution, k, params))
        .collect()
}
