//! Model of a readout module with its feedline and detectors: from settings to samples.

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
use crate::circuit::Geometry;
use crate::conditions::Conditions;
use crate::converter;
use crate::hash::Key;
use crate::line::Line;
use crate::population::{Band, Population};
use crate::profile::ProfileParams;
use crate::truth::{self, OperatingPoint, TruthDetector};
use crate::units;
use crate::world::World;

/// Largest number of channels of a module.
pub const MAX_CHANNELS: usize = 1024;

pub use settings::{SettingError, Tone};

/// Flags of all samples of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SampleFlags {
    /// True if the comb exceeded the full scale of the DAC, or if the returned signal exceeded the
    /// full scale of the ADC.
    pub overrange: bool,
}

/// Model of a module with its feedline and its detectors.
///
/// **Settings** take effect between samples: after the last sample that was requested, or at the
/// time given to [`set_time`](Self::set_time). Several settings before the next sample count as one
/// change. If the same quantity of the same channel is set twice, however, the detectors follow
/// both steps, so that a tone can be moved across a resonance without acquiring samples.
///
/// **Samples** are requested by number. The same settings and numbers give the same samples,
/// regardless of other requests in between. The only memory of the model is physical: the branch of
/// each nonlinear detector, and the last changes of settings that are still in the filters.
///
/// Channels are counted from 0.
#[derive(Debug, Clone)]
pub struct ModuleModel {
    params: ProfileParams,
    key: Key,
    population: Population,
    line: Line,
    /// See [`open_factor`].
    open: Option<Complex64>,
    conditions: Conditions,
    world: World,
    array: Array,
    slots: Vec<Slot>,
    nco_hz: f64,
    /// Nyquist zone to which the DAC is set, from 1.
    dac_zone: u8,
    epoch: u64,
    epoch_phase_rad: f64,
    stage: u8,
    dac_scale_dbm: f64,
    attenuator_db: f64,
    cable_m: f64,
    /// Tick of the last sample that was requested; `None` before the first one.
    now: Option<f64>,
    /// Tick at which the pending settings take effect, if [`ModuleModel::set_time`] has set it.
    set_at: Option<f64>,
    stale: Stale,
    chain: Chain,
    /// Channels with a tone, by ascending frequency. `sorted` has the frequency and the power in
    /// mW of each.
    order: Vec<u16>,
    sorted: Vec<(f64, f64)>,
    beats: Vec<Beat>,
    transients: Vec<Transient>,
    scratch: Box<sample::Scratch>,
}

/// Flags of the parts of the model that must be computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stale {
    /// Steady frequencies of the detectors.
    world: bool,
    /// Levels, pulls, and the transmission at each tone.
    tones: bool,
}

impl Stale {
    fn any(self) -> bool {
        self.world || self.tones
    }
}

/// Index that stands for no detector. No module has so many detectors that this is a valid index.
const NO_DETECTOR: u16 = u16::MAX;

/// A channel with the values that are derived for it.
#[derive(Debug, Clone)]
struct Slot {
    tone: Tone,
    /// Transmission of the line at the frequency of the tone.
    line: Complex64,
    /// Transmission of the line and of the far detectors at the frequency of the tone.
    base: Complex64,
    base_known: bool,
    /// Bits of the quantities that were set since the detectors were last updated.
    written: u8,
    /// Indices of the two moving detectors (those that vary with time) that are computed for the
    /// channel sample by sample.
    moving: [u16; 2],
    /// Sample of the channel without noise, drift and the two moving detectors, counts.
    rest: Complex64,
    /// Sample of which that with all detectors is subtracted, if they are between two lines:
    /// counts.
    open: Option<Complex64>,
    /// Last sample without noise, counts; NaN if the filters start settled.
    last: Complex64,
    /// Tick of a change since the last sample; NaN if there was none.
    changed_at: f64,
    /// Time constant of the ring-down of the nearest detector, ticks; 0 if no detector is within
    /// 10 linewidths.
    ringdown_ticks: f64,
}

impl Slot {
    /// Sample, given `rest` with the two moving detectors.
    fn through(&self, product: Complex64) -> Complex64 {
        self.open.map_or(product, |open| open - product)
    }

    fn off() -> Self {
        Self {
            tone: Tone::default(),
            line: Complex64::default(),
            base: Complex64::default(),
            base_known: false,
            written: 0,
            moving: [NO_DETECTOR; 2],
            rest: Complex64::default(),
            open: None,
            last: Complex64::default(),
            changed_at: f64::NAN,
            ringdown_ticks: 0.0,
        }
    }
}

/// Signal of another tone, or of the mirror image of a tone about the NCO, that passes the filter
/// of a channel.
#[derive(Debug, Clone)]
struct Beat {
    channel: u16,
    offset_hz: f64,
    value: Complex64,
}

/// A change that is still passing through the filters.
#[derive(Debug, Clone)]
struct Transient {
    channel: u16,
    at: f64,
    delta: Complex32,
}

