//! Estimation of the delay of a line (feedline, cables and amplifiers) from its phase over
//! frequency.
//!
//! The phase is `phi0 - 2 pi f tau`. Unwrapping fails if the phase changes by more than pi between
//! neighbouring points. So the phase is not unwrapped. For the samples `z`, the estimate is the
//! `tau` at which `|sum z exp(2 pi i f tau)|` is largest. It is found from coarse to fine: first
//! with sums over short stretches of the sweep, whose peak is wide, then over longer and longer
//! ones. Finally a robust straight line is fitted to the remaining phase. Resonances are outliers
//! of this fit.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::robust::{median, spread};

/// Speed of light, in metres per second.
const SPEED_OF_LIGHT: f64 = 299_792_458.0;
/// Residual phase above which a point is an outlier, in multiples of the spread of the residual
/// phases.
const REJECT: f64 = 3.5;
/// Smallest residual phase that makes a point an outlier, in radians.
const LEAST_REJECT: f64 = 0.05;
/// Fraction of outliers above which the fitted line is rejected.
const MOST_REJECTED: f64 = 0.2;
/// Error of the phase over the span, in radians, from which on the delay is uncertain.
pub(crate) const UNCERTAIN_RAD: f64 = 0.1;
/// Coherence (0 to 1) below which the phases do not follow any delay.
const LEAST_COHERENCE: f64 = 0.3;

/// Result of an estimate: success, or the reason that the delay cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DelayStatus {
    /// The delay can be used.
    Success,
    /// There are fewer than 16 points, the numbers of frequencies and samples differ, or all
    /// frequencies are equal.
    TooFewPoints,
    /// A frequency or a sample is not a finite number, or the largest delay to search is not a
    /// positive number.
    NonFinite,
    /// The samples are zero, or their phases do not follow any delay.
    NoSignal,
    /// More than a fifth of the points are outliers.
    TooManyRejected,
    /// The error of the delay changes the phase by more than 0.1 rad over the span of the sweep.
    Uncertain,
    /// The points are so far apart that other delays fit as well.
    Ambiguous,
}

crate::status::names_of_status! {
    DelayStatus {
        Success => "success",
        TooFewPoints => "too_few_points",
        NonFinite => "non_finite",
        NoSignal => "no_signal",
        TooManyRejected => "too_many_rejected",
        Uncertain => "uncertain",
        Ambiguous => "ambiguous",
    }
}

/// A delay and its error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// Success, or the reason that the delay cannot be used.
    pub status: DelayStatus,
    /// The delay, in seconds. The phase falls with frequency for a positive delay.
    pub tau_s: f64,
    /// Error of the delay, in seconds. For `M` points that are evenly spread over a span `B` and
    /// whose phases have the scatter `s`, it is `s sqrt(12/M) / (2 pi B)`.
    pub sigma_s: f64,
    /// Phase at the middle of the sweep after the delay is removed, in radians.
    pub phase_rad: f64,
    /// Robust scatter of the phase about the fitted straight line, in radians.
    pub residual_rad: f64,
    /// Slope of a fit to every second point minus the slope of a fit to all points, in radians
    /// over the whole span. A large difference shows that the slope is not reliable.
    pub residual_slope_rad: f64,
    /// Fraction of the points that are outliers.
    pub rejected: f64,
}

impl Delay {
    fn failed(status: DelayStatus) -> Self {
        Self {
            status,
            tau_s: 0.0,
            sigma_s: 0.0,
            phase_rad: 0.0,
            residual_rad: 0.0,
            residual_slope_rad: 0.0,
            rejected: 0.0,
        }
    }

    /// Returns the length of coaxial cable (velocity 0.66 c) with this delay, in metres. Add it to
    /// the length that a board already corrects for.
    pub fn cable_length_m(&self) -> f64 {
        self.tau_s * 0.66 * SPEED_OF_LIGHT
    }
}

