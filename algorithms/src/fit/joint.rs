//! Joint fit of resonators that overlap.

use num_complex::Complex64;

use super::assess::assess;
use super::levenberg::{MAX_PARAMETERS, Parameters, Workspace, minimise};
use super::linear::LEAST_POINTS;
use super::model::{LINE_PARAMETERS, MAX_RESONATORS, RESONATOR_PARAMETERS, Resonators, parameters};
use super::outcome::{Fit, FitParams, FitStatus};
use super::prepare::{Prepared, SweepData};
use crate::geometry::Geometry;
use crate::resonator::{Direction, Resonator, pulled_detuning};

/// Fits up to four neighbouring resonators together to a sweep over all of them, starting from
/// `guesses`. If `nonlinear` is true, the nonlinearity of each is fitted too.
///
/// The gain of the line starts from the gain of the first guess. The line in the model of each
/// successful fit includes the notches of the neighbours, to first order around its own dip; the
/// leak of each successful fit of a peak includes the wings of the neighbours there.
/// Returns one fit for each guess, in their order. If there are more than four guesses, or if the
/// data cannot be fitted, all fits fail and their status is the reason. Never panics.
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
    start[..LINE_PARAMETERS].copy_from_slice(&parameters(first, &prepared)[..LINE_PARAMETERS]);
    for (k, guess) in guesses.iter().enumerate() {
        let own = parameters(guess, &prepared);
        start[LINE_PARAMETERS + RESONATOR_PARAMETERS * k
            ..LINE_PARAMETERS + RESONATOR_PARAMETERS * (k + 1)]
            .copy_from_slice(&own[LINE_PARAMETERS..LINE_PARAMETERS + RESONATOR_PARAMETERS]);
        if nonlinear && start[LINE_PARAMETERS + RESONATOR_PARAMETERS * k + 4] == 0.0 {
            start[LINE_PARAMETERS + RESONATOR_PARAMETERS * k + 4] = 0.05;
        }
    }
    let mut model = Resonators::new(&prepared, guesses.len(), params, nonlinear);
    // A neighbour may be outside the sweep, so the limit is wider than for a fit of one resonator.
    model.reach = 2.0;
    let mut work = Workspace::default();
    let solution = minimise(&model, &start, params.max_iterations, &mut work);
    let mut fits: Vec<Fit> = (0..guesses.len())
        .map(|k| assess(&model, &solution, k, params))
        .collect();
    let resonators: Vec<Resonator> = fits.iter().map(|fit| fit.model).collect();
    for (k, fit) in fits.iter_mut().enumerate() {
        if fit.status.is_success() {
            let others = resonators
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != k);
            let others = others.map(|(_, r)| r);
            fit.model = with_neighbours(&fit.model, others, data.direction, data.tau_s);
        }
    }
    fits
}

/// Returns the resonator with a line that includes the notches of its neighbours, to first order
/// around its dip, or with a leak that includes the wings of neighbouring peaks. A calibration
/// needs this model, because the samples at the tone contain the neighbours. `tau_s` is the delay
/// that was known before the fits.
pub(crate) fn with_neighbours<'a>(
    one: &Resonator,
    neighbours: impl Iterator<Item = &'a Resonator> + Clone,
    direction: Direction,
    tau_s: f64,
) -> Resonator {
    let dip_hz = one.frequency_at(0.0);
    let factor = |other: &Resonator, f_hz: f64| {
        let y = pulled_detuning(other.y0(f_hz), other.a, direction);
        match other.geometry {
            Geometry::Peak => other.wing(f_hz, y, tau_s),
            Geometry::Notch | Geometry::Reflection => other.factor(y),
        }
    };
    if one.geometry == Geometry::Peak {
        // Peaks add, so the wings of the neighbours are a part of the leak.
        let wings: Complex64 = neighbours.map(|other| factor(other, dip_hz)).sum();
        let off = one.off + wings / one.line(dip_hz);
        let off = if off.is_finite() { off } else { one.off };
        return Resonator { off, ..*one };
    }
    let step_hz = 0.02 * one.linewidth_hz();
    let line = |f_hz: f64| {
        let neighbours = neighbours.clone();
        neighbours.fold(one.line(f_hz), |line, other| line * factor(other, f_hz))
    };
    let gain = line(dip_hz);
    let relative = (line(dip_hz + step_hz) - line(dip_hz - step_hz)) / (2.0 * step_hz * gain);
    if !(relative.is_finite() && gain.norm() > 0.0) {
        return *one;
    }
    Resonator {
        f_ref_hz: dip_hz,
        gain,
        slope_per_hz: relative.re,
        tau_s: -relative.im / std::f64::consts::TAU,
        ..*one
    }
}
