//! Placement of tones on fitted resonances, and the entries of the outcome for their channels.

use twotone_hal::{ChannelId, Result};

use super::outcome::{ChannelOutcome, ChannelStatus, Reason, ReferenceTone, TuneOutcome};
use super::params::TuneParams;
use crate::finding::{Candidate, Flag};
use crate::fit::{Fit, FitStatus};
use crate::place_tones::{PlaceOutcome, PlacedTone, ToneTarget, place_in};
use crate::placement::place;
use crate::resonator::Direction;
use crate::session::Session;

/// Nonlinearity that a bifurcated detector has after the amplitude of its tone was lowered.
/// Bifurcation begins at 0.77.
const SAFE_A: f64 = 0.4;

/// Sets and calibrates a tone for each chosen candidate and each reference, and fills the
/// outcome's channels and references.
pub(super) async fn place_and_calibrate(
    session: &mut Session<'_>,
    outcome: &mut TuneOutcome,
    chosen: &[usize],
    fits: &[Fit],
    references: &[f64],
    params: &TuneParams,
) -> Result<()> {
    let candidates = &outcome.find.candidates;
    let reach = session.reach(session.nco.frequency.0);
    let on_resonance = chosen.iter().zip(fits).map(|(&i, fit)| {
        let resonator = (fit.status.is_success() && !fit.bifurcated).then_some(fit.model);
        // The fitted dip may be beyond an end of the range, where no tone is allowed.
        let placed = resonator.and_then(|one| place(&one, &params.placement));
        let fits = placed.is_none_or(|placed| reach.contains(placed.tone_hz));
        ToneTarget {
            resonator: resonator.filter(|_| fits),
            // The resonance exists even if its fit failed, so its channel has a tone at the
            // frequency of the search.
            otherwise_hz: candidates[i].fr_hz,
            amplitude: if fits { amplitude(fit, params) } else { 0.0 },
        }
    });
    let off_resonance = references.iter().map(|&f_hz| ToneTarget {
        resonator: None,
        otherwise_hz: f_hz,
        amplitude: params.tone_amplitude,
    });
    let targets: Vec<ToneTarget> = on_resonance.chain(off_resonance).collect();
    let placed = place_in(
        session,
        &targets,
        params.calibration_samples,
        &params.placement,
    )
    .await?;
    outcome.channels = placed
        .tones
        .iter()
        .zip(chosen.iter().zip(fits))
        .map(|(tone, (&i, fit))| channel(&placed, tone, &candidates[i], fit, params))
        .collect();
    outcome.warnings.extend(placed.warnings());
    outcome.references = placed.tones[chosen.len().min(placed.tones.len())..]
        .iter()
        .filter(|tone| tone.z0.is_finite())
        .map(|tone| ReferenceTone {
            channel: tone.channel,
            tone_hz: tone.tone_hz,
            amplitude: tone.amplitude,
            z0: tone.z0,
        })
        .collect();
    outcome.nco_hz = placed.nco_hz;
    outcome.phase_epoch = placed.phase_epoch;
    Ok(())
}

/// Gives each candidate at an edge a channel that is off, starting with the channel at index
/// `first`.
pub(super) fn add_edge_channels(outcome: &mut TuneOutcome, edge: &[usize], first: usize) {
    for (k, &i) in edge.iter().enumerate() {
        let Some(channel) = ChannelId::from_index(first + k) else {
            return;
        };
        let candidate = &outcome.find.candidates[i];
        outcome.channels.push(ChannelOutcome {
            module: outcome.module,
            channel,
            status: ChannelStatus::Failed,
            reason: Reason::Edge,
            flags: candidate.flags.clone(),
            tone_hz: candidate.fr_hz,
            nco_hz: outcome.nco_hz,
            amplitude: 0.0,
            phase_rad: None,
            fr_hz: None,
            qr: None,
            qc: None,
            qi: None,
            phi_rad: None,
            a: None,
            y: None,
            rounding_hz: 0.0,
            offset_lw: None,
            calibration: None,
            fit: Fit::failed(FitStatus::TooFewPoints, Direction::Up),
        });
    }
}

/// Returns the amplitude of a tone. For a bifurcated detector the amplitude is lowered until the
/// detector has only one state.
fn amplitude(fit: &Fit, params: &TuneParams) -> f64 {
    if !fit.bifurcated {
        return params.tone_amplitude;
    }
    // The nonlinearity is proportional to the power. A bifurcated detector has a nonlinearity of at
    // least 0.77. With some margin, 1 is assumed if the fit gives a smaller value or no value.
    let a = if fit.a.is_finite() {
        fit.a.max(1.0)
    } else {
        1.0
    };
    params.tone_amplitude * (SAFE_A / a).sqrt()
}

fn channel(
    placed: &PlaceOutcome,
    tone: &PlacedTone,
    candidate: &Candidate,
    fit: &Fit,
    params: &TuneParams,
) -> ChannelOutcome {
    let reason = match reason(placed, tone, fit, params) {
        Reason::Ok if candidate.has(Flag::Collided) => Reason::Collided,
        reason => reason,
    };
    let known = |value: Option<f64>| value.filter(|_| fit.status.is_success());
    let fitted = |value: f64| known(Some(value));
    ChannelOutcome {
        module: placed.module,
        channel: tone.channel,
        status: if reason == Reason::Ok {
            ChannelStatus::Tuned
        } else {
            ChannelStatus::Failed
        },
        reason,
        flags: candidate.flags.clone(),
        tone_hz: tone.tone_hz,
        nco_hz: placed.nco_hz,
        amplitude: tone.amplitude,
        phase_rad: Some(tone.phase_rad),
        fr_hz: fitted(fit.fr_hz),
        qr: fitted(fit.qr),
        qc: known(fit.qc),
        qi: known(fit.qi),
        phi_rad: known(fit.phi_rad),
        a: fitted(fit.a),
        y: tone.y,
        rounding_hz: tone.placement.map_or(0.0, |p| p.rounding_hz),
        offset_lw: tone.offset_lw,
        calibration: tone.calibration,
        fit: *fit,
    }
}

fn reason(placed: &PlaceOutcome, tone: &PlacedTone, fit: &Fit, params: &TuneParams) -> Reason {
    if !fit.status.is_success() {
        return fit.status.into();
    }
    if fit.bifurcated {
        return Reason::Fit(FitStatus::Bifurcated);
    }
    if tone.amplitude == 0.0 {
        return Reason::Edge;
    }
    if !tone.z0.is_finite() {
        return Reason::Fit(FitStatus::NonFinite);
    }
    if tone.calibration.is_none() {
        return Reason::NotPlaced;
    }
    if placed.overrange {
        return Reason::Overrange;
    }
    let found = tone
        .offset_lw
        .is_some_and(|offset| offset.abs() <= params.max_offset_lw);
    if found { Reason::Ok } else { Reason::OffCentre }
}
