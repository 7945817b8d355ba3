//! Updates after a change of settings: levels, detectors, and the transmission at each tone.

use std::f64::consts::TAU;

use num_complex::Complex64;

use super::{Beat, ModuleModel, NO_DETECTOR};
use crate::array::MAX_DRIVES;
use crate::chain::{Chain, ChainSettings, Comb};
use crate::cic;
use crate::converter;
use crate::drift::Times;
use crate::kerr::{self, Drive};
use crate::units;
use crate::world::{Common, Motion, Source};

/// Largest distance from a tone, in linewidths, at which a detector whose resonance varies with
/// time is computed sample by sample.
const MOVING_LW: f64 = 8.0;

/// Largest number of tones on either side of a tone whose beats with it are computed.
const MAX_BEATS: usize = 16;

/// Speed of light in the cable for which the board corrects, m/s.
const CABLE_M_PER_S: f64 = 0.66 * 299_792_458.0;

impl ModuleModel {
    /// Updates all values that are derived from the settings.
    pub(super) fn refresh(&mut self) {
        if self.stale.world {
            self.apply_conditions();
        }
        if self.stale.tones {
            self.set_levels();
            self.order_tones();
            self.follow_detectors(0..self.array.resonators.len());
            self.place_tones();
            self.stale.tones = false;
        }
    }

    /// Updates the detectors to the present settings, before the same quantity of a channel is set
    /// again.
    pub(super) fn follow(&mut self, channel: usize) {
        // If more than this number of channels have pending settings, it is cheaper to update all
        // detectors together.
        const MANY: usize = 64;
        if self.stale.world {
            self.apply_conditions();
        }
        self.order_tones();
        if self.slots.iter().filter(|slot| slot.written != 0).count() > MANY {
            self.follow_detectors(0..self.array.resonators.len());
            for slot in &mut self.slots {
                slot.written = 0;
            }
        } else {
            let frequency_hz = self.absolute_hz(self.slots[channel].tone.frequency_hz);
            self.follow_detectors(self.array.driven_from(frequency_hz));
            self.slots[channel].written = 0;
        }
    }

    fn apply_conditions(&mut self) {
        let detectors = self.population.detectors();
        for r in &mut self.array.resonators {
            self.world
                .apply(r, &detectors[r.detector as usize], &self.conditions);
        }
        let shifts: Vec<f64> = self
            .array
            .resonators
            .iter()
            .map(|r| r.steady_shift)
            .collect();
        let moving: Vec<bool> = self.array.resonators.iter().map(|r| r.is_moving).collect();
        for r in &mut self.array.resonators {
            let mixing = detectors[r.detector as usize].mixing;
            if let Some((partner, scale)) = r.partner.filter(|_| mixing > 0.0) {
                let partner = partner as usize;
                r.steady_shift = (1.0 - mixing) * r.steady_shift + mixing * scale * shifts[partner];
                r.is_moving |= moving[partner];
            }
        }
        self.array.sum_tails();
        for slot in &mut self.slots {
            slot.base_known = false;
        }
        self.stale.world = false;
        self.stale.tones = true;
    }

    /// Computes the levels and the noise of the electronics for the present tones.
    fn set_levels(&mut self) {
        let mut comb = Comb::default();
        for slot in self.slots.iter().filter(|slot| slot.tone.amplitude != 0.0) {
            comb.add(slot.tone.amplitude, slot.tone.dac_phase_rad);
        }
        let settings = ChainSettings {
            dac_scale_dbm: self.dac_scale_dbm,
            dac_response: self.dac_response(self.nco_hz),
            attenuator_db: self.attenuator_db,
            line_gain_db: self.line.gain_db + self.conditions.gain_db,
        };
        self.chain = Chain::new(&self.params, settings, &comb);
    }

    /// Sorts the tones that are on by frequency, with their powers at the detectors.
    fn order_tones(&mut self) {
        self.order.clear();
        let on = |(channel, slot): (usize, &super::Slot)| {
            (slot.tone.amplitude != 0.0).then_some(channel as u16)
        };
        self.order
            .extend(self.slots.iter().enumerate().filter_map(on));
        let slots = &self.slots;
        self.order.sort_by(|a, b| {
            let hz = |channel: &u16| slots[usize::from(*channel)].tone.frequency_hz;
            hz(a).total_cmp(&hz(b)).then(a.cmp(b))
        });
        self.sorted.clear();
        for &channel in &self.order {
            let slot = &self.slots[usize::from(channel)];
            let frequency_hz = self.absolute_hz(slot.tone.frequency_hz);
            let amplitude = slot.tone.amplitude * self.dac_response(frequency_hz);
            let power = self.chain.full_scale_mw * amplitude * amplitude;
            self.sorted.push((frequency_hz, power));
        }
    }

