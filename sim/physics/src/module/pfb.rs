//! Samples at the rate of the filter bank, before the decimation filters.
//!
//! A *tick* is the sample period after the first decimation filter.

use std::f64::consts::TAU;

use num_complex::Complex64;

use super::sample::{Block, Scratch};
use super::{ModuleModel, SampleFlags};
use crate::bank;
use crate::drift::Times;
use crate::units;
use crate::world::BLOCK;

/// Number of samples of the filter bank in a tick.
const PER_TICK: usize = units::PFB_SAMPLES_PER_TICK as usize;

/// Half the width of a bin, Hz. Tones that are further from the middle of the bin are left out.
const BIN_HZ: f64 = 0.5 * units::PFB_RATE_HZ;

/// Number of the child key ([`crate::hash::Key::child`]) for the noise of these samples. The noise
/// of a decimation stage has the number of the stage, which is smaller.
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
        if n == 0 || channel >= self.slots.len() {
            return SampleFlags::default();
        }
        if self.now.is_none() {
            self.begin(start_tick as f64, 1.0);
        }
        self.refresh();
        self.add_bank_noise(start_tick, n, channel, out);
        let mut scratch = std::mem::take(&mut self.scratch);
        for (block, row) in out.chunks_mut(BLOCK * PER_TICK).enumerate() {
            let tick = start_tick.wrapping_add((block * BLOCK) as u64);
            self.add_pfb_block(tick, channel, &mut scratch, row);
        }
        self.scratch = scratch;
        self.set_at = None;
        SampleFlags {
            overrange: self.chain.overrange,
        }
    }

    /// Adds white noise, filtered by the bin of a channel.
    fn add_bank_noise(&self, tick: u64, n: usize, channel: usize, out: &mut Vec<Complex64>) {
        let key = self.noise_key(PFB).child(channel as u64);
        let sigma = (self.chain.noise_density * units::PFB_RATE_HZ / 2.0).sqrt();
        let offset = bank::offset_in_bin_hz(self.slots[channel].tone.frequency_hz);
        let taps = bank::colouring(offset).map(|tap| tap * sigma);
        let before = (bank::TAPS - 1) as u64;
        let first = tick.wrapping_mul(PER_TICK as u64).wrapping_sub(before);
        // Latest random numbers, the newest first.
        let mut white = [Complex64::default(); bank::TAPS];
        let mut next = |k: u64| {
            white.copy_within(..bank::TAPS - 1, 1);
            let (re, im) = key.normal_pair(first.wrapping_add(k));
            white[0] = Complex64::new(re.into(), im.into());
            white
                .iter()
                .zip(&taps)
                .map(|(white, tap)| white * tap)
                .sum()
        };
        for k in 0..before {
            let _: Complex64 = next(k);
        }
        out.extend((0..n as u64).map(|k| next(before + k)));
    }

    /// Adds the tones in the bin of a channel. Detectors and feedline change only from tick to
    /// tick.
    fn add_pfb_block(
        &mut self,
        tick: u64,
        channel: usize,
        scratch: &mut Scratch,
        row: &mut [Complex64],
    ) {
        let times = Times {
            first: tick,
            period_s: 1.0 / units::TICK_RATE_HZ,
            delay_s: 0.0,
        };
        let block = Block {
            times,
            len: row.len().div_ceil(PER_TICK),
        };
        // A bin attenuates slow noise as little as the filters at stage 0, so these are used here.
        self.begin_block(block, 0, scratch);
        let mut steps = [Complex64::default(); BLOCK];
        let steps = &mut steps[..block.len];
        let own = self.absolute_hz(self.slots[channel].tone.frequency_hz);
        let in_bin = bank::offset_in_bin_hz(own - self.nco_hz);
        let middle = own - in_bin;
        let own_gain = bank::gain(in_bin);
        let low = self.sorted.partition_point(|t| t.0 < middle - BIN_HZ);
        let high = self.sorted.partition_point(|t| t.0 <= middle + BIN_HZ);
        for index in low..high {
            self.tone_over(index, block, scratch, steps);
            let other = usize::from(self.order[index]);
            let (there, here) = (&self.slots[other], &self.slots[channel]);
            let offset_hz = self.sorted[index].0 - own;
            let turn = there.tone.adc_phase_rad - here.tone.adc_phase_rad;
            let gain = bank::gain(in_bin + offset_hz) / own_gain;
            let turn = Complex64::from_polar(gain, turn);
            // The tone of the channel itself may still be ringing after its last change.
            let rings = other == channel
                && here.ringdown_ticks > 0.0
                && here.changed_at.is_finite()
                && here.last.re.is_finite();
            for (k, z) in row.iter_mut().enumerate() {
                let ticks = tick as f64 + k as f64 / PER_TICK as f64;
                let mut now = steps[k / PER_TICK];
                if rings {
                    let since = (ticks - here.changed_at).max(0.0);
                    now += (here.last - now) * (-since / here.ringdown_ticks).exp();
                }
                let turns = (offset_hz * ticks / units::TICK_RATE_HZ).fract();
                *z += now * turn * Complex64::from_polar(1.0, TAU * turns);
            }
        }
    }
}
