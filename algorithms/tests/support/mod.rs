//! Golden sweeps (sweeps from simulations, with the true values of their resonators) and noise.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod board;
pub(crate) mod circuit;

use num_complex::Complex64;
use serde::Deserialize;
use twotone_algorithms::fit::SweepData;
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{Band, NetworkAnalysisParams, TuneParams};

/// The band of the tests, in hertz.
pub(crate) const LOW: f64 = 1.10e9;
pub(crate) const HIGH: f64 = 1.16e9;

/// Parameters for the 60 MHz of this band. The points are as dense as those of the defaults.
pub(crate) fn params() -> TuneParams {
    TuneParams {
        band: Some(Band::new(LOW, HIGH)),
        network_analysis: NetworkAnalysisParams {
            points: 6000,
            ..Default::default()
        },
        ..TuneParams::default()
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Truth {
    pub fr_hz: f64,
    pub qr: f64,
    pub qc: f64,
    pub qi: f64,
    pub a: f64,
}

impl Truth {
    pub(crate) fn linewidth_hz(&self) -> f64 {
        self.fr_hz / self.qr
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    pub name: String,
    pub kind: String,
    pub direction: Direction,
    pub delay_s: f64,
    pub truth: Truth,
    pub second: Option<Truth>,
    pub frequency_hz: Vec<f64>,
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Case {
    pub(crate) fn z(&self) -> Vec<Complex64> {
        self.re
            .iter()
            .zip(&self.im)
            .map(|(re, im)| Complex64::new(*re, *im))
            .collect()
    }

    /// Largest magnitude, which is that of the line off resonance.
    pub(crate) fn scale(&self) -> f64 {
        self.z().iter().map(|z| z.norm()).fold(0.0, f64::max)
    }

    pub(crate) fn data<'a>(&'a self, z: &'a [Complex64]) -> SweepData<'a> {
        SweepData::new(&self.frequency_hz, z)
            .delay(self.delay_s)
            .direction(self.direction)
    }
}

/// Every golden sweep over one or two resonators.
pub(crate) fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../data/resonators.json")).expect("golden file")
}

pub(crate) fn case(name: &str) -> Case {
    cases()
        .into_iter()
        .find(|c| c.name == name)
        .unwrap_or_else(|| panic!("no case {name}"))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wide {
    pub delay_s: f64,
    start_hz: f64,
    step_hz: f64,
    pub truth: Vec<Truth>,
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Wide {
    /// Thirty deep lines, two pairs among them.
    pub(crate) fn load() -> Self {
        serde_json::from_str(include_str!("../data/wide.json")).expect("golden file")
    }

    /// Forty shallow lines, twenty linewidths apart.
    pub(crate) fn weak() -> Self {
        serde_json::from_str(include_str!("../data/weak.json")).expect("golden file")
    }

    pub(crate) fn frequency_hz(&self) -> Vec<f64> {
        (0..self.re.len())
            .map(|i| self.start_hz + self.step_hz * i as f64)
            .collect()
    }

    pub(crate) fn z(&self) -> Vec<Complex64> {
        self.re
            .iter()
            .zip(&self.im)
            .map(|(re, im)| Complex64::new(*re, *im))
            .collect()
    }
}

/// Seeded noise: xorshift, Box and Muller.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Complex normal number with `<|n|^2> = sigma^2`.
    pub(crate) fn complex(&mut self, sigma: f64) -> Complex64 {
        let r = sigma * (-self.uniform().ln()).sqrt();
        Complex64::from_polar(r, std::f64::consts::TAU * self.uniform())
    }

    pub(crate) fn add(&mut self, z: &[Complex64], sigma: f64) -> Vec<Complex64> {
        z.iter().map(|z| z + self.complex(sigma)).collect()
    }
}
