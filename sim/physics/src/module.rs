//! One readout module with its feedline and detectors: settings in, samples out.

mod at_tone;
mod fast;
mod pfb;
mod sample;
mod settings;
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

pub use settings::{SettingError, Tone};

/// Flags over all samples of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SampleFlags {
    /// The comb went beyond the full scale of the DAC, or its return beyond that of the ADC.
    pub overrange: bool,
}

/// A module, its line and its detectors.
///
/// **Settings** take effect between samples: after the last sample that was asked for, or at the
/// time given to [`set_time`](Self::set_time). Several settings before the next sample count as one
/// change. However, if the same quantity of the same channel is set twice, the detectors follow
/// both steps, so that a tone can be moved over a resonance without reading it.
///
/// **Samples** are asked for by number. The same settings and numbers give the same samples,
/// independent of the requests between. The model has only physical memory: the branch that each
/// nonlinear detector is on, and the last few changes of settings that are still in the filters.
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
    /// Tick at which the pending settings take effect, if it was set.
    set_at: Option<f64>,
    stale: Stale,
    chain: Chain,
    /// Channels with a tone, by rising frequency. `sorted` has the frequency and the power in mW
    /// of each.
    order: Vec<u16>,
    sorted: Vec<(f64, f64)>,
    beats: Vec<Beat>,
    transients: Vec<Transient>,
    scratch: Box<sample::Scratch>,
}

/// Parts of the model that are out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stale {
    /// The detectors' steady positions.
    world: bool,
    /// Levels, pulls, and the line and detectors at each tone.
    tones: bool,
}

impl Stale {
    fn any(self) -> bool {
        self.world || self.tones
    }
}

/// No detector: an index that no module reaches.
const NO_DETECTOR: u16 = u16::MAX;

/// A channel with all values that are derived for it.
#[derive(Debug, Clone)]
struct Slot {
    tone: Tone,
    /// Transmission of the line and of the far detectors at the frequency of the tone.
    base: Complex64,
    base_known: bool,
    /// Quantities (bits) that were set since the detectors last followed.
    written: u8,
    /// The two detectors that the channel follows sample by sample.
    live: [u16; 2],
    /// Sample of the channel without noise, drift and those two detectors, counts.
    rest: Complex64,
    /// Last sample without noise, counts; not a number if the filters start settled.
    last: Complex64,
    /// Tick of a change that no sample has shown yet; not a number if none.
    changed_at: f64,
    /// Time constant of its detector's ring-down, ticks.
    ringdown_ticks: f64,
}

impl Slot {
    fn off() -> Self {
        Self {
            tone: Tone::default(),
            base: Complex64::default(),
            base_known: false,
            written: 0,
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

// Branches of the seed. Each purpose has its own, so that its random numbers depend on no other.
const MODULE: u64 = 3;
const EPOCHS: u64 = 11;

impl ModuleModel {
    /// Creates a module with detectors and a line drawn from a seed: a pure function of its
    /// arguments. `channels` is at most 1024. All tones are off, the NCO is in the middle of the
    /// band, the stage is 6.
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

    /// Creates a module with given detectors and line; the seed draws its noise. The NCO is at 0.
    /// At most 65,534 detectors are taken.
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
        Self {
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
            stale: Stale {
                world: true,
                tones: true,
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

    /// Parameters that it was drawn from.
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

    /// Present conditions.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Acquires samples number `start` to `start + n - 1` of some channels, counts.
    ///
    /// `out` is cleared and filled channel by channel: `out[(c - channels.start) * n + k]` is
    /// sample `start + k` of channel `c`. Channels beyond the last are left out. Sample `m` is
    /// taken at time `m / sample_rate_hz(stage)`, and its content is older by the delay of the
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

    /// Acquires samples of one channel at the rate of the filter bank
    /// ([`crate::units::PFB_RATE_HZ`]), before the decimation filters.
    ///
    /// The samples have all tones in the bin and white noise, both filtered by the bin
    /// ([`crate::bank`]), and the ring-down of the detector. A channel's own tone is as large as in
    /// the decimated samples, wherever in the bin it lies. Sample `k` is number
    /// `64 * start_tick + k`. `out` is cleared; it stays empty if there is no such channel.
    ///
    /// This stream runs beside that of [`acquire`](Self::acquire), a little before or behind it,
    /// and does not change the memory of that. Settings that are made after this stream alone need
    /// [`set_time`](Self::set_time) to take effect later.
    pub fn acquire_pfb(
        &mut self,
        start_tick: u64,
        n: usize,
        channel: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.sample_pfb(start_tick, n, channel, out)
    }

    /// Acquires samples of the converter at [`crate::units::FAST_RATE_HZ`], around the NCO and
    /// before any filter, in counts: all tones as the line returns them, without the phase of a
    /// demodulator, and white noise. The caller applies the converter's steps and limits. `out` is
    /// cleared.
    ///
    /// The detectors stay as they were at the last sample that was worked out: over the samples of
    /// a call, their motion is negligible. This does not change the memory of
    /// [`acquire`](Self::acquire).
    pub fn acquire_fast(
        &mut self,
        start_tick: u64,
        n: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.sample_fast(start_tick, n, out)
    }

    /// True parameters of each detector, by rising frequency.
    pub fn truth(&self) -> Vec<TruthDetector> {
        truth::of(
            self.population.detectors(),
            self.params.cold_attenuation_db,
            self.line.delay_s,
        )
    }

    /// True state of a channel's tone at a sample number, without noise, modulation and hits.
    /// `None` if the tone is off, or if no live detector is there.
    pub fn truth_at(&self, channel: usize, sample: u64) -> Option<OperatingPoint> {
        if !self.stale.any() {
            return self.operating_point(channel, sample);
        }
        // This must not make the detectors follow settings that are still pending.
        let mut copy = self.clone();
        copy.refresh();
        copy.operating_point(channel, sample)
    }
}

/// Phase of the line in an epoch.
fn epoch_phase(key: Key, epoch: u64) -> f64 {
    std::f64::consts::TAU * key.child(EPOCHS).uniform(epoch)
}
