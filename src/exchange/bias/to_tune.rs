//! Tunes of bias dictionaries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Deserialize;
use serde_json::Value;
use twotone_algorithms::calibration::Calibration;
use twotone_algorithms::fit::{Fit, FitStatus};
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{
    ChannelOutcome, ChannelStatus, Geometry, Reason, RefitOutcome, Sweep, refit,
};
use twotone_hal::{ChannelId, Complex64, ModuleId};

use super::{
    Bias, BiasBoard, BiasFile, BiasModule, DOWNWARD, FORMAT, TONE_GRID_HZ, VERSION, delay_rad,
};
use crate::campaign::CampaignParams;
use crate::campaign::detectors::identify_among;
use crate::map::HardwareMap;
use crate::record::{DetectorStatus, DetectorTune, ModuleTune};

/// Board and module of a dictionary that does not name them, as `bias_kids` returns it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Name of the board in the map.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// Frequency of the NCO, in hertz, if it is known.
    pub nco_hz: Option<f64>,
}

/// Tune of a module of a bias dictionary, with its sweeps.
#[derive(Debug, Clone, PartialEq)]
pub struct BiasedModule {
    /// The tune.
    pub tune: ModuleTune,
    /// The fine sweeps of the dictionary, without the phase of each carrier.
    pub sweeps: Vec<Sweep>,
}

impl BiasFile {
    /// Reads bias dictionaries from JSON: a file that this program has written, or the dictionary
    /// of one module as `bias_kids` returns it. `place` names the module of such a dictionary.
    ///
    /// # Errors
    /// Returns the reason that the text is none of these, that it is of a later version, or that
    /// the module is not known.
    pub fn parse(text: &str, place: Option<Place>) -> Result<Self, String> {
        let text = &without_nan(text);
        let said = |error: serde_json::Error| format!("it is no bias dictionary: {error}");
        // Only these two keys of the file are kept in the first reading.
        #[derive(Deserialize)]
        struct Head {
            format: Option<String>,
            format_version: Option<u32>,
        }
        let head: Head = serde_json::from_str(text).map_err(said)?;
        if head.format.as_deref() == Some(FORMAT) {
            if head.format_version.is_none_or(|version| version > VERSION) {
                return Err(format!(
                    "it is of a format later than {VERSION}, the last one that this twotone knows: \
                     update twotone"
                ));
            }
            return serde_json::from_str(text).map_err(said);
        }
        let detectors: BTreeMap<ChannelId, Bias> = serde_json::from_str(text).map_err(said)?;
        if detectors.is_empty() {
            return Err("it has no detectors".to_owned());
        }
        let Some(place) = place else {
            let why = "it does not name its board and module: name both, with --board and --module";
            return Err(why.to_owned());
        };
        let module = BiasModule {
            nco_hz: place.nco_hz,
            geometry: Geometry::Notch,
            tau_s: None,
            detectors,
        };
        let board = BiasBoard {
            serial: None,
            modules: BTreeMap::from([(place.module, module)]),
        };
        Ok(Self {
            format: FORMAT.to_owned(),
            format_version: VERSION,
            twotone_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: None,
            boards: BTreeMap::from([(place.board, board)]),
        })
    }

    /// Returns the tunes of the modules. Each detector with a sweep is fitted, and the fit gives
    /// its calibration. Sentences about what is not known are added to `doubts`. Takes some
    /// milliseconds for each detector.
    pub fn tunes(
        &self,
        map: &HardwareMap,
        params: &CampaignParams,
        doubts: &mut Vec<String>,
    ) -> Vec<BiasedModule> {
        let mut tunes = Vec::new();
        for (name, board) in &self.boards {
            for (module, biases) in &board.modules {
                let mut doubt =
                    |text: String| doubts.push(format!("{name} module {module}: {text}"));
                let mut one = tune(map, name, *module, biases, params, &mut doubt);
                // A dictionary of rfmux has no start.
                if self.started.is_none() {
                    let warning = "the tones were set by another program";
                    one.tune.warnings.push(warning.to_owned());
                }
                tunes.push(one);
            }
        }
        tunes
    }
}

