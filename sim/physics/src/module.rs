//! One readout module with its feedline and detectors: settings in, samples out.

mod at_tone;
mod pfb;
mod sample;
mod settle;

use std::ops::Range;

use num_complex::{Complex32, Complex64};
use serde::{Deserialize, Serialize};

use crate::array::{Array, PowerDependence};
use crate::chain::{Chain, ChainSettings, Comb};
use crate::conditions::Conditions;
use crate::hash::Key;
use crate::line::Line;
use crate::population::{Band, Population};
use crate::profile::ProfileParams;
use crate::truth::{self, OperatingPoint, TruthDetector};
use crate::units;
use crate::world::World;

/// Most channels of a module.
pub const MAX_CHANNELS: usize = 1024;

/// One channel's settings.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tone {
    /// Frequency relative to the NCO, Hz. The model rounds it to the quantum of the board.
    pub frequency_hz: f64,
    /// Fraction of full scale, -1 to 1; 0 is off.
    pub amplitude: f64,
    /// Phase of the carrier: samples rotate by plus this, rad.
    pub dac_phase_rad: f64,
    /// Phase of the demodulator: samples rotate by minus this, rad.
    pub adc_phase_rad: f64,
}

/// Why a setting was refused; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no such channel; the number of channels.
    NoChannel(usize),
    /// The amplitude is outside -1..1 or not a number.
    Amplitude(f64),
    /// A frequency, phase or other value is not finite.
    NotFinite,
    /// There is no such decimation stage.
    Stage(u8),
}

impl std::fmt::Display for SettingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SettingError::NoChannel(n) => write!(f, "no such channel: the module has {n}"),
            SettingError::Amplitude(a) => write!(f, "amplitude {a} is not within -1..1"),
            SettingError::NotFinite => f.write_str("the value is not a finite number"),
            SettingError::Stage(s) => write!(f, "no decimation stage {s}: 0 to 6"),
        }
    }
}

impl std::error::Error for SettingError {}

/// Flags over all samples of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SampleFlags {
    /// The comb went beyond the full scale of the DAC, or its return beyond that of the ADC.
    pub overrange: bool,
}

/// A module, its line and its detectors.
///
/// **Settings** take effect between samples: after the last sample that was asked for, or at the
/// time told by [`set_time`](Self::set_time). Several settings before the next sample count as one
/// change, except that setting the same quantity of the same channel twice makes the detectors
/// follow both steps, so that a tone can be walked over a resonance without reading it.
///
/// **Samples** are asked for by number. The same settings and numbers give the same samples,
/// whatever was asked between. What is remembered is physical: the branch that each nonlinear
/// detector is on, and the last few changes of settings that are still in the filters.
///
/// Channels count from 0 here.
#[derive(Debug, Clone)]
pub struct ModuleModel {
    params: ProfileParams,
    key: Key,
    population: Population,
    line: Line,
    conditions: Conditions,
    world: World,
    array: Array,
    slots: Vec<Slot>,
    nco_hz: f64,
    epoch: u64,
    epoch_phase_rad: f64,
    stage: u8,
    dac_scale_dbm: f64,
    attenuator_db: f64,
    cable_m: f64,
    /// Tick of the last sample that was asked for.
    now: Option<f64>,
    /// Tick at which the settings under way take effect, if told.
    set_at: Option<f64>,
    /// Counts the changes that the detectors have followed.
    generation: u32,
    stale: Stale,
    chain: Chain,
    /// Channels with a tone, by rising frequency, and each one's frequency and power in mW.
    order: Vec<u16>,
    sorted: Vec<(f64, f64)>,
    beats: Vec<Beat>,
    transients: Vec<Transient>,
    scratch: Box<sample::Scratch>,
}

/// What is out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stale {
    /// The detectors' steady positions.
    world: bool,
    /// Levels, pulls, and what the tones see.
    tones: bool,
    /// What the tones see, because a detector has moved away.
    rest: bool,
}

/// No detector: an index that no module reaches.
const NO_DETECTOR: u16 = u16::MAX;

