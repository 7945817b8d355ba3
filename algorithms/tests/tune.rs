//! Tests of whole algorithms on a board in memory. Its bifurcated detectors keep their state when a
//! tone moves in small steps.
//!
//! A *tune* sets a tone on the resonance of each detector, and calibrates the samples of this tone.
//! The channels for which this succeeds are *tuned*.

mod support;

use std::sync::Mutex;

use twotone_algorithms::finding::Flag;
use twotone_algorithms::fit::FitStatus;
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{
    ChannelOutcome, ChannelStatus, FineSweepParams, NotTonedReason, Reason, Stage, Step,
    TuneOutcome, TuneParams, tune, tune_with_progress,
};
use twotone_hal::{BoardHandle, Complex64, ModuleId};

use support::board::{Detector, FakeBoard, array};
use support::{HIGH, LOW, params};

fn run(board: &BoardHandle, params: &TuneParams) -> TuneOutcome {
    tune(board, ModuleId::FIRST, params).wait().unwrap()
}

fn channel_of<'a>(outcome: &'a TuneOutcome, detector: &Detector) -> &'a ChannelOutcome {
    let apart = |c: &ChannelOutcome| (c.tone_hz - detector.fr_hz).abs();
    outcome
        .channels
        .iter()
        .min_by(|a, b| apart(a).total_cmp(&apart(b)))
        .unwrap()
}

/// Checks that the channel is tuned, and that its detuning is that of the detector at the tone.
fn is_tuned(channel: &ChannelOutcome, detector: &Detector) -> Result<(), String> {
    if (channel.status, channel.reason) != (ChannelStatus::Tuned, Reason::Ok) {
        return Err(format!("{channel:?}"));
    }
    let y0 = detector.qr * (channel.tone_hz - detector.fr_hz) / detector.fr_hz;
    // Energy of the driven detector, as a fraction of its energy on resonance. The iteration starts
    // from zero, which leads to the state of a tone that came from a higher frequency.
    let mut energy = 0.0;
    for _ in 0..2000 {
        let y = y0 + detector.a * energy;
        energy += 0.2 * (1.0 / (1.0 + 4.0 * y * y) - energy);
    }
    let y = y0 + detector.a * energy;
    let off = y - channel.y.unwrap();
    if off.abs() > 0.1 {
        return Err(format!(
            "the detuning is wrong by {off} linewidths: {channel:?}"
        ));
    }
    Ok(())
}

#[test]
fn tune_puts_a_calibrated_tone_on_every_detector() {
    let detectors = array(40, LOW, HIGH, 3);
    let fake = FakeBoard::new(detectors.clone(), 4);
    let (board, running) = fake.handle();
    let outcome = run(&board, &params());
    assert_eq!(outcome.channels.len(), 40, "{:?}", outcome.warnings);
    assert!(outcome.warnings.is_empty() && outcome.not_toned.is_empty());
    for (k, (channel, detector)) in outcome.channels.iter().zip(&detectors).enumerate() {
        assert_eq!(channel.channel.index(), k);
        is_tuned(channel, detector).unwrap();
        let lw = detector.fr_hz / detector.qr;
        assert!((channel.fr_hz.unwrap() - detector.fr_hz).abs() < 0.02 * lw);
        assert!((channel.qr.unwrap() / detector.qr - 1.0).abs() < 0.02);
        assert!((channel.a.unwrap() - detector.a).abs() < 0.02);
        assert!((channel.phi_rad.unwrap() - detector.coupling.arg()).abs() < 0.02);
        assert!(channel.offset_lw.unwrap().abs() < 0.02);
        assert_eq!(channel.nco_hz, outcome.nco_hz);
    }
    assert_eq!(outcome.references.len(), 8);
    for reference in &outcome.references {
        let clear = detectors
            .iter()
            .map(|d| (reference.tone_hz - d.fr_hz).abs() * d.qr / d.fr_hz);
        assert!(clear.fold(f64::INFINITY, f64::min) > 5.0);
        assert!(reference.z0.norm() > 0.0);
    }
    // Exactly the tones of the outcome are on.
    let on = running.tones();
    assert_eq!(on.len(), 48);
    for (index, f_hz, amplitude) in on {
        let expected = outcome
            .channels
            .iter()
            .map(|c| (c.channel, c.tone_hz, c.amplitude))
            .chain(
                outcome
                    .references
                    .iter()
                    .map(|r| (r.channel, r.tone_hz, r.amplitude)),
            )
            .find(|(channel, ..)| channel.index() == index)
            .unwrap();
        assert!((expected.1 - f_hz).abs() < 1e-3 && expected.2 == amplitude);
    }
}