    fn follow_detectors(&mut self, which: std::ops::Range<usize>) {
        let period_s = 1.0 / units::sample_rate_hz(self.stage);
        let sample = self.now.unwrap_or(0.0) / f64::from(1u32 << self.stage);
        let times = Times {
            first: sample.max(0.0) as u64,
            period_s,
            delay_s: 0.0,
        };
        let mut common = Common::default();
        self.world
            .common(&self.conditions, self.stage, times, 1, &mut common);
        let mut motion = Motion::default();
        let mut row = [Drive { u: 0.0, a: 0.0 }; MAX_DRIVES];
        for k in which {
            let source = Source {
                array: &self.array,
                detectors: self.population.detectors(),
                conditions: &self.conditions,
                times,
                len: 1,
            };
            self.world.motion(k, &source, &common, &mut motion);
            let r = &self.array.resonators[k];
            let a_per_mw = source.detectors[r.detector as usize].a_per_mw;
            let drives = self.array.drives(r, a_per_mw, &self.sorted, &mut row);
            let steady = r.steady_shift + self.moved_by_faults(k, times.at(0));
            let still = kerr::settle(&drives, &r.width, steady, r.pull);
            let shift = r.steady_shift + motion.shift[0];
            let width = r.width.with_loss(motion.loss[0]);
            let pull = if r.is_moving {
                kerr::settle(&drives, &width, shift, r.pull)
            } else {
                still
            };
            let r = &mut self.array.resonators[k];
            r.energy = still;
            r.pull = pull;
            r.seen_width = width.at(pull);
            r.seen_offset = pull - shift;
            r.fixed_width = r.width.at(still);
            r.fixed_offset = still - steady;
        }
    }

    /// Computes the part of the sample of each tone that is constant under constant settings.
    fn place_tones(&mut self) {
        for index in 0..self.order.len() {
            let channel = usize::from(self.order[index]);
            let frequency_hz = self.sorted[index].0;
            let (near, far) = self.array.near(frequency_hz);
            if !self.slots[channel].base_known {
                let line = self.line_transmission(frequency_hz);
                self.slots[channel].line = line;
                self.slots[channel].base = line * far;
                self.slots[channel].base_known = true;
            }
            let mut product = Complex64::new(1.0, 0.0);
            let mut moving = [(NO_DETECTOR, MOVING_LW); 2];
            let mut nearest = (10.0, 0.0);
            for k in near {
                let r = &self.array.resonators[k];
                let detuning = r.detuning(frequency_hz);
                let distance = (detuning + r.fixed_offset).abs();
                if distance < nearest.0 {
                    nearest = (distance, r.q / (std::f64::consts::PI * r.f0_hz));
                }
                if !r.is_moving || distance >= moving[1].1 {
                    product *= r.factor(detuning, r.fixed_width, r.fixed_offset);
                    continue;
                }
                // This detector replaces the more distant of the two moving detectors.
                let out = std::mem::replace(&mut moving[1], (k as u16, distance)).0;
                if moving[1].1 < moving[0].1 {
                    moving.swap(0, 1);
                }
                if out != NO_DETECTOR {
                    product *= self.array.resonators[usize::from(out)].fixed_factor(frequency_hz);
                }
            }
            let slot = &mut self.slots[channel];
            let phase = slot.tone.dac_phase_rad - slot.tone.adc_phase_rad;
            let scale = self.chain.counts_per_amplitude * slot.tone.amplitude;
            let tone = Complex64::from_polar(scale, phase);
            slot.rest = slot.base * product * tone;
            slot.open = self.open.map(|open| slot.line * open * tone);
            slot.moving = [moving[0].0, moving[1].0];
            slot.ringdown_ticks = nearest.1 * units::TICK_RATE_HZ;
        }
        let at = self.set_at.take().or(self.now).unwrap_or(0.0);
        for slot in &mut self.slots {
            slot.changed_at = at;
            slot.written = 0;
        }
        self.find_beats();
    }

