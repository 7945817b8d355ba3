//! Preparation of a sweep for the fits: its points are checked and sorted, and its known delay is
//! removed.

use num_complex::Complex64;

use super::outcome::FitStatus;
use crate::geometry::Geometry;
use crate::resonator::Direction;

/// Complex sweep over one or more resonators.
#[derive(Debug, Clone, Copy)]
pub struct SweepData<'a> {
    /// Frequencies in hertz, as set by the board, in any order.
    pub frequency_hz: &'a [f64],
    /// One sample for each frequency.
    pub z: &'a [Complex64],
    /// Noise of each point, `sqrt(<|n|^2>)` of both quadratures together, in the samples' unit, if
    /// it is known. The errors of a fit follow from this noise, or from the scatter of the points
    /// about the model if the scatter is larger.
    pub noise: Option<f64>,
    /// Delay that is removed before the fit, in seconds.
    pub tau_s: f64,
    /// Direction in which the tone was stepped.
    pub direction: Direction,
    /// Connection of the resonators to the line.
    pub geometry: Geometry,
}

impl<'a> SweepData<'a> {
    /// Returns an upward sweep over notches, without known noise or delay.
    pub fn new(frequency_hz: &'a [f64], z: &'a [Complex64]) -> Self {
        Self {
            frequency_hz,
            z,
            noise: None,
            tau_s: 0.0,
            direction: Direction::Up,
            geometry: Geometry::Notch,
        }
    }

    /// Sets the noise of each point.
    #[must_use]
    pub fn noise(self, noise: f64) -> Self {
        Self {
            noise: Some(noise),
            ..self
        }
    }

    /// Sets the known delay.
    #[must_use]
    pub fn delay(self, tau_s: f64) -> Self {
        Self { tau_s, ..self }
    }

    /// Sets the direction of the steps of the tone.
    #[must_use]
    pub fn direction(self, direction: Direction) -> Self {
        Self { direction, ..self }
    }

    /// Sets the connection of the resonators to the line.
    #[must_use]
    pub fn geometry(self, geometry: Geometry) -> Self {
        Self { geometry, ..self }
    }
}

/// Sweep with frequencies scaled to the range of about -1 to 1, and samples scaled to about one.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `(f - f_ref) / width`, ascending.
    pub t: Vec<f64>,
    /// Samples divided by `scale`, with the delay removed.
    pub z: Vec<Complex64>,
    /// Centre of the sweep.
    pub f_ref_hz: f64,
    /// Half of the sweep's span.
    pub width_hz: f64,
    /// Largest magnitude of the samples.
    pub scale: f64,
    /// Noise per point, divided by `scale`.
    pub noise: Option<f64>,
    pub tau_s: f64,
    pub direction: Direction,
    pub geometry: Geometry,
}

impl Prepared {
    pub(super) fn new(data: &SweepData<'_>, least_points: usize) -> Result<Self, FitStatus> {
        let n = data.frequency_hz.len().min(data.z.len());
        if data.frequency_hz.len() != data.z.len() || n < least_points {
            return Err(FitStatus::TooFewPoints);
        }
        let finite = data.frequency_hz.iter().all(|f| f.is_finite())
            && data.z.iter().all(|z| z.is_finite())
            && data.tau_s.is_finite()
            && data.noise.is_none_or(|s| s.is_finite() && s >= 0.0);
        if !finite {
            return Err(FitStatus::NonFinite);
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| data.frequency_hz[i].total_cmp(&data.frequency_hz[j]));
        let (low, high) = (data.frequency_hz[order[0]], data.frequency_hz[order[n - 1]]);
        let width_hz = 0.5 * (high - low);
        let f_ref_hz = 0.5 * (high + low);
        let scale = data.z.iter().map(|z| z.norm()).fold(0.0, f64::max);
        if !(width_hz > 0.0 && low > 0.0) {
            return Err(FitStatus::TooFewPoints);
        }
        if !(scale > 0.0 && (1.0 / scale).is_finite()) {
            return Err(FitStatus::NoSignal);
        }
        let t: Vec<f64> = order
            .iter()
            .map(|&i| (data.frequency_hz[i] - f_ref_hz) / width_hz)
            .collect();
        let distinct = 1 + t.windows(2).filter(|w| w[1] > w[0]).count();
        if distinct < least_points {
            return Err(FitStatus::TooFewPoints);
        }
        let turn = std::f64::consts::TAU * width_hz * data.tau_s;
        let z = order
            .iter()
            .zip(&t)
            .map(|(&i, &t)| data.z[i] / scale * Complex64::cis(turn * t))
            .collect();
        Ok(Self {
            t,
            z,
            f_ref_hz,
            width_hz,
            scale,
            noise: data.noise.map(|s| s / scale),
            tau_s: data.tau_s,
            direction: data.direction,
            geometry: data.geometry,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.t.len()
    }
}