/// Returns samples of the board after a tune, with every detector moved by `shift_lw` linewidths.
fn samples_after(detectors: &[Detector], shift_lw: f64) -> (TuneOutcome, Vec<Complex64>) {
    let (board, running) = FakeBoard::new(detectors.to_vec(), 6).handle();
    let outcome = run(&board, &params());
    running.shift_detectors(shift_lw);
    let acquire = twotone_hal::Acquire::new(50).first_channels(detectors.len() as u16);
    let means = tworoutine::block_on(board.samples().mean(ModuleId::FIRST, acquire)).unwrap();
    (outcome, means.mean)
}

#[test]
fn calibrated_samples_show_a_shift_with_its_sign() {
    let mut detectors = array(30, LOW, HIGH, 5);
    detectors[7].a = 0.5;
    detectors[8].a = 0.4;
    for shift_lw in [0.01, -0.01, 0.25, -0.25] {
        let (outcome, z) = samples_after(&detectors, shift_lw);
        for ((channel, detector), z) in outcome.channels.iter().zip(&detectors).zip(z) {
            let calibration = channel.calibration.unwrap();
            assert!(
                calibration.d.im.abs() < 1e-6 * calibration.d.re,
                "{:?}",
                calibration.d
            );
            let lw = detector.fr_hz / detector.qr;
            let found = calibration.shift_hz(z).unwrap() / lw;
            assert!(
                (found - shift_lw).abs() < 0.03 * shift_lw.abs().max(0.02),
                "{found}"
            );
            if shift_lw.abs() < 0.02 {
                let small = calibration.small_shift_hz(z) / lw;
                assert!(
                    (small - shift_lw).abs() < 0.05 * shift_lw.abs(),
                    "{small} {channel:?}"
                );
            }
        }
    }
}

#[test]
fn no_setting_is_sent_twice_and_unused_channels_are_cleared() {
    let (board, running) = FakeBoard::new(array(40, LOW, HIGH, 3), 4).handle();
    run(&board, &params());
    let counts = running.counts();
    assert_eq!(counts.repeated, 0);
    // Tones are cleared once at the start, and once when the tones on the resonances replace the
    // many tones of the wide sweep.
    assert_eq!(counts.clears, 2);
    assert_eq!(counts.ncos, 1);
    // Batches: 2 to read the description and to set the NCO, 4 combs (sets of tones) of the delay,
    // 6 of the wide sweep, 41 steps of the fine sweep, 2 for placement and rotation.
    assert!(counts.batches <= 2 + 4 + 6 + 41 + 2, "{counts:?}");
    // The combs of the wide sweep have about a thousand tones, and those after it have 48.
    assert_eq!((counts.amplitudes, counts.phases), (1048, 1048));
    assert_eq!(counts.rotations, 40);
}

#[test]
fn strong_tones_are_approached_from_above_and_bifurcated_ones_lowered() {
    let mut detectors = array(20, LOW, HIGH, 8);
    for (detector, a) in detectors
        .iter_mut()
        .zip([0.05, 0.4, 0.6, 0.7, 0.9, 1.3, 2.0])
    {
        detector.a = a;
    }
    let (board, _) = FakeBoard::new(detectors.clone(), 9).handle();
    let outcome = run(&board, &params());
    assert_eq!(outcome.channels.len(), 20);
    for (detector, channel) in detectors.iter().zip(&outcome.channels) {
        if detector.a > 0.8 {
            assert_eq!(
                (channel.status, channel.reason),
                (ChannelStatus::Failed, Reason::Fit(FitStatus::Bifurcated))
            );
            let after = detector.a * (channel.amplitude / 0.002).powi(2);
            assert!(after < 0.77, "left at a = {after}");
        } else {
            is_tuned(channel, detector).unwrap();
            assert!((channel.a.unwrap() - detector.a).abs() < 0.02);
            let expected = if detector.a > 0.3 { 0.2 } else { 0.0 };
            assert!((channel.y.unwrap() - expected).abs() < 0.01);
        }
    }
}

#[test]
fn sweeps_both_ways_show_hysteresis() {
    let mut detectors = array(8, LOW, HIGH, 8);
    detectors[2].a = 1.1;
    let (board, _) = FakeBoard::new(detectors.clone(), 9).handle();
    let directions = vec![Direction::Up, Direction::Down];
    let sweeps = FineSweepParams {
        directions,
        ..FineSweepParams::default()
    };
    let outcome = run(
        &board,
        &TuneParams {
            fine_sweep: sweeps,
            ..params()
        },
    );
    for (k, channel) in outcome.channels.iter().enumerate() {
        assert_eq!(
            channel.reason == Reason::Fit(FitStatus::Bifurcated),
            k == 2,
            "{channel:?}"
        );
    }
    assert_eq!(outcome.fine_sweep.unwrap().sweeps.len(), 16);
}

