//! Decimated samples of the channels.

use std::f64::consts::TAU;
use std::ops::Range;

use num_complex::{Complex32, Complex64};

use super::{ModuleModel, NO_DETECTOR, SampleFlags, Transient};
use crate::array::MAX_DRIVES;
use crate::cic::{self, Filter, TAPS};
use crate::conditions::ChannelFault;
use crate::drift::Times;
use crate::hash::Key;
use crate::kerr::{self, Drive};
use crate::units;
use crate::world::{BLOCK, Common, Motion, Source};

/// Number of detectors whose motion over a block is cached.
const KEPT: usize = 8;

/// Smallest change of a sample whose settling is computed, counts.
const NEGLIGIBLE: f64 = 1e-4;

/// Work buffers. Their content is not used between calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    common: Common,
    motion: Motion,
    kept: [Series; KEPT],
    drift: [Complex64; BLOCK],
}

/// Width and offset of one detector over a block.
#[derive(Debug, Clone)]
struct Series {
    owner: usize,
    width: [f64; BLOCK],
    offset: [f64; BLOCK],
}

impl Default for Series {
    fn default() -> Self {
        Self {
            owner: usize::MAX,
            width: [0.0; BLOCK],
            offset: [0.0; BLOCK],
        }
    }
}

/// Consecutive samples that are computed together, at most [`BLOCK`].
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) times: Times,
    pub(super) len: usize,
}

impl ModuleModel {
    pub(super) fn sample(
        &mut self,
        start: u64,
        n: usize,
        channels: Range<usize>,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        let channels = channels.start.min(self.slots.len())..channels.end.min(self.slots.len());
        out.clear();
        out.resize(channels.len() * n, Complex64::default());
        if n == 0 {
            return SampleFlags::default();
        }
        let ticks = f64::from(1u32 << self.stage);
        self.begin(start as f64 * ticks, ticks);
        self.refresh();
        self.add_noise(start, n, channels.clone(), out);
        let mut scratch = std::mem::take(&mut self.scratch);
        for from in (0..n).step_by(BLOCK) {
            let times = Times {
                first: start.wrapping_add(from as u64),
                period_s: 1.0 / units::sample_rate_hz(self.stage),
                delay_s: cic::group_delay_s(self.stage),
            };
            let block = Block {
                times,
                len: BLOCK.min(n - from),
            };
            self.add_block(block, from, n, channels.clone(), &mut scratch, out);
        }
        self.scratch = scratch;
        self.add_transients(start, n, channels.clone(), out);
        self.now = Some((start as f64 + (n - 1) as f64) * ticks);
        self.set_at = None;
        let saturated = self.apply_faults(n, channels, out);
        SampleFlags {
            overrange: self.chain.overrange || saturated,
        }
    }

    /// Prepares for samples from a tick on. The present settings count as made one `period` before
    /// the tick if these are the first samples, or if the tick is not later than the last sample
    /// that was requested.
    pub(super) fn begin(&mut self, tick: f64, period: f64) {
        if self.now.is_some_and(|now| now < tick) {
            return;
        }
        let before = tick - period;
        self.now = Some(before);
        self.transients.clear();
        for slot in &mut self.slots {
            if slot.changed_at.is_finite() {
                slot.changed_at = before;
            }
        }
    }

    /// Adds the white noise of the electronics, filtered by the decimation filters: each sample is
    /// a weighted sum of the random numbers of this sample and of a few before it.
    fn add_noise(&self, start: u64, n: usize, channels: Range<usize>, out: &mut [Complex64]) {
        let filter = Filter::at_stage(self.stage);
        let power = self.chain.noise_density * filter.noise_bandwidth_hz();
        let sigma = (power / 2.0).sqrt() as f32;
        let taps = filter.taps().map(|tap| tap * sigma);
        let root = self.noise_key(u64::from(self.stage));
        let (mut re, mut im) = ([0f32; BLOCK + TAPS - 1], [0f32; BLOCK + TAPS - 1]);
        for (row, channel) in out.chunks_exact_mut(n).zip(channels) {
            let key = root.child(channel as u64);
            for (index, block) in row.chunks_mut(BLOCK).enumerate() {
                let before = (TAPS - 1) as u64;
                let first = start
                    .wrapping_add((index * BLOCK) as u64)
                    .wrapping_sub(before);
                let len = block.len() + TAPS - 1;
                key.fill_pairs(first, &mut re[..len], &mut im[..len]);
                for (m, value) in block.iter_mut().enumerate() {
                    let (mut sum_re, mut sum_im) = (0f32, 0f32);
                    for (k, tap) in taps.iter().enumerate() {
                        sum_re += tap * re[m + TAPS - 1 - k];
                        sum_im += tap * im[m + TAPS - 1 - k];
                    }
                    *value += Complex64::new(f64::from(sum_re), f64::from(sum_im));
                }
            }
        }
    }

