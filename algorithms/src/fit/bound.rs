//! The Cramer-Rao bound: the smallest error that an unbiased fit can have.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use super::levenberg::{Model, inverse};
use super::model::{Resonators, errors, parameters};
use super::outcome::{FitErrors, FitParams, FitStatus};
use super::prepare::{Prepared, SweepData};
use crate::resonator::{Direction, Resonator};

/// Parameters that are fitted in addition to gain, frequency, quality factor and coupling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoundParameters {
    /// The delay within the sweep.
    pub delay: bool,
    /// The slope of the line's gain.
    pub slope: bool,
    /// The nonlinearity.
    pub a: bool,
}

/// Returns the smallest one-sigma errors for a sweep of the resonator `truth` at `frequency_hz`,
/// with white noise `sqrt(<|n|^2>) = noise` per point. These errors follow from the Jacobian of the
/// model. `free` selects the parameters that are fitted in addition to those that always are.
///
/// # Errors
/// A status if the points do not determine all parameters, or if an argument is not a finite
/// number.
pub fn cramer_rao(
    truth: &Resonator,
    frequency_hz: &[f64],
    noise: f64,
    direction: Direction,
    free: BoundParameters,
) -> Result<FitErrors, FitStatus> {
    if !(truth.is_finite() && noise.is_finite() && noise >= 0.0) {
        return Err(FitStatus::NonFinite);
    }
    let z: Vec<Complex64> = frequency_hz
        .iter()
        .map(|&f| truth.transmission(f, direction))
        .collect();
    let data = SweepData::new(frequency_hz, &z)
        .noise(noise)
        .delay(truth.tau_s)
        .geometry(truth.geometry)
        .direction(direction);
    let prepared = Prepared::new(&data, 4)?;
    let params = FitParams {
        fit_delay: free.delay,
        fit_slope: free.slope,
        ..FitParams::default()
    };
    let model = Resonators::new(&prepared, 1, &params, free.a);
    let p = parameters(truth, &prepared);
    let (n, m) = (model.points(), model.parameters());
    let zero = Complex64::new(0.0, 0.0);
    let (mut r, mut jacobian) = (vec![zero; n], vec![zero; n * m]);
    model.residuals(&p, &mut r, Some(&mut jacobian));
    let (normal, _) = super::levenberg::normal_equations(&model, &r, &jacobian);
    let mut covariance = inverse(&normal, m).ok_or(FitStatus::NoResonance)?;
    let variance = 0.5 * (noise / prepared.scale).powi(2);
    for (i, row) in covariance.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            let is_fixed = i < m && j < m && !(model.is_free(i) && model.is_free(j));
            *value = if is_fixed { 0.0 } else { *value * variance };
        }
    }
    Ok(errors(&covariance, &p, 0, &prepared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Geometry;

    /// fr 1 GHz, Qr 2e4, 201 points over 6 linewidths, SNR 100.
    fn example(qi: f64, a: f64) -> (Resonator, Vec<f64>) {
        let (fr_hz, qr) = (1e9, 2e4);
        let truth = Resonator {
            f_ref_hz: fr_hz,
            gain: Complex64::new(1.0, 0.0),
            slope_per_hz: 0.0,
            tau_s: 0.0,
            fr_hz,
            qr,
            coupling: Complex64::new(1.0 - qr / qi, 0.0),
            off: Complex64::ONE,
            geometry: Geometry::Notch,
            a,
        };
        let f = (0..201)
            .map(|i| fr_hz + (f64::from(i) / 100.0 - 1.0) * 1.5e5)
            .collect();
        (truth, f)
    }

    #[test]
    fn agrees_with_published_numbers() {
        let (truth, f) = example(1e5, 0.0);
        let known = BoundParameters::default();
        let bound = cramer_rao(&truth, &f, 0.01, Direction::Up, known).unwrap();
        assert!((bound.fr_hz - 80.0).abs() < 12.0, "{bound:?}");
        assert!((bound.qr / 2e4 - 0.003).abs() < 0.0007, "{bound:?}");
        let sloped = BoundParameters {
            slope: true,
            ..known
        };
        let bound = cramer_rao(&truth, &f, 0.01, Direction::Up, sloped).unwrap();
        assert!((bound.fr_hz - 93.0).abs() < 14.0, "{bound:?}");
        let pulled = BoundParameters { a: true, ..known };
        let bound = cramer_rao(&truth, &f, 0.01, Direction::Up, pulled).unwrap();
        assert!((bound.a - 0.005).abs() < 0.0015, "{bound:?}");
        assert!((bound.fr_hz - 240.0).abs() < 60.0, "{bound:?}");
    }

    #[test]
    fn too_few_points_have_no_bound() {
        let (truth, f) = example(1e5, 0.0);
        let bound = cramer_rao(
            &truth,
            &f[..3],
            0.01,
            Direction::Up,
            BoundParameters::default(),
        );
        assert_eq!(bound, Err(FitStatus::TooFewPoints));
    }
}
