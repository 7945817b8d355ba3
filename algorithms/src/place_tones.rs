//! Placement of tones on fitted resonances, and calibration of their samples.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};
use twotone_hal::{BoardHandle, ChannelId, Epoch, ErrorKind, ModuleId, PhaseEpoch, Result};

use crate::calibration::Calibration;
use crate::placement::{Placement, PlacementParams, place};
use crate::progress::Stage;
use crate::resonator::{Direction, Resonator, pulled_detuning};
use crate::session::{InputFlags, Means, Session, Tone, bad_points_warning, carrier_phase};

/// Name of the operation in errors.
const OPERATION: &str = "placing tones";

/// Tone to set. The tone at index `i` of a list of targets gets channel `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToneTarget {
    /// Resonator of the tone. It must be fitted to samples of this module at this amplitude, and
    /// the phase reference must not have changed since ([`PhaseEpoch`]). `None` for a tone at
    /// `otherwise_hz`.
    pub resonator: Option<Resonator>,
    /// Absolute frequency, in hertz, of a tone without a resonator, or with a resonator whose
    /// numbers are not finite.
    pub otherwise_hz: f64,
    /// Amplitude, as a fraction of full scale.
    pub amplitude: f64,
}

/// Tone that was set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedTone {
    /// The channel.
    pub channel: ChannelId,
    /// Absolute frequency, rounded as the board rounds it, in hertz.
    pub tone_hz: f64,
    /// Amplitude, as a fraction of full scale.
    pub amplitude: f64,
    /// Phase of the carrier as set, in radians.
    pub phase_rad: f64,
    /// Position on the resonator. `None` without a resonator, or if the resonator's numbers are
    /// not finite.
    pub placement: Option<Placement>,
    /// Detuning at which the tone was placed, including the pull of [`crate::resonator`], in
    /// linewidths. `None` if `placement` is.
    pub y: Option<f64>,
    /// Shift of the resonance from its fitted frequency, in linewidths, as the samples at the tone
    /// show it. Its cause is a real shift since the fit, or an error of the fit. `None` if it
    /// cannot be calculated.
    pub offset_lw: Option<f64>,
    /// Calibration of the samples, in readout counts, with the rotation that the board has now.
    /// `None` if the tone was not placed on a resonator, or cannot be calibrated.
    pub calibration: Option<Calibration>,
    /// Mean sample, in readout counts, with the rotation that the board has now.
    pub z0: Complex64,
}

/// Tones that were set and calibrated. The result is valid for one [`PhaseEpoch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaceOutcome {
    /// The module.
    pub module: ModuleId,
    /// Epoch of the board in which the result is valid.
    pub epoch: Epoch,
    /// Phase epoch (period of one phase reference) in which the calibrations are valid.
    pub phase_epoch: PhaseEpoch,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// One entry for each target.
    pub tones: Vec<PlacedTone>,
    /// True if a converter was over its range.
    pub overrange: bool,
    /// True if an input was over its voltage limit.
    pub overvoltage: bool,
    /// Number of tones whose mean sample is not a finite number, even after a second measurement.
    pub bad_points: usize,
}

impl PlaceOutcome {
    /// Returns the warnings about this result, a sentence each; empty if there are none.
    pub fn warnings(&self) -> Vec<String> {
        let flags = InputFlags {
            overrange: self.overrange,
            overvoltage: self.overvoltage,
        };
        let bad = bad_points_warning(self.bad_points, "the calibration");
        flags
            .warnings("while the tones were calibrated")
            .chain(bad)
            .collect()
    }
}

/// Sets tones on their resonators and calibrates their samples. The NCO is not changed.
///
/// The tone of a strongly driven resonator approaches it from a higher frequency. `samples` samples
/// are measured at each tone. The rotation of each channel is then set so that a shift of its
/// resonance changes the real part of its samples.
///
/// All other tones of the module are switched off. The tones stay on.
///
/// # Errors
/// If parameters are out of range, if there are more targets than channels, if a tone is beyond the
/// NCO's reach, or if the comb exceeds full scale or a limit of the module. In these cases nothing
/// is set on the board. Also the errors of the board.
#[tworoutine::tworoutine(Send)]
pub async fn place_tones(
    board: &BoardHandle,
    module: ModuleId,
    targets: &[ToneTarget],
    samples: u32,
    params: &PlacementParams,
) -> Result<PlaceOutcome> {
    let mut session = Session::open(board, module, &()).await?;
    place_in(&mut session, targets, samples, params).await
}