fn tune(
    map: &HardwareMap,
    board: &str,
    module: ModuleId,
    biases: &BiasModule,
    params: &CampaignParams,
    doubt: &mut dyn FnMut(String),
) -> BiasedModule {
    let mut detectors: BTreeMap<ChannelId, &Bias> = BTreeMap::new();
    for (key, bias) in &biases.detectors {
        let channel = bias.bias_channel.unwrap_or(*key);
        match detectors.entry(channel) {
            Entry::Vacant(place) => {
                place.insert(bias);
            }
            Entry::Occupied(_) => doubt(format!(
                "channel {channel} has two detectors, and the second one is left out"
            )),
        }
    }
    let mut sweeps: Vec<Sweep> = Vec::new();
    for (channel, bias) in &detectors {
        match sweep(*channel, bias, biases.tau_s) {
            Ok(sweep) => sweeps.push(sweep),
            Err(why) => doubt(format!(
                "channel {channel} has no fit and no calibration: {why}"
            )),
        }
    }
    let highest_hz = sweeps.iter().flat_map(|sweep| &sweep.frequency_hz);
    let highest_hz = highest_hz.copied().fold(0.0, f64::max);
    let params = params.for_refit(highest_hz, Some(biases.geometry), biases.tau_s);
    let fits = refit(None, &sweeps, &params);
    if biases.nco_hz.is_none() {
        doubt("the frequency of the NCO is not known, and is 0 in the tune".to_owned());
    }
    let nco_hz = biases.nco_hz.unwrap_or(0.0);
    let mut channel: Vec<ChannelOutcome> = Vec::new();
    for (of, bias) in &detectors {
        match outcome(module, nco_hz, *of, bias, &fits) {
            Some(known) => channel.push(known),
            None => doubt(format!(
                "channel {of} has no frequency or no amplitude, and is left out"
            )),
        }
    }
    let own: Vec<DetectorTune> = channel
        .iter()
        .filter_map(|tone| {
            let bias = detectors.get(&tone.channel)?;
            Some(DetectorTune {
                id: bias.detector.clone()?,
                module,
                expected_hz: bias.original_center_frequency.unwrap_or(tone.tone_hz),
                status: match tone.status {
                    ChannelStatus::Tuned => DetectorStatus::Tuned,
                    ChannelStatus::Failed => DetectorStatus::Failed,
                },
                channel: Some(tone.channel),
                fr_hz: tone.fr_hz,
            })
        })
        .collect();
    // The map names the detectors that the dictionary does not name.
    let mut detector = identify_among(map, board, module, &channel, &[]);
    let named = |one: &DetectorTune| {
        own.iter()
            .any(|own| own.id == one.id || (own.channel == one.channel && one.channel.is_some()))
    };
    detector.retain(|one| !named(one));
    detector.extend(own);
    let tune = ModuleTune {
        board: board.to_owned(),
        module,
        epoch: None,
        phase_epoch: None,
        geometry: params.geometry,
        nco_hz,
        tau_s: biases.tau_s,
        delay_status: None,
        join_status: None,
        find_status: None,
        warnings: fits.warnings,
        not_toned: Vec::new(),
        detector,
        channel,
        reference: Vec::new(),
    };
    BiasedModule { tune, sweeps }
}

/// Returns the frequency of the tone of a detector, in hertz. `None` if it is not known.
fn tone_hz(bias: &Bias) -> Option<f64> {
    let asked = bias.bias_frequency.or(bias.original_center_frequency);
    let on_grid = asked.map(|hz| (hz / TONE_GRID_HZ).round() * TONE_GRID_HZ);
    bias.tone_frequency.or(on_grid)
}

/// Returns the sweep of a detector as it was measured: without the phase of its carrier and without
/// a later rotation, with the delay of the line.
///
/// # Errors
/// Returns the reason that the detector has no sweep.
fn sweep(channel: ChannelId, bias: &Bias, tau_s: Option<f64>) -> Result<Sweep, String> {
    let (points, samples) = (bias.frequencies.len(), bias.iq_complex.len());
    if points != samples {
        return Err(format!("it has {points} frequencies and {samples} samples"));
    }
    let carrier = bias.carrier_phase_degrees.unwrap_or(0.0);
    let turned = (bias.applied_rotation_degrees.unwrap_or(0.0) + carrier).to_radians();
    let about_hz = tone_hz(bias).unwrap_or(0.0);
    let points = bias.frequencies.iter().zip(&bias.iq_complex);
    let points = points.filter_map(|(f_hz, z)| {
        let (f_hz, z) = ((*f_hz)?, (*z)?.0);
        let turned = turned + delay_rad(f_hz - about_hz, tau_s);
        Some((f_hz, z * Complex64::cis(-turned)))
    });
    let (frequency_hz, z): (Vec<f64>, Vec<Complex64>) = points.unzip();
    if z.is_empty() {
        return Err("it has no sweep".to_owned());
    }
    let down = bias.sweep_direction.as_deref() == Some(DOWNWARD);
    Ok(Sweep {
        channel,
        direction: if down { Direction::Down } else { Direction::Up },
        frequency_hz,
        z,
        amplitude: bias.sweep_amplitude.unwrap_or(0.0),
        noise: None,
    })
}