/// A channel with all that is derived for it.
#[derive(Debug, Clone)]
struct Slot {
    tone: Tone,
    /// Line and far detectors at its frequency.
    base: Complex64,
    base_known: bool,
    /// Which of its quantities have been set since the detectors followed, and at which count.
    written: u8,
    written_at: u32,
    /// The two live detectors that it sees move.
    live: [u16; 2],
    /// All of its sample but noise, drift and those two, counts.
    rest: Complex64,
    /// Last sample without noise, counts; not a number if the filters start settled.
    last: Complex64,
    /// Tick of a change that no sample has shown yet; not a number if none.
    changed_at: f64,
    /// How long its detector rings.
    ringdown_ticks: f64,
}

impl Slot {
    fn off() -> Self {
        Slot {
            tone: Tone::default(),
            base: Complex64::default(),
            base_known: false,
            written: 0,
            written_at: 0,
            live: [NO_DETECTOR; 2],
            rest: Complex64::default(),
            last: Complex64::default(),
            changed_at: f64::NAN,
            ringdown_ticks: 0.0,
        }
    }
}

/// A tone in the filter of another channel.
#[derive(Debug, Clone)]
struct Beat {
    channel: u16,
    offset_hz: f64,
    value: Complex64,
}

/// A change on its way through the filters.
#[derive(Debug, Clone)]
struct Transient {
    channel: u16,
    at: f64,
    delta: Complex32,
}

/// Quantities of a channel that detectors follow.
const FREQUENCY: u8 = 1;
const AMPLITUDE: u8 = 2;

/// Branches of the seed.
const MODULE: u64 = 3;
const EPOCHS: u64 = 11;

impl ModuleModel {
    /// A module with detectors and a line drawn from a seed: a pure function of its arguments.
    /// `channels` is at most 1024. All tones are off, the NCO is in the middle of the band, the
    /// stage is 6.
    pub fn draw(
        seed: u64,
        board: u32,
        module: u32,
        detectors: usize,
        band: Band,
        channels: usize,
        params: &ProfileParams,
    ) -> Self {
        let population = Population::draw(seed, board, module, detectors, band, params);
        let line = Line::draw(seed, board, module, band, params);
        let mut model = Self::new(seed, board, module, population, line, channels, params);
        if band.centre_hz().is_finite() {
            model.nco_hz = band.centre_hz();
        }
        model
    }

