//! One readout module with its feedline and detectors: settings in, samples out.

use std::ops::Range;

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::conditions::Conditions;
use crate::line::Line;
use crate::population::{Band, Population};
use crate::profile::ProfileParams;
use crate::truth::{OperatingPoint, TruthDetector};

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
    channels: usize,
    population: Population,
    line: Line,
    conditions: Conditions,
    tones: Vec<Tone>,
    nco_hz: f64,
    epoch: u64,
    stage: u8,
}

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
        model.nco_hz = band.centre_hz();
        model
    }

    /// A module with given detectors and line.
    pub fn new(
        seed: u64,
        board: u32,
        module: u32,
        population: Population,
        line: Line,
        channels: usize,
        params: &ProfileParams,
    ) -> Self {
        let _ = (seed, board, module, params);
        let channels = channels.min(MAX_CHANNELS);
        ModuleModel {
            channels,
            population,
            line,
            conditions: Conditions::default(),
            tones: vec![Tone::default(); channels],
            nco_hz: 0.0,
            epoch: 0,
            stage: 6,
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
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
        self.tones.get(channel).copied().unwrap_or_default()
    }

    /// Sets all of a channel.
    pub fn set_tone(&mut self, channel: usize, tone: Tone) -> Result<(), SettingError> {
        let _ = (channel, tone);
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
    pub fn clear(&mut self) {}

    /// Frequency of the NCO, Hz.
    pub fn nco_hz(&self) -> f64 {
        self.nco_hz
    }

    /// Sets the NCO: all tones move with it, and a new phase epoch begins with a phase drawn from
    /// the seed and the epoch's number, even if the frequency is the same.
    pub fn set_nco(&mut self, hz: f64) -> Result<(), SettingError> {
        let _ = hz;
        Ok(())
    }

    /// Number of the phase epoch, from 0.
    pub fn phase_epoch(&self) -> u64 {
        self.epoch
    }

    /// Decimation stage.
    pub fn stage(&self) -> u8 {
        self.stage
    }

    /// Sets the decimation stage, 0 to 6. Sample numbers count at the new rate from then on; the
    /// filters start settled.
    pub fn set_stage(&mut self, stage: u8) -> Result<(), SettingError> {
        let _ = stage;
        Ok(())
    }

    /// Sets the power of a full-scale tone, dBm (before the back-off of 1.5 dB).
    pub fn set_dac_scale_dbm(&mut self, dbm: f64) -> Result<(), SettingError> {
        let _ = dbm;
        Ok(())
    }

    /// Sets the attenuator before the ADC, dB.
    pub fn set_adc_attenuator_db(&mut self, db: f64) -> Result<(), SettingError> {
        let _ = db;
        Ok(())
    }

    /// Sets the length of cable that the board corrects for, m at 0.66 c: the delay seen in the
    /// samples falls by it. A new phase epoch begins.
    pub fn set_cable_length_m(&mut self, metres: f64) -> Result<(), SettingError> {
        let _ = metres;
        Ok(())
    }

    /// State of the world.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Changes the state of the world, at once: detectors and line follow as they would to a
    /// change of settings.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Says when the settings that follow take effect, in ticks ([`crate::units::TICK_RATE_HZ`]).
    /// Without it, they do just after the last sample that was asked for. For real time only.
    pub fn set_time(&mut self, tick: f64) {
        let _ = tick;
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
        let _ = start;
        out.clear();
        out.resize(channels.len() * n, Complex64::default());
        SampleFlags::default()
    }

    /// Samples of one channel at the rate of the filter bank ([`crate::units::PFB_RATE_HZ`]),
    /// from tick `start_tick` on, before the decimation filters: white noise, every tone in the
    /// bin, detectors that ring down.
    pub fn acquire_pfb(
        &mut self,
        start_tick: u64,
        n: usize,
        channel: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        let _ = (start_tick, n, channel);
        out.clear();
        SampleFlags::default()
    }

    /// What a truth file says of each detector, by rising frequency.
    pub fn truth(&self) -> Vec<TruthDetector> {
        crate::truth::of(self.population.detectors(), 0.0, self.line.delay_s)
    }

    /// What is true of a channel's tone at a sample number, noise and drift of the line left out;
    /// `None` if it is off, or if no live detector is there.
    pub fn truth_at(&mut self, channel: usize, sample: u64) -> Option<OperatingPoint> {
        let _ = (channel, sample);
        None
    }
}
