//! Sweeps over resonators as circuits of inductors, capacitors and resistors, with chain (ABCD)
//! matrices. Nothing here knows the formulae of the fits: frequency and quality factors are those
//! of the complex frequency at which the circuit rings, with and without its resistor.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::f64::consts::TAU;

use num_complex::Complex64;
use twotone_algorithms::Geometry;

/// Impedance of the lines, in ohms.
const Z0: f64 = 50.0;

/// A resonator, an inductor and a capacitor in parallel with a resistor, behind small capacitors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circuit {
    pub geometry: Geometry,
    inductor: f64,
    capacitor: f64,
    resistor: f64,
    /// Capacitors to the line, or to the two lines.
    couplers: [f64; 2],
    /// Inductance of the bond wire before the resonator.
    pub bond: f64,
    /// Part of a wave from the resonator that the circulator sends back to it.
    pub echo: Complex64,
    /// Wave that passes by the resonator, relative to the wave that is sent.
    pub leak: Complex64,
}

/// Frequency and quality factors of a circuit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ringing {
    pub fr_hz: f64,
    pub qr: f64,
    pub qc: f64,
    pub qi: f64,
}

impl Circuit {
    /// A circuit with about this frequency and these quality factors.
    pub(crate) fn new(geometry: Geometry, fr_hz: f64, qc: f64, qi: f64) -> Self {
        let omega = TAU * fr_hz;
        let capacitor = 1e-12 * 1e9 / fr_hz;
        // Resistance of the lines as a coupler sees it.
        let (ports, line) = match geometry {
            Geometry::Notch => (1.0, 0.5 * Z0),
            Geometry::Reflection => (1.0, Z0),
            Geometry::Peak => (2.0, Z0),
        };
        let coupler = (capacitor / (omega * qc * ports * line)).sqrt();
        let second = if geometry == Geometry::Peak {
            coupler
        } else {
            0.0
        };
        Self {
            geometry,
            inductor: 1.0 / (omega * omega * (capacitor + coupler + second)),
            capacitor,
            resistor: qi / (omega * capacitor),
            couplers: [coupler, second],
            bond: 0.0,
            echo: Complex64::ZERO,
            leak: Complex64::ZERO,
        }
    }

    /// Waves at a complex angular frequency, as `(numerator, denominator)`. The circuit rings where
    /// the denominator vanishes.
    fn waves(&self, omega: Complex64, lossless: bool) -> (Complex64, Complex64) {
        let s = Complex64::I * omega;
        let loss = if lossless { 0.0 } else { 1.0 / self.resistor };
        let tank = loss + s * self.capacitor + 1.0 / (s * self.inductor);
        let coupler = 1.0 / (s * self.couplers[0]);
        let bond = series(s * self.bond);
        match self.geometry {
            Geometry::Notch => {
                let beside = tank / (coupler * tank + 1.0);
                let [a, b, c, d] = times(bond, shunt(beside));
                // The factor removes the frequency at which the resonator is a short circuit, which
                // is close to that at which it rings.
                let factor = coupler * tank + 1.0;
                (2.0 * factor, factor * (a + b / Z0 + c * Z0 + d))
            }
            Geometry::Peak => {
                let first = times(times(bond, series(coupler)), shunt(tank));
                let [a, b, c, d] = times(first, series(1.0 / (s * self.couplers[1])));
                (2.0.into(), a + b / Z0 + c * Z0 + d)
            }
            _ => {
                let [a, _, c, _] = times(times(bond, series(coupler)), shunt(tank));
                let (back, sent) = (a - c * Z0, a + c * Z0);
                (back, sent - self.echo * back)
            }
        }
    }

    /// Transmission or reflection at a frequency, with the leak.
    pub(crate) fn response(&self, f_hz: f64) -> Complex64 {
        let (numerator, denominator) = self.waves((TAU * f_hz).into(), false);
        numerator / denominator + self.leak
    }

    pub(crate) fn ringing(&self) -> Ringing {
        let (with, without) = (self.pole(false), self.pole(true));
        let q = |pole: Complex64| pole.re / (2.0 * pole.im);
        let (qr, qc) = (q(with), q(without));
        Ringing {
            fr_hz: with.re / TAU,
            qr,
            qc,
            qi: 1.0 / (1.0 / qr - 1.0 / qc),
        }
    }

    /// Complex frequency at which the circuit rings, by Newton's method.
    fn pole(&self, lossless: bool) -> Complex64 {
        let total = self.capacitor + self.couplers[0] + self.couplers[1];
        let start = 1.0 / (self.inductor * total).sqrt();
        let mut omega = Complex64::new(start, start * 1e-5);
        let inverse = |omega: Complex64| self.waves(omega, lossless).1;
        for _ in 0..60 {
            let step = start * 1e-7;
            let slope = (inverse(omega + step) - inverse(omega - step)) / (2.0 * step);
            omega -= inverse(omega) / slope;
        }
        omega
    }
}

type Chain = [Complex64; 4];

fn series(impedance: Complex64) -> Chain {
    [Complex64::ONE, impedance, Complex64::ZERO, Complex64::ONE]
}

fn shunt(admittance: Complex64) -> Chain {
    [Complex64::ONE, Complex64::ZERO, admittance, Complex64::ONE]
}

fn times([a, b, c, d]: Chain, [e, f, g, h]: Chain) -> Chain {
    [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h]
}
