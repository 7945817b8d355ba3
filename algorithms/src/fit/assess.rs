//! Conversion of the solution of a search to a fit with a status.

use num_complex::Complex64;

use super::levenberg::{Model, Solution, inverse};
use super::model::{
    LINE_PARAMETERS, RESONATOR_PARAMETERS, Resonators, X, coupling, errors, resonator,
};
use super::outcome::{Fit, FitErrors, FitParams, FitStatus};
use super::prepare::Prepared;
use crate::geometry::Geometry;
use crate::resonator::{BIFURCATION, Resonator, pulled_detuning};

/// Smallest coupling `|A|` that counts as a resonator: 0.03 dB.
const LEAST_COUPLING: f64 = 0.003;
/// Smallest coupling that counts as a resonator, in multiples of its error.
const LEAST_SIGNIFICANCE: f64 = 6.0;
/// Largest asymmetry angle of a resonator, in radians.
const LARGEST_ANGLE: f64 = 1.3;
/// Relative excess of a loop over the largest loop of its geometry, and ratio of the transmission
/// off resonance to the transmission of a peak on resonance, above which the geometry is another
/// one, in addition to five times the error of the fit.
const OTHER_EXCESS: f64 = 0.05;
const OTHER_RATIO: f64 = 0.9;
/// Size of a loop, relative to the largest of its geometry, that no asymmetry explains.
const FAR: f64 = 4.0;
/// Residual of a fit, over the diameter of the loop, below which there is a loop of such a size.
const FAR_RESIDUAL: f64 = 0.1;
/// Real part of the coupling below which a dip is a peak: one of 3.5 dB.
const OTHER_SIDE: f64 = -0.5;
/// Smallest number of points within one linewidth of the dip.
const LEAST_POINTS_ON_LINE: usize = 4;

/// Returns the fit of the resonator at `index`, from the solution of a search.
pub(super) fn assess(
    model: &Resonators<'_>,
    solution: &Solution,
    index: usize,
    params: &FitParams,
) -> Fit {
    let data = model.data;
    let n = data.len() as f64;
    let r = resonator(&solution.p, index, data);
    let free = (0..model.parameters())
        .filter(|&i| model.is_free(i))
        .count() as f64;
    // A complex point counts twice, so each real parameter takes half a point.
    let freedom = (n - 0.5 * free).max(0.5);
    let scattered = solution.cost / freedom;
    let known = data.noise.map(|s| s * s);
    // The given noise may be too small. The scatter about the model is a lower bound of the noise.
    let variance = known.map_or(scattered, |k| k.max(scattered));
    let covariance = inverse(&solution.normal, model.parameters());
    let sigmas = covariance.map(|mut matrix| {
        for row in &mut matrix {
            for value in row {
                *value *= 0.5 * variance;
            }
        }
        for i in (0..model.parameters()).filter(|&i| !model.is_free(i)) {
            matrix[i][i] = 0.0;
        }
        let base = LINE_PARAMETERS + RESONATOR_PARAMETERS * index;
        let coupling = (matrix[base + 2][base + 2] + matrix[base + 3][base + 3])
            .max(0.0)
            .sqrt();
        (errors(&matrix, &solution.p, index, data), coupling)
    });
    let residual_rms = (solution.cost / n).sqrt();
    let diameter = r.diameter() / data.scale;
    let mut fit = Fit {
        status: FitStatus::Success,
        fr_hz: r.fr_hz,
        qr: r.qr,
        qc: r.qc(),
        qi: r.qi(),
        phi_rad: r.phi_rad(),
        a: r.a,
        model: r,
        direction: data.direction,
        errors: sigmas.map_or(FitErrors::default(), |(e, _)| e),
        residual_rms: residual_rms * data.scale,
        residual_over_diameter: if diameter > 0.0 {
            residual_rms / diameter
        } else {
            0.0
        },
        reduced_chi2: known.filter(|k| *k > 0.0).map(|k| scattered / k),
        bifurcated: r.a > BIFURCATION,
        iterations: solution.iterations,
    };
    fit.status = status(model, solution, index, params, &fit, sigmas);
    fit
}