/// Estimates the delay of a sweep, between `-max_tau_s` and `max_tau_s`. The frequencies may be in
/// any order. Never panics: the status shows whether the delay can be used.
pub fn estimate_delay(frequency_hz: &[f64], z: &[Complex64], max_tau_s: f64) -> Delay {
    let n = frequency_hz.len();
    if n < 16 || z.len() != n {
        return Delay::failed(DelayStatus::TooFewPoints);
    }
    let finite = frequency_hz.iter().all(|f| f.is_finite()) && z.iter().all(|z| z.is_finite());
    if !(finite && max_tau_s.is_finite() && max_tau_s > 0.0) {
        return Delay::failed(DelayStatus::NonFinite);
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| frequency_hz[i].total_cmp(&frequency_hz[j]));
    let centre = 0.5 * (frequency_hz[order[0]] + frequency_hz[order[n - 1]]);
    let span = frequency_hz[order[n - 1]] - frequency_hz[order[0]];
    if span <= 0.0 {
        return Delay::failed(DelayStatus::TooFewPoints);
    }
    let f: Vec<f64> = order.iter().map(|&i| frequency_hz[i] - centre).collect();
    // Only phases are used, so that all points have the same weight regardless of their magnitude.
    let phasors: Vec<Complex64> = order
        .iter()
        .map(|&i| {
            if z[i].norm() > 0.0 {
                z[i] / z[i].norm()
            } else {
                0.0.into()
            }
        })
        .collect();
    if phasors.iter().filter(|p| p.norm() > 0.0).count() < 16 {
        return Delay::failed(DelayStatus::NoSignal);
    }
    let Some(coarse) = search(&f, &phasors, span, max_tau_s) else {
        return Delay::failed(DelayStatus::Ambiguous);
    };
    let coherence = coherent(&f, &phasors, coarse, span, n);
    if coherence < LEAST_COHERENCE {
        return Delay {
            tau_s: coarse,
            ..Delay::failed(DelayStatus::NoSignal)
        };
    }
    fit_line(&f, &phasors, coarse, span)
}

/// Searches the delay from coarse to fine. `None` if even the points that are nearest to each other
/// are too far apart for `max_tau_s`.
fn search(f: &[f64], phasors: &[Complex64], span: f64, max_tau_s: f64) -> Option<f64> {
    // The first stretches are so short that the largest delay changes the phase by at most pi over
    // one of them, if the points are dense enough for this.
    let nearest = f
        .windows(2)
        .map(|w| w[1] - w[0])
        .filter(|d| *d > 0.0)
        .fold(span, f64::min);
    // Delays whose phases differ by 2 pi between neighbouring points cannot be distinguished.
    if nearest * max_tau_s > 0.5 {
        return None;
    }
    let mut stretch = (0.5 / max_tau_s).max(1.5 * nearest).min(span);
    let (mut low, mut high) = (-max_tau_s, max_tau_s);
    let mut best = 0.0;
    loop {
        // As a function of the delay, the sum over a stretch has a peak with a width of about
        // `1 / stretch`.
        let step = 0.2 / stretch;
        let count = (((high - low) / step).ceil() as usize).clamp(1, 4096);
        let mut greatest = f64::NEG_INFINITY;
        for k in 0..=count {
            let tau = low + (high - low) * k as f64 / count as f64;
            let power = coherent(f, phasors, tau, stretch, 8192);
            if power > greatest {
                greatest = power;
                best = tau;
            }
        }
        if stretch >= span {
            return Some(best);
        }
        // The next stretches are six times as long, so the range of the search is not much wider
        // than the peaks of their sums.
        let uncertainty = 0.6 / stretch;
        (low, high) = (best - uncertainty, best + uncertainty);
        stretch = (stretch * 6.0).min(span);
    }
}

/// Returns the coherence of the phases for the delay `tau`: the mean magnitude of the sums over
/// stretches of the sweep, weighted by their numbers of points. It is 1 if all phases agree with
/// the delay. At most about `most` points are used.
fn coherent(f: &[f64], phasors: &[Complex64], tau: f64, stretch: f64, most: usize) -> f64 {
    let mut total = 0.0;
    let mut counted = 0.0;
    // To use fewer points, whole stretches are skipped instead of single points, because the points
    // of a stretch must be dense.
    let skip = f.len().div_ceil(most.max(1));
    let mut i = 0;
    let mut number = 0_usize;
    while i < f.len() {
        let end = f.partition_point(|g| *g < f[i] + stretch).max(i + 1);
        let members = end - i;
        if members > 1 && (skip == 1 || number.is_multiple_of(skip))
            || stretch >= f[f.len() - 1] - f[0]
        {
            let stride = if members > most {
                members.div_ceil(most)
            } else {
                1
            };
            let mut sum = Complex64::new(0.0, 0.0);
            let mut count = 0.0;
            for k in (i..end).step_by(stride) {
                sum += phasors[k] * Complex64::cis(std::f64::consts::TAU * (f[k] - f[i]) * tau);
                count += 1.0;
            }
            // For random phases, the squared sum is `count` on average. This value is subtracted.
            total += (sum.norm_sqr() - count) / count;
            counted += count - 1.0;
        }
        number += 1;
        i = end;
    }
    if counted > 0.0 {
        (total / counted).max(0.0).sqrt()
    } else {
        0.0
    }
}

