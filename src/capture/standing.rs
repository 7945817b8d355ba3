//! Check of a tune on a board. A tune is the result of an earlier run that has set a tone on each
//! resonance. The tune holds if the tones are still set in the same way, and if the phases and
//! amplitudes of the reference tones, which are off resonance, have not changed much.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tworoutine::Allowance;
use twotone_algorithms::ChannelOutcome;
use twotone_hal::{
    Acquire, Batch, BoardHandle, ChannelId, Complex64, Error, ErrorKind, Radians, Result,
    ToneFields, ToneState,
};

use super::Stop;
use crate::record::{Failure, ModuleTune, polar};

/// Largest common phase change of the reference tones since the tune, in rad. [`MOST_GAIN`] is the
/// largest common change of their amplitudes, as a factor. Smaller changes are corrected. Drift
/// stays within these limits for hours.
///
/// A phase epoch is a period in which a module keeps its phase reference, for instance until its
/// NCO is set. In a new epoch the phases are random. In one case of sixteen, they are within this
/// limit by chance.
const MOST_TURN_RAD: f64 = 0.2;
const MOST_GAIN: f64 = 1.25;
/// Largest relative deviation from the common change of the reference tones. At least three
/// quarters of the tones must be within it. A change that is not the same at all frequencies cannot
/// be corrected.
const MOST_SPREAD: f64 = 0.03;
/// Number of samples that are averaged for each reference tone.
const SAMPLES: u32 = 16;

/// State of the tune of a module, with its reason and the change of the reference tones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// State of the tune.
    pub state: TuneState,
    /// Reason that the tune does not hold, or that its state is not known.
    pub why: Option<String>,
    /// Error of the check, if it failed. `why` has the error in words.
    pub error: Option<Failure>,
    /// Channels whose tones are not set as in the tune. They are not calibrated. Their number does
    /// not decide if the tune holds: if it does, all other channels are calibrated.
    pub changed: Vec<ChannelId>,
    /// Common phase change of the reference tones since the tune, in rad. The calibrations of a
    /// capture are corrected by this change and by [`Standing::reference_gain`].
    pub reference_turn_rad: Option<f64>,
    /// Common change of the reference tones' amplitudes since the tune, as a factor.
    pub reference_gain: Option<f64>,
    /// Relative deviation from the common change that three quarters of the reference tones do not
    /// exceed.
    pub reference_spread: Option<f64>,
}

/// State of a tune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneState {
    /// The tune holds.
    Holds,
    /// The tune does not hold, or has no tuned channel of the module. No sample of the module is
    /// calibrated.
    Void,
    /// The check of the tune failed, for instance because the board did not answer, or the tune has
    /// no reference tones. Nothing is calibrated.
    Unknown,
}

impl Standing {
    /// True if the tune holds for all channels.
    pub fn is_whole(&self) -> bool {
        self.state == TuneState::Holds && self.changed.is_empty()
    }

    /// Returns the complex factor by which all samples have changed since the tune, or `None` if
    /// the reference tones were not measured.
    pub fn reference(&self) -> Option<Complex64> {
        let gain = self.reference_gain?;
        Some(Complex64::from_polar(gain, self.reference_turn_rad?))
    }

    /// Returns the state of a tune about which nothing is known, because the check failed.
    fn unanswered(error: Failure) -> Self {
        Self {
            error: Some(error.clone()),
            ..Self::unmeasured(TuneState::Unknown, error.to_string())
        }
    }

    /// Returns a state without a measurement of the reference tones, with its reason.
    pub(super) fn unmeasured(state: TuneState, why: impl Into<String>) -> Self {
        Self {
            state,
            why: Some(why.into()),
            error: None,
            changed: Vec::new(),
            reference_turn_rad: None,
            reference_gain: None,
            reference_spread: None,
        }
    }
}

