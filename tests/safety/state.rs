//! Settings of a module, and their comparison.

use std::collections::BTreeMap;

use serde_json::Value;
use twotone::hal::{Hertz, ToneState};

/// Tones of a module that are on, by channel, and the frequency of its NCO (oscillator) in Hz.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) tones: BTreeMap<u16, ToneState>,
    pub(crate) nco_hz: f64,
}

impl State {
    pub(crate) fn new(tones: &[ToneState], nco: Hertz) -> Self {
        let on = tones.iter().filter(|tone| tone.is_on());
        Self {
            tones: on.map(|tone| (tone.channel.number(), *tone)).collect(),
            nco_hz: nco.0,
        }
    }

    /// True if a channel has the same tone in both states. If the tone is off in both states, its
    /// other settings do not matter.
    pub(crate) fn agrees(&self, other: &Self, channel: u16) -> bool {
        match (self.tones.get(&channel), other.tones.get(&channel)) {
            (None, None) => true,
            (Some(one), Some(other_tone)) => {
                let near = |one: Option<f64>, other: Option<f64>, within: f64| {
                    (one.unwrap_or(0.0) - other.unwrap_or(0.0)).abs() < within
                };
                let hertz = |tone: &ToneState| tone.offset.map(|offset| offset.0);
                let angles = |tone: &ToneState| [tone.phase, tone.rotation].map(|p| p.map(|p| p.0));
                let same_angles = angles(one).into_iter().zip(angles(other_tone));
                near(one.amplitude, other_tone.amplitude, 1e-4)
                    && near(hertz(one), hertz(other_tone), 1.0)
                    && same_angles
                        .into_iter()
                        .all(|(one, other)| near(one, other, 1e-3))
                    && (self.nco_hz - other.nco_hz).abs() < 1.0
            }
            _ => false,
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        let mut channels = self.tones.keys().chain(other.tones.keys());
        channels.all(|channel| self.agrees(other, *channel))
    }
}

/// Returns the amplitude, and the frequency in Hz, of each tone that the tuning algorithm reports
/// as left on, by channel.
pub(crate) fn toned(tune: &Value) -> Option<BTreeMap<u16, (f64, f64)>> {
    let channels = tune["channels"].as_array()?;
    let references = tune["references"].as_array()?;
    let tone = |one: &Value| {
        let amplitude = one["amplitude"].as_f64().expect("an amplitude");
        let hertz = one["tone_hz"].as_f64().expect("a frequency");
        let channel = one["channel"].as_u64().expect("a channel");
        (
            u16::try_from(channel).expect("a channel"),
            (amplitude, hertz),
        )
    };
    let tones = channels.iter().chain(references).map(tone);
    Some(
        tones
            .filter(|(_, (amplitude, _))| *amplitude > 0.0)
            .collect(),
    )
}

impl State {
    /// True if a channel is as the tuning algorithm reports it. `tune` is from [`toned`].
    pub(crate) fn agrees_with_tune(&self, tune: &BTreeMap<u16, (f64, f64)>, channel: u16) -> bool {
        match (self.tones.get(&channel), tune.get(&channel)) {
            (None, None) => true,
            (Some(is), Some((amplitude, hertz))) => {
                let offset = is.offset.map_or(0.0, |offset| offset.0);
                (is.amplitude.unwrap_or(0.0) - amplitude).abs() < 1e-4
                    && (self.nco_hz + offset - hertz).abs() < 1.0
            }
            _ => false,
        }
    }
}

/// Returns the part of a result that noise does not change: statuses, reasons and the lengths of
/// lists.
pub(crate) fn shape(value: &Value) -> Value {
    match value {
        Value::Number(_) => Value::from(0),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            Value::Object(fields.map(|(key, one)| (key.clone(), shape(one))).collect())
        }
        other => other.clone(),
    }
}

/// Returns a message about the first number that differs by more than noise from the result of a
/// run without a fault. `None` if there is no such number. Both results must have the same
/// [`shape`].
///
/// Numbers of one kind, such as the samples of a sweep, have the same path in the result. Their
/// noise is small compared with the largest of them. If a setting is lost in the middle of a sweep,
/// some of these numbers change by far more.
pub(crate) fn difference(value: &Value, quiet: &Value) -> Option<String> {
    let mut numbers = BTreeMap::<String, Vec<(f64, f64)>>::new();
    gather(value, quiet, String::new(), &mut numbers);
    numbers.into_iter().find_map(|(path, numbers)| {
        if path.split('.').any(|part| NOISE.contains(&part)) {
            return None;
        }
        let scale = numbers
            .iter()
            .fold(0.0_f64, |most, (_, quiet)| most.max(quiet.abs()));
        let odd = numbers.iter().position(|(is, quiet)| {
            let off = (is - quiet).abs();
            off.is_nan() || off > NOISE_SHARE * scale
        })?;
        let (is, quiet) = numbers[odd];
        Some(format!("{path}, number {odd}, is {is} and was {quiet}"))
    })
}

/// Largest noise of a number, as a share of the largest number of its kind.
const NOISE_SHARE: f64 = 0.05;

/// Names of the fields that are not compared: noise, counts of changes, and phases, which change
/// with each setting of the NCO.
const NOISE: &[&str] = &[
    "epoch",
    "errors",
    "noise",
    "offset_lw",
    "phase_epoch",
    "phase_rad",
    "reduced_chi2",
    "relative_noise",
    "residual_over_diameter",
    "residual_rms",
    "residual_slope_rad",
    "rotation_rad",
    "slope_per_hz",
    "y",
];

fn gather(
    value: &Value,
    quiet: &Value,
    path: String,
    into: &mut BTreeMap<String, Vec<(f64, f64)>>,
) {
    match (value, quiet) {
        // Only the size of a complex number is compared: its phase changes with each setting of the
        // NCO.
        (Value::Array(values), Value::Array(quiets))
            if values.len() == 2 && quiets.len() == 2 && values[0].is_f64() =>
        {
            let size = |one: &[Value]| Some(one[0].as_f64()?.hypot(one[1].as_f64()?));
            if let (Some(value), Some(quiet)) = (size(values), size(quiets)) {
                into.entry(path).or_default().push((value, quiet));
            }
        }
        (Value::Array(values), Value::Array(quiets)) => {
            for (value, quiet) in values.iter().zip(quiets) {
                gather(value, quiet, format!("{path}.[]"), into);
            }
        }
        (Value::Object(values), Value::Object(quiets)) => {
            for (key, value) in values {
                gather(value, &quiets[key], format!("{path}.{key}"), into);
            }
        }
        (Value::Number(value), Value::Number(quiet)) => {
            let both = (value.as_f64(), quiet.as_f64());
            if let (Some(value), Some(quiet)) = both {
                into.entry(path).or_default().push((value, quiet));
            }
        }
        _ => {}
    }
}