/// Fits a robust line to the phase that remains after the delay `coarse`.
fn fit_line(f: &[f64], phasors: &[Complex64], coarse: f64, span: f64) -> Delay {
    let turned: Vec<Complex64> = f
        .iter()
        .zip(phasors)
        .map(|(f, p)| p * Complex64::cis(std::f64::consts::TAU * f * coarse))
        .collect();
    let mean = turned.iter().sum::<Complex64>();
    // Few points have a phase that wraps, because the phases are relative to their mean direction.
    let middle = mean / mean.norm().max(f64::MIN_POSITIVE);
    let phases: Vec<f64> = turned.iter().map(|p| (p * middle.conj()).arg()).collect();
    // The fit uses frequencies in units of the span.
    let x: Vec<f64> = f.iter().map(|f| f / span).collect();
    let mut keep = vec![true; x.len()];
    let (mut offset, mut slope) = (0.0, 0.0);
    let mut scatter = 0.0;
    // The rejection of outliers and the fit of the line depend on each other, so both are repeated
    // until the set of outliers stays the same.
    for _ in 0..12 {
        let Some(line) = least_squares(&x, &phases, &keep) else {
            break;
        };
        (offset, slope) = line;
        let left: Vec<f64> = x
            .iter()
            .zip(&phases)
            .map(|(x, p)| wrap(p - offset - slope * x))
            .collect();
        let centre = median(&left).unwrap_or(0.0);
        scatter = spread(&left, centre).unwrap_or(0.0);
        // Without the lower bound `LEAST_REJECT`, points of a sweep without noise would be
        // rejected.
        let limit = (REJECT * scatter).max(LEAST_REJECT);
        let next: Vec<bool> = left.iter().map(|r| (r - centre).abs() <= limit).collect();
        if next == keep {
            break;
        }
        keep = next;
    }
    let kept = keep.iter().filter(|k| **k).count();
    let rejected = 1.0 - kept as f64 / x.len() as f64;
    let count = kept.max(1) as f64;
    let mean_x = x
        .iter()
        .zip(&keep)
        .filter(|(_, k)| **k)
        .map(|(x, _)| x)
        .sum::<f64>()
        / count;
    let lever = x
        .iter()
        .zip(&keep)
        .filter(|(_, k)| **k)
        .map(|(x, _)| (x - mean_x).powi(2))
        .sum::<f64>();
    let sigma_slope = if lever > 0.0 {
        scatter / lever.sqrt()
    } else {
        f64::INFINITY
    };
    let residual_slope =
        slope_of_every_second(&x, &phases, &keep).map_or(0.0, |second| second - slope);
    let status = if rejected > MOST_REJECTED {
        DelayStatus::TooManyRejected
    } else if sigma_slope >= UNCERTAIN_RAD || sigma_slope.is_nan() {
        DelayStatus::Uncertain
    } else {
        DelayStatus::Success
    };
    Delay {
        status,
        tau_s: coarse - slope / (std::f64::consts::TAU * span),
        sigma_s: if sigma_slope.is_finite() {
            sigma_slope / (std::f64::consts::TAU * span)
        } else {
            0.0
        },
        phase_rad: wrap(middle.arg() + offset),
        residual_rad: scatter,
        residual_slope_rad: residual_slope,
        rejected,
    }
}

/// Returns the slope of a fit to every second point, which checks the slope of all points.
fn slope_of_every_second(x: &[f64], phases: &[f64], keep: &[bool]) -> Option<f64> {
    let every_second: Vec<bool> = keep
        .iter()
        .enumerate()
        .map(|(i, k)| *k && i % 2 == 1)
        .collect();
    least_squares(x, phases, &every_second).map(|(_, slope)| slope)
}

fn least_squares(x: &[f64], y: &[f64], keep: &[bool]) -> Option<(f64, f64)> {
    let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for ((x, y), _) in x.iter().zip(y).zip(keep).filter(|(_, k)| **k) {
        n += 1.0;
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
    }
    let determinant = n * sxx - sx * sx;
    if n < 3.0 || determinant <= 0.0 {
        return None;
    }
    let slope = (n * sxy - sx * sy) / determinant;
    Some(((sy - slope * sx) / n, slope))
}

fn wrap(phase: f64) -> f64 {
    let turns = (phase / std::f64::consts::TAU).round();
    phase - turns * std::f64::consts::TAU
}
