//! Conditions that the caller may change: load, bath, drift, modulation, faults.

use serde::{Deserialize, Serialize};

/// Conditions of a module. The default is the state in which the detectors were drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Optical load above nominal, in units of the nominal load: lowers fr, raises 1/Qi.
    pub optical_load: f64,
    /// Bath temperature above nominal, K: lowers fr, raises 1/Qi.
    pub bath_k: f64,
    /// Shift of all detectors, upward, in linewidths of each.
    pub common_shift_lw: f64,
    /// Standard deviation of a normal shift of each detector, in linewidths, drawn from
    /// [`random_draw`](Self::random_draw).
    pub random_shift_lw: f64,
    /// Each Qi is multiplied by a number uniform within 1 plus or minus this (at most 0.9).
    pub qi_spread: f64,
    /// Number of the draw of the random shifts and Qi.
    pub random_draw: u64,
    /// Gain above nominal, dB.
    pub gain_db: f64,
    /// Phase above nominal, rad.
    pub phase_rad: f64,
    /// A modulation of every fr.
    pub modulation: Option<Modulation>,
    /// Faults of single detectors, by [`Detector::id`](crate::Detector::id). All of them apply.
    pub detector_faults: Vec<(u32, DetectorFault)>,
    /// Faults of single channels, counted from 0. The last one of a channel applies.
    pub channel_faults: Vec<(usize, ChannelFault)>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
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
    /// Returns the same, with numbers that are not finite replaced by no change.
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

/// Fault of a detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum DetectorFault {
    /// The detector does not resonate.
    Dead,
    /// The resonance jumps, and stays there.
    Jump {
        /// Time of the jump, s of the board's time.
        at_s: f64,
        /// Size of the jump, linewidths, upward if positive.
        linewidths: f64,
    },
    /// The resonance moves steadily from a moment on.
    Drift {
        /// Start of the drift, s of the board's time.
        from_s: f64,
        /// Speed of the drift, linewidths per second.
        linewidths_per_s: f64,
    },
    /// Particles hit the detector at a rate of its own.
    Glitches {
        /// Hits per second, in place of the profile's rate.
        rate_hz: f64,
    },
}

/// Fault of a channel: its samples are not those of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ChannelFault {
    /// Samples are exactly zero.
    Dead,
    /// Samples are a constant without noise.
    Flat,
    /// Samples are at the converter's limits, with the signs of the samples in their place. The
    /// overrange flag is set.
    Saturated,
    /// Samples have a hundred times the noise.
    Noisy,
}