/// Checks, on all boards at the same time, that their tunes hold. The state is
/// [`TuneState::Unknown`] for a board that does not answer in the time `within`, or before `stop`
/// is cancelled.
pub(super) async fn ask_all(
    asks: Vec<(BoardHandle, Arc<ModuleTune>)>,
    within: Duration,
    stop: &Stop,
) -> Vec<Standing> {
    let asking: Vec<_> = asks
        .into_iter()
        .map(|(board, tune)| {
            let stop = stop.clone();
            tworoutine::spawn(async move {
                let time = Allowance::new(within);
                let answer = tokio::select! {
                    biased;
                    () = stop.cancelled() => {
                        Err(Error::new(ErrorKind::Cancelled, "the answer was not waited for"))
                    }
                    answer = time.within(ask(&board, &tune)) => answer.unwrap_or_else(|_| {
                        let within = within.as_secs_f64();
                        let message = format!("no answer came within {within:.1} s");
                        Err(Error::new(ErrorKind::Timeout, message))
                    }),
                };
                answer.unwrap_or_else(|error| Standing::unanswered(Failure::from(&error)))
            })
        })
        .collect();
    let mut standings = Vec::with_capacity(asking.len());
    for standing in asking {
        let standing = standing.await;
        standings.push(standing.unwrap_or_else(|ended| {
            let error = Failure::of_kind(ErrorKind::Panicked, ended.to_string());
            Standing::unanswered(error)
        }));
    }
    standings
}