    /// A module with given detectors and line; the seed draws its noise. The NCO is at 0. At most
    /// 65,534 detectors are taken.
    pub fn new(
        seed: u64,
        board: u32,
        module: u32,
        population: Population,
        line: Line,
        channels: usize,
        params: &ProfileParams,
    ) -> Self {
        let key = Key::new(seed)
            .child(u64::from(board))
            .child(u64::from(module))
            .child(MODULE);
        let population = population.truncated(usize::from(NO_DETECTOR) - 1);
        let power = PowerDependence {
            saturating: params.qi_power_fraction,
            knee: params.qi_power_knee,
            heating: params.heating,
        };
        let settings = ChainSettings {
            dac_scale_dbm: units::DEFAULT_DAC_SCALE_DBM,
            attenuator_db: 0.0,
            line_gain_db: line.gain_db,
        };
        ModuleModel {
            world: World::new(key, params),
            array: Array::new(population.detectors(), power),
            chain: Chain::new(params, settings, &Comb::default()),
            params: params.clone(),
            key,
            population,
            line,
            conditions: Conditions::default(),
            slots: vec![Slot::off(); channels.min(MAX_CHANNELS)],
            nco_hz: 0.0,
            epoch: 0,
            epoch_phase_rad: epoch_phase(key, 0),
            stage: units::MAX_STAGE,
            dac_scale_dbm: units::DEFAULT_DAC_SCALE_DBM,
            attenuator_db: 0.0,
            cable_m: 0.0,
            now: None,
            set_at: None,
            generation: 1,
            stale: Stale {
                world: true,
                tones: true,
                rest: true,
            },
            order: Vec::new(),
            sorted: Vec::new(),
            beats: Vec::new(),
            transients: Vec::new(),
            scratch: Box::default(),
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.slots.len()
    }

    /// The numbers that it was drawn from.
    pub fn params(&self) -> &ProfileParams {
        &self.params
    }

    /// The detectors.
    pub fn population(&self) -> &Population {
        &self.population
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// A channel's settings, as they were set; off where there is no such channel.
    pub fn tone(&self, channel: usize) -> Tone {
        self.slots
            .get(channel)
            .map(|slot| slot.tone)
            .unwrap_or_default()
    }

    /// Sets all of a channel.
    pub fn set_tone(&mut self, channel: usize, tone: Tone) -> Result<(), SettingError> {
        let channels = self.slots.len();
        let slot = self
            .slots
            .get(channel)
            .ok_or(SettingError::NoChannel(channels))?;
        let finite = [tone.frequency_hz, tone.dac_phase_rad, tone.adc_phase_rad];
        if !finite.iter().all(|value| value.is_finite()) {
            return Err(SettingError::NotFinite);
        }
        if tone.amplitude.is_nan() || tone.amplitude.abs() > 1.0 {
            return Err(SettingError::Amplitude(tone.amplitude));
        }
        let old = slot.tone;
        if old == tone {
            return Ok(());
        }
        let moved = if old.frequency_hz != tone.frequency_hz {
            FREQUENCY
        } else {
            0
        };
        let resized = if old.amplitude != tone.amplitude {
            AMPLITUDE
        } else {
            0
        };
        let before = if slot.written_at == self.generation {
            slot.written
        } else {
            0
        };
        let writes = moved | resized;
        if before & writes != 0 {
            // A second step of the same quantity: the detectors follow the first one first.
            self.follow();
        }
        let generation = self.generation;
        let slot = &mut self.slots[channel];
        slot.written = if slot.written_at == generation {
            slot.written | writes
        } else {
            writes
        };
        slot.written_at = generation;
        slot.base_known &= moved == 0;
        slot.tone = tone;
        self.stale.tones = true;
        Ok(())
    }

    /// Sets a channel's frequency relative to the NCO, Hz.
    pub fn set_frequency(&mut self, channel: usize, hz: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                frequency_hz: hz,
                ..self.tone(channel)
            },
        )
    }

