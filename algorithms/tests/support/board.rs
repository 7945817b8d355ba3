//! Board for tests of whole algorithms: detectors by the equation of the golden oscillator, a line
//! with a delay, random phases at each NCO setting, noise, and counts of the operations.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::{Arc, Mutex};

use num_complex::Complex64;
use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, ChannelId, Dbm, Description, Epoch, Error, ErrorKind,
    Hertz, ModuleDescription, ModuleId, ModuleLimits, NcoRange, NcoState, Op, OperationKind,
    PhaseEpoch, Replies, RepliesBuilder, Result, ToneState, Volts, async_trait,
};

use super::Noise;

pub(crate) const CHANNELS: usize = 1024;

/// Detector with random properties.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detector {
    pub fr_hz: f64,
    pub qr: f64,
    pub coupling: Complex64,
    /// Nonlinearity at an amplitude of 0.002.
    pub a: f64,
}

/// Number of operations of each kind that the board was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub batches: usize,
    pub clears: usize,
    pub ncos: usize,
    pub offsets: usize,
    pub amplitudes: usize,
    pub phases: usize,
    pub rotations: usize,
    /// Number of settings that changed nothing.
    pub repeated: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    offset: Option<f64>,
    amplitude: Option<f64>,
    phase: Option<f64>,
    rotation: Option<f64>,
    /// Energy of the detector under the tone, relative to its largest energy.
    energy: f64,
}

/// Change of the module by another program.
pub(crate) type Meddle = fn(&mut State);

pub(crate) struct State {
    channels: Vec<Channel>,
    nco: f64,
    epoch: u64,
    turn: f64,
    noise: Noise,
    acquisitions: usize,
    pub counts: Counts,
}

/// The board. A clone of `state` gives tests access to it.
pub(crate) struct FakeBoard {
    pub detectors: Vec<Detector>,
    pub tau_s: f64,
    pub sigma: f64,
    pub gain: f64,
    /// Height of a standing wave, as a fraction.
    pub ripple: f64,
    pub max_offset_hz: f64,
    pub nco_hz: (f64, f64),
    /// Limits that the module is held to. A tone that is on outside of it when samples are taken
    /// is refused, as the wrapper of a run refuses it.
    pub limits: ModuleLimits,
    /// No signal from the first to the second frequency, in hertz.
    pub stop_band: Option<(f64, f64)>,
    /// The acquisition, counted from 0, that overdrives a converter, or an input.
    pub overrange: Option<usize>,
    pub overvoltage: Option<usize>,
    /// A change of the board by another program, after so many acquisitions.
    pub intruder: Option<(usize, Meddle)>,
    /// Samples that are no numbers: of which acquisition, counted from 0, and of which channel.
    pub bad: Vec<(usize, usize)>,
    pub state: Arc<Mutex<State>>,
}

impl FakeBoard {
    pub(crate) fn new(detectors: Vec<Detector>, seed: u64) -> Self {
        Self {
            detectors,
            tau_s: 3.1e-6,
            sigma: 1.0,
            gain: 2e6,
            ripple: 0.05,
            max_offset_hz: 250e6,
            nco_hz: (0.0, 5e9),
            limits: ModuleLimits::default(),
            stop_band: None,
            overrange: None,
            overvoltage: None,
            intruder: None,
            bad: Vec::new(),
            state: Arc::new(Mutex::new(State {
                channels: vec![Channel::default(); CHANNELS],
                nco: 1e9,
                epoch: 0,
                turn: 0.3,
                noise: Noise::new(seed),
                acquisitions: 0,
                counts: Counts::default(),
            })),
        }
    }

    pub(crate) fn handle(self) -> (BoardHandle, Arc<Mutex<State>>) {
        let state = self.state.clone();
        (BoardHandle::new(self), state)
    }

    fn description(&self) -> Description {
        Description {
            kind: "fake".into(),
            serial: "1".into(),
            firmware: "0".into(),
            epoch: Epoch(7),
            operations: vec![
                OperationKind::Tones,
                OperationKind::Nco,
                OperationKind::Samples,
            ],
            doubts: Vec::new(),
            modules: vec![ModuleDescription {
                module: ModuleId::new(1).unwrap(),
                channels: CHANNELS as u16,
                nco: Some(NcoRange {
                    min: Hertz(self.nco_hz.0),
                    max: Hertz(self.nco_hz.1),
                }),
                max_offset: Hertz(self.max_offset_hz),
                frequency_step: Hertz(625e6 / 256.0 / 4_294_967_296.0),
                sample_rate: Hertz(596.0),
                settle_samples: 7,
                noise_correlation: Vec::new(),
                max_samples: 100_000,
                full_scale: Some(Dbm(0.0)),
                volts_per_count: Volts(1e-7),
                limits: self.limits,
            }],
        }
    }

