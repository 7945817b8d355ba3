//! Setting the tones on their resonances, and what their samples mean there.

use num_complex::Complex64;
use twotone_hal::{ChannelId, Result};

use super::outcome::{ChannelOutcome, ChannelStatus, Reason, ReferenceTone, TuneOutcome};
use super::params::TuneParams;
use crate::calibration::Calibration;
use crate::finding::Candidate;
use crate::fit::Fit;
use crate::placement::{Placement, place};
use crate::progress::Stage;
use crate::resonator::{Direction, pulled_detuning};
use crate::session::{Session, Tone, carrier_phase};

/// Nonlinearity that a bifurcated detector's tone is lowered to.
const SAFE_A: f64 = 0.4;

/// Sets all tones, from above where the resonator asks for it, measures at them, and turns their
/// samples so that a shift of the resonance moves the real part.
pub(super) async fn place_and_calibrate(
    session: &mut Session<'_>,
    outcome: &mut TuneOutcome,
    chosen: &[usize],
    fits: &[Fit],
    references: &[f64],
    params: &TuneParams,
) -> Result<()> {
    let nco_hz = session.nco.frequency.0;
    outcome.nco_hz = nco_hz;
    outcome.phase_epoch = session.nco.phase_epoch;
    let placements: Vec<Option<Placement>> = fits
        .iter()
        .map(|fit| {
            let usable = fit.status.is_success() && !fit.bifurcated;
            usable
                .then(|| place(&fit.model, &params.placement))
                .flatten()
        })
        .collect();
    let amplitudes: Vec<f64> = fits.iter().map(|fit| amplitude(fit, params)).collect();
    let tone = |k: usize, f_hz: f64, amplitude: f64| Tone {
        offset_hz: session.settable(f_hz - nco_hz),
        amplitude,
        phase_rad: carrier_phase(k),
        rotation_rad: 0.0,
    };
    let mut tones: Vec<Tone> = Vec::with_capacity(chosen.len() + references.len());
    let mut above: Vec<Tone> = Vec::with_capacity(tones.capacity());
    for (k, &i) in chosen.iter().enumerate() {
        let placed = placements[k];
        let f_hz = placed.map_or(outcome.find.candidates[i].fr_hz, |p| p.tone_hz);
        let from_hz = placed.and_then(|p| p.approach_hz).unwrap_or(f_hz);
        tones.push(tone(k, f_hz, amplitudes[k]));
        above.push(tone(k, from_hz, amplitudes[k]));
    }
    for (r, &f_hz) in references.iter().enumerate() {
        let one = tone(chosen.len() + r, f_hz, params.tone_amplitude);
        tones.push(one);
        above.push(one);
    }
    session.check("placing", &tones)?;
    session.report(Stage::Placing, 0, 1);
    if above != tones && session.check("placing", &above).is_ok() {
        session.run(std::slice::from_ref(&above), 1).await?;
    }
    session.report(Stage::Placing, 1, 1);

    let means = session
        .run(std::slice::from_ref(&tones), params.calibration_samples)
        .await?;
    session.report(Stage::Calibrating, 1, 2);
    let (z, overrange) = means
        .first()
        .map_or((Vec::new(), false), |m| (m.z.clone(), m.overrange));
    let mut channels = Vec::with_capacity(chosen.len());
    for (k, &i) in chosen.iter().enumerate() {
        let Some(channel) = ChannelId::from_index(k) else {
            break;
        };
        let placed = Placed {
            candidate: &outcome.find.candidates[i],
            fit: &fits[k],
            placement: placements[k],
            tone_hz: nco_hz + tones[k].offset_hz,
            z: z.get(k).copied(),
            overrange,
        };
        let mut one = placed.channel(session, channel, params);
        one.amplitude = tones[k].amplitude;
        if let Some(calibration) = &mut one.calibration {
            // Samples come turned by the carrier's phase, which the rotation takes out as well.
            let total = wrap(calibration.rotation_rad + tones[k].phase_rad);
            calibration.rotation_rad = total;
            tones[k].rotation_rad = total;
        }
        channels.push(one);
    }
    outcome.references = references
        .iter()
        .enumerate()
        .filter_map(|(r, _)| {
            let k = chosen.len() + r;
            Some(ReferenceTone {
                channel: ChannelId::from_index(k)?,
                tone_hz: nco_hz + tones[k].offset_hz,
                amplitude: tones[k].amplitude,
                z0: z.get(k).copied()? * Complex64::cis(tones[k].phase_rad),
            })
        })
        .collect();
    session.set(&tones).await?;
    session.report(Stage::Calibrating, 2, 2);
    outcome.channels = channels;
    Ok(())
}

/// A bifurcated detector's tone is lowered to where it has one state.
fn amplitude(fit: &Fit, params: &TuneParams) -> f64 {
    if !fit.bifurcated {
        return params.tone_amplitude;
    }
    let a = if fit.a.is_finite() {
        fit.a.max(1.0)
    } else {
        1.0
    };
    params.tone_amplitude * (SAFE_A / a).sqrt()
}

struct Placed<'a> {
    candidate: &'a Candidate,
    fit: &'a Fit,
    placement: Option<Placement>,
    tone_hz: f64,
    /// Mean sample, the carrier's phase taken out.
    z: Option<Complex64>,
    overrange: bool,
}

impl Placed<'_> {
    fn channel(
        &self,
        session: &Session<'_>,
        channel: ChannelId,
        params: &TuneParams,
    ) -> ChannelOutcome {
        let fit = self.fit;
        let fitted = |value: f64| fit.status.is_success().then_some(value);
        let mut one = ChannelOutcome {
            module: session.module,
            channel,
            status: ChannelStatus::Failed,
            reason: Reason::NotPlaced,
            flags: self.candidate.flags.clone(),
            tone_hz: self.tone_hz,
            nco_hz: session.nco.frequency.0,
            amplitude: 0.0,
            fr_hz: fitted(fit.fr_hz),
            qr: fitted(fit.qr),
            qc: fitted(fit.qc),
            qi: fitted(fit.qi),
            phi_rad: fitted(fit.phi_rad),
            a: fitted(fit.a),
            y: None,
            rounding_hz: self.placement.map_or(0.0, |p| p.rounding_hz),
            offset_lw: None,
            calibration: None,
            fit: *fit,
        };
        if !fit.status.is_success() {
            one.reason = fit.status.into();
            return one;
        }
        if fit.bifurcated {
            one.reason = Reason::Bifurcated;
            return one;
        }
        let calibration = Calibration::at(&fit.model, self.tone_hz);
        let (Some(_), Some(calibration), Some(z)) = (self.placement, calibration, self.z) else {
            return one;
        };
        let y0 = fit.model.y0(self.tone_hz);
        one.y = Some(pulled_detuning(y0, fit.a, Direction::Down));
        one.offset_lw = calibration
            .shift_hz(z)
            .map(|shift| shift / fit.model.linewidth_hz());
        one.calibration = Some(
            Calibration {
                z0: z,
                ..calibration
            }
            .aligned(),
        );
        one.reason = if self.overrange {
            Reason::Overrange
        } else if one
            .offset_lw
            .is_none_or(|o| o.abs() > params.max_offset_lw || o.is_nan())
        {
            Reason::OffCentre
        } else {
            Reason::Ok
        };
        if one.reason == Reason::Ok {
            one.status = ChannelStatus::Tuned;
        }
        one
    }
}

fn wrap(phase: f64) -> f64 {
    phase - (phase / std::f64::consts::TAU).round() * std::f64::consts::TAU
}
