//! Board for tests of whole algorithms: detectors that are driven oscillators, a line with a delay,
//! random phases at each NCO setting, noise, and counts of the operations.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, MutexGuard};

use num_complex::Complex64;
use twotone_algorithms::Geometry;
use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, Change, ChannelId, Dbm, Description, Epoch, Error,
    ErrorKind, Hertz, Means, MemoryBoard, MemoryModule, ModuleDescription, ModuleId, ModuleLimits,
    NcoRange, Op, OperationKind, PhaseEpoch, Replies, Result, Setting, ToneState, ToneUpdate,
    Volts, async_trait,
};

use super::Noise;
use super::circuit::{Circuit, Ringing};

pub(crate) const CHANNELS: usize = 1024;

/// Detector with random properties.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detector {
    pub fr_hz: f64,
    pub qr: f64,
    /// `Qr/Qc`, with the asymmetry of a notch.
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

/// Change of the module by another program.
pub(crate) type Intrusion = fn(&mut MemoryModule);

/// Properties of the board and of the line behind it.
#[derive(Clone)]
pub(crate) struct FakeBoard {
    pub detectors: Vec<Detector>,
    pub tau_s: f64,
    pub sigma: f64,
    pub gain: f64,
    /// Connection of the detectors to the line.
    pub geometry: Geometry,
    /// Wave that passes by peaks, relative to a peak without internal loss.
    pub leak: Complex64,
    /// Height of a standing wave, as a fraction.
    pub ripple: f64,
    pub max_offset_hz: f64,
    pub nco_hz: (f64, f64),
    /// Limits of the module. If a tone outside these limits is on when samples are taken, the
    /// acquisition is refused, as the wrapper of a run refuses such a tone.
    pub limits: ModuleLimits,
    /// Frequencies, in hertz, between which there is no signal.
    pub stop_band: Option<(f64, f64)>,
    /// The acquisition, counted from 0, during which a converter or an input is over its limit.
    pub overrange: Option<usize>,
    pub overvoltage: Option<usize>,
    /// A change of the board by another program, and the number of acquisitions after which it
    /// happens.
    pub intruder: Option<(usize, Intrusion)>,
    /// Acquisitions, each counted from 0, and the channel in it whose samples are NaN.
    pub bad: Vec<(usize, usize)>,
    pub seed: u64,
}

/// The running board. Clones share one board.
#[derive(Clone)]
pub(crate) struct Running {
    board: MemoryBoard,
    state: Arc<Mutex<State>>,
}

struct State {
    fake: FakeBoard,
    circuits: Vec<(Circuit, Ringing)>,
    /// Phase epoch (period of one phase reference) to which `turn` belongs.
    epoch: PhaseEpoch,
    /// Phase of the line, in rad, which is different after each setting of the NCO.
    turn: f64,
    noise: Noise,
    /// For each channel, the last frequency of its tone in hertz, and the energy of the detector
    /// under the tone, relative to the largest energy of the detector.
    driven: Vec<(f64, f64)>,
    acquisitions: usize,
    counts: Counts,
}

impl FakeBoard {
    pub(crate) fn new(detectors: Vec<Detector>, seed: u64) -> Self {
        Self {
            detectors,
            tau_s: 3.1e-6,
            sigma: 1.0,
            gain: 2e6,
            geometry: Geometry::Notch,
            leak: Complex64::new(6e-3, 8e-3),
            ripple: 0.05,
            max_offset_hz: 250e6,
            nco_hz: (0.0, 5e9),
            limits: ModuleLimits::default(),
            stop_band: None,
            overrange: None,
            overvoltage: None,
            intruder: None,
            bad: Vec::new(),
            seed,
        }
    }

    pub(crate) fn handle(self) -> (BoardHandle, Running) {
        let running = self.start();
        (BoardHandle::new(running.clone()), running)
    }

    pub(crate) fn start(self) -> Running {
        let description = self.description();
        let state = Arc::new(Mutex::new(State {
            epoch: PhaseEpoch(0),
            turn: 0.3,
            noise: Noise::new(self.seed),
            driven: vec![(0.0, 0.0); CHANNELS],
            acquisitions: 0,
            counts: Counts::default(),
            circuits: self
                .detectors
                .iter()
                .map(|one| one.circuit(self.geometry))
                .collect(),
            fake: self,
        }));
        let measured = state.clone();
        let board = MemoryBoard::new("fake", description, move |module, acquire| {
            measured.lock().unwrap().measure(module, acquire)
        });
        board.with_module(ModuleId::FIRST, |module| {
            module.change(Change::Nco(Hertz(1e9)));
        });
        Running { board, state }
    }

