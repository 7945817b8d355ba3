//! Slow noise as a sum of octaves of interpolated random values.
//!
//! Each octave has independent random values at the ends of time cells of equal length, with linear
//! interpolation between them. The length of the cells doubles from octave to octave, and the
//! weights give the sum a spectrum of `f^-n`. The value at any time can be computed without the
//! values before it.

use crate::hash::Key;

/// Noise with a one-sided spectrum `S(f) = S(1 Hz) f^-n` between two time scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Octaves {
    shortest_s: f64,
    sigmas: Vec<f32>,
}

/// Length of the shortest cells, s. The spectrum falls off above a tenth of the inverse of this
/// length. Flatter spectra need shorter cells, because short cells contribute more of their
/// density.
fn shortest_s(exponent: f64) -> f64 {
    if exponent < 0.9 { 0.5e-3 } else { 4e-3 }
}

impl Octaves {
    /// Noise with a density of 1 at 1 Hz that falls as `f^-exponent` (0.2 to 2). The shortest cells
    /// of the `octaves` octaves are 4 ms long, or 0.5 ms for an exponent below 0.9. From 4 ms on,
    /// 14 octaves reach a minute, and 20 octaves reach an hour.
    pub fn new(exponent: f64, octaves: u32) -> Self {
        let n = if exponent.is_finite() {
            exponent.clamp(0.2, 2.0)
        } else {
            1.0
        };
        // A row of cells of length T and variance v has the one-sided density 2 v T sinc^4(f T).
        // With v = B T^(n-1), the sum over all octaves is 2 B / ln 2 f^-n times the integral below.
        let shortest_s = shortest_s(n);
        let du = 1e-3;
        let integral: f64 = (0..20_000)
            .map(|k| {
                let u = (f64::from(k) + 0.5) * du;
                let x = std::f64::consts::PI * u;
                u.powf(n - 1.0) * (x.sin() / x).powi(4) * du
            })
            .sum();
        let b = std::f64::consts::LN_2 / (2.0 * integral);
        let sigmas = (0..octaves.min(31))
            .map(|o| {
                let cell = shortest_s * f64::from(1u32 << o);
                (b * cell.powf(n - 1.0)).sqrt() as f32
            })
            .collect();
        Self { shortest_s, sigmas }
    }

    /// Adds to `out` the noise at the times `times`, made of the random numbers of `key` and
    /// multiplied by `scale`.
    pub(crate) fn add(&self, key: Key, scale: f64, times: Times, out: &mut [f64]) {
        for (octave, sigma) in self.sigmas.iter().enumerate() {
            let per_cell = 1.0 / (self.shortest_s * f64::from(1u32 << octave));
            let weight = f64::from(*sigma) * scale;
            let node = |cell: i64| {
                weight * f64::from(key.node((cell as u64).wrapping_mul(32) + octave as u64))
            };
            let mut cell = f64::NAN;
            let (mut low, mut high) = (0.0, 0.0);
            for (k, value) in out.iter_mut().enumerate() {
                let position = times.at(k) * per_cell;
                if !(0.0..1.0).contains(&(position - cell)) {
                    let floor = position.floor();
                    low = if floor == cell + 1.0 {
                        high
                    } else {
                        node(floor as i64)
                    };
                    high = node((floor as i64).wrapping_add(1));
                    cell = floor;
                }
                *value += low + (high - low) * (position - cell);
            }
        }
    }
}

/// Times of consecutive samples, before the delay of the filters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    /// Number of the first sample.
    pub(crate) first: u64,
    /// Time between samples, s.
    pub(crate) period_s: f64,
    /// Delay of the filters, s: a sample shows the signal at this time before the sample.
    pub(crate) delay_s: f64,
}

impl Times {
    /// Time of sample `k`, s. A sample has the same time in every run.
    #[inline]
    pub(crate) fn at(&self, k: usize) -> f64 {
        self.first.wrapping_add(k as u64) as f64 * self.period_s - self.delay_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 596.0;

    fn series(octaves: &Octaves, key: Key, n: usize) -> Vec<f64> {
        let mut out = vec![0.0; n];
        let times = Times {
            first: 1000,
            period_s: 1.0 / RATE,
            delay_s: 0.005,
        };
        octaves.add(key, 1.0, times, &mut out);
        out
    }

    /// One-sided density near a frequency, from plain Fourier sums over windowed pieces.
    fn density(x: &[f64], frequency: f64) -> f64 {
        let n = 8192;
        let (mut sum, mut pieces) = (0.0, 0.0);
        for piece in x.chunks_exact(n) {
            for near in [0.9, 1.0, 1.1] {
                let (mut re, mut im, mut norm) = (0.0, 0.0, 0.0);
                for (k, value) in piece.iter().enumerate() {
                    let window = (std::f64::consts::PI * k as f64 / n as f64).sin().powi(2);
                    let angle = std::f64::consts::TAU * frequency * near * k as f64 / RATE;
                    re += window * value * angle.cos();
                    im += window * value * angle.sin();
                    norm += window * window;
                }
                sum += 2.0 * (re * re + im * im) / (norm * RATE);
                pieces += 1.0;
            }
        }
        sum / pieces
    }

    #[test]
    fn spectrum_has_its_level_and_slope() {
        for exponent in [0.5, 0.8, 1.0] {
            let octaves = Octaves::new(exponent, 16);
            let mut x = Vec::new();
            for s in 0..12 {
                x.extend(series(&octaves, Key::new(5).child(s), 8192 * 4));
            }
            for frequency in [1.0, 5.0, 20.0] {
                let ratio = density(&x, frequency) * f64::powf(frequency, exponent);
                assert!(
                    (0.7..1.4).contains(&ratio),
                    "n {exponent}, {frequency} Hz: {ratio}"
                );
            }
        }
    }

    #[test]
    fn a_moment_does_not_depend_on_the_run_it_is_in() {
        let octaves = Octaves::new(1.0, 14);
        let whole = series(&octaves, Key::new(9), 300);
        let mut part = vec![0.0; 10];
        let times = Times {
            first: 1123,
            period_s: 1.0 / RATE,
            delay_s: 0.005,
        };
        octaves.add(Key::new(9), 1.0, times, &mut part);
        assert_eq!(part[..], whole[123..133]);
    }
}
