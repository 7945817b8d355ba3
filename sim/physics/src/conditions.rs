//! Conditions that the caller may change: optical load, bath temperature, shifts, gain, modulation,
//! faults.

use serde::{Deserialize, Serialize};

/// Conditions of a module. The default is the nominal conditions, for which the parameters of the
/// detectors were drawn at random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Optical load above nominal, in units of the nominal load. Load lowers the resonance
    /// frequencies fr and raises the internal losses 1/Qi.
    pub optical_load: f64,
    /// Bath temperature above nominal, K. A higher temperature lowers fr and raises 1/Qi.
    pub bath_k: f64,
    /// Upward shift of all detectors, each in its own linewidths.
    pub common_shift_lw: f64,
    /// Standard deviation, in linewidths, of a normally distributed shift of each detector, which
    /// is drawn with the number [`random_draw`](Self::random_draw).
    pub random_shift_lw: f64,
    /// Largest relative change of Qi, at most 0.9. Each Qi is multiplied by a random number that
    /// is uniform within 1 plus or minus this value.
    pub qi_spread: f64,
    /// Number that selects a random draw. Each number gives different random shifts and factors of
    /// Qi.
    pub random_draw: u64,
    /// Gain above nominal, dB.
    pub gain_db: f64,
    /// Phase above nominal, rad.
    pub phase_rad: f64,
    /// Modulation of every fr.
    pub modulation: Option<Modulation>,
    /// Faults of single detectors, by [`Detector::id`](crate::Detector::id). A detector can have
    /// several faults. All of them apply, except that only the last rate of glitches applies.
    pub detector_faults: Vec<(u32, DetectorFault)>,
    /// Faults of single channels, which are counted from 0. If a channel has several faults, each
    /// fault changes the result of the fault before it.
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
    /// Returns the conditions, with each value that is not finite replaced by the value that
    /// changes nothing. The values of detector faults are checked where they are used.
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

/// Modulation of every resonance frequency:
/// `fr += amplitude_lw * linewidth * sin(2 pi frequency_hz t + phase_rad)`, with t the board's time
/// (sample number over sample rate, before the delay of the filters).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modulation {
    /// Amplitude, in units of each detector's linewidth fr/Qr.
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
    /// The resonance jumps to another frequency, and stays there.
    Jump {
        /// Time of the jump, s of the board's time.
        at_s: f64,
        /// Size of the jump, linewidths, upward if positive.
        linewidths: f64,
    },
    /// The resonance moves steadily from a time on.
    Drift {
        /// Start of the drift, s of the board's time.
        from_s: f64,
        /// Speed of the drift, linewidths per second.
        linewidths_per_s: f64,
    },
    /// Particles hit the detector at a rate that differs from the rate of the other detectors.
    Glitches {
        /// Hits per second, in place of the rate that applies to all other detectors.
        rate_hz: f64,
    },
}

/// Fault of a channel, which changes its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ChannelFault {
    /// Samples are exactly zero.
    Dead,
    /// Samples are a constant without noise.
    Flat,
    /// Samples are at the limits of the ADC, with the signs of the true samples. The overrange flag
    /// is set.
    Saturated,
    /// The noise of the samples is a hundred times larger.
    Noisy,
}
