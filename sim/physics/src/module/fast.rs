//! Samples of the ADC, before any filter.

use std::f64::consts::TAU;

use num_complex::Complex64;

use super::{ModuleModel, SampleFlags};
use crate::units;

/// Number of the child key ([`crate::hash::Key::child`]) for the noise of these samples. The
/// numbers of the decimation stages are smaller.
const FAST: u64 = 101;

impl ModuleModel {
    pub(super) fn sample_fast(
        &mut self,
        start_tick: u64,
        n: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        if self.now.is_none() {
            self.begin(start_tick as f64, 1.0);
        }
        self.refresh();
        let first = start_tick.wrapping_mul(units::FAST_SAMPLES_PER_TICK);
        let key = self.noise_key(FAST);
        let sigma = (self.chain.noise_density * units::FAST_RATE_HZ / 2.0).sqrt();
        out.clear();
        out.extend((0..n).map(|k| {
            let (re, im) = key.normal_pair(first.wrapping_add(k as u64));
            Complex64::new(f64::from(re), f64::from(im)) * sigma
        }));
        let start_s = start_tick as f64 / units::TICK_RATE_HZ;
        for &channel in &self.order {
            let channel = usize::from(channel);
            let offset_hz = units::quantise_hz(self.slots[channel].tone.frequency_hz);
            let begun = Complex64::from_polar(1.0, TAU * (offset_hz * start_s).fract());
            let turn = Complex64::from_polar(1.0, TAU * offset_hz / units::FAST_RATE_HZ);
            let mut value = self.before_demodulator(channel) * begun;
            for sample in &mut *out {
                *sample += value;
                value *= turn;
            }
        }
        self.set_at = None;
        SampleFlags {
            overrange: self.chain.overrange,
        }
    }
}
