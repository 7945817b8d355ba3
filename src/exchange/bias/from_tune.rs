//! Bias dictionaries of a tune.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;
use twotone_algorithms::delay::DelayStatus;
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{ChannelOutcome, ChannelStatus, Geometry, Sweep};
use twotone_hal::{ChannelId, Complex64};
use twotone_transport::CrsBoard;

use super::{
    Bias, BiasBoard, BiasFile, BiasModule, FORMAT, NonlinearParams, Pair, VERSION, delay_rad,
};
use crate::fits::{FitSource, fine_sweeps};
use crate::record::{Manifest, ModuleTune, RecordError, TuneRecord, folder_of, publish_new};

impl BiasFile {
    /// Returns the bias dictionaries of the tune in the run directory `run`, with the fine sweeps
    /// that the run has. Sentences about what is missing are added to `doubts`.
    ///
    /// # Errors
    /// As [`TuneRecord::read`] and [`Manifest::read`].
    pub fn of_run(run: impl AsRef<Path>, doubts: &mut Vec<String>) -> Result<Self, RecordError> {
        let run = run.as_ref();
        let tune = TuneRecord::read(run)?;
        let manifest = Manifest::read(run)?;
        let mut boards: BTreeMap<String, BiasBoard> = BTreeMap::new();
        let sweeps = match FitSource::read(run, None) {
            Ok(sweeps) => {
                doubts.extend(sweeps.doubts);
                sweeps.tables
            }
            Err(error) => {
                doubts.push(format!("the entries have no sweeps: {error}"));
                Vec::new()
            }
        };
        for module in tune.modules() {
            let table = sweeps.iter().find(|table| table.board == module.board);
            let points = table.into_iter().flat_map(|table| table.sweeps.points());
            let points = points.filter(|point| point.head.module == module.module);
            let fine = fine_sweeps(&points.collect::<Vec<_>>());
            // The upward sweep of a channel, which is the one that was fitted, comes first. It
            // replaces the downward sweep here.
            let fine = fine.into_iter().rev();
            let fine: BTreeMap<ChannelId, Sweep> =
                fine.map(|sweep| (sweep.channel, sweep)).collect();
            let board = boards.entry(module.board.clone()).or_default();
            let mut records = manifest.boards.iter();
            let record = records.find(|record| record.name == module.board);
            board.serial = record.and_then(|record| record.serial.clone());
            board
                .modules
                .insert(module.module, of_module(module, &fine));
        }
        Ok(Self {
            format: FORMAT.to_owned(),
            format_version: VERSION,
            twotone_version: manifest.twotone_version,
            started: Some(manifest.started.to_string()),
            boards,
        })
    }

    /// Writes the dictionaries as JSON to a new file. The file appears complete or not at all.
    ///
    /// # Errors
    /// [`RecordError::Exists`] if there is something at `path`, [`RecordError::Io`] if the file
    /// cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), RecordError> {
        let path = path.as_ref();
        let write = || -> io::Result<NamedTempFile> {
            // By default, only its owner can read a temporary file.
            let mut file = tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(folder_of(path))?;
            let mut writer = BufWriter::new(&mut file);
            serde_json::to_writer(&mut writer, self)?;
            writer.flush()?;
            drop(writer);
            Ok(file)
        };
        publish_new(write().map_err(RecordError::io("write", path))?, path)
    }

    /// Returns the number of detectors with a tone, and the number of all detectors.
    pub fn counts(&self) -> (usize, usize) {
        let modules = self
            .boards
            .values()
            .flat_map(|board| board.modules.values());
        let all = || modules.clone().flat_map(|module| module.detectors.values());
        let good = all().filter(|bias| bias.bias_successful == Some(true));
        (good.count(), all().count())
    }
}