    fn line(&self, f: f64) -> Complex64 {
        let ripple = 1.0 + self.ripple * Complex64::cis(std::f64::consts::TAU * f / 20e6);
        Complex64::from_polar(self.gain, -std::f64::consts::TAU * (f - 1e9) * self.tau_s) * ripple
    }

    /// Returns the field of a driven resonator, whose energy relaxes from its last value. So the
    /// branch follows from its history.
    fn response(detector: &Detector, f: f64, a: f64, energy: &mut f64) -> Complex64 {
        let y0 = detector.qr * (f - detector.fr_hz) / detector.fr_hz;
        for _ in 0..400 {
            let y = y0 + a * *energy;
            let target = 1.0 / (1.0 + 4.0 * y * y);
            let step = 0.25 * (target - *energy);
            *energy += step;
            if step.abs() < 1e-13 {
                break;
            }
        }
        let y = y0 + a * *energy;
        1.0 - detector.coupling / Complex64::new(1.0, 2.0 * y)
    }

    fn sample(&self, state: &mut State, index: usize, samples: u32) -> (Complex64, f64) {
        let n = f64::from(samples);
        let noise = state.noise.complex(self.sigma / n.sqrt());
        let channel = &mut state.channels[index];
        let amplitude = channel.amplitude.unwrap_or(0.0);
        let f = state.nco + channel.offset.unwrap_or(0.0);
        let mut z = Complex64::new(0.0, 0.0);
        let stopped = |(low, high): (f64, f64)| (low..=high).contains(&f);
        if amplitude != 0.0 && !self.stop_band.is_some_and(stopped) {
            let mut notches = Complex64::new(1.0, 0.0);
            for detector in &self.detectors {
                let away = (f - detector.fr_hz).abs() * detector.qr / detector.fr_hz;
                if away > 300.0 {
                    continue;
                }
                let a = detector.a * (amplitude / 0.002).powi(2);
                let mut none = 0.0;
                let energy = if away < 8.0 {
                    &mut channel.energy
                } else {
                    &mut none
                };
                notches *= Self::response(detector, f, a, energy);
            }
            let turn = channel.phase.unwrap_or(0.0) - channel.rotation.unwrap_or(0.0) + state.turn;
            z = amplitude * self.line(f) * notches * Complex64::cis(turn);
        }
        (z + noise, if samples > 1 { self.sigma } else { 0.0 })
    }

    fn hold_to_limits(&self, state: &State) -> Result<()> {
        let within = |f_hz: f64| {
            self.limits.f_min.is_none_or(|low| f_hz >= low.0)
                && self.limits.f_max.is_none_or(|high| f_hz <= high.0)
        };
        match state.tones().iter().find(|tone| !within(tone.1)) {
            Some(tone) => Err(Error::new(ErrorKind::Limit, format!("{tone:?}"))),
            None => Ok(()),
        }
    }

    fn acquire(&self, state: &mut State, acquire: &Acquire) -> (Vec<Complex64>, Vec<f64>) {
        let first = acquire.first.index();
        let count = acquire.count.map_or(CHANNELS - first, usize::from);
        (first..first + count)
            .map(|k| self.sample(state, k, acquire.samples))
            .unzip()
    }
}

fn set(slot: &mut Option<f64>, value: Option<f64>, count: &mut usize, repeated: &mut usize) {
    if let Some(value) = value {
        *count += 1;
        *repeated += usize::from(*slot == Some(value));
        *slot = Some(value);
    }
}