/// Returns JSON without the numbers that JSON does not have, which Python writes nevertheless: each
/// becomes null.
fn without_nan(text: &str) -> Cow<'_, str> {
    const NONE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !NONE[1..].iter().any(|name| text.contains(name)) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut is_text) = (text, false);
    while let Some(next) = rest.chars().next() {
        let name = NONE
            .iter()
            .find(|name| !is_text && rest.starts_with(**name));
        let taken = match (name, next) {
            (Some(name), _) => name.len(),
            // An escaped character does not end a text.
            (None, '\\') if is_text => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, next) => next.len_utf8(),
        };
        is_text ^= next == '"';
        plain.push_str(match name {
            Some(_) => "null",
            None => &rest[..taken],
        });
        rest = &rest[taken..];
    }
    plain.into()
}

/// Returns the channel of a detector. `None` if its tone is not known.
fn outcome(
    module: ModuleId,
    nco_hz: f64,
    channel: ChannelId,
    bias: &Bias,
    fits: &RefitOutcome,
) -> Option<ChannelOutcome> {
    let tone_hz = tone_hz(bias)?;
    let amplitude = bias.tone_amplitude.or(bias.sweep_amplitude)?;
    let line = fits.lines.iter().find(|line| line.channel == Some(channel));
    let fit = line.map_or_else(
        || Fit::failed(FitStatus::TooFewPoints, Direction::Up),
        |line| line.fit,
    );
    let is_good = fit.status.is_success();
    let carrier = bias.carrier_phase_degrees.map(f64::to_radians);
    let rotation_rad = bias.optimal_phase_degrees.unwrap_or(0.0).to_radians();
    // The fit holds for the power of the sweep.
    let same_power = bias.sweep_amplitude == Some(amplitude);
    let calibration = (is_good && same_power).then(|| Calibration::at(&fit.model, tone_hz));
    // The fit is to samples without the carrier, whose phase is a part of the rotation.
    let calibration = calibration.flatten().map(|one| Calibration {
        rotation_rad,
        ..one.rotated(rotation_rad - carrier.unwrap_or(0.0))
    });
    let reason = match fit.status {
        _ if bias.bias_successful == Some(false) => {
            let reason = bias.reason.clone().map(Value::from);
            let reason = reason.and_then(|reason| serde_json::from_value(reason).ok());
            reason
                .filter(|reason| *reason != Reason::Ok)
                .unwrap_or(Reason::NotPlaced)
        }
        FitStatus::Success if calibration.is_none() => Reason::NotPlaced,
        FitStatus::Success => Reason::Ok,
        failed => Reason::Fit(failed),
    };
    let fitted = |value: f64| is_good.then_some(value);
    let known = |value: Option<f64>| value.filter(|_| is_good);
    Some(ChannelOutcome {
        module,
        channel,
        status: match reason {
            Reason::Ok => ChannelStatus::Tuned,
            _ => ChannelStatus::Failed,
        },
        reason,
        flags: bias.flags.clone(),
        tone_hz,
        nco_hz,
        amplitude,
        phase_rad: carrier,
        fr_hz: fitted(fit.fr_hz),
        qr: fitted(fit.qr),
        qc: known(fit.qc),
        qi: known(fit.qi),
        phi_rad: known(fit.phi_rad),
        a: fitted(fit.a),
        y: None,
        rounding_hz: bias.bias_frequency.map_or(0.0, |asked| tone_hz - asked),
        offset_lw: None,
        calibration,
        fit,
    })
}