pub(crate) async fn place_in(
    session: &mut Session<'_>,
    targets: &[ToneTarget],
    samples: u32,
    params: &PlacementParams,
) -> Result<PlaceOutcome> {
    let geometries = targets.iter().filter_map(|target| target.resonator);
    let of_geometry = || {
        geometries
            .map(|one| one.geometry)
            .find_map(|one| params.problem_for(one))
    };
    if let Some(why) = params.problem().or_else(of_geometry) {
        return Err(session.refuse(ErrorKind::InvalidArgument, OPERATION, why));
    }
    if samples == 0 {
        let why = "samples is 0; at least 1 is needed";
        return Err(session.refuse(ErrorKind::InvalidArgument, OPERATION, why));
    }
    let nco_hz = session.nco.frequency.0;
    let placements: Vec<Option<Placement>> = targets
        .iter()
        .map(|t| t.resonator.as_ref().and_then(|r| place(r, params)))
        .collect();
    let tone = |k: usize, f_hz: f64| Tone {
        offset_hz: session.nearest_settable(f_hz - nco_hz),
        amplitude: targets[k].amplitude,
        phase_rad: carrier_phase(k),
        rotation_rad: 0.0,
    };
    let place_of = |k: usize| placements[k].map_or(targets[k].otherwise_hz, |p| p.tone_hz);
    let mut tones: Vec<Tone> = (0..targets.len()).map(|k| tone(k, place_of(k))).collect();
    // Near the upper end of the reach, there may not be room for the whole distance of the
    // approach. The approach then begins at the end of the reach.
    let highest_hz = session.reach(nco_hz).high_hz;
    let from_above = |k: usize| {
        let approach_hz = placements[k].and_then(|p| p.approach_hz)?;
        Some(approach_hz.min(highest_hz).max(place_of(k)))
    };
    let above: Vec<Tone> = (0..targets.len())
        .map(|k| tone(k, from_above(k).unwrap_or(place_of(k))))
        .collect();
    session.check(OPERATION, nco_hz, &tones)?;
    session.report(Stage::Placing, 0, 1);
    // One sample is enough: the order of the frequencies alone decides the state of a resonator
    // that has two stable states.
    if above != tones {
        session.run(std::slice::from_ref(&above), 1).await?;
    }
    session.report(Stage::Placing, 1, 1);

    let mut mean = measure(session, &tones, samples).await?;
    if mean.bad_points() > 0 {
        // There is only one mean for each tone, so a mean that is not a finite number would make
        // the channel fail. A bad sample is usually a single event, so a second measurement is
        // likely to be good.
        let again = measure(session, &tones, samples).await?;
        mean.flags.add(again.flags);
        for (z, again) in mean.z.iter_mut().zip(again.z) {
            if !z.is_finite() {
                *z = again;
            }
        }
    }
    let bad_points = mean.bad_points();
    session.report(Stage::Calibrating, 1, 2);
    let mut placed = Vec::with_capacity(targets.len());
    for (k, target) in targets.iter().enumerate() {
        let (Some(channel), Some(&z)) = (ChannelId::from_index(k), mean.z.get(k)) else {
            break;
        };
        let tone_hz = nco_hz + tones[k].offset_hz;
        let resonator = target.resonator.filter(|_| placements[k].is_some());
        let at = resonator
            .filter(|_| z.is_finite())
            .and_then(|r| Calibration::at(&r, tone_hz));
        let shift_hz = at.and_then(|c| c.shift_hz(z));
        // The measured sample replaces the sample of the model. Otherwise the error of the fit
        // would appear as a shift of the resonance.
        let aligned = at.map(|c| Calibration { z0: z, ..c }.aligned());
        // The phase of the carrier rotates the samples too, so the rotation includes it.
        let carrier = tones[k].phase_rad;
        if let Some(c) = &aligned {
            tones[k].rotation_rad = wrap(c.rotation_rad + carrier);
        }
        placed.push(PlacedTone {
            channel,
            tone_hz,
            amplitude: target.amplitude,
            phase_rad: carrier,
            placement: placements[k],
            // The tone came from above, so the resonator is in the state that a downward sweep
            // finds.
            y: resonator.map(|r| pulled_detuning(r.y0(tone_hz), r.a, Direction::Down)),
            offset_lw: shift_hz
                .zip(resonator)
                .map(|(shift, r)| shift / r.linewidth_hz()),
            calibration: aligned.map(|c| Calibration {
                rotation_rad: tones[k].rotation_rad,
                ..c
            }),
            z0: z * Complex64::cis(carrier - tones[k].rotation_rad),
        });
    }
    session.set(&tones).await?;
    session.report(Stage::Calibrating, 2, 2);
    Ok(PlaceOutcome {
        module: session.module,
        epoch: session.epoch,
        phase_epoch: session.nco.phase_epoch,
        nco_hz,
        tones: placed,
        overrange: mean.flags.overrange,
        overvoltage: mean.flags.overvoltage,
        bad_points,
    })
}

async fn measure(session: &mut Session<'_>, tones: &[Tone], samples: u32) -> Result<Means> {
    let means = session.run_read_back(&[tones.to_vec()], samples).await?;
    Ok(means.into_iter().next().unwrap_or_default())
}

fn wrap(phase: f64) -> f64 {
    phase - (phase / std::f64::consts::TAU).round() * std::f64::consts::TAU
}
