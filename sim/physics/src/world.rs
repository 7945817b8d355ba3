//! Changes of detectors and feedline with time, by noise, modulation and conditions.

use std::f64::consts::TAU;

use crate::array::{self, Array, Resonator};
use crate::cic;
use crate::circuit::Geometry;
use crate::conditions::{Conditions, DetectorFault};
use crate::detector::Detector;
use crate::drift::{Octaves, Times};
use crate::glitch::Hits;
use crate::hash::Key;
use crate::profile::ProfileParams;

/// Number of samples that are computed together.
pub(crate) const BLOCK: usize = 32;

/// Numbers of the child keys ([`Key::child`]) of the module.
const BATH: u64 = 1;
const GAIN: u64 = 2;
const PHASE: u64 = 3;
const TLS: u64 = 4;
const HITS: u64 = 5;
const RANDOM: u64 = 6;

/// Numbers of octaves: of the drifts that all detectors share (up to an hour), and of the noise of
/// each detector (up to a minute).
const LONG: u32 = 20;
const SHORT: u32 = 14;

/// Sources of motion of one module.
#[derive(Debug, Clone)]
pub(crate) struct World {
    key: Key,
    geometry: Geometry,
    common: Octaves,
    two_level: Octaves,
    bath_noise_k: f64,
    bath_response_per_k: f64,
    load_response: f64,
    pair_beta: f64,
    gain_noise: f64,
    phase_noise_rad: f64,
    line_hz: f64,
    hits: Hits,
}

/// Motion of one detector over a block: shift in linewidths, and increase of the width.
#[derive(Debug, Clone, Default)]
pub(crate) struct Motion {
    pub(crate) shift: [f64; BLOCK],
    pub(crate) loss: [f64; BLOCK],
    broken: [f64; BLOCK],
    partner: [f64; BLOCK],
}

/// Motions that are common to all detectors, over a block of samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    bath_k: [f64; BLOCK],
    /// Modulation by the pulse tube at unit amplitude, and the modulation that the conditions set,
    /// in linewidths.
    line: [f64; BLOCK],
    modulation: [f64; BLOCK],
    pub(crate) gain: [f64; BLOCK],
    pub(crate) phase: [f64; BLOCK],
}

/// Inputs for the motion of a detector.
pub(crate) struct Source<'a> {
    pub(crate) array: &'a Array,
    pub(crate) detectors: &'a [Detector],
    pub(crate) conditions: &'a Conditions,
    pub(crate) times: Times,
    pub(crate) len: usize,
}

impl World {
    pub(crate) fn new(key: Key, params: &ProfileParams) -> Self {
        Self {
            key,
            geometry: params.geometry,
            common: Octaves::new(1.0, LONG),
            two_level: Octaves::new(
                params.tls_exponent,
                if params.tls_exponent < 0.9 {
                    SHORT + 3
                } else {
                    SHORT
                },
            ),
            bath_noise_k: params.bath_noise_k,
            bath_response_per_k: params.bath_response_per_k,
            load_response: params.load_response,
            pair_beta: params.pair_beta.max(0.1),
            gain_noise: params.gain_noise,
            phase_noise_rad: params.phase_noise_rad,
            line_hz: params.line_hz,
            hits: Hits {
                rate_hz: params.glitch_rate_hz,
                height: params.glitch_height_lw,
                decay_s: params.glitch_decay_s,
                rise_s: 0.0,
            },
        }
    }

    /// True if the gain or the phase of the feedline varies with time.
    pub(crate) fn line_drifts(&self) -> bool {
        self.gain_noise > 0.0 || self.phase_noise_rad > 0.0
    }

    /// Computes the motions over a block that are common to all detectors, and the motions of the
    /// feedline.
    pub(crate) fn common(
        &self,
        conditions: &Conditions,
        stage: u8,
        times: Times,
        len: usize,
        out: &mut Common,
    ) {
        for (key, scale, row) in [
            (BATH, self.bath_noise_k, &mut out.bath_k),
            (GAIN, self.gain_noise, &mut out.gain),
            (PHASE, self.phase_noise_rad, &mut out.phase),
        ] {
            let row = &mut row[..len];
            row.fill(0.0);
            if scale > 0.0 {
                self.common.add(self.key.child(key), scale, times, row);
            }
        }
        for (m, value) in out.line[..len].iter_mut().enumerate() {
            *value = (TAU * (self.line_hz * times.at(m)).fract()).sin();
        }
        out.modulation[..len].fill(0.0);
        if let Some(modulation) = conditions.modulation {
            let amplitude = modulation.amplitude_lw * cic::droop(stage, modulation.frequency_hz);
            for (m, value) in out.modulation[..len].iter_mut().enumerate() {
                let turns = (modulation.frequency_hz * times.at(m)).fract();
                *value = amplitude * (TAU * turns + modulation.phase_rad).sin();
            }
        }
    }

