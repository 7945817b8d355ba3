//! The decimation filters: step response, droop, correlation of noise.
//!
//! There are two cascades of moving averages: three of 64 samples at the output rate of the filter
//! bank, then six of `2^stage` samples, where `stage` is the decimation stage, at the tick rate
//! ([`crate::units::TICK_RATE_HZ`]).

use std::f64::consts::PI;
use std::sync::OnceLock;

use crate::units::{MAX_STAGE, PFB_RATE_HZ, TICK_RATE_HZ, sample_rate_hz};

/// First cascade: number of averages and their length. Second cascade: number of averages.
const FIRST: (usize, usize) = (3, 64);
const SECOND: usize = 6;

/// Number of points of the step response in a tick.
const FINE: usize = 8;

/// Number of taps that colour white noise.
pub(crate) const TAPS: usize = 4;

/// Group delay of the filters at a stage, s: 4.99 ms at stage 6.
pub fn group_delay_s(stage: u8) -> f64 {
    let length = f64::from((1u32 << stage.min(MAX_STAGE)) - 1);
    1.5 * 63.0 / PFB_RATE_HZ + 3.0 * length / TICK_RATE_HZ
}

/// Gain of the filters at a stage for a signal at `offset_hz` from the centre of the channel,
/// without the phase of the group delay: 1 at 0, negative in some side lobes.
pub fn droop(stage: u8, offset_hz: f64) -> f64 {
    let length = f64::from(1u32 << stage.min(MAX_STAGE));
    average(FIRST.1 as f64, offset_hz / PFB_RATE_HZ).powi(FIRST.0 as i32)
        * average(length, offset_hz / TICK_RATE_HZ).powi(SECOND as i32)
}

/// Response of a moving average of `n` samples at a frequency in cycles per sample.
fn average(n: f64, frequency: f64) -> f64 {
    let below = n * (PI * frequency).sin();
    if below.abs() < 1e-9 * n {
        // At multiples of the sample rate the quotient is 0/0. Its limit is the cosine to the power
        // n - 1, which is 1 or -1.
        let turns = frequency.round();
        return if (turns * (n - 1.0)) % 2.0 == 0.0 {
            1.0
        } else {
            -1.0
        };
    }
    (PI * frequency * n).sin() / below
}

/// Filters at one stage, computed once.
#[derive(Debug)]
pub struct Filter {
    stage: u8,
    step: Vec<f32>,
    autocorrelation: [f64; SECOND],
    taps: [f32; TAPS],
    noise_bandwidth_hz: f64,
}

impl Filter {
    /// Filters at a stage. Stages above 6 count as 6.
    pub fn at_stage(stage: u8) -> &'static Self {
        static CELLS: [OnceLock<Filter>; MAX_STAGE as usize + 1] =
            [const { OnceLock::new() }; MAX_STAGE as usize + 1];
        let stage = stage.min(MAX_STAGE);
        CELLS[usize::from(stage)].get_or_init(|| Self::build(stage))
    }

    fn build(stage: u8) -> Self {
        let first = cascade(FIRST.0, FIRST.1);
        let second = cascade(SECOND, 1 << stage);
        // The second cascade filters the correlation that noise has after the first cascade, at
        // lags of whole ticks.
        let after_first = |ticks: usize| correlation(&first, ticks * FIRST.1);
        let correlation_at = |lag: usize| {
            (-2i64..=2)
                .map(|k| {
                    let shift = ((lag << stage) as i64 - k).unsigned_abs() as usize;
                    after_first(k.unsigned_abs() as usize) * correlation(&second, shift)
                })
                .sum::<f64>()
        };
        let power = correlation_at(0);
        let mut autocorrelation = [0.0; SECOND];
        for (lag, value) in autocorrelation.iter_mut().enumerate() {
            *value = correlation_at(lag) / power;
        }
        Self {
            stage,
            step: step_response(&first, &second),
            autocorrelation,
            taps: colouring(&autocorrelation),
            noise_bandwidth_hz: power * PFB_RATE_HZ,
        }
    }

    /// Decimation stage.
    pub fn stage(&self) -> u8 {
        self.stage
    }

    /// Sample rate, Hz.
    pub fn rate_hz(&self) -> f64 {
        sample_rate_hz(self.stage)
    }

    /// Step response: share of a change that the output shows after a number of ticks, from 0 at 0
    /// ticks to 1 when the filters have settled.
    pub fn step(&self, ticks: f64) -> f64 {
        let position = ticks * FINE as f64;
        if position.is_nan() || position <= 0.0 {
            return 0.0;
        }
        let k = position as usize;
        if k + 1 >= self.step.len() {
            return 1.0;
        }
        let (low, high) = (f64::from(self.step[k]), f64::from(self.step[k + 1]));
        low + (high - low) * (position - k as f64)
    }

    /// Number of ticks after which a change has settled.
    pub fn length_ticks(&self) -> f64 {
        self.step.len() as f64 / FINE as f64
    }

    /// Autocorrelation of the samples of white noise, at lags of 0 to 5 samples: 1, 0.62, 0.14, ...
    /// at stage 6.
    pub fn autocorrelation(&self) -> &[f64; 6] {
        &self.autocorrelation
    }

    /// Noise bandwidth, Hz: the variance of a complex sample of white noise is its two-sided
    /// density times this bandwidth.
    pub fn noise_bandwidth_hz(&self) -> f64 {
        self.noise_bandwidth_hz
    }

    /// Filter taps that give white noise the [`autocorrelation`](Self::autocorrelation) of the
    /// samples and a variance of 1.
    pub(crate) fn taps(&self) -> &[f32; TAPS] {
        &self.taps
    }
}

