//! The resonator model of the fits: a resonance on a line, pulled down in frequency by its own
//! power.
//!
//! `S(f) = G (1 + b (f - f_ref)) exp(-2 pi i (f - f_ref) tau) [o - A / (1 + 2 i y)]`, with `y` the
//! solution of `y = y0 + a / (1 + 4 y^2)`, `y0 = Qr (f - fr) / fr` (Swenson et al., J. Appl. Phys.
//! 113, 104501, 2013). The transmission `o` off resonance and the coupling `A` depend on the
//! [`Geometry`]:
//!
//! * *Notch*: `o = 1`, `A = (Qr/Qc) e^(i phi) / cos phi`, the diameter correction of Khalil et al.,
//!   J. Appl. Phys. 111, 054510, 2012, section II; also Probst et al., Rev. Sci. Instrum. 86,
//!   024706, 2015, section II.
//! * *Reflection*: `o = 1`, `A = 2 (Qr/Qc) e^(i phi) / cos phi`. Without asymmetry this is the
//!   reflection of a resonator at the end of a line (Chen et al., Phys. Rev. B 106, 214505, 2022).
//!   The angle stands for reflections on the line and for waves that leak past the resonator. `Qc`
//!   includes what reflections add to the coupling only to second order in `phi`, and a leak in
//!   phase with the line changes `A` without any angle, so a leak of a hundredth changes `Qc` by up
//!   to a hundredth (Rieger et al., Phys. Rev. Applied 20, 014059, 2023).
//! * *Peak*: `A = -1`, and `G` is the transmission through the resonator on resonance, with the
//!   couplings of both ports in it. `o` is the signal that leaks past the resonator, relative to
//!   the peak (Petersan and Anlage, J. Appl. Phys. 84, 3392, 1998). Since `G` is not known apart
//!   from the couplings, `Qc` and `Qi` are not determined.
//!
//! These terms are used in the whole crate:
//!
//! * The *line* is the feedline with its cables and amplifiers, without the resonators.
//! * The *loop* is the circle that `S` describes in the complex plane around a resonance.
//! * The *pull* is the shift of the resonance by the power in the resonator. The detuning `y`, in
//!   linewidths, includes the pull; `y0` does not.
//! * If `a` is above [`BIFURCATION`], two states are stable at some frequencies. The *upper branch*
//!   has the larger `y` of the two. A tone that comes from a higher frequency is on it.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::geometry::{Geometry, one};
use crate::params::restricted;

/// The nonlinearity above which the resonator has three states at some frequencies:
/// `4 sqrt(3) / 9`.
pub const BIFURCATION: f64 = 0.769_800_358_919_501;

/// Distance from a peak, in linewidths, up to which the line around it is known from its fit.
const LINE_LW: f64 = 4.0;

/// Direction of the steps of a sweep. It decides the branch of a bifurcated resonator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From low to high frequency: the smallest root of the equation of `y`, until this root
    /// vanishes.
    #[default]
    Up,
    /// From high to low frequency: the largest root of the equation of `y`, until this root
    /// vanishes.
    Down,
}

/// Solves `y = y0 + a / (1 + 4 y^2)` for `y`, on the branch of a sweep in `direction`.
///
/// Never panics. If an argument is not finite, neither is the result.
pub fn pulled_detuning(y0: f64, a: f64, direction: Direction) -> f64 {
    if a == 0.0 || !y0.is_finite() || !a.is_finite() {
        return y0 + a;
    }
    // With y = u + h the cubic 4 y^3 - 4 y0 y^2 + y - (y0 + a) becomes u^3 + p u + q.
    let h = y0 / 3.0;
    let p = 0.25 - 3.0 * h * h;
    let q = -2.0 * h * h * h - 0.5 * h - 0.25 * a;
    let third = p / 3.0;
    let discriminant = 0.25 * q * q + third * third * third;
    let root = if discriminant > 0.0 {
        let s = discriminant.sqrt();
        let u = if q > 0.0 { -(0.5 * q + s) } else { s - 0.5 * q };
        let c = u.cbrt();
        if c == 0.0 { h } else { c - third / c + h }
    } else {
        let m = (-third).max(0.0).sqrt();
        if m == 0.0 {
            h
        } else {
            let angle = (-q / (2.0 * m * m * m)).clamp(-1.0, 1.0).acos() / 3.0;
            let turn = match direction {
                Direction::Down => 0.0,
                Direction::Up => 2.0 * std::f64::consts::FRAC_PI_3,
            };
            2.0 * m * (angle + turn).cos() + h
        }
    };
    polish(root, y0, a)
}

