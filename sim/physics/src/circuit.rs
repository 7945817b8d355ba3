//! Resonators at the end of a line and between two lines, as circuits.
//!
//! All impedances are relative to that of the line. A resonator is an admittance in parallel,
//! `w_i + 2 i d`, with its internal width `w_i` and its detuning `d` in linewidths, behind an
//! admittance inverter, which stands for the small coupling capacitor (Pozar, Microwave
//! Engineering, sections 4.4 and 8.5). Waves follow from chain matrices and from the reflections at
//! the ends of the line.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::detector::Detector;

/// Connection of the detectors of a module to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Geometry {
    /// Beside a line whose transmission is measured.
    #[default]
    Notch,
    /// At the end of a line whose reflection is measured.
    Reflection,
    /// Between the ends of two lines, through which the transmission is measured.
    Peak,
}

impl Geometry {
    /// Name in maps and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notch => "notch",
            Self::Reflection => "reflection",
            Self::Peak => "peak",
        }
    }
}

impl std::str::FromStr for Geometry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Notch, Self::Reflection, Self::Peak];
        let found = all.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| format!("unknown geometry `{text}`: notch, reflection or peak"))
    }
}

/// Chain matrix `[[a, b], [c, d]]` of a two-port.
#[derive(Debug, Clone, Copy)]
struct Chain([Complex64; 4]);

impl Chain {
    fn shunt(admittance: Complex64) -> Self {
        let (one, zero) = (Complex64::ONE, Complex64::ZERO);
        Self([one, zero, admittance, one])
    }

    fn inverter(j: f64) -> Self {
        let (i, zero) = (Complex64::I, Complex64::ZERO);
        Self([zero, i / j, i * j, zero])
    }

    fn then(self, next: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, next.0);
        Self([a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h])
    }

    /// Transmission between two matched lines.
    fn transmission(self) -> Complex64 {
        2.0 / self.0.iter().sum::<Complex64>()
    }

    /// Reflection at the first port, with nothing at the second one.
    fn reflection(self) -> Complex64 {
        let [a, _, c, _] = self.0;
        (a - c) / (a + c)
    }
}

/// Circuit of a detector that is not beside the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Circuit {
    /// A resonator at the end of a line whose other end, a circulator, reflects the part `echo`
    /// of a wave that comes back. The echo adds to the width and the frequency of the resonator:
    /// `moved` is the detuning of the resonator without the echo from the resonator with it.
    End {
        inverter: f64,
        echo: Complex64,
        moved: f64,
    },
    /// A resonator between two equal inverters.
    Between { inverter: f64 },
}

impl Circuit {
    /// Circuit whose fr, Qc and Qi, the echo included, are those of the detector. `None` beside a
    /// line. The echo is in quadrature with the line, and turns the loop by the asymmetry angle.
    pub(crate) fn of(detector: &Detector, geometry: Geometry) -> Option<Self> {
        let coupling = detector.qr() / detector.qc;
        match geometry {
            Geometry::Notch => None,
            Geometry::Reflection => {
                // With a stronger echo nothing would leave the resonator.
                let echo = Complex64::new(0.0, detector.phi_rad.tan().clamp(-0.7, 0.7));
                // Admittance of the end of the line, as the resonator sees it through the inverter.
                let load = (1.0 + echo) / (1.0 - echo);
                let squared = coupling / load.re;
                Some(Self::End {
                    inverter: squared.sqrt(),
                    echo,
                    moved: -0.5 * squared * load.im,
                })
            }
            Geometry::Peak => Some(Self::Between {
                inverter: (0.5 * coupling).sqrt(),
            }),
        }
    }

    /// Factor of the detector in the product of all detectors of the line: its reflection over that
    /// off resonance, or one minus its transmission. `internal` is the width by internal loss,
    /// `detuning` the detuning from the resonance with echo, both in linewidths as drawn.
    #[inline]
    pub(crate) fn factor(&self, internal: f64, detuning: f64) -> Complex64 {
        match *self {
            Self::End {
                inverter,
                echo,
                moved,
            } => {
                let resonator = Complex64::new(internal, 2.0 * (detuning + moved));
                let seen = Chain::inverter(inverter).then(Chain::shunt(resonator));
                let back = seen.reflection();
                (1.0 - echo) * back / (1.0 - echo * back)
            }
            Self::Between { inverter } => {
                let resonator = Complex64::new(internal, 2.0 * detuning);
                let ends = Chain::inverter(inverter);
                1.0 + ends.then(Chain::shunt(resonator)).then(ends).transmission()
            }
        }
    }

    /// Residue of the factor, as that of a notch: `1 - residue / (w + 2 i d)` with the total width
    /// `w`.
    pub(crate) fn residue(&self) -> Complex64 {
        match *self {
            Self::End { inverter, echo, .. } => 2.0 * inverter * inverter / (1.0 - echo),
            Self::Between { inverter } => Complex64::new(2.0 * inverter * inverter, 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detector(qc: f64, qi: f64, phi_rad: f64) -> Detector {
        Detector {
            phi_rad,
            ..Detector::new(0, 1e9, qc, qi)
        }
    }

    /// The width of the resonance is the sum of the internal width and of what leaves through the
    /// ports, so that without internal loss all power comes back.
    #[test]
    fn power_is_conserved() {
        for phi in [-0.3, 0.0, 0.2] {
            for qi in [2e4, 1e5, 1e12] {
                let d = detector(2e4, qi, phi);
                let circuit = Circuit::of(&d, Geometry::Reflection).unwrap();
                let internal = d.qr() / d.qi;
                let far = circuit.factor(internal, 1e9);
                assert!((far - 1.0).norm() < 1e-6, "{far}");
                for k in -50..=50 {
                    let detuning = f64::from(k) * 0.1;
                    let Circuit::End {
                        inverter, moved, ..
                    } = circuit
                    else {
                        panic!("{circuit:?}");
                    };
                    let resonator = Complex64::new(internal, 2.0 * (detuning + moved));
                    let seen = Chain::inverter(inverter).then(Chain::shunt(resonator));
                    let lost = 1.0 - seen.reflection().norm_sqr();
                    assert!(lost > -1e-9 && (qi < 1e11 || lost < 1e-6), "{lost}");
                }
            }
        }
    }

    /// A module knows each detector by its pole and its residue, whatever its loss is.
    #[test]
    fn factors_have_the_pole_and_the_residue_of_their_detector() {
        for geometry in [Geometry::Reflection, Geometry::Peak] {
            for (qc, qi, phi) in [(2e4, 1e5, 0.0), (1e5, 2e4, 0.2), (3e4, 3e4, -0.1)] {
                let d = detector(qc, qi, phi);
                let circuit = Circuit::of(&d, geometry).unwrap();
                for (lossier, detuning) in [(0.0, -30.0), (0.2, -1.0), (0.0, 0.0), (3.0, 0.4)] {
                    let factor = circuit.factor(d.qr() / qi + lossier, detuning);
                    let width = Complex64::new(1.0 + lossier, 2.0 * detuning);
                    let by_pole = 1.0 - circuit.residue() / width;
                    assert!(
                        (factor - by_pole).norm() < 1e-9,
                        "{geometry:?} {factor} {by_pole}"
                    );
                }
            }
        }
    }
}
