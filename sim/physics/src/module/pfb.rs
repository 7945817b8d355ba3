//! Samples at the rate of the filter bank, before the decimation filters.

use std::f64::consts::TAU;

use num_complex::Complex64;

use super::{ModuleModel, SampleFlags};
use crate::units;

/// Half of a bin, Hz: tones further away are not seen.
const HALF_BIN_HZ: f64 = 0.5 * units::PFB_RATE_HZ;

/// Branch of the noise, beside those of the stages.
const PFB: u64 = 100;

impl ModuleModel {
    pub(super) fn sample_pfb(
        &mut self,
        start_tick: u64,
        n: usize,
        channel: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        out.clear();
        if self.now.is_none_or(|now| now > start_tick as f64) {
            self.begin(start_tick as f64, 1.0);
        }
        self.refresh();
        let flags = SampleFlags {
            overrange: self.chain.overrange,
        };
        let end = start_tick as f64 + n as f64 / 64.0;
        self.now = self.now.map(|now| now.max(end));
        let Some(slot) = self.slots.get(channel) else {
            return flags;
        };
        let first = start_tick.wrapping_mul(64);
        let key = self.noise_key(PFB).child(channel as u64);
        let sigma = (self.chain.noise_density * units::PFB_RATE_HZ / 2.0).sqrt();
        out.extend((0..n).map(|k| {
            let (re, im) = key.normal_pair(first.wrapping_add(k as u64));
            Complex64::new(f64::from(re), f64::from(im)) * sigma
        }));

        let own = self.absolute_hz(slot.tone.frequency_hz);
        let low = self.sorted.partition_point(|t| t.0 < own - HALF_BIN_HZ);
        let high = self.sorted.partition_point(|t| t.0 <= own + HALF_BIN_HZ);
        for index in low..high {
            let other = usize::from(self.order[index]);
            let there = &self.slots[other];
            let offset_hz = self.sorted[index].0 - own;
            let turn = there.tone.adc_phase_rad - slot.tone.adc_phase_rad;
            let value = self.settled(other) * Complex64::from_polar(1.0, turn);
            // The channel's own tone may still ring from its last change.
            let rings = other == channel && there.ringdown_ticks > 0.0 && there.last.re.is_finite();
            let before = if rings && there.changed_at.is_finite() {
                there.last
            } else {
                value
            };
            let changed = there.changed_at * 64.0;
            let decay = 1.0 / (64.0 * there.ringdown_ticks.max(1e-9));
            for (k, z) in out.iter_mut().enumerate() {
                let number = first as f64 + k as f64;
                let turns = (offset_hz * number / units::PFB_RATE_HZ).fract();
                let mut now = value;
                if before != value {
                    now += (before - value) * (-(number - changed).max(0.0) * decay).exp();
                }
                *z += now * Complex64::from_polar(1.0, TAU * turns);
            }
        }
        flags
    }
}