/// Improves a root by one or two Newton steps, because the closed form loses digits by
/// cancellation. Near a double root the slope vanishes, and the closed form is kept.
fn polish(mut y: f64, y0: f64, a: f64) -> f64 {
    for _ in 0..2 {
        let w = 1.0 / (1.0 + 4.0 * y * y);
        let slope = 1.0 + 8.0 * a * y * w * w;
        if slope < 0.05 {
            return y;
        }
        let step = (y - y0 - a * w) / slope;
        if step.abs() > 0.05 {
            return y;
        }
        y -= step;
        if step.abs() < 1e-13 {
            break;
        }
    }
    y
}

/// Returns `d y0 / d y` at `y`: one for a linear resonator, zero at the end of a branch.
pub fn detuning_slope(y: f64, a: f64) -> f64 {
    let w = 1.0 / (1.0 + 4.0 * y * y);
    1.0 + 8.0 * a * y * w * w
}

/// Resonator with the piece of line around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resonator {
    /// Frequency that gain, slope and delay refer to, in hertz.
    pub f_ref_hz: f64,
    /// Connection of the resonator to the line.
    #[serde(default)]
    pub geometry: Geometry,
    /// Complex gain of the line at `f_ref_hz`, in the samples' unit. For a peak, the transmission
    /// through the resonator on resonance, without the leak.
    pub gain: Complex64,
    /// Relative slope of the line's gain, per hertz.
    pub slope_per_hz: f64,
    /// Delay of the line, in seconds. Phase falls with frequency for a positive delay.
    pub tau_s: f64,
    /// Resonance frequency at vanishing power, in hertz.
    pub fr_hz: f64,
    /// Total (loaded) quality factor.
    pub qr: f64,
    /// Diameter `A` of the loop over the gain, as a complex number. For a peak it is -1.
    pub coupling: Complex64,
    /// Transmission `o` off resonance over the gain: 1, or the leak of a peak.
    #[serde(default = "one")]
    pub off: Complex64,
    /// Nonlinearity; bifurcated above [`BIFURCATION`].
    pub a: f64,
}

impl Resonator {
    /// Returns the full linewidth `fr / Qr`, in hertz.
    pub fn linewidth_hz(&self) -> f64 {
        self.fr_hz / self.qr
    }

    /// Returns `Qr/Qc`, with the diameter correction; `None` for a peak.
    fn qr_over_qc(&self) -> Option<f64> {
        Some(self.coupling.re / self.geometry.lossless_diameter()?)
    }

    /// Returns the coupling quality factor, with the diameter correction; `None` for a peak.
    pub fn qc(&self) -> Option<f64> {
        Some(self.qr / self.qr_over_qc()?)
    }

    /// Returns the internal quality factor, `1/Qi = 1/Qr - 1/Qc`; `None` for a peak.
    pub fn qi(&self) -> Option<f64> {
        Some(self.qr / (1.0 - self.qr_over_qc()?))
    }

    /// Returns the asymmetry angle, in radians; `None` for a peak, whose asymmetry is in the leak.
    pub fn phi_rad(&self) -> Option<f64> {
        (self.geometry != Geometry::Peak).then(|| self.coupling.arg())
    }

    /// Returns the diameter of the loop, in the samples' unit.
    pub fn diameter(&self) -> f64 {
        self.coupling.norm() * self.gain.norm()
    }

    /// Returns the depth of the dip at its deepest point, in decibels relative to the line. For a
    /// peak, the height of its highest point, in decibels relative to the leak.
    pub fn depth_db(&self) -> f64 {
        let (middle, radius) = (self.off - 0.5 * self.coupling, 0.5 * self.coupling.norm());
        let least = 1e-9;
        match self.geometry {
            Geometry::Peak => {
                20.0 * ((middle.norm() + radius) / self.off.norm().max(least)).log10()
            }
            _ => -20.0 * (middle.norm() - radius).abs().max(least).log10(),
        }
    }

    /// Returns the transmission of the line alone at `f_hz`, in the samples' unit.
    pub fn line(&self, f_hz: f64) -> Complex64 {
        let df = f_hz - self.f_ref_hz;
        let phase = -std::f64::consts::TAU * df * self.tau_s;
        self.gain * (1.0 + self.slope_per_hz * df) * Complex64::cis(phase)
    }

    /// Returns the detuning of `f_hz` from `fr_hz` in linewidths: `y0 = Qr (f - fr) / fr`.
    pub fn y0(&self, f_hz: f64) -> f64 {
        self.qr * (f_hz - self.fr_hz) / self.fr_hz
    }

    /// Returns the frequency at which the detuning including the pull is `y`, in hertz.
    pub fn frequency_at(&self, y: f64) -> f64 {
        let y0 = y - self.a / (1.0 + 4.0 * y * y);
        self.fr_hz * (1.0 + y0 / self.qr)
    }

    /// Returns the factor `o - A / (1 + 2 i y)`.
    pub fn factor(&self, y: f64) -> Complex64 {
        self.off + self.pole(y)
    }