    /// Applies the conditions to a resonator: to its steady shift, internal loss and notch, and to
    /// `is_moving`. The share of the partner's shifts is not included yet.
    pub(crate) fn apply(&self, r: &mut Resonator, d: &Detector, conditions: &Conditions) {
        let key = self
            .key
            .child(RANDOM)
            .child(conditions.random_draw)
            .child(u64::from(d.id));
        let broken = self.broken_by(r, d, conditions);
        let random = conditions.random_shift_lw * key.normal(0);
        let spread = conditions.qi_spread.clamp(-0.9, 0.9) * (2.0 * key.uniform(1) - 1.0);
        let shift = conditions.common_shift_lw + random - broken;
        r.steady_shift = if shift.is_finite() { shift } else { 0.0 };
        let internal = r.q / d.qi / (1.0 + spread) + 2.0 * broken / self.pair_beta;
        let least = 0.05 * r.q / d.qi;
        r.width.internal = if internal.is_finite() {
            internal.max(least)
        } else {
            r.q / d.qi
        };
        let faults = faults_of(conditions, d.id);
        let (mut dead, mut moved, mut hit) = (false, false, self.hits.rate_hz > 0.0);
        for fault in faults {
            match fault {
                DetectorFault::Dead => dead = true,
                DetectorFault::Jump { .. } | DetectorFault::Drift { .. } => moved = true,
                DetectorFault::Glitches { .. } => hit = true,
            }
        }
        r.notch = if dead {
            Default::default()
        } else {
            array::notch(d, self.geometry)
        };
        r.is_moving = conditions.modulation.is_some()
            || d.tls > 0.0
            || d.line_amplitude != 0.0
            || self.bath_noise_k > 0.0
            || moved
            || hit;
    }

    /// Decrease of the resonance frequency, in linewidths, by the Cooper pairs that the optical
    /// load and the bath temperature break.
    fn broken_by(&self, r: &Resonator, d: &Detector, conditions: &Conditions) -> f64 {
        let fractional = self.load_response * conditions.optical_load
            + self.bath_response_per_k * conditions.bath_k;
        fractional * d.responsivity * r.q
    }

    /// Computes the motion of resonator `k` over a block, relative to its steady shift.
    pub(crate) fn motion(&self, k: usize, source: &Source<'_>, common: &Common, out: &mut Motion) {
        let r = &source.array.resonators[k];
        let len = source.len;
        out.shift[..len].fill(0.0);
        out.loss[..len].fill(0.0);
        if !r.is_moving {
            return;
        }
        self.own(r, source, common, out);
        let d = &source.detectors[r.detector as usize];
        let Some((partner, scale)) = r.partner.filter(|_| d.mixing > 0.0) else {
            return;
        };
        let (shift, loss) = (out.shift, out.loss);
        out.shift[..len].fill(0.0);
        out.loss[..len].fill(0.0);
        self.own(
            &source.array.resonators[partner as usize],
            source,
            common,
            out,
        );
        out.partner = out.shift;
        for ((value, own), theirs) in out.shift[..len].iter_mut().zip(&shift).zip(&out.partner) {
            *value = (1.0 - d.mixing) * own + d.mixing * scale * theirs;
        }
        out.loss = loss;
    }

    /// Computes the motion of a resonator without the share of its partner.
    fn own(&self, r: &Resonator, source: &Source<'_>, common: &Common, out: &mut Motion) {
        let d = &source.detectors[r.detector as usize];
        let (times, len) = (source.times, source.len);
        let key = |branch| self.key.child(branch).child(u64::from(d.id));
        let shift = &mut out.shift[..len];
        if d.tls > 0.0 {
            // The noise density falls with the square root of the stored energy, so the amplitude
            // falls with the fourth root.
            let energy = (r.energy.max(1e-3) / 0.1).powf(-0.25);
            self.two_level
                .add(key(TLS), r.q * d.tls.sqrt() * energy, times, shift);
        }
        let line = d.line_amplitude * r.q;
        for (m, value) in shift.iter_mut().enumerate() {
            *value += line * common.line[m] + common.modulation[m];
        }
        let broken = &mut out.broken[..len];
        for (value, bath) in broken.iter_mut().zip(&common.bath_k) {
            *value = self.bath_response_per_k * d.responsivity * r.q * bath;
        }
        let mut hits = Hits {
            rise_s: 0.4 * times.period_s,
            ..self.hits
        };
        for fault in faults_of(source.conditions, d.id) {
            match fault {
                DetectorFault::Dead => {}
                DetectorFault::Glitches { rate_hz } => hits.rate_hz = *rate_hz,
                moving => {
                    for (m, value) in shift.iter_mut().enumerate() {
                        *value += moved_by(moving, times.at(m));
                    }
                }
            }
        }
        hits.add(key(HITS), times, broken);
        let rows = out.shift[..len].iter_mut().zip(&mut out.loss);
        for ((shift, loss), broken) in rows.zip(&out.broken) {
            *shift -= broken;
            *loss = 2.0 * broken / self.pair_beta;
        }
    }
}

/// Faults of a detector.
fn faults_of(conditions: &Conditions, id: u32) -> impl Iterator<Item = &DetectorFault> {
    conditions
        .detector_faults
        .iter()
        .filter(move |(of, _)| *of == id)
        .map(|(_, fault)| fault)
}

/// Shift of a detector by the jumps and drifts before a time, linewidths.
pub(crate) fn moved_by_faults(conditions: &Conditions, id: u32, time_s: f64) -> f64 {
    faults_of(conditions, id)
        .map(|fault| moved_by(fault, time_s))
        .sum()
}

fn moved_by(fault: &DetectorFault, time_s: f64) -> f64 {
    let moved = match *fault {
        DetectorFault::Jump { at_s, linewidths } if time_s >= at_s => linewidths,
        DetectorFault::Drift {
            from_s,
            linewidths_per_s,
        } if time_s > from_s => (time_s - from_s) * linewidths_per_s,
        _ => 0.0,
    };
    if moved.is_finite() { moved } else { 0.0 }
}