fn of_module(tune: &ModuleTune, fine: &BTreeMap<ChannelId, Sweep>) -> BiasModule {
    // A delay whose measurement failed would mislead the reader.
    let is_measured = tune.delay_status.is_none_or(DelayStatus::is_success);
    let tau_s = tune.tau_s.filter(|_| is_measured);
    let named = |channel| {
        let mut detectors = tune.detector.iter();
        let found = detectors.find(|one| one.channel == Some(channel));
        found.map(|one| one.id.clone())
    };
    let detectors = tune.channel.iter().map(|channel| {
        let id = channel.channel;
        (id, of_channel(channel, named(id), fine.get(&id), tau_s))
    });
    BiasModule {
        nco_hz: Some(tune.nco_hz),
        geometry: tune.geometry,
        tau_s,
        detectors: detectors.collect(),
    }
}

fn of_channel(
    channel: &ChannelOutcome,
    detector: Option<String>,
    fine: Option<&Sweep>,
    tau_s: Option<f64>,
) -> Bias {
    let carrier = channel.phase_rad.unwrap_or(0.0);
    let calibration = channel.calibration.as_ref();
    // A tone that rises by 1 Hz changes the sample as much as a resonance that falls by 1 Hz.
    let hz_per_volt = calibration.map(|one| (one.d * CrsBoard::VOLTS_PER_COUNT).inv());
    let rotation = calibration.map(|one| one.rotation_rad);
    let fit = &channel.fit;
    let is_good = fit.status.is_success();
    // The fits of rfmux know no delay.
    let turn = |f_hz: f64| carrier + delay_rad(f_hz - channel.tone_hz, tau_s);
    let gain = fit.model.line(fit.fr_hz) * Complex64::cis(turn(fit.fr_hz));
    let nonlinear = fit.qc.zip(fit.phi_rad).map(|(qc, phi)| NonlinearParams {
        fr: fit.fr_hz,
        qr: fit.qr,
        amp: fit.qr / qc,
        phi,
        a: fit.a,
        i0: gain.re,
        q0: gain.im,
    });
    // The model of rfmux is that of notches.
    let nonlinear = nonlinear.filter(|_| is_good && fit.model.geometry == Geometry::Notch);
    let samples = fine
        .into_iter()
        .flat_map(|fine| fine.frequency_hz.iter().zip(&fine.z));
    let samples = samples.map(|(f_hz, z)| Some(Pair(z * Complex64::cis(turn(*f_hz)))));
    Bias {
        detector,
        bias_channel: Some(channel.channel),
        bias_frequency: Some(channel.tone_hz),
        bias_frequency_source: Some("nonlinear".to_owned()),
        tone_frequency: Some(channel.tone_hz),
        original_center_frequency: channel.fr_hz.or(Some(channel.tone_hz)),
        tone_amplitude: Some(channel.amplitude),
        // The tone of a bifurcated resonator was lowered after its sweep.
        sweep_amplitude: Some(channel.amplitude).filter(|_| !fit.bifurcated),
        sweep_direction: fine.map(|fine| direction(fine.direction).to_owned()),
        bias_successful: Some(channel.status == ChannelStatus::Tuned),
        bifurcation_suspected: Some(fit.bifurcated),
        optimal_phase_degrees: rotation.map(|rad| rad.to_degrees().rem_euclid(360.0)),
        carrier_phase_degrees: channel.phase_rad.map(f64::to_degrees),
        df_calibration: hz_per_volt.map(Pair),
        df_calibration_source: hz_per_volt.map(|_| "fit".to_owned()),
        nonlinear_fit_success: Some(nonlinear.is_some()),
        nonlinear_fit_params: nonlinear,
        frequencies: fine.map_or_else(Vec::new, |fine| {
            fine.frequency_hz.iter().copied().map(Some).collect()
        }),
        iq_complex: samples.collect(),
        applied_rotation_degrees: Some(0.0),
        status: Some(channel.status.as_str().to_owned()),
        reason: Some(channel.reason.as_str().to_owned()),
        flags: channel.flags.clone(),
    }
}

/// Returns the name of a direction in bias dictionaries.
fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "upward",
        Direction::Down => super::DOWNWARD,
    }
}
