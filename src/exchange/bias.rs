//! Bias dictionaries: the tones of detectors in the form in which the function `bias_kids` of the
//! Python package rfmux returns them, as JSON. A tune goes out in this form, and a bias dictionary
//! comes in as a tune.
//!
//! A *bias* is the tone of a detector. The keys of an entry are those of rfmux 1.7.0, and some of
//! our own. JSON has no complex numbers, so that each one is a list of its real and its imaginary
//! part.

mod from_tune;
mod record;
#[cfg(test)]
mod tests;
mod to_tune;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twotone_algorithms::Geometry;
use twotone_algorithms::finding::Flag;
use twotone_hal::{ChannelId, Complex64, ModuleId};

pub use self::record::BiasRecord;
pub use to_tune::{BiasedModule, Place};

/// Value of [`BiasFile::format`].
const FORMAT: &str = "bias dictionary";
/// Version of the format. It increases when a reader of the old format would misunderstand the new
/// one.
const VERSION: u32 = 1;
/// Name of the direction of a downward sweep.
const DOWNWARD: &str = "downward";
/// Grid on which rfmux places tones, in hertz: half the sample rate at decimation stage 6.
const TONE_GRID_HZ: f64 = 625e6 / 2_097_152.0;

/// Bias dictionaries of many modules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BiasFile {
    /// Always `bias dictionary`.
    format: String,
    /// Version of the format.
    format_version: u32,
    /// Version of the program that wrote the file.
    pub twotone_version: String,
    /// Start of the tune, RFC 3339, in UTC.
    pub started: Option<String>,
    /// Boards by their names in the map.
    pub boards: BTreeMap<String, BiasBoard>,
}

/// Bias dictionaries of a board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BiasBoard {
    /// Serial number.
    pub serial: Option<String>,
    /// The modules.
    pub modules: BTreeMap<ModuleId, BiasModule>,
}

/// Bias dictionary of a module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BiasModule {
    /// Frequency of the NCO, in hertz, if it is known.
    pub nco_hz: Option<f64>,
    /// Connection of the detectors to the line. A dictionary of rfmux does not have it: rfmux
    /// knows only notches.
    #[serde(default)]
    pub geometry: Geometry,
    /// Delay of the line, in seconds, if it is known. The sweeps do not contain it: it is removed
    /// relative to the frequency of the tone.
    pub tau_s: Option<f64>,
    /// Detectors by their channels. This is the part that `bias_kids` returns.
    pub detectors: BTreeMap<ChannelId, Bias>,
}

/// Tone of a detector.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bias {
    /// Id of the detector, if it has one.
    pub detector: Option<String>,
    /// Channel of the tone.
    pub bias_channel: Option<ChannelId>,
    /// Frequency of the tone that was asked for, in hertz.
    pub bias_frequency: Option<f64>,
    /// Fit that the frequency comes from, in words.
    pub bias_frequency_source: Option<String>,
    /// Frequency of the tone as it was set, in hertz. A dictionary of rfmux does not have it: its
    /// tones are on a grid of 298 Hz.
    pub tone_frequency: Option<f64>,
    /// Amplitude of the tone as it was set, as a fraction of full scale. A dictionary of rfmux
    /// does not have it: its tones have the amplitude of the sweep.
    pub tone_amplitude: Option<f64>,
    /// Frequency of the resonance, in hertz.
    pub original_center_frequency: Option<f64>,
    /// Amplitude of the tone during the sweep, as a fraction of full scale. `None` if a tune has
    /// lowered the tone after the sweep, because it does not record the amplitude of the sweep.
    pub sweep_amplitude: Option<f64>,
    /// Direction of the sweep: `upward` or `downward`.
    pub sweep_direction: Option<String>,
    /// True if the detector has its tone.
    pub bias_successful: Option<bool>,
    /// True if the resonance may have two states at this power.
    pub bifurcation_suspected: Option<bool>,
    /// Phase by which the board rotates samples back, in degrees.
    pub optimal_phase_degrees: Option<f64>,
    /// Phase of the tone's carrier, in degrees. The samples contain it.
    pub carrier_phase_degrees: Option<f64>,
    /// Factor that turns samples, in volts and as the board rotates them, into a shift of the tone
    /// against the resonance, in hertz, as its real part. It is the inverse of the derivative of
    /// the sample by the frequency.
    #[serde(deserialize_with = "lenient")]
    pub df_calibration: Option<Pair>,
    /// Origin of the calibration: `fit` or `measured`.
    pub df_calibration_source: Option<String>,
    /// True if the nonlinear fit succeeded.
    pub nonlinear_fit_success: Option<bool>,
    /// The nonlinear fit. It is not read: a reader fits the sweep.
    #[serde(skip_deserializing)]
    pub nonlinear_fit_params: Option<NonlinearParams>,
    /// Frequencies of the sweep, in hertz. A point whose frequency or sample is `None` is left
    /// out.
    pub frequencies: Vec<Option<f64>>,
    /// Samples of the sweep, in readout counts. They contain the phase of the carrier, and not the
    /// delay of the line.
    pub iq_complex: Vec<Option<Pair>>,
    /// Rotation of the samples of the sweep after they were measured, in degrees.
    pub applied_rotation_degrees: Option<f64>,
    /// Status of the channel in the tune.
    pub status: Option<String>,
    /// Reason of the status.
    pub reason: Option<String>,
    /// Flags about the surroundings of the resonance.
    pub flags: Vec<Flag>,
}

