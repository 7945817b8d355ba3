//! Conversion of the samples of a tone to the shift of its resonance. It needs the derivative of
//! the sample by the resonance frequency, and the inverse of the resonator model.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::geometry::one;
use crate::resonator::{Direction, Resonator, detuning_slope, pulled_detuning};

/// Calibration of the samples of one tone. It is valid for one power of the tone, and until the
/// phase reference of the module changes ([`PhaseEpoch`](twotone_hal::PhaseEpoch)).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Frequency of the tone, in hertz.
    pub tone_hz: f64,
    /// Resonance frequency at the time of the calibration, in hertz.
    pub fr_hz: f64,
    /// `D = -dS/dfr`, the change of the sample by a shift of the resonance, in samples' units per
    /// hertz, after the rotation by `rotation_rad`. Only the factor of the resonator is
    /// differentiated; the transmission of the line at the tone stays constant.
    pub d: Complex64,
    /// Sample that the tone gives if the resonance has not shifted, after the rotation by
    /// `rotation_rad`.
    pub z0: Complex64,
    /// Transmission of the line (feedline, cables and amplifiers) at the tone, after the rotation
    /// by `rotation_rad`.
    pub line: Complex64,
    /// Coupling `A` of the resonator: see [`Resonator::coupling`].
    pub coupling: Complex64,
    /// Transmission `o` of the resonator model off resonance, over `line`.
    #[serde(default = "one")]
    pub off: Complex64,
    /// Total quality factor.
    pub qr: f64,
    /// Nonlinearity of the resonator at the tone's power: see [`Resonator::a`].
    pub a: f64,
    /// Rotation that is set on the board, in radians: the board multiplies samples by
    /// `exp(-i rotation_rad)`.
    pub rotation_rad: f64,
}

impl Calibration {
    /// Returns the calibration of a tone at `tone_hz` on a fitted resonator, without rotation. If
    /// the resonator has two stable states at this frequency, the tone is in the one that a tone
    /// from a higher frequency reaches: the upper branch of [`crate::resonator`]. `None` if the
    /// derivative is not a finite number, or if the tone is at the end of this branch.
    pub fn at(resonator: &Resonator, tone_hz: f64) -> Option<Self> {
        let line = resonator.line(tone_hz);
        let y = pulled_detuning(resonator.y0(tone_hz), resonator.a, Direction::Down);
        let slope = detuning_slope(y, resonator.a);
        let response = 1.0 / Complex64::new(1.0, 2.0 * y);
        // `d y0 / d fr = -Qr f / fr^2`, and the sample `S` falls by `A d(1 / (1 + 2 i y))`.
        let by_fr = resonator.qr * tone_hz / (resonator.fr_hz * resonator.fr_hz);
        let d = line
            * resonator.coupling
            * Complex64::new(0.0, 2.0)
            * response
            * response
            * (by_fr / slope);
        let z0 = line * resonator.factor(y);
        let usable = slope > 1e-3 && d.is_finite() && d.norm() > 0.0 && z0.is_finite();
        usable.then_some(Self {
            tone_hz,
            fr_hz: resonator.fr_hz,
            d,
            z0,
            line,
            coupling: resonator.coupling,
            off: resonator.off,
            qr: resonator.qr,
            a: resonator.a,
            rotation_rad: 0.0,
        })
    }

    /// Returns the calibration for samples that the board rotates by a further `-rotation_rad`.
    #[must_use]
    pub fn rotated(self, rotation_rad: f64) -> Self {
        let turn = Complex64::cis(-rotation_rad);
        Self {
            d: self.d * turn,
            z0: self.z0 * turn,
            line: self.line * turn,
            rotation_rad: self.rotation_rad + rotation_rad,
            ..self
        }
    }

    /// Returns the calibration with `D` rotated onto the positive real axis, so that a shift of the
    /// resonance changes only the real part of the sample. The `rotation_rad` of the result is the
    /// rotation to set on the board.
    #[must_use]
    pub fn aligned(self) -> Self {
        self.rotated(self.d.arg())
    }

    /// Returns the shift of the resonance for a sample, in hertz, to first order:
    /// `-Re((z - z0)/D)`. Its error is a few per cent for shifts up to 0.02 linewidths.
    pub fn small_shift_hz(&self, z: Complex64) -> f64 {
        -((z - self.z0) / self.d).re
    }

    /// Returns the change of `1/Qi` for a sample, to first order: `-2 Im((z - z0)/D) / fr`.
    pub fn small_loss(&self, z: Complex64) -> f64 {
        -2.0 * ((z - self.z0) / self.d).im / self.fr_hz
    }

