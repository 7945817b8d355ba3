//! Whether a tune still holds on a board: its tones are set as they were, and what comes back on
//! the reference tones has the phase that it had.

use std::f64::consts::TAU;

use serde::Serialize;
use twotone_hal::{
    Acquire, Batch, BoardHandle, ChannelId, Complex64, Result, ToneFields, ToneState,
};

use crate::record::ModuleTune;

/// How far the reference tones may have turned or changed since the tune, in rad and as a factor.
/// Drift stays within it for hours; of the phases of another phase epoch, one in sixteen does.
const MOST_TURN_RAD: f64 = 0.2;
const MOST_GAIN: f64 = 1.25;
/// Samples that the reference tones are looked at with.
const SAMPLES: u32 = 16;

/// Whether the tune of a module still holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Whether it does.
    pub state: TuneState,
    /// Why not.
    pub why: Option<String>,
    /// Channels whose tones are not as they were tuned; the others are calibrated.
    pub changed: Vec<ChannelId>,
    /// How far the reference tones have turned since the tune, in rad.
    pub reference_turn_rad: Option<f64>,
    /// By which factor they have changed.
    pub reference_gain: Option<f64>,
}

/// Whether a tune holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneState {
    /// It does.
    Holds,
    /// It does not: nothing is calibrated by it.
    Void,
    /// The board could not be asked: nothing is calibrated by it.
    Unknown,
}

impl Standing {
    /// Whether it holds, for all channels.
    pub fn is_whole(&self) -> bool {
        self.state == TuneState::Holds && self.changed.is_empty()
    }

    pub(super) fn not(state: TuneState, why: String) -> Self {
        Self {
            state,
            why: Some(why),
            changed: Vec::new(),
            reference_turn_rad: None,
            reference_gain: None,
        }
    }

    /// Asks the board.
    pub(super) async fn of(board: &BoardHandle, tune: &ModuleTune) -> Self {
        match ask(board, tune).await {
            Ok(standing) => standing,
            Err(error) => Self::not(TuneState::Unknown, error.to_string()),
        }
    }
}

/// Reads the tones back and looks at the references, in one round trip.
async fn ask(board: &BoardHandle, tune: &ModuleTune) -> Result<Standing> {
    let of_channels = tune.channel.iter().map(|one| one.channel);
    let last = of_channels.chain(tune.reference.iter().map(|one| one.channel));
    let Some(last) = last.max() else {
        let why = "it has no tones".to_owned();
        return Ok(Standing::not(TuneState::Void, why));
    };
    let first = ChannelId::from_index(0).unwrap_or(last);
    let fields = ToneFields {
        offset: true,
        amplitude: true,
        phase: false,
        rotation: true,
    };
    let mut batch = Batch::new();
    let nco = batch.read_nco(tune.module);
    let tones = batch.read_tones(tune.module, first, last.number(), fields);
    let samples = Acquire::new(SAMPLES).first_channels(last.number());
    let means = batch.acquire_mean(tune.module, samples);
    let replies = board.run(&batch).await?;

    let nco_hz = replies.get(nco).frequency.0;
    if (nco_hz - tune.nco_hz).abs() > 1.0 {
        let why = format!("the NCO is at {nco_hz} Hz, and was at {} Hz", tune.nco_hz);
        return Ok(Standing::not(TuneState::Void, why));
    }
    let tones = replies.get(tones);
    let is_as_tuned = |one: &twotone_algorithms::ChannelOutcome| {
        let tone = tones.get(one.channel.index());
        tone.is_some_and(|tone| {
            let rotation = one.calibration.map_or(0.0, |known| known.rotation_rad);
            is_set(tone, one.tone_hz - tune.nco_hz, one.amplitude, rotation)
        })
    };
    let calibrated = || tune.channel.iter().filter(|one| one.calibration.is_some());
    let changed: Vec<_> = calibrated()
        .filter(|one| !is_as_tuned(one))
        .map(|one| one.channel)
        .collect();
    if !changed.is_empty() && changed.len() == calibrated().count() {
        let why = "none of its tones is set as it was".to_owned();
        return Ok(Standing::not(TuneState::Void, why));
    }
    let mean = replies.get(means).mean;
    let ratios: Vec<Complex64> = tune
        .reference
        .iter()
        .filter_map(|one| Some(mean.get(one.channel.index())? / one.z0))
        .filter(|ratio| ratio.is_finite())
        .collect();
    Ok(judge(&ratios, changed))
}

fn is_set(tone: &ToneState, offset_hz: f64, amplitude: f64, rotation_rad: f64) -> bool {
    let turn = tone.rotation.map_or(0.0, |phase| phase.0) - rotation_rad;
    let turn = turn - (turn / TAU).round() * TAU;
    tone.offset
        .is_some_and(|offset| (offset.0 - offset_hz).abs() < 0.01)
        && tone
            .amplitude
            .is_some_and(|found| (found - amplitude).abs() <= 1e-3 * amplitude)
        && turn.abs() < 1e-3
}

/// Judges by the samples of the reference tones over what they were.
fn judge(ratios: &[Complex64], changed: Vec<ChannelId>) -> Standing {
    let mut standing = Standing {
        state: TuneState::Holds,
        why: None,
        changed,
        reference_turn_rad: None,
        reference_gain: None,
    };
    if ratios.is_empty() {
        standing.state = TuneState::Unknown;
        standing.why = Some("it has no reference tones to tell its phase epoch by".to_owned());
        return standing;
    }
    let median = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let re = median(ratios.iter().map(|ratio| ratio.re).collect());
    let im = median(ratios.iter().map(|ratio| ratio.im).collect());
    let (gain, turn) = Complex64::new(re, im).to_polar();
    standing.reference_turn_rad = Some(turn);
    standing.reference_gain = Some(gain);
    let holds = turn.abs() <= MOST_TURN_RAD && (1.0 / MOST_GAIN..=MOST_GAIN).contains(&gain);
    if !holds {
        standing.state = TuneState::Void;
        standing.why = Some(format!(
            "the reference tones have turned by {turn:.2} rad and changed {gain:.2} times: it belongs to another phase epoch, or the line has changed"
        ));
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_phase_epoch_and_another_line_are_told() {
        let turned = |gain: f64, turn: f64| vec![Complex64::from_polar(gain, turn); 8];
        for (ratios, state) in [
            (turned(1.0, 0.0), TuneState::Holds),
            (turned(1.1, -0.15), TuneState::Holds),
            (turned(1.0, 0.5), TuneState::Void),
            (turned(1.0, -3.0), TuneState::Void),
            (turned(0.5, 0.0), TuneState::Void),
            (turned(0.0, 0.0), TuneState::Void),
            (Vec::new(), TuneState::Unknown),
        ] {
            assert_eq!(judge(&ratios, Vec::new()).state, state, "{ratios:?}");
        }
        // One tone that fell onto a resonance does not void the rest.
        let mut ratios = turned(1.0, 0.0);
        ratios[3] = Complex64::from_polar(0.1, 2.0);
        assert_eq!(judge(&ratios, Vec::new()).state, TuneState::Holds);
    }
}