/// Impulse response of `n` moving averages of `length` samples. Its sum is 1.
fn cascade(n: usize, length: usize) -> Vec<f64> {
    let mut response = vec![1.0];
    for _ in 0..n {
        let mut next = vec![0.0; response.len() + length - 1];
        for (i, value) in response.iter().enumerate() {
            for out in &mut next[i..i + length] {
                *out += value / length as f64;
            }
        }
        response = next;
    }
    response
}

fn correlation(response: &[f64], lag: usize) -> f64 {
    response
        .iter()
        .zip(response.iter().skip(lag))
        .map(|(a, b)| a * b)
        .sum()
}

/// Step response of both cascades, with `FINE` points in a tick.
fn step_response(first: &[f64], second: &[f64]) -> Vec<f32> {
    let fine = FIRST.1 / FINE;
    let mut sum = 0.0;
    let first_step: Vec<f64> = first
        .iter()
        .map(|value| {
            sum += value;
            sum
        })
        .collect();
    let after_first = |points: i64| match points {
        ..=0 => 0.0,
        p => first_step
            .get(p as usize * fine - 1)
            .copied()
            .unwrap_or(1.0),
    };
    let length = (second.len() + 3) * FINE + 1;
    (0..length)
        .map(|point| {
            let sum: f64 = second
                .iter()
                .enumerate()
                .map(|(k, value)| value * after_first(point as i64 - (k * FINE) as i64))
                .sum();
            sum as f32
        })
        .collect()
}