fn status(
    model: &Resonators<'_>,
    solution: &Solution,
    index: usize,
    params: &FitParams,
    fit: &Fit,
    sigmas: Option<(FitErrors, f64)>,
) -> FitStatus {
    let r = &fit.model;
    let coupling = coupling(&solution.p, index).norm();
    if !r.is_finite() || !solution.cost.is_finite() {
        return FitStatus::NonFinite;
    }
    let Some((errors, coupling_error)) = sigmas else {
        return FitStatus::NoResonance;
    };
    // The order of the checks matters: the user sees the first failure, and later checks are only
    // meaningful if the earlier ones pass.
    // The loop of a peak has the diameter 1, relative to its gain.
    let relative_error = match r.geometry {
        Geometry::Peak => coupling_error / coupling,
        Geometry::Notch | Geometry::Reflection => coupling_error,
    };
    let significant = coupling > LEAST_COUPLING && coupling > LEAST_SIGNIFICANCE * coupling_error;
    let line = r.gain.norm() / model.data.scale;
    // Far from the loops of the geometry, the line is next to nothing. Its share of the loop is
    // then known, but not the coupling, and the search may not converge.
    let line_share = (1.0 + 5.0 * relative_error / coupling) / coupling;
    let largest = r.geometry.lossless_diameter();
    if largest.is_some_and(|largest| line_share * FAR * largest < 1.0)
        && below(fit.residual_over_diameter, FAR_RESIDUAL)
    {
        return FitStatus::OtherGeometry;
    }
    if !significant || line < 1e-6 {
        return FitStatus::NoResonance;
    }
    let is_skew = r.phi_rad().is_some_and(|phi| phi.abs() > LARGEST_ANGLE);
    if is_skew && !is_other(r, relative_error) {
        return FitStatus::NoResonance;
    }
    if !solution.converged {
        return FitStatus::NoConvergence;
    }
    // The scaled frequency of the sweep runs from -1 to 1.
    if solution.p[LINE_PARAMETERS + RESONATOR_PARAMETERS * index + X].abs() > 1.0 {
        return FitStatus::OutsideSweep;
    }
    let lw = r.linewidth_hz();
    if lw > 2.0 * model.data.width_hz {
        return FitStatus::TooWide;
    }
    if points_on_line(model.data, r) < LEAST_POINTS_ON_LINE {
        return FitStatus::Undersampled;
    }
    if !below(fit.residual_over_diameter, params.max_residual) {
        return FitStatus::ResidualTooLarge;
    }
    if is_other(r, relative_error) {
        return FitStatus::OtherGeometry;
    }
    if r.qi().is_some_and(|qi| qi <= 0.0 || !qi.is_finite()) {
        return FitStatus::NegativeQi;
    }
    if !below(errors.fr_hz, params.max_fr_error_lw * lw) {
        return FitStatus::FrUncertain;
    }
    if model.fit_pull && !below(errors.a, params.max_a_error) {
        return FitStatus::AUncertain;
    }
    FitStatus::Success
}

/// True if the loop of `r` is clearly not that of a resonator of its geometry. `error` is the error
/// of the coupling, or of the height of a peak over the height.
fn is_other(r: &Resonator, error: f64) -> bool {
    let margin = 5.0 * error;
    match r.geometry.lossless_diameter() {
        Some(largest) => {
            r.coupling.re > largest * (1.0 + OTHER_EXCESS) + margin
                || r.coupling.re < OTHER_SIDE - margin
        }
        None => (r.off - r.coupling).norm() < r.off.norm() * OTHER_RATIO - margin,
    }
}

/// True if `value` is below `limit`; false for NaN.
fn below(value: f64, limit: f64) -> bool {
    value < limit
}

/// Returns the number of points of the sweep within one linewidth of the dip.
pub(super) fn points_on_line(data: &Prepared, r: &Resonator) -> usize {
    let near = |t: &&f64| {
        let y0 = r.y0(data.f_ref_hz + **t * data.width_hz);
        y0.abs() < 1.0 || pulled_detuning(y0, r.a, data.direction).abs() < 1.0
    };
    data.t.iter().filter(near).count()
}

/// True if the sweep jumps between branches. There is a jump if one step in complex S is much
/// larger than the steps on either side of it, and is a large part of the loop. If a resonance has
/// too few points, both steps around the dip are large, which is not a jump.
pub(super) fn has_jump(z: &[Complex64], diameter: f64) -> bool {
    if z.len() < 6 {
        return false;
    }
    let steps: Vec<f64> = z.windows(2).map(|w| (w[1] - w[0]).norm()).collect();
    (2..steps.len().saturating_sub(2)).any(|i| {
        // The neighbours on both sides are compared, because steps are large all around a narrow
        // dip.
        let around = [i - 2, i - 1, i + 1, i + 2]
            .map(|j| steps[j])
            .into_iter()
            .fold(0.0, f64::max);
        steps[i] > 0.25 * diameter && steps[i] > 2.5 * around
    })
}