    fn description(&self) -> Description {
        let module = ModuleDescription {
            nco: Some(NcoRange {
                min: Hertz(self.nco_hz.0),
                max: Hertz(self.nco_hz.1),
            }),
            max_offset: Hertz(self.max_offset_hz),
            frequency_step: Hertz(625e6 / 256.0 / 4_294_967_296.0),
            sample_rate: Hertz(596.0),
            settle_samples: 7,
            max_samples: 100_000,
            full_scale: Some(Dbm(0.0)),
            volts_per_count: Volts(1e-7),
            limits: self.limits,
            ..ModuleDescription::new(ModuleId::FIRST, CHANNELS as u16)
        };
        use OperationKind as Kind;
        let operations = [Kind::Describe, Kind::Tones, Kind::Nco, Kind::Samples];
        Description {
            serial: "1".into(),
            firmware: "0".into(),
            epoch: Epoch(7),
            ..Description::new("fake", operations, [module])
        }
    }

    fn line(&self, f: f64) -> Complex64 {
        let ripple = 1.0 + self.ripple * Complex64::cis(TAU * f / 20e6);
        Complex64::from_polar(self.gain, -TAU * (f - 1e9) * self.tau_s) * ripple
    }

    /// Response of the detectors at `f`. The detector under the tone has `energy`.
    fn response(
        &self,
        circuits: &[(Circuit, Ringing)],
        f: f64,
        amplitude: f64,
        energy: &mut f64,
    ) -> Complex64 {
        let (mut product, mut sum) = (Complex64::ONE, self.leak);
        for (detector, (circuit, ringing)) in self.detectors.iter().zip(circuits) {
            let away = (f - detector.fr_hz).abs() * detector.qr / detector.fr_hz;
            // The wings of peaks are large next to the leak.
            if away > 300.0 && self.geometry != Geometry::Peak {
                continue;
            }
            let a = detector.a * (amplitude / 0.002).powi(2);
            let mut none = 0.0;
            let energy = if away < 8.0 { &mut *energy } else { &mut none };
            let y = detector.detuning(f, a, energy);
            let response = || circuit.response(ringing.fr_hz * (1.0 + y / ringing.qr));
            match self.geometry {
                Geometry::Reflection => product *= response(),
                Geometry::Peak => sum += response(),
                Geometry::Notch => {
                    product *= 1.0 - detector.coupling / Complex64::new(1.0, 2.0 * y);
                }
            }
        }
        match self.geometry {
            Geometry::Peak => sum,
            _ => product,
        }
    }
}

impl Detector {
    /// Returns a circuit with about the quality factors of the detector.
    fn circuit(&self, geometry: Geometry) -> (Circuit, Ringing) {
        let ratio = self.coupling.re;
        let circuit = Circuit::new(
            geometry,
            self.fr_hz,
            self.qr / ratio,
            self.qr / (1.0 - ratio),
        );
        (circuit, circuit.ringing())
    }

    /// Returns the detuning of a driven resonator, whose energy relaxes from its last value. So the
    /// branch follows from its history.
    fn detuning(&self, f: f64, a: f64, energy: &mut f64) -> f64 {
        let y0 = self.qr * (f - self.fr_hz) / self.fr_hz;
        for _ in 0..400 {
            let y = y0 + a * *energy;
            let target = 1.0 / (1.0 + 4.0 * y * y);
            let step = 0.25 * (target - *energy);
            *energy += step;
            if step.abs() < 1e-13 {
                break;
            }
        }
        y0 + a * *energy
    }
}

impl State {
    fn measure(&mut self, module: &MemoryModule, acquire: &Acquire) -> Result<Means> {
        self.hold_to_limits(module)?;
        let nco = module.nco();
        if nco.phase_epoch != self.epoch {
            self.epoch = nco.phase_epoch;
            self.turn = TAU * self.noise.uniform();
        }
        let tones: Vec<_> = module.acquired(acquire).collect();
        let sample = |tone: &ToneState| self.sample(tone, nco.frequency.0, acquire.samples);
        let mut mean: Vec<_> = tones.iter().map(sample).collect();
        let number = self.acquisitions;
        for &(_, channel) in self.fake.bad.iter().filter(|bad| bad.0 == number) {
            if let Some(z) = mean.get_mut(channel) {
                z.im = f64::NAN;
            }
        }
        self.acquisitions += 1;
        let is_scattered = acquire.samples > 1;
        let scatter = if is_scattered { self.fake.sigma } else { 0.0 };
        Ok(Means {
            scatter: vec![scatter; mean.len()],
            mean,
            overrange: self.fake.overrange == Some(number),
            overvoltage: self.fake.overvoltage == Some(number),
        })
    }

