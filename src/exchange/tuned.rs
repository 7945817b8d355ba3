//! Properties of the channels of a capture, from its tune: the run that has set a tone on each
//! resonance.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use twotone_algorithms::ChannelOutcome;
use twotone_hal::{ChannelId, Complex64, ModuleId};

use crate::record::{Manifest, SampleHead, TuneRecord};

/// The tune of a capture, and its run directory.
pub(super) struct CaptureTune {
    run: String,
    record: TuneRecord,
}

/// Properties of the channels of a board, each by the names of the channels.
#[derive(Debug, Default, Serialize)]
pub(super) struct BoardTune {
    tune: Option<String>,
    numbers: BTreeMap<&'static str, BTreeMap<String, u16>>,
    words: BTreeMap<&'static str, BTreeMap<String, String>>,
    values: BTreeMap<&'static str, BTreeMap<String, f64>>,
    frequencies: BTreeMap<&'static str, BTreeMap<String, f64>>,
    complex: BTreeMap<&'static str, BTreeMap<String, [f64; 2]>>,
}

/// Reads the tune that the manifest of a capture names. Returns a doubt if it cannot be read.
pub(super) fn tune_of(manifest: &Manifest) -> (Option<CaptureTune>, Option<String>) {
    let Some(run) = manifest
        .parameters
        .get("tune")
        .and_then(|tune| tune.as_str())
    else {
        return (None, None);
    };
    match TuneRecord::read(PathBuf::from(run)) {
        Ok(record) => {
            let run = run.to_owned();
            (Some(CaptureTune { run, record }), None)
        }
        Err(error) => {
            let doubt = format!("the properties of the tune are not in the result: {error}");
            (None, Some(doubt))
        }
    }
}

/// Returns the origin of a capture, by the names of the frame's keys.
pub(super) fn origin(manifest: &Manifest) -> BTreeMap<&'static str, String> {
    let entries = [
        ("ObservationStart", Some(manifest.started.to_string())),
        ("ObservationStop", Some(manifest.ended.to_string())),
        ("TwotoneVersion", Some(manifest.twotone_version.clone())),
        ("Command", Some(manifest.command.join(" "))),
        ("Host", Some(manifest.host.clone())),
        ("Note", manifest.note.clone()),
        ("HardwareMapSHA256", Some(manifest.map.sha256.clone())),
    ];
    let known = entries.into_iter();
    known
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

impl BoardTune {
    /// Makes the properties of a board without channels.
    pub(super) fn of(tune: Option<&CaptureTune>) -> Self {
        Self {
            tune: tune.map(|tune| tune.run.clone()),
            ..Self::default()
        }
    }

    /// Adds the channels of a module.
    pub(super) fn add(
        &mut self,
        board: &str,
        module: ModuleId,
        names: &[(ChannelId, String)],
        head: &SampleHead,
        tune: Option<&CaptureTune>,
    ) {
        for (channel, name) in names {
            let mut number = |key, value| {
                let all = self.numbers.entry(key).or_default();
                all.insert(name.clone(), value);
            };
            number("Module", u16::from(module.number()));
            number("Channel", channel.number());
            if let Some(id) = head.detectors.get(channel) {
                let all = self.words.entry("DetectorId").or_default();
                all.insert(name.clone(), id.clone());
            }
        }
        let Some(tune) = tune.and_then(|tune| tune.record.module(board, module)) else {
            return;
        };
        for outcome in &tune.channel {
            let mut named = names.iter();
            if let Some((_, name)) = named.find(|(channel, _)| *channel == outcome.channel) {
                self.add_outcome(name, outcome);
            }
        }
        for detector in &tune.detector {
            let status = self.words.entry("DetectorStatus").or_default();
            status.insert(detector.id.clone(), detector.status.as_str().to_owned());
            let expected = self.frequencies.entry("ExpectedFrequency").or_default();
            expected.insert(detector.id.clone(), detector.expected_hz);
        }
    }

    fn add_outcome(&mut self, name: &str, outcome: &ChannelOutcome) {
        let frequencies = [
            ("ToneFrequency", Some(outcome.tone_hz)),
            ("NCOFrequency", Some(outcome.nco_hz)),
            ("ResonanceFrequency", outcome.fr_hz),
        ];
        put(&mut self.frequencies, name, frequencies);
        let values = [
            ("ToneAmplitude", Some(outcome.amplitude)),
            ("TonePhase", outcome.phase_rad),
            ("QualityFactor", outcome.qr),
            ("CouplingQualityFactor", outcome.qc),
            ("InternalQualityFactor", outcome.qi),
            ("Asymmetry", outcome.phi_rad),
            ("Nonlinearity", outcome.a),
            ("Detuning", outcome.y),
        ];
        put(&mut self.values, name, values);
        let calibration = outcome.calibration.as_ref();
        let complex = |value: Complex64| [value.re, value.im];
        let calibrations = [
            ("CountsPerHz", calibration.map(|one| complex(one.d))),
            ("CountsAtTune", calibration.map(|one| complex(one.z0))),
            ("LineGain", calibration.map(|one| complex(one.line))),
        ];
        put(&mut self.complex, name, calibrations);
        let status = format!("{:?}", outcome.status).to_lowercase();
        let all = self.words.entry("TuneStatus").or_default();
        all.insert(name.to_owned(), status);
    }
}

fn put<T, const N: usize>(
    maps: &mut BTreeMap<&'static str, BTreeMap<String, T>>,
    name: &str,
    values: [(&'static str, Option<T>); N],
) {
    for (key, value) in values {
        if let Some(value) = value {
            maps.entry(key).or_default().insert(name.to_owned(), value);
        }
    }
}
