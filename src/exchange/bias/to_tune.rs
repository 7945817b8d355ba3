//! Tunes of bias dictionaries.

use std::collections::BTreeMap;

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
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value.get("format").is_some_and(|format| format == FORMAT) {
            let version = value.get("format_version").and_then(Value::as_u64);
            if version.is_none_or(|version| version > VERSION.into()) {
                return Err(format!(
                    "it is of a format later than {VERSION}, the last one that this twotone knows: \
                     update twotone"
                ));
            }
            // The text is read again, because only then do errors have their lines.
            return serde_json::from_str(text).map_err(|error| error.to_string());
        }
        let detectors: BTreeMap<ChannelId, Bias> = serde_json::from_str(text)
            .map_err(|error| format!("it is no bias dictionary: {error}"))?;
        if detectors.is_empty() {
            return Err("it has no detectors".to_owned());
        }
        let Some(place) = place else {
            let why = "it does not name its board and module: name them with --board and --module";
            return Err(why.to_owned());
        };
        let module = BiasModule {
            nco_hz: place.nco_hz,
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
    pub fn tunes(&self, params: &CampaignParams, doubts: &mut Vec<String>) -> Vec<BiasedModule> {
        let mut tunes = Vec::new();
        for (name, board) in &self.boards {
            for (module, biases) in &board.modules {
                let mut doubt =
                    |text: String| doubts.push(format!("{name} module {module}: {text}"));
                tunes.push(tune(name, *module, biases, params, &mut doubt));
            }
        }
        tunes
    }
}

fn tune(
    board: &str,
    module: ModuleId,
    biases: &BiasModule,
    params: &CampaignParams,
    doubt: &mut dyn FnMut(String),
) -> BiasedModule {
    let detectors = || biases.detectors.iter();
    let sweeps: Vec<Sweep> = detectors()
        .filter_map(|(key, bias)| sweep(*key, bias, biases.tau_s))
        .collect();
    let highest_hz = sweeps.iter().flat_map(|sweep| &sweep.frequency_hz);
    let highest_hz = highest_hz.copied().fold(0.0, f64::max);
    // A dictionary has no geometry: rfmux knows only notches.
    let params = params.for_refit(highest_hz, Some(Geometry::Notch), biases.tau_s);
    let fits = refit(None, &sweeps, &params);
    if sweeps.len() < biases.detectors.len() {
        let without = biases.detectors.len() - sweeps.len();
        doubt(format!(
            "{without} detectors have no sweep, and so no fit and no calibration"
        ));
    }
    if biases.nco_hz.is_none() {
        doubt("the frequency of the NCO is not known, and is 0 in the tune".to_owned());
    }
    let nco_hz = biases.nco_hz.unwrap_or(0.0);
    let channel: Vec<ChannelOutcome> = detectors()
        .filter_map(|(key, bias)| {
            let mut known = outcome(module, nco_hz, *key, bias, &fits);
            if known.is_none() {
                doubt(format!(
                    "the detector {key} has no frequency or no amplitude, and is left out"
                ));
            }
            known.take()
        })
        .collect();
    let detector = detectors().filter_map(|(key, bias)| {
        let of = bias.bias_channel.unwrap_or(*key);
        let tone = channel.iter().find(|one| one.channel == of)?;
        Some(DetectorTune {
            id: bias.detector.clone()?,
            module,
            expected_hz: bias.original_center_frequency.unwrap_or(tone.tone_hz),
            status: match tone.status {
                ChannelStatus::Tuned => DetectorStatus::Tuned,
                ChannelStatus::Failed => DetectorStatus::Failed,
            },
            channel: Some(of),
            fr_hz: tone.fr_hz,
        })
    });
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
        warnings: vec!["the tones were set by another program".to_owned()],
        not_toned: Vec::new(),
        detector: detector.collect(),
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
fn sweep(key: ChannelId, bias: &Bias, tau_s: Option<f64>) -> Option<Sweep> {
    let points = bias.frequencies.len().min(bias.iq_complex.len());
    let carrier = bias.carrier_phase_degrees.unwrap_or(0.0);
    let turned = bias.applied_rotation_degrees.unwrap_or(0.0) + carrier;
    let about_hz = tone_hz(bias).unwrap_or(0.0);
    let samples = bias.frequencies.iter().zip(&bias.iq_complex);
    let samples = samples.map(|(f_hz, z)| {
        let turned = turned.to_radians() + delay_rad(f_hz - about_hz, tau_s);
        z.0 * Complex64::cis(-turned)
    });
    let down = bias.sweep_direction.as_deref() == Some(DOWNWARD);
    (points > 0).then(|| Sweep {
        channel: bias.bias_channel.unwrap_or(key),
        direction: if down { Direction::Down } else { Direction::Up },
        frequency_hz: bias.frequencies[..points].to_vec(),
        z: samples.collect(),
        amplitude: bias.sweep_amplitude.unwrap_or(0.0),
        noise: None,
    })
}

/// Returns the channel of a detector. `None` if its tone is not known.
fn outcome(
    module: ModuleId,
    nco_hz: f64,
    key: ChannelId,
    bias: &Bias,
    fits: &RefitOutcome,
) -> Option<ChannelOutcome> {
    let channel = bias.bias_channel.unwrap_or(key);
    let tone_hz = tone_hz(bias)?;
    let amplitude = bias.sweep_amplitude?;
    let line = fits.lines.iter().find(|line| line.channel == Some(channel));
    let fit = line.map_or_else(
        || Fit::failed(FitStatus::TooFewPoints, Direction::Up),
        |line| line.fit,
    );
    let is_good = fit.status.is_success();
    let carrier = bias.carrier_phase_degrees.map(f64::to_radians);
    let rotation_rad = bias.optimal_phase_degrees.unwrap_or(0.0).to_radians();
    let calibration = is_good.then(|| Calibration::at(&fit.model, tone_hz));
    // The fit is to samples without the carrier, whose phase is a part of the rotation.
    let calibration = calibration.flatten().map(|one| Calibration {
        rotation_rad,
        ..one.rotated(rotation_rad - carrier.unwrap_or(0.0))
    });
    let reason = match fit.status {
        _ if bias.bias_successful == Some(false) => Reason::NotPlaced,
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
