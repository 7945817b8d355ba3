//! A detector: a notch in the transmission of the feedline.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

/// Parameters that a random draw gave a detector. They hold under nominal conditions and at low
/// power.
///
/// The transmission past the detector, relative to the feedline, is `1 - (Qr/Qc) (1 + i tan phi) /
/// (1 + 2 i Qr x)` with `x = (f - fr)/fr` and `1/Qr = 1/Qc + 1/Qi`. The formula is that of the
/// diameter correction method (Khalil et al. 2012): 1/Qc is the real part of the complex coupling,
/// so that 1/Qi is positive even if the notch is asymmetric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Number in the order of the design frequencies, from 0. Scatter can change the order of the
    /// actual frequencies.
    pub id: u32,
    /// Resonance frequency, Hz.
    pub fr_hz: f64,
    /// Coupling quality factor.
    pub qc: f64,
    /// Internal quality factor.
    pub qi: f64,
    /// Asymmetry, rad.
    #[serde(default)]
    pub phi_rad: f64,
    /// Nonlinearity `a` ([`crate::kerr`]) per mW on the feedline at the detectors, for the Qr of
    /// these parameters.
    #[serde(default)]
    pub a_per_mw: f64,
    /// Power spectral density of the two-level-system noise at 1 Hz, in 1/Hz, while stored energy
    /// pulls the resonance down by 0.1 linewidth ([`crate::kerr`]).
    #[serde(default)]
    pub tls: f64,
    /// Amplitude of the modulation by the vibrations of the pulse tube (the cooler of the
    /// cryostat), as a fraction of fr.
    #[serde(default)]
    pub line_amplitude: f64,
    /// Response to optical load and bath temperature, relative to the common response of all
    /// detectors.
    #[serde(default = "one")]
    pub responsivity: f64,
    /// True if the detector does not resonate.
    #[serde(default)]
    pub dead: bool,
    /// Id of the detector to which this one is coupled.
    #[serde(default)]
    pub partner: Option<u32>,
    /// Part of each frequency shift of the partner by which this detector shifts too, 0 to 0.5:
    /// sin^2 of the mixing angle. Of its own shifts, the part that remains is one minus this
    /// value.
    #[serde(default)]
    pub mixing: f64,
}

fn one() -> f64 {
    1.0
}

impl Detector {
    /// Creates a detector that is symmetric, linear and without noise.
    pub fn new(id: u32, fr_hz: f64, qc: f64, qi: f64) -> Self {
        Self {
            id,
            fr_hz,
            qc,
            qi,
            phi_rad: 0.0,
            a_per_mw: 0.0,
            tls: 0.0,
            line_amplitude: 0.0,
            responsivity: 1.0,
            dead: false,
            partner: None,
            mixing: 0.0,
        }
    }

    /// Total quality factor.
    pub fn qr(&self) -> f64 {
        1.0 / (1.0 / self.qc + 1.0 / self.qi)
    }

    /// Linewidth fr/Qr, Hz.
    pub fn linewidth_hz(&self) -> f64 {
        self.fr_hz / self.qr()
    }

    /// Complex coupling `(1 + i tan phi)/Qc`, which is the strength of the notch.
    pub fn coupling(&self) -> Complex64 {
        Complex64::new(1.0, self.phi_rad.tan()) / self.qc
    }

    /// Depth of the minimum of |S21| below the feedline, dB; 0 for a dead detector.
    pub fn depth_db(&self) -> f64 {
        if self.dead {
            return 0.0;
        }
        // The resonance loop is a circle through 1, whose diameter is along `a`.
        let a = self.coupling() * self.qr();
        let least = ((1.0 - a / 2.0).norm() - a.norm() / 2.0).abs();
        -20.0 * least.max(1e-12).log10()
    }

    /// Time constant of the ring-down of the field: Qr/(pi fr), s.
    pub fn ringdown_s(&self) -> f64 {
        self.qr() / (std::f64::consts::PI * self.fr_hz)
    }

    /// Transmission past the detector at `frequency_hz` in the limit of low power, relative to the
    /// feedline.
    pub fn transmission(&self, frequency_hz: f64) -> Complex64 {
        if self.dead {
            return Complex64::new(1.0, 0.0);
        }
        let x = (frequency_hz - self.fr_hz) / self.fr_hz;
        1.0 - self.coupling() / Complex64::new(1.0 / self.qr(), 2.0 * x)
    }

    /// True if all parameters are in the range that a detector can have.
    pub fn is_physical(&self) -> bool {
        let positive = [self.fr_hz, self.qc, self.qi];
        let finite = [
            self.a_per_mw,
            self.tls,
            self.line_amplitude,
            self.responsivity,
        ];
        positive.iter().all(|v| v.is_finite() && *v > 0.0)
            && finite.iter().all(|v| v.is_finite())
            && self.a_per_mw >= 0.0
            && self.tls >= 0.0
            && self.phi_rad.abs() < 1.5
            && (0.0..=0.5).contains(&self.mixing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_qr_over_qc() {
        let d = Detector::new(0, 1e9, 2e4, 1e5);
        // For a symmetric notch, |S21| = 1 - Qr/Qc = Qr/Qi on resonance.
        let expected = d.qr() / d.qi;
        assert!((d.transmission(1e9).norm() - expected).abs() < 1e-12);
        assert!((d.depth_db() + 20.0 * expected.log10()).abs() < 1e-9);
        assert!((d.transmission(1.5e9).norm() - 1.0).abs() < 1e-4);
        // Half a linewidth away the notch has turned by 45 degrees.
        let half = 1.0 - d.transmission(1e9 + d.linewidth_hz() / 2.0);
        assert!((half.arg() + std::f64::consts::FRAC_PI_4).abs() < 1e-9);
    }

    #[test]
    fn depth_of_a_skewed_notch_is_the_least_of_a_scan() {
        for phi in [-0.5, -0.2, 0.3, 0.5] {
            let d = Detector {
                phi_rad: phi,
                ..Detector::new(0, 1e9, 2e4, 1e5)
            };
            let lw = d.linewidth_hz();
            let least = (-40_000..=40_000)
                .map(|k| d.transmission(1e9 + f64::from(k) * lw / 1e4).norm())
                .fold(f64::INFINITY, f64::min);
            assert!(
                (d.depth_db() + 20.0 * least.log10()).abs() < 1e-3,
                "phi {phi}"
            );
        }
    }
}