    /// Sets a channel's amplitude, a fraction of full scale, -1 to 1.
    pub fn set_amplitude(&mut self, channel: usize, amplitude: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                amplitude,
                ..self.tone(channel)
            },
        )
    }

    /// Sets the phase of a channel's carrier, rad.
    pub fn set_dac_phase(&mut self, channel: usize, rad: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                dac_phase_rad: rad,
                ..self.tone(channel)
            },
        )
    }

    /// Sets the phase of a channel's demodulator, rad.
    pub fn set_adc_phase(&mut self, channel: usize, rad: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                adc_phase_rad: rad,
                ..self.tone(channel)
            },
        )
    }

    /// Turns all channels off and their frequencies and phases to 0.
    pub fn clear(&mut self) {
        for channel in 0..self.slots.len() {
            // Cannot be refused: the channel is there, the tone is plain.
            let _ = self.set_tone(channel, Tone::default());
        }
    }

    /// Frequency of the NCO, Hz.
    pub fn nco_hz(&self) -> f64 {
        self.nco_hz
    }

    /// Sets the NCO: all tones move with it, and a new phase epoch begins with a phase drawn from
    /// the seed and the epoch's number, even if the frequency is the same.
    pub fn set_nco(&mut self, hz: f64) -> Result<(), SettingError> {
        self.nco_hz = finite(hz)?;
        self.begin_epoch();
        Ok(())
    }

    /// Number of the phase epoch, from 0.
    pub fn phase_epoch(&self) -> u64 {
        self.epoch
    }

    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.epoch_phase_rad = epoch_phase(self.key, self.epoch);
        self.forget_line();
    }

    fn forget_line(&mut self) {
        for slot in &mut self.slots {
            slot.base_known = false;
        }
        self.stale.tones = true;
    }

    /// Decimation stage.
    pub fn stage(&self) -> u8 {
        self.stage
    }

    /// Sets the decimation stage, 0 to 6. Sample numbers count at the new rate from then on; the
    /// filters start settled.
    pub fn set_stage(&mut self, stage: u8) -> Result<(), SettingError> {
        if stage > units::MAX_STAGE {
            return Err(SettingError::Stage(stage));
        }
        if stage != self.stage {
            self.stage = stage;
            self.transients.clear();
            for slot in &mut self.slots {
                slot.last = Complex64::new(f64::NAN, f64::NAN);
            }
            self.stale.tones = true;
        }
        Ok(())
    }

    /// Power of a full-scale tone, dBm (before the back-off of 1.5 dB).
    pub fn dac_scale_dbm(&self) -> f64 {
        self.dac_scale_dbm
    }

    /// Sets the power of a full-scale tone, dBm (before the back-off of 1.5 dB).
    pub fn set_dac_scale_dbm(&mut self, dbm: f64) -> Result<(), SettingError> {
        self.dac_scale_dbm = finite(dbm)?;
        self.stale.tones = true;
        Ok(())
    }

    /// Attenuator before the ADC, dB.
    pub fn adc_attenuator_db(&self) -> f64 {
        self.attenuator_db
    }

    /// Sets the attenuator before the ADC, dB.
    pub fn set_adc_attenuator_db(&mut self, db: f64) -> Result<(), SettingError> {
        self.attenuator_db = finite(db)?;
        self.stale.tones = true;
        Ok(())
    }

    /// Length of cable that the board corrects for, m.
    pub fn cable_length_m(&self) -> f64 {
        self.cable_m
    }

    /// Sets the length of cable that the board corrects for, m at 0.66 c: the delay seen in the
    /// samples falls by it. A new phase epoch begins.
    pub fn set_cable_length_m(&mut self, metres: f64) -> Result<(), SettingError> {
        self.cable_m = finite(metres)?;
        self.begin_epoch();
        Ok(())
    }

    /// State of the world.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Changes the state of the world, at once: detectors and line follow as they would to a
    /// change of settings. Numbers that are not finite count as no change.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions.finite();
        self.stale.world = true;
        self.forget_line();
    }

    /// Says when the settings that follow take effect, in ticks ([`crate::units::TICK_RATE_HZ`]).
    /// Without it, they do just after the last sample that was asked for. For real time only.
    pub fn set_time(&mut self, tick: f64) {
        self.set_at = tick.is_finite().then_some(tick);
    }

    /// Samples number `start` to `start + n - 1` of some channels, counts.
    ///
    /// `out` is cleared and filled channel by channel: `out[(c - channels.start) * n + k]` is
    /// sample `start + k` of channel `c`. Channels beyond the last are left out. Sample `m` is
    /// taken at time `m / sample_rate_hz(stage)`; what it shows is older by the delay of the
    /// filters ([`crate::cic::group_delay_s`]).
    pub fn acquire(
        &mut self,
        start: u64,
        n: usize,
        channels: Range<usize>,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.sample(start, n, channels, out)
    }

    /// Samples of one channel at the rate of the filter bank ([`crate::units::PFB_RATE_HZ`]),
    /// before the decimation filters: white noise, every tone in the bin, a detector that rings
    /// down. Sample `k` is number `64 * start_tick + k`. `out` is cleared; it stays empty where
    /// there is no such channel.
    pub fn acquire_pfb(
        &mut self,
        start_tick: u64,
        n: usize,
        channel: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.sample_pfb(start_tick, n, channel, out)
    }

    /// What a truth file says of each detector, by rising frequency.
    pub fn truth(&self) -> Vec<TruthDetector> {
        truth::of(
            self.population.detectors(),
            self.params.cold_attenuation_db,
            self.line.delay_s,
        )
    }

    /// What is true of a channel's tone at a sample number, with what moves by itself (noise,
    /// modulation, hits) left out; `None` if it is off, or if no live detector is there.
    pub fn truth_at(&mut self, channel: usize, sample: u64) -> Option<OperatingPoint> {
        self.operating_point(channel, sample)
    }
}

fn finite(value: f64) -> Result<f64, SettingError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(SettingError::NotFinite)
    }
}

/// Phase of the line in an epoch.
fn epoch_phase(key: Key, epoch: u64) -> f64 {
    std::f64::consts::TAU * key.child(EPOCHS).uniform(epoch)
}