#[test]
fn neighbours_are_fitted_separately_or_flagged() {
    let mut detectors = array(20, LOW, HIGH, 10);
    let lw = detectors[5].fr_hz / detectors[5].qr;
    detectors[6].fr_hz = detectors[5].fr_hz + 3.0 * lw;
    detectors[12].fr_hz = detectors[11].fr_hz + 0.5 * lw;
    let (board, _) = FakeBoard::new(detectors.clone(), 11).handle();
    let outcome = run(&board, &params());
    for k in [5, 6] {
        let channel = channel_of(&outcome, &detectors[k]);
        assert!(channel.flags.contains(&Flag::Crowded), "{channel:?}");
        // In the calibration, the notch of the neighbouring detector counts as a part of the line.
        assert!(channel.offset_lw.unwrap().abs() < 0.02, "{channel:?}");
        is_tuned(channel, &detectors[k]).unwrap();
    }
    // The two detectors that collide share one tone, and its channel is not tuned.
    let near = |c: &&ChannelOutcome| (c.tone_hz - detectors[11].fr_hz).abs() < 2.0 * lw;
    let collided: Vec<_> = outcome.channels.iter().filter(near).collect();
    assert_eq!(collided.len(), 1);
    assert_eq!(
        collided[0].status,
        ChannelStatus::Failed,
        "{:?}",
        collided[0]
    );
    for (k, detector) in detectors.iter().enumerate() {
        if ![5, 6, 11, 12].contains(&k) {
            is_tuned(channel_of(&outcome, detector), detector).unwrap();
        }
    }
}

#[test]
fn a_board_without_detectors_is_no_error() {
    let (board, running) = FakeBoard::new(Vec::new(), 12).handle();
    let outcome = run(&board, &params());
    assert!(outcome.channels.is_empty() && outcome.fine_sweep.is_none());
    assert_eq!(outcome.warnings, ["no resonance was found"]);
    assert!(running.tones().is_empty());
}

#[test]
fn a_band_beyond_the_reach_of_the_nco_is_joined_and_has_resonances_without_a_tone() {
    let detectors = array(40, LOW, HIGH, 3);
    let mut fake = FakeBoard::new(detectors.clone(), 4);
    fake.max_offset_hz = 20e6;
    let (board, running) = fake.handle();
    let outcome = run(&board, &params());
    assert_eq!(outcome.network_analysis.nco_hz.len(), 2);
    assert_eq!(outcome.find.candidates.len(), 40);
    assert!(outcome.channels.len() >= 24, "{}", outcome.channels.len());
    assert_eq!(outcome.channels.len() + outcome.not_toned.len(), 40);
    assert!(
        outcome
            .not_toned
            .iter()
            .all(|n| n.reason == NotTonedReason::OutsideNcoSpan)
    );
    assert!(
        outcome
            .channels
            .iter()
            .all(|c| c.status == ChannelStatus::Tuned)
    );
    assert_eq!(running.counts().repeated, 0);
}

#[test]
fn progress_is_reported_in_order() {
    let (board, _) = FakeBoard::new(array(10, LOW, HIGH, 3), 4).handle();
    let seen = Mutex::new(Vec::new());
    let note = |step: &Step| seen.lock().unwrap().push(*step);
    tune_with_progress(&board, ModuleId::FIRST, &params(), &note)
        .wait()
        .unwrap();
    let seen = seen.into_inner().unwrap();
    let mut stages: Vec<Stage> = seen.iter().map(|s| s.stage).collect();
    stages.dedup();
    assert_eq!(
        stages,
        [
            Stage::CableDelay,
            Stage::NetworkAnalysis,
            Stage::Finding,
            Stage::FineSweep,
            Stage::Fitting,
            Stage::Placing,
            Stage::Calibrating
        ]
    );
    for stage in stages {
        let last = seen.iter().rfind(|s| s.stage == stage).unwrap();
        assert_eq!(last.done, last.total, "{last:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let outcome = || {
        let (board, _) = FakeBoard::new(array(12, LOW, HIGH, 3), 4).handle();
        serde_json::to_string(&run(&board, &params())).unwrap()
    };
    assert_eq!(outcome(), outcome());
}

#[test]
fn outcomes_and_parameters_survive_being_written() {
    let (board, _) = FakeBoard::new(array(5, LOW, HIGH, 3), 4).handle();
    let outcome = run(&board, &params());
    let text = serde_json::to_string(&outcome).unwrap();
    let back: TuneOutcome = serde_json::from_str(&text).unwrap();
    assert_eq!(back.channels.len(), outcome.channels.len());
    let channel = serde_json::to_value(&outcome.channels[0]).unwrap();
    assert_eq!(
        (&channel["status"], &channel["reason"]),
        (&"tuned".into(), &"ok".into())
    );
    let read: TuneParams = serde_json::from_str(r#"{"tone_amplitude": 0.003}"#).unwrap();
    assert_eq!(
        read,
        TuneParams {
            tone_amplitude: 0.003,
            ..TuneParams::default()
        }
    );
    let misspelt = serde_json::from_str::<TuneParams>(r#"{"fine_sweep": {"pionts": 3}}"#);
    assert!(misspelt.unwrap_err().to_string().contains("pionts"));
}