    /// Key of the noise of the channels. `branch` is the decimation stage, or the number of another
    /// kind of samples.
    pub(super) fn noise_key(&self, branch: u64) -> Key {
        self.key.child(NOISE).child(branch)
    }

    /// Adds the tones of a block in the order of frequency, so that neighbouring tones use the same
    /// cached detectors.
    fn add_block(
        &mut self,
        block: Block,
        from: usize,
        n: usize,
        channels: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [Complex64],
    ) {
        self.begin_block(block, self.stage, scratch);
        let mut z = [Complex64::default(); BLOCK];
        let z = &mut z[..block.len];
        for index in 0..self.order.len() {
            let channel = usize::from(self.order[index]);
            if !channels.contains(&channel) {
                continue;
            }
            self.tone_over(index, block, scratch, z);
            let first = (channel - channels.start) * n + from;
            for (out, value) in out[first..first + block.len].iter_mut().zip(&*z) {
                *out += value;
            }
            self.note_change(channel, z[0]);
            self.slots[channel].last = z[block.len - 1];
        }
        if from == 0 {
            for channel in channels.clone() {
                if self.slots[channel].tone.amplitude == 0.0 {
                    self.note_change(channel, Complex64::default());
                    self.slots[channel].last = Complex64::default();
                }
            }
        }
        for beat in &self.beats {
            let channel = usize::from(beat.channel);
            if channels.contains(&channel) {
                let first = (channel - channels.start) * n + from;
                for (m, value) in out[first..first + block.len].iter_mut().enumerate() {
                    let turns = (beat.offset_hz * block.times.at(m)).fract();
                    *value += beat.value * Complex64::from_polar(1.0, TAU * turns);
                }
            }
        }
    }

    /// Computes the motions that all tones of a block have in common.
    pub(super) fn begin_block(&self, block: Block, stage: u8, scratch: &mut Scratch) {
        let common = &mut scratch.common;
        self.world
            .common(&self.conditions, stage, block.times, block.len, common);
        for series in &mut scratch.kept {
            series.owner = usize::MAX;
        }
        for (m, value) in scratch.drift[..block.len].iter_mut().enumerate() {
            *value = Complex64::from_polar(1.0 + common.gain[m], common.phase[m]);
        }
    }

    /// Computes the samples of a tone over a block, without noise and beats. `index` is the
    /// position of the tone in the order of frequency.
    pub(super) fn tone_over(
        &mut self,
        index: usize,
        block: Block,
        scratch: &mut Scratch,
        z: &mut [Complex64],
    ) {
        let channel = usize::from(self.order[index]);
        z.fill(self.slots[channel].rest);
        for k in self.slots[channel].moving {
            if k != NO_DETECTOR {
                self.multiply_by(usize::from(k), self.sorted[index].0, block, scratch, z);
            }
        }
        if self.slots[channel].open.is_some() {
            for value in z.iter_mut() {
                *value = self.slots[channel].through(*value);
            }
        }
        if self.world.line_drifts() {
            for (value, drift) in z.iter_mut().zip(&scratch.drift) {
                *value *= drift;
            }
        }
    }

    /// Multiplies samples by the transmission factor of a moving detector.
    fn multiply_by(
        &mut self,
        k: usize,
        frequency_hz: f64,
        block: Block,
        scratch: &mut Scratch,
        z: &mut [Complex64],
    ) {
        if scratch.kept[k % KEPT].owner != k {
            self.work_out(k, block, scratch);
        }
        let series = &scratch.kept[k % KEPT];
        let r = &self.array.resonators[k];
        let detuning = r.detuning(frequency_hz);
        for (m, value) in z.iter_mut().enumerate() {
            *value *= r.factor(detuning, series.width[m], series.offset[m]);
        }
    }

