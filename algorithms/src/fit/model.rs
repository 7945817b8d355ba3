//! The model of one or more resonators in scaled parameters, with its derivatives.

use num_complex::Complex64;

use super::levenberg::{MAX_PARAMETERS, Matrix, Model, Parameters};
use super::outcome::{FitErrors, FitParams};
use super::prepare::Prepared;
use crate::geometry::Geometry;
use crate::params::restricted;
use crate::resonator::{Direction, Resonator, detuning_slope, pulled_detuning};

// Positions of the parameters of the line, which all resonators share.

/// Real part of the gain `G`, or of the leak of peaks.
pub(super) const GAIN_RE: usize = 0;
/// Imaginary part of the gain `G`, or of the leak of peaks.
pub(super) const GAIN_IM: usize = 1;
/// Relative slope `B` of the gain.
pub(super) const SLOPE: usize = 2;
/// Phase `T` per unit of the scaled frequency, which the remaining delay causes.
pub(super) const DELAY: usize = 3;
/// Number of parameters of the line.
pub(super) const LINE_PARAMETERS: usize = 4;

// Positions of the parameters of a resonator, relative to its first one.

/// Scaled resonance frequency `x`.
pub(super) const X: usize = 0;
/// Logarithm `q` of the half span over the linewidth.
pub(super) const LOG_Q: usize = 1;
/// Real part of the coupling `A`, or of the height of a peak.
pub(super) const A_RE: usize = 2;
/// Imaginary part of the coupling `A`, or of the height of a peak.
pub(super) const A_IM: usize = 3;
/// Nonlinearity `a`.
pub(super) const PULL: usize = 4;
/// Number of parameters of each resonator.
pub(super) const RESONATOR_PARAMETERS: usize = 5;

/// Largest number of resonators of one fit.
pub(super) const MAX_RESONATORS: usize = (MAX_PARAMETERS - LINE_PARAMETERS) / RESONATOR_PARAMETERS;

/// Expected change of the line of peaks, relative to its gain, per hertz; a delay of 16 ns is as
/// much. `t / (1 + 2 i y)` is a sum of a constant and of `1 / (1 + 2 i y)`, so without this
/// expectation, slope and delay could not be told from a change of the leak and of the height.
const PEAK_LINE_PER_HZ: f64 = 1e-7;

/// Model of resonators over the scaled frequency `t` of [`Prepared`], with
/// `y0_k = e^(q_k) (t - x_k)`:
///
/// * of notches and in reflection, `S(t) = G (1 + B t) e^(-i T t) prod_k [1 - A_k / (1 + 2 i
///   y_k)]`;
/// * of peaks, `S(t) = (1 + B t) e^(-i T t) [G + sum_k A_k / (1 + 2 i y_k)]`.
///
/// A product of notches and a sum of poles are the same function with different couplings. The
/// product is used, because its couplings are the couplings of the resonators. For peaks it would
/// be undetermined, because they may have no gain off resonance.
pub(super) struct Resonators<'a> {
    pub data: &'a Prepared,
    pub resonators: usize,
    pub fit_slope: bool,
    pub fit_delay: bool,
    pub fit_pull: bool,
    pub a_range: (f64, f64),
    /// Limit of the scaled frequency of resonators: from `-reach` to `reach`.
    pub reach: f64,
    /// Weight of the expectation that slope and delay are small, as of a point.
    line_weight: f64,
}

impl<'a> Resonators<'a> {
    pub(super) fn new(
        data: &'a Prepared,
        resonators: usize,
        params: &FitParams,
        nonlinear: bool,
    ) -> Self {
        let line_weight = match data.geometry {
            // The noise of a point is that of two quadratures.
            Geometry::Peak => {
                let expected = PEAK_LINE_PER_HZ * data.width_hz;
                data.noise.unwrap_or(0.0) / (std::f64::consts::SQRT_2 * expected)
            }
            Geometry::Notch | Geometry::Reflection => 0.0,
        };
        Self {
            data,
            resonators,
            fit_slope: params.fit_slope,
            fit_delay: params.fit_delay,
            fit_pull: nonlinear,
            a_range: (params.min_a, params.max_a),
            reach: 1.5,
            line_weight,
        }
    }
}

