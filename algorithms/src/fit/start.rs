//! Starting points of the least-squares search.

use num_complex::Complex64;

use super::circle::fit_circle;
use super::levenberg::{MAX_PARAMETERS, Parameters};
use super::model::{A_IM, A_RE, DELAY, GAIN_IM, GAIN_RE, LINE_PARAMETERS, LOG_Q, PULL, SLOPE, X};
use super::prepare::{Prepared, SweepData};
use crate::geometry::Geometry;
use crate::projection::{Projection, project};
use crate::resonator::pulled_detuning;

/// Returns the known delay of a sweep, corrected by the slope of the phase in its outer sixths, in
/// seconds. The correction is made only if this slope amounts to more than half a radian over half
/// of the span, or a radian for a peak, because the resonator itself causes a smaller slope in the
/// outer sixths. The sum of a peak's wings and of a leak of the same size turns most.
pub(super) fn wing_delay(data: &SweepData<'_>, prepared: &Prepared) -> f64 {
    let n = prepared.len();
    let wing = (n / 6).max(2).min(n - 1);
    let mut turned = Complex64::new(0.0, 0.0);
    let mut width = 0.0;
    for i in (0..wing).chain(n - 1 - wing..n - 1) {
        turned += prepared.z[i + 1] * prepared.z[i].conj();
        width += prepared.t[i + 1] - prepared.t[i];
    }
    // The sum of products weights each step by its magnitude, so weak points do not add random
    // phases.
    let turn = -turned.arg() * 2.0 * wing as f64 / width;
    let least = match data.geometry {
        Geometry::Peak => 1.0,
        Geometry::Notch | Geometry::Reflection => 0.5,
    };
    let tau = if turn.is_finite() && turn.abs() > least {
        turn / (std::f64::consts::TAU * prepared.width_hz)
    } else {
        0.0
    };
    data.tau_s + tau
}

/// Returns the starting points of a linear fit: first the one from projections onto a grid of
/// resonances, then the one from a circle with the phase around its centre.
pub(super) fn linear_starts(data: &Prepared) -> Vec<Parameters> {
    let mut starts = Vec::with_capacity(2);
    starts.extend(from_grid(data));
    starts.extend(from_circle(data));
    starts
}

/// Widths of the grid, in units of half the span.
const WIDTHS: [f64; 6] = [0.08, 0.15, 0.25, 0.4, 0.65, 1.0];

fn from_grid(data: &Prepared) -> Option<Parameters> {
    let spacing = 2.0 / data.len() as f64;
    let mut best: Option<(Projection, f64, f64)> = None;
    for width in WIDTHS.map(|w| w.max(1.5 * spacing)) {
        // Steps are proportional to the width, so that the grid is as coarse as each width allows.
        let step = (0.4 * width).max(spacing);
        let mut x = -0.95;
        while x <= 0.95 {
            if let Some(found) = project_at(data, x, width, 0.0)
                && best.is_none_or(|(b, ..)| found.gain > b.gain)
            {
                best = Some((found, x, width));
            }
            x += step;
        }
    }
    let (found, x, width) = best?;
    start(data, &found, x, width, 0.0)
}

fn project_at(data: &Prepared, x: f64, width: f64, a: f64) -> Option<Projection> {
    let sharpness = 1.0 / width;
    project(data.t.iter().zip(&data.z).map(|(&t, &z)| {
        let y0 = (t - x) * sharpness;
        (t - x, pulled_detuning(y0, a, data.direction), z)
    }))
}

fn start(data: &Prepared, found: &Projection, x: f64, width: f64, a: f64) -> Option<Parameters> {
    let mut p = [0.0; MAX_PARAMETERS];
    p[LINE_PARAMETERS + X] = x;
    p[LINE_PARAMETERS + LOG_Q] = -width.ln();
    p[LINE_PARAMETERS + PULL] = a;
    let Some(largest) = data.geometry.lossless_diameter() else {
        // The leak may be next to nothing, so its slope says nothing about the line of the peak.
        p[GAIN_RE] = found.line.re;
        p[GAIN_IM] = found.line.im;
        p[LINE_PARAMETERS + A_RE] = found.amplitude.re;
        p[LINE_PARAMETERS + A_IM] = found.amplitude.im;
        return Some(p);
    };
    let gain = found.line - found.slope * x;
    let relative = found.slope / gain;
    p[GAIN_RE] = gain.re;
    p[GAIN_IM] = gain.im;
    if relative.is_finite() {
        p[SLOPE] = relative.re.clamp(-0.3, 0.3);
        p[DELAY] = (-relative.im).clamp(-0.5, 0.5);
    }
    // Noise can give a coupling that no resonator can have, which would be a bad starting point.
    let most = 0.98 * largest;
    let coupling = found.coupling * (most / found.coupling.norm().max(most));
    // The real part of a resonator's coupling is positive.
    p[LINE_PARAMETERS + A_RE] = coupling.re.max(0.01);
    p[LINE_PARAMETERS + A_IM] = coupling.im;
    coupling.is_finite().then_some(p)
}