    /// Returns the shift of the resonance for a sample, in hertz, by inversion of the model. This
    /// inversion is valid over the whole resonance. `None` if the result is not a finite number.
    pub fn shift_hz(&self, z: Complex64) -> Option<f64> {
        let y = self.detuning(z)?;
        let pulled = y.re - self.a / Complex64::new(1.0 - 2.0 * y.im, 2.0 * y.re).norm_sqr();
        let fr = self.tone_hz / (1.0 + pulled / self.qr);
        let shift = fr - self.fr_hz;
        shift.is_finite().then_some(shift)
    }

    /// Returns the detuning of the tone for a sample, in linewidths:
    /// `y = (A / (1 - z/G) - 1) / (2 i)`, where `G` is [`line`](Self::line). It includes the pull,
    /// which is the shift of the resonance by its own power. Its imaginary part is the change of
    /// the loss. `None` if the result is not a finite number.
    pub fn detuning(&self, z: Complex64) -> Option<Complex64> {
        let y = (self.coupling / (self.off - z / self.line) - 1.0) / Complex64::new(0.0, 2.0);
        y.is_finite().then_some(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resonator(a: f64) -> Resonator {
        Resonator {
            f_ref_hz: 1.2e9,
            gain: Complex64::from_polar(3e4, 0.7),
            slope_per_hz: 2e-8,
            tau_s: 4e-6,
            fr_hz: 1.2e9 + 3e4,
            qr: 1.7e4,
            coupling: Complex64::from_polar(0.7, 0.3),
            off: one(),
            geometry: crate::Geometry::Notch,
            a,
        }
    }

    /// The sample of a tone that stays where it is while the resonance moves by `shift`.
    fn moved(r: &Resonator, tone_hz: f64, shift: f64) -> Complex64 {
        Resonator {
            fr_hz: r.fr_hz + shift,
            ..*r
        }
        .transmission(tone_hz, Direction::Down)
    }

    #[test]
    fn derivative_is_that_of_the_model() {
        for (a, y) in [(0.0, 0.0), (0.1, 0.3), (0.5, 0.2), (0.7, 0.2)] {
            let r = resonator(a);
            let tone = r.frequency_at(y);
            let c = Calibration::at(&r, tone).unwrap();
            let numeric = -(moved(&r, tone, 5.0) - moved(&r, tone, -5.0)) / 10.0;
            assert!((c.d - numeric).norm() < 1e-4 * numeric.norm(), "{a} {y}");
            assert!((c.z0 - moved(&r, tone, 0.0)).norm() < 1e-9 * c.z0.norm());
        }
    }

    #[test]
    fn small_shifts_are_linear_to_two_per_cent_and_large_ones_are_inverted() {
        for (a, y) in [(0.0, 0.0), (0.09, 0.0), (0.5, 0.2), (0.7, 0.2)] {
            let r = resonator(a);
            let tone = r.frequency_at(y);
            let c = Calibration::at(&r, tone).unwrap().aligned();
            let lw = r.linewidth_hz();
            let turn = Complex64::cis(-c.rotation_rad);
            if a < 0.1 {
                let shift = 0.02 * lw;
                let z = moved(&r, tone, shift) * turn;
                assert!((c.small_shift_hz(z) - shift).abs() < 0.02 * shift);
                let leak = c.small_loss(z) * c.fr_hz / 2.0;
                assert!(leak.abs() < 0.05 * shift, "{leak}");
            }
            for shift in [-0.3 * lw, 0.3 * lw] {
                // For `a` below bifurcation there is only one stable state, on the upper branch.
                let z = moved(&r, tone, shift) * turn;
                let found = c.shift_hz(z).unwrap();
                assert!((found - shift).abs() < 1e-3 * lw, "a {a}: {found} {shift}");
            }
        }
    }

    #[test]
    fn rotation_puts_the_derivative_on_the_real_axis() {
        let r = resonator(0.3);
        let c = Calibration::at(&r, r.fr_hz).unwrap();
        let aligned = c.aligned();
        assert!((aligned.rotation_rad - c.d.arg()).abs() < 1e-12);
        assert!(aligned.d.im.abs() < 1e-9 * aligned.d.re && aligned.d.re > 0.0);
    }

    #[test]
    fn an_impossible_resonator_has_no_calibration() {
        let r = Resonator {
            qr: f64::NAN,
            ..resonator(0.0)
        };
        assert_eq!(Calibration::at(&r, 1.2e9), None);
        let r = Resonator {
            gain: 0.0.into(),
            ..resonator(0.0)
        };
        assert_eq!(Calibration::at(&r, 1.2e9), None);
    }
}