impl Model for Resonators<'_> {
    fn parameters(&self) -> usize {
        LINE_PARAMETERS + RESONATOR_PARAMETERS * self.resonators
    }

    fn points(&self) -> usize {
        self.data.len() + 1
    }

    fn is_free(&self, index: usize) -> bool {
        match index {
            SLOPE => self.fit_slope,
            DELAY => self.fit_delay,
            GAIN_RE | GAIN_IM => true,
            _ => (index - LINE_PARAMETERS) % RESONATOR_PARAMETERS != PULL || self.fit_pull,
        }
    }

    fn restrain(&self, p: &mut Parameters) {
        p[SLOPE] = p[SLOPE].clamp(-0.9, 0.9);
        p[DELAY] = p[DELAY].clamp(-10.0, 10.0);
        for resonator in p
            [LINE_PARAMETERS..LINE_PARAMETERS + RESONATOR_PARAMETERS * self.resonators]
            .chunks_exact_mut(RESONATOR_PARAMETERS)
        {
            resonator[X] = restricted(resonator[X], -self.reach, self.reach);
            // The bounds allow linewidths from a few times the half span down to a fraction of the
            // point spacing.
            resonator[LOG_Q] = resonator[LOG_Q].clamp(-1.5, (4.0 * self.data.len() as f64).ln());
            resonator[PULL] = restricted(resonator[PULL], self.a_range.0, self.a_range.1);
        }
    }

    fn residuals(
        &self,
        p: &Parameters,
        r: &mut [Complex64],
        mut jacobian: Option<&mut [Complex64]>,
    ) {
        let m = self.parameters();
        let gain = Complex64::new(p[GAIN_RE], p[GAIN_IM]);
        let i = Complex64::i();
        let are_peaks = self.data.geometry == Geometry::Peak;
        let mut shapes = [Shape::default(); MAX_RESONATORS];
        let mut poles = [Pole::default(); MAX_RESONATORS];
        for (shape, values) in shapes
            .iter_mut()
            .zip(p[LINE_PARAMETERS..m].chunks_exact(RESONATOR_PARAMETERS))
        {
            *shape = Shape::of(values);
        }
        let (shapes, poles) = (&shapes[..self.resonators], &mut poles[..self.resonators]);
        for (k, (&t, &z)) in self.data.t.iter().zip(&self.data.z).enumerate() {
            let phase_factor = if p[DELAY] == 0.0 {
                Complex64::new(1.0, 0.0)
            } else {
                Complex64::cis(-p[DELAY] * t)
            };
            let sloped = 1.0 + p[SLOPE] * t;
            let line = sloped * phase_factor;
            let mut notches = Complex64::new(1.0, 0.0);
            let mut peaks = Complex64::new(0.0, 0.0);
            for (pole, shape) in poles.iter_mut().zip(shapes) {
                *pole = Pole::at(shape, t, self.data.direction);
                if are_peaks {
                    peaks += 1.0 - pole.notch;
                } else {
                    notches *= pole.notch;
                }
            }
            let factor = gain * notches + peaks;
            r[k] = line * factor - z;
            let Some(jacobian) = jacobian.as_deref_mut() else {
                continue;
            };
            let row = &mut jacobian[k * m..(k + 1) * m];
            row[GAIN_RE] = line * notches;
            row[GAIN_IM] = i * row[GAIN_RE];
            row[SLOPE] = phase_factor * t * factor;
            row[DELAY] = -i * t * line * factor;
            for (index, (pole, shape)) in poles.iter().zip(shapes).enumerate() {
                // Factor of `-A_k / (1 + 2 i y_k)` in the model.
                let mut others = if are_peaks { -line } else { line * gain };
                for (other, neighbour) in poles.iter().enumerate() {
                    if other != index && !are_peaks {
                        others *= neighbour.notch;
                    }
                }
                let response = others * pole.response;
                let by_y = shape.coupling * 2.0 * i * pole.response * response;
                let by_y0 = by_y / pole.slope;
                let at = &mut row[LINE_PARAMETERS + RESONATOR_PARAMETERS * index
                    ..LINE_PARAMETERS + RESONATOR_PARAMETERS * (index + 1)];
                at[X] = -by_y0 * shape.sharpness;
                at[LOG_Q] = by_y0 * pole.y0;
                at[A_RE] = -response;
                at[A_IM] = -i * response;
                at[PULL] = by_y0 * pole.weight;
            }
        }
        let n = self.data.len();
        r[n] = self.line_weight * Complex64::new(p[SLOPE], p[DELAY]);
        if let Some(jacobian) = jacobian {
            let row = &mut jacobian[n * m..(n + 1) * m];
            row.fill(Complex64::ZERO);
            row[SLOPE] = self.line_weight.into();
            row[DELAY] = self.line_weight * i;
        }
    }
}

/// Parameters of one resonator.
#[derive(Clone, Copy, Default)]
struct Shape {
    coupling: Complex64,
    sharpness: f64,
    x: f64,
    a: f64,
}

impl Shape {
    fn of(values: &[f64]) -> Self {
        Self {
            coupling: Complex64::new(values[A_RE], values[A_IM]),
            sharpness: values[LOG_Q].exp(),
            x: values[X],
            a: values[PULL],
        }
    }
}

/// Response of one resonator at one frequency.
#[derive(Clone, Copy, Default)]
struct Pole {
    y0: f64,
    /// `1 / (1 + 4 y^2)`.
    weight: f64,
    /// `d y0 / d y`, at least 0.02, because the Jacobian divides by it.
    slope: f64,
    /// `1 / (1 + 2 i y)`.
    response: Complex64,
    notch: Complex64,
}

impl Pole {
    #[inline]
    fn at(shape: &Shape, t: f64, direction: Direction) -> Self {
        let y0 = shape.sharpness * (t - shape.x);
        let y = pulled_detuning(y0, shape.a, direction);
        let weight = 1.0 / (1.0 + 4.0 * y * y);
        let response = Complex64::new(weight, -2.0 * y * weight);
        let slope = if shape.a == 0.0 {
            1.0
        } else {
            detuning_slope(y, shape.a).max(0.02)
        };
        Self {
            y0,
            weight,
            slope,
            response,
            notch: 1.0 - shape.coupling * response,
        }
    }
}