#[async_trait]
impl Board for FakeBoard {
    fn name(&self) -> &str {
        "fake"
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let mut replies = RepliesBuilder::new(batch);
        // Boards keep their description: asking for it alone sends nothing.
        if *batch.ops() != [Op::Describe] {
            state.counts.batches += 1;
        }
        if let Some((_, meddle)) = self.intruder.filter(|one| one.0 == state.acquisitions) {
            meddle(state);
        }
        for op in batch.ops() {
            match op {
                Op::Describe => replies.description(self.description())?,
                Op::ClearTones { .. } => {
                    state.counts.clears += 1;
                    state.channels = vec![Channel::default(); CHANNELS];
                    replies.done()?;
                }
                Op::SetNco { frequency, .. } => {
                    state.counts.ncos += 1;
                    state.nco = frequency.0;
                    state.epoch += 1;
                    state.turn = std::f64::consts::TAU * state.noise.uniform();
                    let phase_epoch = PhaseEpoch(state.epoch);
                    replies.nco(NcoState {
                        frequency: *frequency,
                        phase_epoch,
                    })?;
                }
                Op::ReadNco { .. } => replies.nco(NcoState {
                    frequency: Hertz(state.nco),
                    phase_epoch: PhaseEpoch(state.epoch),
                })?,
                Op::SetTones { updates, .. } => {
                    for update in &batch.tone_updates()[updates.clone()] {
                        let channel = &mut state.channels[update.channel.index()];
                        let counts = &mut state.counts;
                        let again = &mut counts.repeated;
                        let offset = update.offset.map(|v| v.0);
                        set(&mut channel.offset, offset, &mut counts.offsets, again);
                        set(
                            &mut channel.amplitude,
                            update.amplitude,
                            &mut counts.amplitudes,
                            again,
                        );
                        let phase = update.phase.map(|v| v.0);
                        set(&mut channel.phase, phase, &mut counts.phases, again);
                        let rotation = update.rotation.map(|v| v.0);
                        set(
                            &mut channel.rotation,
                            rotation,
                            &mut counts.rotations,
                            again,
                        );
                    }
                    replies.done()?;
                }
                Op::ReadTones { first, count, .. } => {
                    let channels = first.index()..first.index() + usize::from(*count);
                    let states = channels.filter_map(|index| {
                        let channel = state.channels[index];
                        Some(ToneState {
                            channel: ChannelId::from_index(index)?,
                            offset: channel.offset.map(Hertz),
                            amplitude: channel.amplitude,
                            phase: None,
                            rotation: None,
                        })
                    });
                    replies.tones(states.collect::<Vec<_>>())?;
                }
                Op::AcquireMean { acquire, .. } => {
                    self.hold_to_limits(state)?;
                    let (mut mean, scatter) = self.acquire(state, acquire);
                    for &(_, channel) in self.bad.iter().filter(|b| b.0 == state.acquisitions) {
                        if let Some(z) = mean.get_mut(channel) {
                            z.im = f64::NAN;
                        }
                    }
                    let overrange = self.overrange == Some(state.acquisitions);
                    let overvoltage = self.overvoltage == Some(state.acquisitions);
                    state.acquisitions += 1;
                    replies.mean(mean, scatter, overrange, overvoltage)?;
                }
                other => panic!("the fake board has no {other}"),
            }
        }
        replies.finish()
    }
}

impl State {
    pub(crate) fn nco_hz(&self) -> f64 {
        self.nco
    }

    pub(crate) fn move_nco(&mut self) {
        self.nco += 7e6;
    }

    pub(crate) fn switch_off(&mut self) {
        for channel in &mut self.channels {
            channel.amplitude = Some(0.0);
        }
    }

    /// Returns the absolute frequencies and amplitudes of the tones that are on, by channel from 0.
    pub(crate) fn tones(&self) -> Vec<(usize, f64, f64)> {
        self.channels
            .iter()
            .enumerate()
            .filter(|(_, c)| c.amplitude.unwrap_or(0.0) != 0.0)
            .map(|(k, c)| {
                (
                    k,
                    self.nco + c.offset.unwrap_or(0.0),
                    c.amplitude.unwrap_or(0.0),
                )
            })
            .collect()
    }
}

/// An array of detectors, evenly spread with some scatter.
pub(crate) fn array(count: usize, low_hz: f64, high_hz: f64, seed: u64) -> Vec<Detector> {
    let mut noise = Noise::new(seed);
    let spacing = (high_hz - low_hz) / count as f64;
    (0..count)
        .map(|k| {
            let qc = 2e4 * (0.2 * (noise.uniform() - 0.5)).exp();
            let qi = 1e5;
            let qr = 1.0 / (1.0 / qc + 1.0 / qi);
            let phi = noise.uniform() - 0.5;
            Detector {
                fr_hz: low_hz + spacing * (k as f64 + 0.35 + 0.3 * noise.uniform()),
                qr,
                coupling: qr / qc * Complex64::cis(phi) / phi.cos(),
                a: 0.12 * 10f64.powf(0.4 * (noise.uniform() - 0.5)),
            }
        })
        .collect()
}