    /// Computes the width and offset of a moving detector over the block, including its pull.
    fn work_out(&mut self, k: usize, block: Block, scratch: &mut Scratch) {
        let detectors = self.population.detectors();
        let source = Source {
            array: &self.array,
            detectors,
            conditions: &self.conditions,
            times: block.times,
            len: block.len,
        };
        let motion = &mut scratch.motion;
        self.world.motion(k, &source, &scratch.common, motion);
        let r = &self.array.resonators[k];
        let mut row = [Drive { u: 0.0, a: 0.0 }; MAX_DRIVES];
        let a_per_mw = detectors[r.detector as usize].a_per_mw;
        let drives = self.array.drives(r, a_per_mw, &self.sorted, &mut row);
        let series = &mut scratch.kept[k % KEPT];
        series.owner = k;
        let mut pull = r.pull;
        for m in 0..block.len {
            let shift = r.steady_shift + motion.shift[m];
            let width = r.width.with_loss(motion.loss[m]);
            pull = kerr::settle(&drives, &width, shift, pull);
            series.width[m] = width.at(pull);
            series.offset[m] = pull - shift;
        }
        let r = &mut self.array.resonators[k];
        r.pull = pull;
        r.seen_width = series.width[block.len - 1];
        r.seen_offset = series.offset[block.len - 1];
    }

    /// Records by how much a change of settings changes the sample of a channel. Call this at the
    /// first sample after the change.
    fn note_change(&mut self, channel: usize, now: Complex64) {
        let slot = &mut self.slots[channel];
        if slot.changed_at.is_nan() {
            return;
        }
        let delta = now - slot.last;
        let at = slot.changed_at + slot.ringdown_ticks;
        slot.changed_at = f64::NAN;
        if delta.norm() > NEGLIGIBLE {
            let delta = Complex32::new(delta.re as f32, delta.im as f32);
            self.transients.push(Transient {
                channel: channel as u16,
                at,
                delta,
            });
        }
    }

    /// Subtracts from each sample the share of a change that has not passed the filters yet.
    fn add_transients(
        &mut self,
        start: u64,
        n: usize,
        channels: Range<usize>,
        out: &mut [Complex64],
    ) {
        let filter = Filter::at_stage(self.stage);
        let ticks = f64::from(1u32 << self.stage);
        let length = filter.length_ticks();
        for change in &self.transients {
            let channel = usize::from(change.channel);
            if !channels.contains(&channel) {
                continue;
            }
            let delta = Complex64::new(change.delta.re.into(), change.delta.im.into());
            let first = (channel - channels.start) * n;
            for (m, value) in out[first..first + n].iter_mut().enumerate() {
                let since = (start as f64 + m as f64) * ticks - change.at;
                if since >= length {
                    break;
                }
                *value -= delta * (1.0 - filter.step(since));
            }
        }
        let end = (start as f64 + n as f64) * ticks;
        self.transients.retain(|change| end - change.at < length);
    }

    /// Replaces the samples of channels with a fault. Returns true if one of them is at the limits
    /// of the ADC.
    fn apply_faults(&self, n: usize, channels: Range<usize>, out: &mut [Complex64]) -> bool {
        let mut saturated = false;
        for (channel, fault) in &self.conditions.channel_faults {
            if !channels.contains(channel) {
                continue;
            }
            let first = (channel - channels.start) * n;
            let row = &mut out[first..first + n];
            let settled = self.slots[*channel].last;
            match fault {
                ChannelFault::Dead => row.fill(Complex64::default()),
                ChannelFault::Flat => row.fill(settled),
                ChannelFault::Saturated => {
                    let limit = self.params.adc_full_scale;
                    for z in row {
                        *z = Complex64::new(limit.copysign(z.re), limit.copysign(z.im));
                    }
                    saturated = true;
                }
                ChannelFault::Noisy => {
                    for z in row {
                        *z += (*z - settled) * 99.0;
                    }
                }
            }
        }
        saturated
    }
}

/// Number of the child key ([`Key::child`]) of the module for noise.
const NOISE: u64 = 10;