/// Returns a starting point from a Taubin circle, with frequency and width from the phase around
/// its centre.
fn from_circle(data: &Prepared) -> Option<Parameters> {
    let circle = fit_circle(&data.z)?;
    let n = data.len();
    let mut angle = 0.0;
    let mut angles = Vec::with_capacity(n);
    angles.push(0.0);
    for pair in data.z.windows(2) {
        let turned = (pair[1] - circle.centre) * (pair[0] - circle.centre).conj();
        angle += turned.arg();
        angles.push(angle);
    }
    // At the resonance the phase changes fastest.
    let speed = |i: usize| {
        (angles[i + 2] - angles[i]).abs() / (data.t[i + 2] - data.t[i]).max(f64::MIN_POSITIVE)
    };
    let fastest = (0..n.saturating_sub(2)).max_by(|&i, &j| speed(i).total_cmp(&speed(j)))? + 1;
    let x = data.t[fastest];
    let quarter = std::f64::consts::FRAC_PI_2;
    // Half a linewidth from the resonance, the phase around the centre has changed by a quarter
    // turn.
    let beyond = |i: &usize| (angles[*i] - angles[fastest]).abs() >= quarter;
    let below = (0..fastest).rev().find(beyond).map(|i| x - data.t[i]);
    let above = (fastest + 1..n).find(beyond).map(|i| data.t[i] - x);
    let width = match (below, above) {
        (Some(b), Some(a)) => a + b,
        (Some(half), None) | (None, Some(half)) => 2.0 * half,
        (None, None) => 0.35,
    };
    let towards = data.z[fastest] - circle.centre;
    let direction = towards / towards.norm();
    // The transmission far from the resonance is the opposite point of the circle.
    let gain = circle.centre - direction * circle.radius;
    let amplitude = direction * (2.0 * circle.radius);
    let usable = gain.is_finite() && amplitude.is_finite() && width > 0.0;
    let found = Projection {
        gain: 0.0,
        residual: 0.0,
        line: gain,
        slope: Complex64::new(0.0, 0.0),
        amplitude,
        coupling: -amplitude / gain,
    };
    let width = width.clamp(1e-3, 2.0);
    usable.then(|| start(data, &found, x, width, 0.0)).flatten()
}

/// Returns the starting points of a nonlinear fit, in ascending order of their residuals, from the
/// solution `linear` of a linear fit: one for each pair of a nonlinearity in `pulls` and a factor
/// of the width in `stretches`. The dip is measured, so a stronger pull means a higher resonance
/// frequency at low power.
pub(super) fn nonlinear_starts(
    data: &Prepared,
    linear: &Parameters,
    pulls: &[f64],
    stretches: &[f64],
) -> Vec<Parameters> {
    let width = (-linear[LINE_PARAMETERS + LOG_Q]).exp();
    let dip = linear[LINE_PARAMETERS + X];
    let mut starts = Vec::with_capacity(pulls.len() * stretches.len());
    for &a in pulls {
        for &stretch in stretches {
            let width = width * stretch;
            // The linear fit of a pulled resonance gives a frequency between the dip and the
            // resonance frequency at low power.
            let x = dip + 0.75 * a * width;
            let found = project_at(data, x, width, a);
            let start = |found: Projection| start(data, &found, x, width, a);
            if let Some((found, start)) = found.and_then(|found| Some((found, start(found)?))) {
                starts.push((found.residual, start));
            }
        }
    }
    starts.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    starts.into_iter().map(|(_, p)| p).collect()
}