/// Reads the description of the board. Then reads back the tones and measures the reference tones,
/// in one request.
async fn ask(board: &BoardHandle, tune: &ModuleTune) -> Result<Standing> {
    let of_channels = tune.channel.iter().map(|one| one.channel);
    let last = of_channels.chain(tune.reference.iter().map(|one| one.channel));
    let Some(last) = last.max() else {
        return Ok(Standing::unmeasured(TuneState::Void, "it has no tones"));
    };
    let first = ChannelId::from_index(0).unwrap_or(last);
    let fields = ToneFields {
        offset: true,
        amplitude: true,
        phase: true,
        rotation: true,
    };
    let mut batch = Batch::new();
    let described = board.describe().await?;
    let has_nco = described.module(tune.module)?.nco.is_some();
    let nco = has_nco.then(|| batch.read_nco(tune.module));
    let tones = batch.read_tones(tune.module, first, last.number(), fields);
    let samples = Acquire::new(SAMPLES).first_channels(last.number());
    let means = batch.acquire_mean(tune.module, samples);
    let replies = board.run(&batch).await?;

    // Tones of a module without an NCO are relative to 0 Hz.
    let nco_hz = nco.map_or(0.0, |nco| replies.get(nco).frequency.0);
    if (nco_hz - tune.nco_hz).abs() > 1.0 {
        let why = format!("the NCO is at {nco_hz} Hz, and was at {} Hz", tune.nco_hz);
        return Ok(Standing::unmeasured(TuneState::Void, why));
    }
    let tones = replies.get(tones);
    let is_as_tuned = |one: &ChannelOutcome| {
        let tone = tones.get(one.channel.index());
        tone.is_some_and(|tone| is_set(tone, one, tune.nco_hz))
    };
    let calibrated = || tune.channel.iter().filter(|one| one.calibration.is_some());
    let changed: Vec<_> = calibrated()
        .filter(|one| !is_as_tuned(one))
        .map(|one| one.channel)
        .collect();
    if !changed.is_empty() && changed.len() == calibrated().count() {
        let why = "none of its tones is set as it was";
        return Ok(Standing::unmeasured(TuneState::Void, why));
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

fn is_set(tone: &ToneState, tuned: &ChannelOutcome, nco_hz: f64) -> bool {
    let is_turned = |found: Option<Radians>, rad: f64| {
        let turn = found.map_or(0.0, |phase| phase.0) - rad;
        (turn - (turn / TAU).round() * TAU).abs() >= 1e-3
    };
    let rotation_rad = tuned.calibration.map_or(0.0, |known| known.rotation_rad);
    let offset_hz = tuned.tone_hz - nco_hz;
    tone.offset
        .is_some_and(|offset| (offset.0 - offset_hz).abs() < 0.01)
        && tone
            .amplitude
            .is_some_and(|found| (found - tuned.amplitude).abs() <= 1e-3 * tuned.amplitude)
        && !is_turned(tone.rotation, rotation_rad)
        && !tuned
            .phase_rad
            .is_some_and(|rad| is_turned(tone.phase, rad))
}

/// Judges a tune by `ratios`: the present sample of each reference tone, divided by its sample in
/// the tune.
fn judge(ratios: &[Complex64], changed: Vec<ChannelId>) -> Standing {
    let mut standing = Standing {
        state: TuneState::Holds,
        why: None,
        error: None,
        changed,
        reference_turn_rad: None,
        reference_gain: None,
        reference_spread: None,
    };
    if ratios.is_empty() {
        standing.state = TuneState::Unknown;
        standing.why =
            Some("it has no reference tones, which show if the phase epoch is the same".to_owned());
        return standing;
    }
    let of_quarters = |quarters: usize, mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() * quarters / 4]
    };
    let re = of_quarters(2, ratios.iter().map(|ratio| ratio.re).collect());
    let im = of_quarters(2, ratios.iter().map(|ratio| ratio.im).collect());
    let common = Complex64::new(re, im);
    let (gain, turn) = polar(common);
    let apart = ratios.iter().map(|ratio| (ratio / common - 1.0).norm());
    let spread = of_quarters(3, apart.collect());
    standing.reference_turn_rad = Some(turn);
    standing.reference_gain = Some(gain);
    standing.reference_spread = Some(spread);
    let is_small = turn.abs() <= MOST_TURN_RAD && (1.0 / MOST_GAIN..=MOST_GAIN).contains(&gain);
    if !is_small {
        standing.state = TuneState::Void;
        standing.why = Some(format!(
            "the reference tones have turned by {turn:.2} rad and changed {gain:.2} times: it belongs to another phase epoch, or the line has changed"
        ));
    } else if spread > MOST_SPREAD {
        standing.state = TuneState::Void;
        standing.why = Some(format!(
            "the changes of the reference tones differ by {spread:.2} from one another: the line has changed, perhaps in its length"
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
        // A resonance that has moved onto one reference tone changes only this tone, so the tune
        // still holds.
        let mut ratios = turned(0.9, 0.1);
        ratios[3] = Complex64::from_polar(0.1, 2.0);
        let standing = judge(&ratios, Vec::new());
        assert_eq!(standing.state, TuneState::Holds);
        let off = standing.reference().unwrap() - Complex64::from_polar(0.9, 0.1);
        assert!(off.norm() < 1e-12, "{standing:?}");
        // With another length of the line, the phase of each tone turns in proportion to its
        // frequency. Here, no phase turns by more than the limit for the common change.
        for (most_rad, state) in [(0.02, TuneState::Holds), (0.15, TuneState::Void)] {
            let along = (0..8).map(|at| f64::from(at) / 3.5 - 1.0);
            let ratios: Vec<_> = along.map(|at| Complex64::cis(at * most_rad)).collect();
            assert_eq!(judge(&ratios, Vec::new()).state, state, "{most_rad}");
        }
    }

    /// If a board fails to answer, the state of the tune is unknown, with the error in words. No
    /// kind of error makes the tune void.
    #[tworoutine::test(start_paused = true)]
    async fn a_board_that_fails_leaves_the_tune_unknown() {
        use twotone_hal::{Certainty, MockBoard};

        let tune = "board = 'b1'\nmodule = 1\nnco_hz = 1e9\n\n[[reference]]\nchannel = 1\n\
                    tone_hz = 1.001e9\namplitude = 0.001\nz0 = [1.0, 0.0]\n";
        let tune: Arc<ModuleTune> = Arc::new(toml::from_str(tune).unwrap());
        for (kind, certainty) in [
            (ErrorKind::Timeout, Certainty::Unknown),
            (ErrorKind::EpochChanged, Certainty::NotExecuted),
            (ErrorKind::Rejected, Certainty::Executed),
            (ErrorKind::Unsupported, Certainty::NotExecuted),
        ] {
            let mut mock = MockBoard::new();
            mock.expect_name().return_const("b1".to_owned());
            mock.expect_run().returning(move |_| {
                Err(Error::new(kind, "it does not say").certainty_is(certainty))
            });
            let asks = vec![(BoardHandle::new(mock), Arc::clone(&tune))];
            let standings = ask_all(asks, Duration::from_secs(1), &Stop::default()).await;
            assert_eq!(standings[0].state, TuneState::Unknown, "{kind:?}");
            let why = standings[0].why.as_deref().unwrap();
            assert!(why.contains("it does not say"), "{why}");
        }
    }
}