// Numbers of the child keys (`Key::child`). Each purpose has a different one, so that its random
// numbers do not depend on the numbers for other purposes.
const MODULE: u64 = 3;
const EPOCHS: u64 = 11;
const LEAK: u64 = 12;

impl ModuleModel {
    /// Creates a module with detectors and a feedline that are drawn from a seed. The result
    /// depends only on the arguments. `channels` is at most 1024. All tones are off, the NCO is in
    /// the middle of the band, and the stage is 6.
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
            model.dac_zone = converter::zone_of(model.nco_hz);
        }
        model
    }

    /// Creates a module with given detectors and feedline. The seed determines its noise. The NCO
    /// is at 0. At most 65,534 detectors are used.
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
            dac_response: 1.0,
            attenuator_db: 0.0,
            line_gain_db: line.gain_db,
        };
        Self {
            world: World::new(key, params),
            array: Array::new(population.detectors(), params.geometry, power),
            chain: Chain::new(params, settings, &Comb::default()),
            open: open_factor(key, params),
            params: params.clone(),
            key,
            population,
            line,
            conditions: Conditions::default(),
            slots: vec![Slot::off(); channels.min(MAX_CHANNELS)],
            nco_hz: 0.0,
            dac_zone: 1,
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

    /// Parameters from which the module was drawn.
    pub fn params(&self) -> &ProfileParams {
        &self.params
    }

    /// Detectors of the module.
    pub fn population(&self) -> &Population {
        &self.population
    }

    /// Feedline of the module.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Present conditions.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Acquires the samples with numbers `start` to `start + n - 1` of some channels, in counts.
    ///
    /// `out` is cleared and filled channel by channel: `out[(c - channels.start) * n + k]` is
    /// sample `start + k` of channel `c`. Channels that do not exist are left out. Sample `m` is
    /// taken at time `m / sample_rate_hz(stage)`, and shows the signal from before the delay of the
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
    /// The samples contain all tones in the bin and white noise, both filtered by the bin
    /// ([`crate::bank`]), and the ring-down of the detector. The tone of the channel itself has the
    /// same amplitude as in the decimated samples, at any frequency in the bin. Sample `k` has the
    /// number `64 * start_tick + k`. `out` is cleared; it stays empty if there is no such channel.
    ///
    /// These samples may be a little earlier or later than those of [`acquire`](Self::acquire), and
    /// do not count as the last samples that were requested. If a setting must take effect after
    /// them, call [`set_time`](Self::set_time). Nonlinear detectors continue on the branch on which
    /// these samples leave them.
    pub fn acquire_pfb(
        &mut self,
        start_tick: u64,
        n: usize,
        channel: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.sample_pfb(start_tick, n, channel, out)
    }

    /// Acquires samples of the ADC at [`crate::units::FAST_RATE_HZ`], in a band around the NCO and
    /// before any filter, in counts: all tones that the feedline returns, without the phases of
    /// demodulators, and white noise. The caller applies the resolution and the limits of the ADC.
    /// `out` is cleared.
    ///
    /// The detectors are in their state at the last sample that was computed, because their motion
    /// during a call is negligible. This method does not change the memory of
    /// [`acquire`](Self::acquire).
    pub fn acquire_fast(
        &mut self,
        start_tick: u64,
        n: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.sample_fast(start_tick, n, out)
    }

    /// True parameters of each detector, by ascending frequency.
    pub fn truth(&self) -> Vec<TruthDetector> {
        truth::of(self.population.detectors(), &self.params, self.line.delay_s)
    }

    /// True state of the tone of a channel at a sample number, without noise, modulation and
    /// particle hits. `None` if there is no such channel, if its tone is off, or if all detectors
    /// were drawn dead.
    pub fn truth_at(&self, channel: usize, sample: u64) -> Option<OperatingPoint> {
        if !self.stale.any() {
            return self.operating_point(channel, sample);
        }
        // A copy is updated, because pending settings of the model itself must stay pending.
        let mut copy = self.clone();
        copy.refresh();
        copy.operating_point(channel, sample)
    }
}

/// Sum of the leak past detectors between two lines and of the transmission of a line without
/// detectors. Each detector takes its transmission away from this sum, so that what remains is the
/// leak and the transmissions. `None` for other detectors.
fn open_factor(key: Key, params: &ProfileParams) -> Option<Complex64> {
    let leak = units::dbm_to_mw(params.leak_db).sqrt();
    let phase = std::f64::consts::TAU * key.child(LEAK).uniform(0);
    (params.geometry == Geometry::Peak).then(|| 1.0 + Complex64::from_polar(leak, phase))
}

/// Random phase of the feedline in a phase epoch ([`ModuleModel::phase_epoch`]).
fn epoch_phase(key: Key, epoch: u64) -> f64 {
    std::f64::consts::TAU * key.child(EPOCHS).uniform(epoch)
}
