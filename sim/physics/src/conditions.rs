//! What the caller may change about the world: load, bath, drift, modulation, faults.

use serde::{Deserialize, Serialize};

/// State of the world around a module. The default is the state in which the detectors were drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Optical load above nominal, in units of the nominal load: lowers fr, raises 1/Qi.
    pub optical_load: f64,
    /// Bath temperature above nominal, K: lowers fr, raises 1/Qi.
    pub bath_k: f64,
    /// All detectors move up by so many of their own linewidths.
    pub common_shift_lw: f64,
    /// Each detector moves by a normal number of this sigma, in linewidths, drawn from
    /// [`random_draw`](Self::random_draw).
    pub random_shift_lw: f64,
    /// Each Qi is multiplied by a number uniform within 1 plus or minus this (at most 0.9).
    pub qi_spread: f64,
    /// Which draw of the random shifts and Qi.
    pub random_draw: u64,
    /// Gain above nominal, dB.
    pub gain_db: f64,
    /// Phase above nominal, rad.
    pub phase_rad: f64,
    /// A modulation of every fr.
    pub modulation: Option<Modulation>,
    /// Faults of single detectors, by [`Detector::id`](crate::Detector::id); all listed apply.
    pub detector_faults: Vec<(u32, DetectorFault)>,
    /// Faults of single channels, counted from 0; the last one listed for a channel applies.
    pub channel_faults: Vec<(usize, ChannelFault)>,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions {
            optical_load: 0.0,
            bath_k: 0.0,
            common_shift_lw: 0.0,
            random_shift_lw: 0.0,
            qi_spread: 0.0,
            random_draw: 0,
            gain_db: 0.0,
            phase_rad: 0.0,
            modulation: None,
            detector_faults: Vec::new(),
            channel_faults: Vec::new(),
        }
    }
}

impl Conditions {
    /// The same with every number that is not finite taken as no change.
    pub(crate) fn finite(mut self) -> Self {
        for value in [
            &mut self.optical_load,
            &mut self.bath_k,
            &mut self.common_shift_lw,
            &mut self.random_shift_lw,
            &mut self.qi_spread,
            &mut self.gain_db,
            &mut self.phase_rad,
        ] {
            if !value.is_finite() {
                *value = 0.0;
            }
        }
        self.modulation = self.modulation.filter(|m| {
            [m.amplitude_lw, m.frequency_hz, m.phase_rad]
                .iter()
                .all(|value| value.is_finite())
        });
        self
    }
}

/// `fr += amplitude_lw * linewidth * sin(2 pi frequency_hz t + phase_rad)` with t the board's time
/// (sample number over sample rate, before the delay of the filters).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modulation {
    /// Amplitude in linewidths fr/Qr of each detector.
    pub amplitude_lw: f64,
    /// Frequency, Hz.
    pub frequency_hz: f64,
    /// Phase at time 0, rad.
    #[serde(default)]
    pub phase_rad: f64,
}

/// What is wrong with a detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum DetectorFault {
    /// It does not resonate.
    Dead,
    /// It moves at once, and stays.
    Jump {
        /// When, s of the board's time.
        at_s: f64,
        /// How far, in linewidths, upward if positive.
        linewidths: f64,
    },
    /// It moves steadily from a moment on.
    Drift {
        /// From when, s of the board's time.
        from_s: f64,
        /// How fast, linewidths per second.
        linewidths_per_s: f64,
    },
    /// It is hit often.
    Glitches {
        /// Hits per second, in place of the profile's rate.
        rate_hz: f64,
    },
}

/// What is wrong with a channel: its samples are not those of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ChannelFault {
    /// Exactly zero.
    Dead,
    /// A constant without noise.
    Flat,
    /// The converter's limits, by the sign of what would have been read; with the overrange flag.
    Saturated,
    /// A hundred times the noise.
    Noisy,
}