/// Parameters of the nonlinear model: `(i0 + j q0) (1 - amp e^(j phi)/cos phi / (1 + 2 j y))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NonlinearParams {
    /// Resonance frequency at vanishing power, in hertz.
    pub fr: f64,
    /// Total quality factor.
    #[serde(rename = "Qr")]
    pub qr: f64,
    /// `Qr/Qc`.
    pub amp: f64,
    /// Asymmetry angle, in radians.
    pub phi: f64,
    /// Nonlinearity.
    pub a: f64,
    /// Real part of the gain, in readout counts.
    pub i0: f64,
    /// Imaginary part of the gain, in readout counts.
    pub q0: f64,
}

/// A complex number. It is written as a list of two numbers. Forms in which programs in Python
/// write complex numbers are read too: an object with `real` and `imag`, and text such as
/// `(1+2j)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair(pub Complex64);

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.0.re, self.0.im].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Pair;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a complex number: [re, im], {\"real\", \"imag\"} or \"(re+imj)\"")
            }

            fn visit_f64<E>(self, re: f64) -> Result<Pair, E> {
                Ok(Pair(re.into()))
            }

            fn visit_i64<E>(self, re: i64) -> Result<Pair, E> {
                Ok(Pair((re as f64).into()))
            }

            fn visit_u64<E>(self, re: u64) -> Result<Pair, E> {
                Ok(Pair((re as f64).into()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pair, E> {
                let bare = text.trim().trim_start_matches('(').trim_end_matches(')');
                let read = bare.parse::<Complex64>();
                read.map(Pair)
                    .map_err(|_| E::custom(format!("`{text}` is no complex number")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pair, A::Error> {
                let re = seq.next_element()?;
                let im = seq.next_element()?;
                let more: Option<f64> = seq.next_element()?;
                match (re, im, more) {
                    (Some(re), Some(im), None) => Ok(Pair(Complex64::new(re, im))),
                    _ => Err(de::Error::custom("a complex number has two parts")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pair, A::Error> {
                let (mut re, mut im) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "real" | "re" => re = Some(map.next_value()?),
                        "imag" | "im" => im = Some(map.next_value()?),
                        _ => drop(map.next_value::<de::IgnoredAny>()?),
                    }
                }
                match (re, im) {
                    (Some(re), Some(im)) => Ok(Pair(Complex64::new(re, im))),
                    _ => Err(de::Error::custom("a complex number has `real` and `imag`")),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Returns the phase by which a delay `tau_s`, in seconds, turns samples back over a difference of
/// frequencies, in radians. Zero if the delay is not known.
fn delay_rad(by_hz: f64, tau_s: Option<f64>) -> f64 {
    TAU * by_hz * tau_s.unwrap_or(0.0)
}

/// Reads a complex number, or null.
fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Pair>, D::Error> {
    Option::deserialize(deserializer)
}