/// Filter taps that give white noise this autocorrelation, by Bauer's factorisation: the last row
/// of the Cholesky factor of a long banded Toeplitz matrix is the minimum-phase impulse response.
fn colouring(autocorrelation: &[f64; SECOND]) -> [f32; TAPS] {
    const ROWS: usize = 400;
    let mut rows = vec![[0.0f64; TAPS]; ROWS]; // rows[i][k] = L[i][i - k]
    for i in 0..ROWS {
        for k in (0..TAPS.min(i + 1)).rev() {
            let j = i - k;
            let mut sum = autocorrelation[k];
            for m in 1..TAPS - k {
                if j >= m {
                    sum -= rows[i][k + m] * rows[j][m];
                }
            }
            rows[i][k] = if k == 0 {
                sum.max(1e-12).sqrt()
            } else {
                sum / rows[j][0]
            };
        }
    }
    let last = rows[ROWS - 1];
    let norm = last.iter().map(|v| v * v).sum::<f64>().sqrt();
    last.map(|value| (value / norm) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Key;

    #[test]
    fn delay_and_correlation_of_stage_six() {
        assert!((group_delay_s(6) - 4.993e-3).abs() < 2e-6);
        let filter = Filter::at_stage(6);
        let rho = filter.autocorrelation();
        assert!((rho[1] - 0.62).abs() < 0.005, "{rho:?}");
        assert!((rho[2] - 0.14).abs() < 0.005, "{rho:?}");
        // The error of the mean of ten samples is larger than std/sqrt(n) by this factor.
        let sum: f64 = (1..6).map(|k| (1.0 - k as f64 / 10.0) * rho[k]).sum();
        let understated = (1.0 + 2.0 * sum).sqrt();
        assert!((1.4..1.6).contains(&understated), "{understated}");
    }

    /// Computes the filters in the same way as the hardware: running sums over white noise at 2.44
    /// MS/s.
    #[test]
    fn noise_through_the_real_filters_has_the_computed_statistics() {
        for stage in [0u8, 3, 6] {
            let key = Key::new(11).child(u64::from(stage));
            let ratio = 1usize << stage;
            let outputs = 6000;
            let mut input = 0u64;
            let average = |x: &[f64], n: usize| -> Vec<f64> {
                let mut sum: f64 = x[..n].iter().sum();
                let mut out = vec![sum / n as f64];
                for i in n..x.len() {
                    sum += x[i] - x[i - n];
                    out.push(sum / n as f64);
                }
                out
            };
            // The noise is computed in pieces to save memory. Each piece adds some products of
            // outputs.
            let (mut products, mut count) = ([0.0; 3], 0.0);
            while count < f64::from(outputs) {
                let piece: Vec<f64> = (0..64 * ratio * 60)
                    .map(|_| {
                        input += 1;
                        f64::from(key.normal_pair(input).0)
                    })
                    .collect();
                let mut x = piece;
                for _ in 0..3 {
                    x = average(&x, 64);
                }
                let mut x: Vec<f64> = x.into_iter().step_by(64).collect();
                for _ in 0..6 {
                    x = average(&x, ratio);
                }
                let x: Vec<f64> = x.into_iter().step_by(ratio).collect();
                for i in 0..x.len() - 2 {
                    for (lag, product) in products.iter_mut().enumerate() {
                        *product += x[i] * x[i + lag];
                    }
                    count += 1.0;
                }
                if stage == 6 && count > 1500.0 {
                    break;
                }
            }
            let filter = Filter::at_stage(stage);
            let tolerance = 4.0 / count.sqrt();
            for (lag, product) in products.iter().enumerate().skip(1) {
                let measured = product / products[0];
                let expected = filter.autocorrelation()[lag];
                assert!(
                    (measured - expected).abs() < tolerance,
                    "stage {stage} lag {lag}: {measured} {expected}"
                );
            }
            let variance = products[0] / count;
            let expected = filter.noise_bandwidth_hz() / PFB_RATE_HZ;
            assert!(
                (variance / expected - 1.0).abs() < 2.0 * tolerance,
                "stage {stage}: variance {variance}, expected {expected}"
            );
        }
    }

    #[test]
    fn taps_reproduce_the_correlation() {
        for stage in 0..=6 {
            let filter = Filter::at_stage(stage);
            for lag in 0..TAPS {
                let sum: f32 = (lag..TAPS)
                    .map(|k| filter.taps()[k] * filter.taps()[k - lag])
                    .sum();
                let expected = filter.autocorrelation()[lag];
                assert!(
                    (f64::from(sum) - expected).abs() < 2e-3,
                    "stage {stage} lag {lag}: {sum}"
                );
            }
        }
    }

    #[test]
    fn step_settles_after_its_length_and_is_centred_on_the_delay() {
        for stage in 0..=6u8 {
            let filter = Filter::at_stage(stage);
            assert_eq!(filter.step(0.0), 0.0);
            let ticks = f64::from(1u32 << stage);
            assert!(
                (filter.step(6.0 * ticks + 3.0) - 1.0).abs() < 1e-6,
                "stage {stage}"
            );
            // The delay is the integral of one minus the step response.
            let missing: f64 = (0..100_000)
                .map(|k| 1.0 - filter.step((k as f64 + 0.5) * 5e-3))
                .sum::<f64>();
            let delay = missing * 5e-3 / TICK_RATE_HZ;
            let expected = group_delay_s(stage) + 0.5 / PFB_RATE_HZ;
            assert!(
                (delay / expected - 1.0).abs() < 0.01,
                "stage {stage}: {delay} {expected}"
            );
        }
        // At stage 6, the first sample after a change shows little of the change, and the seventh
        // shows all of it.
        let filter = Filter::at_stage(6);
        assert!(filter.step(64.0) < 0.01);
        assert!(filter.step(5.0 * 64.0) < 0.9999);
        assert!(filter.step(6.0 * 64.0) > 0.999_99);
    }

    #[test]
    fn droop_is_the_transform_of_the_impulse_response() {
        let stage = 6;
        let filter = Filter::at_stage(stage);
        for offset in [0.0, 1.4, 60.0, 238.0, 298.0, 700.0, 1500.0] {
            let (mut re, mut im) = (0.0, 0.0);
            let fine = 1.0 / (8.0 * TICK_RATE_HZ);
            for k in 0..4000 {
                let t = f64::from(k) * 0.125;
                let h = filter.step(t + 0.125) - filter.step(t);
                let angle = std::f64::consts::TAU
                    * offset
                    * (t / TICK_RATE_HZ + fine / 2.0 - group_delay_s(stage));
                re += h * angle.cos();
                im -= h * angle.sin();
            }
            assert!((re - droop(stage, offset)).abs() < 2e-3, "{offset}: {re}");
            assert!(im.abs() < 2e-3, "{offset}: {im}");
        }
    }
}