    fn sample(&mut self, tone: &ToneState, nco_hz: f64, samples: u32) -> Complex64 {
        let noise = self
            .noise
            .complex(self.fake.sigma / f64::from(samples).sqrt());
        let amplitude = tone.amplitude.unwrap_or(0.0);
        let f = nco_hz + tone.offset.map_or(0.0, |offset| offset.0);
        let is_stopped = |(low, high): (f64, f64)| (low..=high).contains(&f);
        if amplitude == 0.0 || self.fake.stop_band.is_some_and(is_stopped) {
            return noise;
        }
        let (last, energy) = &mut self.driven[tone.channel.index()];
        // A tone that jumps further than a linewidth finds its detector at rest.
        if (f - *last).abs() > 30e3 {
            *energy = 0.0;
        }
        *last = f;
        let response = self.fake.response(&self.circuits, f, amplitude, energy);
        let angle = |angle: Option<twotone_hal::Radians>| angle.map_or(0.0, |angle| angle.0);
        let turn = angle(tone.phase) - angle(tone.rotation) + self.turn;
        amplitude * self.fake.line(f) * response * Complex64::cis(turn) + noise
    }

    fn hold_to_limits(&self, module: &MemoryModule) -> Result<()> {
        let limits = &self.fake.limits;
        let is_within = |f_hz: f64| {
            limits.f_min.is_none_or(|low| f_hz >= low.0)
                && limits.f_max.is_none_or(|high| f_hz <= high.0)
        };
        match tones(module).iter().find(|tone| !is_within(tone.1)) {
            Some(tone) => Err(Error::new(ErrorKind::Limit, format!("{tone:?}"))),
            None => Ok(()),
        }
    }

    fn count(&mut self, op: &Op, batch: &Batch, module: &MemoryModule) {
        let counts = &mut self.counts;
        match op {
            Op::ClearTones { .. } => counts.clears += 1,
            Op::SetNco { .. } => counts.ncos += 1,
            Op::SetTones { updates, .. } => {
                for update in &batch.tone_updates()[updates.clone()] {
                    let is = module.tone(update.channel).as_update();
                    let never_set = module.tone(update.channel).amplitude.is_none();
                    let amplitude = is.amplitude.filter(|_| !never_set);
                    let before = ToneUpdate { amplitude, ..is };
                    for (setting, count) in [
                        (Setting::Offset, &mut counts.offsets),
                        (Setting::Amplitude, &mut counts.amplitudes),
                        (Setting::Phase, &mut counts.phases),
                        (Setting::Rotation, &mut counts.rotations),
                    ] {
                        let value = setting.of_update(update);
                        *count += usize::from(value.is_some());
                        let is_same = value.is_some() && value == setting.of_update(&before);
                        counts.repeated += usize::from(is_same);
                    }
                }
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Board for Running {
    fn name(&self) -> &str {
        self.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        {
            let mut state = self.state.lock().unwrap();
            // Real boards keep their description, so a batch that only asks for it sends nothing.
            if *batch.ops() != [Op::Describe] {
                state.counts.batches += 1;
            }
            let due = state.acquisitions;
            let intruder = state.fake.intruder.filter(|intruder| intruder.0 == due);
            self.board.with_module(ModuleId::FIRST, |module| {
                if let Some((_, intrude)) = intruder {
                    intrude(module);
                }
            });
        }
        self.board.check(batch)?;
        batch.answer_each(self.name(), |op, replies| {
            let module = self.module();
            self.state.lock().unwrap().count(op, batch, &module);
            self.board.answer(batch, op, replies)
        })
    }
}

impl Running {
    /// The settings of the module.
    pub(crate) fn module(&self) -> MemoryModule {
        let module = ModuleId::FIRST;
        self.board.with_module(module, |module| module.clone())
    }

    pub(crate) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Moves every detector by this number of linewidths.
    pub(crate) fn shift_detectors(&self, linewidths: f64) {
        for detector in &mut self.state().fake.detectors {
            detector.fr_hz *= 1.0 + linewidths / detector.qr;
        }
    }

    /// Returns the absolute frequencies and amplitudes of the tones that are on, by channel from 0.
    pub(crate) fn tones(&self) -> Vec<(usize, f64, f64)> {
        tones(&self.module())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Moves the NCO, as another program would.
pub(crate) fn move_nco(module: &mut MemoryModule) {
    let moved = module.nco().frequency.0 + 7e6;
    module.change(Change::Nco(Hertz(moved)));
}

/// Switches all tones off, as another program would.
pub(crate) fn switch_off(module: &mut MemoryModule) {
    module.change(Change::ClearTones);
}

fn tones(module: &MemoryModule) -> Vec<(usize, f64, f64)> {
    let tones = ChannelId::FIRST
        .range(CHANNELS)
        .map(|channel| module.tone(channel));
    tones
        .filter(ToneState::is_on)
        .map(|tone| {
            let offset_hz = tone.offset.map_or(0.0, |offset| offset.0);
            (
                tone.channel.index(),
                module.nco().frequency.0 + offset_hz,
                tone.amplitude.unwrap_or(0.0),
            )
        })
        .collect()
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