    /// Returns the resonant part `-A / (1 + 2 i y)` of the factor.
    pub(crate) fn pole(&self, y: f64) -> Complex64 {
        -self.coupling / Complex64::new(1.0, 2.0 * y)
    }

    /// Returns the signal of a peak at `f_hz` without its leak, also far from the peak. The slope
    /// and the delay of the line are extrapolated only over a few linewidths, and beyond that the
    /// delay `tau_s`, which was known before the fit.
    pub(crate) fn wing(&self, f_hz: f64, y: f64, tau_s: f64) -> Complex64 {
        let reach = LINE_LW * self.linewidth_hz();
        let near = restricted(f_hz, self.fr_hz - reach, self.fr_hz + reach);
        let turn = -std::f64::consts::TAU * (f_hz - near) * tau_s;
        self.line(near) * Complex64::cis(turn) * self.pole(y)
    }

    /// Returns the transmission of a tone that came to `f_hz` in `direction`.
    pub fn transmission(&self, f_hz: f64, direction: Direction) -> Complex64 {
        self.line(f_hz) * self.factor(pulled_detuning(self.y0(f_hz), self.a, direction))
    }

    /// True if every number is finite, and the resonance frequency and the quality factor are
    /// positive.
    pub fn is_finite(&self) -> bool {
        [
            self.f_ref_hz,
            self.slope_per_hz,
            self.tau_s,
            self.fr_hz,
            self.qr,
            self.a,
        ]
        .iter()
        .all(|v| v.is_finite())
            && self.gain.is_finite()
            && self.coupling.is_finite()
            && self.off.is_finite()
            && self.qr > 0.0
            && self.fr_hz > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_solve_the_equation_and_lie_on_their_branch() {
        for a in [-0.3, 0.0, 1e-6, 0.1, 0.5, 0.769, 0.7699, 0.8, 1.5, 4.0] {
            for i in -4000..4000 {
                let y0 = f64::from(i) * 0.002;
                let up = pulled_detuning(y0, a, Direction::Up);
                let down = pulled_detuning(y0, a, Direction::Down);
                for y in [up, down] {
                    let back = y - a / (1.0 + 4.0 * y * y);
                    let slope = detuning_slope(y, a).max(0.0);
                    // Near a vanishing slope the error of y is the root of the rounding error.
                    assert!((back - y0).abs() < 1e-9, "a {a} y0 {y0} y {y}");
                    assert!(slope >= -1e-6);
                }
                assert!(up <= down + 1e-7, "a {a} y0 {y0}: {up} {down}");
            }
        }
    }

    #[test]
    fn the_branches_part_only_above_bifurcation() {
        let widest = |a: f64| {
            (-3000..3000)
                .map(|i| f64::from(i) * 0.001)
                .map(|y0| {
                    pulled_detuning(y0, a, Direction::Down) - pulled_detuning(y0, a, Direction::Up)
                })
                .fold(0.0, f64::max)
        };
        assert!(widest(BIFURCATION - 0.01) < 1e-6);
        assert!(widest(BIFURCATION + 0.05) > 0.05);
    }

    fn notch() -> Resonator {
        Resonator {
            f_ref_hz: 1e9,
            gain: Complex64::new(1.0, 0.0),
            slope_per_hz: 0.0,
            tau_s: 0.0,
            fr_hz: 1e9,
            qr: 2e4,
            coupling: Complex64::new(0.8, 0.0),
            off: one(),
            geometry: Geometry::Notch,
            a: 0.5,
        }
    }

    /// A slope and a delay from the noise of a fit change a distant wing little.
    #[test]
    fn the_wing_of_a_peak_follows_its_fit_only_nearby() {
        let known_s = 8e-6;
        let truth = Resonator {
            geometry: Geometry::Peak,
            tau_s: known_s,
            coupling: -Complex64::ONE,
            off: Complex64::ZERO,
            a: 0.0,
            ..notch()
        };
        let fitted = Resonator {
            slope_per_hz: 2e-7,
            tau_s: known_s + 30e-9,
            ..truth
        };
        for lw in [-1000.0, -30.0, -3.0, 0.0, 3.0, 30.0, 1000.0] {
            let (y, f_hz) = (lw, truth.frequency_at(lw));
            let expected = truth.transmission(f_hz, Direction::Up);
            let wing = fitted.wing(f_hz, y, known_s);
            assert!((wing / expected - 1.0).norm() < 0.07, "{lw}");
        }
    }

    #[test]
    fn power_pulls_the_dip_down() {
        let r = notch();
        assert!((r.frequency_at(0.0) - (1e9 - 0.5 * 5e4)).abs() < 1e-3);
        assert!(r.depth_db() > 13.9 && r.depth_db() < 14.0);
    }
}