    /// Response of the DAC at an absolute frequency.
    pub(super) fn dac_response(&self, frequency_hz: f64) -> f64 {
        converter::dac_response(self.dac_zone, frequency_hz)
    }

    /// Transmission of the feedline as the samples of the board show it: with the response of the
    /// DAC, the correction for the cable, the phase of the epoch and the conditions.
    pub(super) fn line_transmission(&self, frequency_hz: f64) -> Complex64 {
        let corrected = TAU * (frequency_hz * self.cable_m / CABLE_M_PER_S).fract();
        let phase = corrected + self.epoch_phase_rad + self.conditions.phase_rad;
        let gain = units::dbm_to_mw(self.conditions.gain_db).sqrt();
        // `Chain` includes the gain at the centre of the band in the noise but not in the signal,
        // so it is applied here.
        let gain = gain * self.dac_response(frequency_hz);
        self.line.transmission(frequency_hz) * Complex64::from_polar(gain, phase)
    }

    /// Finds the tones that pass the filters of other channels, and the mirror images of tones
    /// about the NCO that pass the filter of any channel.
    fn find_beats(&mut self) {
        let mut beats = std::mem::take(&mut self.beats);
        beats.clear();
        let image = units::dbm_to_mw(self.params.image_db).sqrt();
        for (channel, slot) in self.slots.iter().enumerate() {
            // A channel that is off and has no frequency receives no signal.
            if slot.tone.amplitude == 0.0 && slot.tone.frequency_hz == 0.0 {
                continue;
            }
            let own = self.absolute_hz(slot.tone.frequency_hz);
            for index in self.within_filter(own) {
                let other = usize::from(self.order[index]);
                if other != channel {
                    let offset_hz = self.sorted[index].0 - own;
                    let value = self.before_demodulator(other);
                    beats.extend(self.beat(channel, offset_hz, value));
                }
            }
            if image > 1e-6 {
                let mirror = 2.0 * self.nco_hz - own;
                for index in self.within_filter(mirror) {
                    let offset_hz = mirror - self.sorted[index].0;
                    let value = image * self.before_demodulator(self.order[index].into()).conj();
                    beats.extend(self.beat(channel, offset_hz, value));
                }
            }
        }
        self.beats = beats;
    }

    /// Positions, in the order of frequency, of the tones within the filter around a frequency.
    fn within_filter(&self, frequency_hz: f64) -> std::ops::Range<usize> {
        let window = match self.stage {
            0 => 600e3,
            stage => 6.0 * units::sample_rate_hz(stage),
        };
        let middle = self.sorted.partition_point(|t| t.0 < frequency_hz);
        let (below, above) = self.sorted.split_at(middle);
        let low = below.partition_point(|t| t.0 < frequency_hz - window);
        let high = middle + above.partition_point(|t| t.0 <= frequency_hz + window);
        middle.saturating_sub(MAX_BEATS).max(low)..high.min(middle + MAX_BEATS)
    }

    fn beat(&self, channel: usize, offset_hz: f64, value: Complex64) -> Option<Beat> {
        let droop = cic::droop(self.stage, offset_hz);
        let turn = Complex64::from_polar(droop, -self.slots[channel].tone.adc_phase_rad);
        let value = value * turn;
        (value.norm() > 1e-4).then_some(Beat {
            channel: channel as u16,
            offset_hz,
            value,
        })
    }

    /// Settled complex amplitude of a tone at the input, before the phase of its demodulator.
    pub(super) fn before_demodulator(&self, channel: usize) -> Complex64 {
        let phase = self.slots[channel].tone.adc_phase_rad;
        self.settled(channel) * Complex64::from_polar(1.0, phase)
    }

    /// Settled sample of a tone, with all detectors in their state at the last sample that was
    /// computed.
    pub(super) fn settled(&self, channel: usize) -> Complex64 {
        let slot = &self.slots[channel];
        let frequency_hz = self.absolute_hz(slot.tone.frequency_hz);
        let moving = slot.moving.iter().filter(|k| **k != NO_DETECTOR);
        let product: Complex64 = moving
            .map(|k| self.array.resonators[usize::from(*k)].seen_factor(frequency_hz))
            .product();
        slot.through(slot.rest * product)
    }

    /// Frequency of a tone on the feedline, Hz.
    pub(super) fn absolute_hz(&self, frequency_hz: f64) -> f64 {
        self.nco_hz + units::quantise_hz(frequency_hz)
    }
}