/// Converts scaled parameters to a physical resonator.
pub(super) fn resonator(p: &Parameters, index: usize, data: &Prepared) -> Resonator {
    let values = &p[LINE_PARAMETERS + RESONATOR_PARAMETERS * index
        ..LINE_PARAMETERS + RESONATOR_PARAMETERS * (index + 1)];
    let fr_hz = data.f_ref_hz + data.width_hz * values[X];
    let gain = Complex64::new(p[GAIN_RE], p[GAIN_IM]);
    let coupling = coupling(p, index);
    let (gain, coupling, off) = match data.geometry {
        Geometry::Peak => (coupling, -Complex64::ONE, gain / coupling),
        Geometry::Notch | Geometry::Reflection => (gain, coupling, Complex64::ONE),
    };
    Resonator {
        geometry: data.geometry,
        f_ref_hz: data.f_ref_hz,
        gain: gain * data.scale,
        slope_per_hz: p[SLOPE] / data.width_hz,
        tau_s: data.tau_s + p[DELAY] / (std::f64::consts::TAU * data.width_hz),
        fr_hz,
        qr: fr_hz * values[LOG_Q].exp() / data.width_hz,
        coupling,
        off,
        a: values[PULL],
    }
}

/// Returns the coupling of one resonator, or the height of its peak.
pub(super) fn coupling(p: &Parameters, index: usize) -> Complex64 {
    let base = LINE_PARAMETERS + RESONATOR_PARAMETERS * index;
    Complex64::new(p[base + A_RE], p[base + A_IM])
}

/// Converts a physical resonator to scaled parameters.
pub(super) fn parameters(r: &Resonator, data: &Prepared) -> Parameters {
    let mut p = [0.0; MAX_PARAMETERS];
    let line = r.line(data.f_ref_hz) / data.scale;
    let (gain, coupling) = match r.geometry {
        Geometry::Peak => (line * r.off, line),
        Geometry::Notch | Geometry::Reflection => (line, r.coupling),
    };
    p[GAIN_RE] = gain.re;
    p[GAIN_IM] = gain.im;
    p[SLOPE] = r.slope_per_hz * data.width_hz;
    p[DELAY] = (r.tau_s - data.tau_s) * std::f64::consts::TAU * data.width_hz;
    p[LINE_PARAMETERS + X] = (r.fr_hz - data.f_ref_hz) / data.width_hz;
    p[LINE_PARAMETERS + LOG_Q] = (r.qr * data.width_hz / r.fr_hz).max(1e-300).ln();
    p[LINE_PARAMETERS + A_RE] = coupling.re;
    p[LINE_PARAMETERS + A_IM] = coupling.im;
    p[LINE_PARAMETERS + PULL] = r.a;
    p
}

/// Returns the errors of the physical parameters, to first order, from the covariance of the scaled
/// parameters.
pub(super) fn errors(
    covariance: &Matrix,
    p: &Parameters,
    index: usize,
    data: &Prepared,
) -> FitErrors {
    let r = resonator(p, index, data);
    let base = LINE_PARAMETERS + RESONATOR_PARAMETERS * index;
    let by_a = |g: [f64; RESONATOR_PARAMETERS]| {
        let mut variance = 0.0;
        for (i, gi) in g.iter().enumerate() {
            for (j, gj) in g.iter().enumerate() {
                variance += gi * gj * covariance[base + i][base + j];
            }
        }
        variance.max(0.0).sqrt()
    };
    let w = data.width_hz;
    let (qr_x, qr_q) = (r.qr * w / r.fr_hz, r.qr);
    let common = FitErrors {
        fr_hz: by_a([w, 0.0, 0.0, 0.0, 0.0]),
        qr: by_a([qr_x, qr_q, 0.0, 0.0, 0.0]),
        a: by_a([0.0, 0.0, 0.0, 0.0, 1.0]),
        tau_s: covariance[DELAY][DELAY].max(0.0).sqrt() / (std::f64::consts::TAU * w),
        ..FitErrors::default()
    };
    let Some(n) = data.geometry.lossless_diameter() else {
        return common;
    };
    // d Qr / d x = Qr w / fr, d Qr / d q = Qr; Qc = n Qr / Re A, Qi = n Qr / (n - Re A).
    let (re, im) = (r.coupling.re, r.coupling.im);
    let norm = r.coupling.norm_sqr().max(1e-300);
    let lossless = n - re;
    FitErrors {
        qc: Some(by_a([
            n * qr_x / re,
            n * qr_q / re,
            -n * r.qr / (re * re),
            0.0,
            0.0,
        ])),
        qi: Some(by_a([
            n * qr_x / lossless,
            n * qr_q / lossless,
            n * r.qr / (lossless * lossless),
            0.0,
            0.0,
        ])),
        phi_rad: Some(by_a([0.0, 0.0, -im / norm, re / norm, 0.0])),
        ..common
    }
}
