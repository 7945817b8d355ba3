//! Fit of two resonances that overlap so much that they look like one.

use num_complex::Complex64;

use super::joint::fit_joint;
use super::outcome::{Fit, FitParams};
use super::prepare::{Prepared, SweepData};
use crate::resonator::Resonator;

/// Widths that are tried, in units of half the sweep.
const WIDTHS: [f64; 4] = [0.1, 0.17, 0.28, 0.46];
/// Number of positions that are tried, from -0.8 to 0.8 of half the sweep.
const POSITIONS: usize = 17;
/// Largest number of starting points that are tried.
const STARTS: usize = 3;

/// Fits two neighbouring resonances to a sweep that one resonance does not explain, without initial
/// guesses. If `nonlinear` is true, their nonlinearities are fitted too.
///
/// Every pair of a grid of notches, together with a sloped line, is fitted to the sweep in closed
/// form. Joint fits start from the pairs with the smallest residuals. `None` if no joint fit
/// succeeds on both resonances.
pub fn fit_pair(data: &SweepData<'_>, nonlinear: bool, params: &FitParams) -> Option<[Fit; 2]> {
    let prepared = Prepared::new(data, 16).ok()?;
    let notches = notches(&prepared);
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for i in 0..notches.len() {
        for j in i + 1..notches.len() {
            if (notches[i].x - notches[j].x).abs() > 1e-9 {
                pairs.push((explained(&notches[i], &notches[j]), i, j));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut tried: Vec<(usize, usize)> = Vec::new();
    for &(_, i, j) in &pairs {
        let place = |n: usize| notches[n].x;
        // Pairs that are close in the grid lead to the same solution, so only one of them is tried.
        let alike = tried
            .iter()
            .any(|&(k, l)| (place(i) - place(k)).abs() + (place(j) - place(l)).abs() < 0.15);
        if alike {
            continue;
        }
        tried.push((i, j));
        let guesses = guesses(&prepared, &notches[i], &notches[j])?;
        let fits = fit_joint(data, &guesses, nonlinear, params);
        if let [first, second] = fits.as_slice()
            && first.status.is_success()
            && second.status.is_success()
        {
            return Some([*first, *second]);
        }
        if tried.len() == STARTS {
            break;
        }
    }
    None
}

/// Notch of the grid, made orthogonal to a sloped line and normalised to length one.
struct Notch {
    x: f64,
    width: f64,
    unit: Vec<Complex64>,
    /// Length before the normalisation.
    length: f64,
    /// Projection of the sweep onto the notch.
    share: Complex64,
}

fn notches(data: &Prepared) -> Vec<Notch> {
    let mut notches = Vec::with_capacity(WIDTHS.len() * POSITIONS);
    for width in WIDTHS {
        for k in 0..POSITIONS {
            let x = 1.6 * k as f64 / (POSITIONS - 1) as f64 - 0.8;
            let bare: Vec<Complex64> = data.t.iter().map(|t| response(*t, x, width)).collect();
            let mut unit = without_line(&data.t, &bare);
            let length = unit.iter().map(Complex64::norm_sqr).sum::<f64>().sqrt();
            // A notch that is much wider than the sweep cannot be distinguished from a sloped line.
            if length < 1e-6 {
                continue;
            }
            for value in &mut unit {
                *value /= length;
            }
            let share = inner(&unit, &data.z);
            notches.push(Notch {
                x,
                width,
                unit,
                length,
                share,
            });
        }
    }
    notches
}

fn response(t: f64, x: f64, width: f64) -> Complex64 {
    1.0 / Complex64::new(1.0, 2.0 * (t - x) / width)
}

fn inner(a: &[Complex64], b: &[Complex64]) -> Complex64 {
    a.iter().zip(b).map(|(a, b)| a.conj() * b).sum()
}

/// Returns a function of `t` minus its best sloped line.
fn without_line(t: &[f64], values: &[Complex64]) -> Vec<Complex64> {
    let (offset, slope) = line_through(t, values);
    t.iter()
        .zip(values)
        .map(|(t, v)| v - offset - slope * t)
        .collect()
}

fn line_through(t: &[f64], values: &[Complex64]) -> (Complex64, Complex64) {
    let n = t.len() as f64;
    let mean_t = t.iter().sum::<f64>() / n;
    let mean = values.iter().sum::<Complex64>() / n;
    let spread: f64 = t.iter().map(|t| (t - mean_t).powi(2)).sum();
    let slope = t
        .iter()
        .zip(values)
        .map(|(t, v)| v * (t - mean_t))
        .sum::<Complex64>()
        / spread;
    (mean - slope * mean_t, slope)
}

/// Returns the squared length of the projection of the sweep onto the plane of two notches.
fn explained(a: &Notch, b: &Notch) -> f64 {
    let (p, q) = weights(a, b);
    (p.conj() * a.share + q.conj() * b.share).re
}

/// Returns the factors of the two normalised notches that fit the sweep best.
fn weights(a: &Notch, b: &Notch) -> (Complex64, Complex64) {
    let overlap = inner(&a.unit, &b.unit);
    // The sweep does not determine the factors of two notches that are nearly the same. The lower
    // bound keeps the factors finite.
    let rest = (1.0 - overlap.norm_sqr()).max(0.02);
    (
        (a.share - overlap * b.share) / rest,
        (b.share - overlap.conj() * a.share) / rest,
    )
}

fn guesses(data: &Prepared, a: &Notch, b: &Notch) -> Option<[Resonator; 2]> {
    let (p, q) = weights(a, b);
    let (p, q) = (p / a.length, q / b.length);
    // The line is fitted to the remainder after the two notches are removed.
    let without: Vec<Complex64> = data
        .t
        .iter()
        .zip(&data.z)
        .map(|(t, z)| z - p * response(*t, a.x, a.width) - q * response(*t, b.x, b.width))
        .collect();
    let (offset, slope) = line_through(&data.t, &without);
    let one = |notch: &Notch, factor: Complex64| {
        let fr_hz = data.f_ref_hz + data.width_hz * notch.x;
        let peak = Resonator {
            geometry: data.geometry,
            f_ref_hz: data.f_ref_hz,
            gain: factor * data.scale,
            slope_per_hz: 0.0,
            tau_s: data.tau_s,
            fr_hz,
            qr: fr_hz / (data.width_hz * notch.width),
            coupling: -Complex64::ONE,
            off: offset / factor,
            a: 0.0,
        };
        let Some(largest) = data.geometry.lossless_diameter() else {
            return peak;
        };
        let coupling = -factor / (offset + slope * notch.x);
        // These are the couplings of a sum of poles. They differ from the couplings of the product
        // of notches that is fitted, so they may be outside the allowed range.
        let most = 0.9 * largest;
        let coupling = coupling * (most / coupling.norm().max(most));
        Resonator {
            gain: offset * data.scale,
            coupling: Complex64::new(coupling.re.max(0.1), coupling.im),
            off: Complex64::ONE,
            ..peak
        }
    };
    let guesses = [one(a, p), one(b, q)];
    guesses.iter().all(Resonator::is_finite).then_some(guesses)
}
