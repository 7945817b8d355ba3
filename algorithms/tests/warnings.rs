//! Tests that every problem which a stage of a tune finds is among the warnings of the tune.
//!
//! A *tune* sets a tone on the resonance of each detector.

mod support;

use twotone_algorithms::chunks::JoinStatus;
use twotone_algorithms::{
    Band, CableDelayParams, TuneOutcome, TuneParams, cable_delay, network_analysis, tune,
};
use twotone_hal::{ErrorKind, ModuleId};

use support::board::{FakeBoard, Intrusion, array, move_nco, switch_off};
use support::{HIGH, LOW, params};

/// Tunes a board of 20 detectors on which `change` causes a problem. Checks that each of `words` is
/// in a warning of its own, and that there is no other warning.
fn check(change: impl FnOnce(&mut FakeBoard, &mut TuneParams), words: &[&str]) -> TuneOutcome {
    let mut fake = FakeBoard::new(array(20, LOW, HIGH, 3), 4);
    let mut params = params();
    change(&mut fake, &mut params);
    let (board, _) = fake.handle();
    let outcome = tune(&board, ModuleId::FIRST, &params).wait().unwrap();
    let warnings = &outcome.warnings;
    assert_eq!(warnings.len(), words.len(), "{words:?}: {warnings:?}");
    for (warning, words) in warnings.iter().zip(words) {
        assert!(warning.contains(words), "{words}: {warnings:?}");
    }
    outcome
}

#[test]
fn every_stage_warns_of_a_line_without_signal() {
    let words = [
        "cable delay: no_signal",
        "is zero",
        "search failed: no_signal",
    ];
    check(|fake, _| (fake.gain, fake.sigma) = (0.0, 0.0), &words);
    let words = ["cable delay: no_signal", "no resonance was found"];
    check(|fake, _| fake.gain = 0.0, &words);
}

#[test]
fn the_stage_of_an_overdriven_input_is_in_the_warning() {
    // Acquisitions, counted from 0, in order: 4 for the delay of the line, 6 for the wide sweep, 41
    // for the fine sweep, 1 for the calibration.
    for (acquisition, stage) in [
        (2, "while the cable delay was measured"),
        (7, "during the network analysis"),
        (20, "during the fine sweep"),
        (51, "while the tones were calibrated"),
    ] {
        let range = format!("a converter was over its range {stage}");
        check(|fake, _| fake.overrange = Some(acquisition), &[&range]);
        let voltage = format!("an input was over its voltage {stage}");
        check(|fake, _| fake.overvoltage = Some(acquisition), &[&voltage]);
    }
}

#[test]
fn a_failed_join_is_in_the_warnings_with_its_frequency() {
    let seam_hz = 0.5 * (LOW + HIGH);
    let stop_band = |fake: &mut FakeBoard, _: &mut TuneParams| {
        fake.max_offset_hz = 20e6;
        fake.stop_band = Some((seam_hz - 5e5, seam_hz + 5e5));
    };
    let outcome = check(stop_band, &["could not be joined at 1130.0"]);
    assert_eq!(outcome.network_analysis.join, JoinStatus::Inconsistent);
    assert_eq!(
        outcome.network_analysis.seam_status,
        [JoinStatus::Inconsistent]
    );
}

#[test]
fn resonances_without_a_channel_are_in_the_outcome() {
    let many = |_: &mut FakeBoard, params: &mut TuneParams| params.reference_tones = 1020;
    let outcome = check(many, &[]);
    // The 4 channels that are not for reference tones have the best resonances.
    assert_eq!(outcome.toned(), 4);
    let reasons = outcome.not_toned.iter().map(|one| one.reason.as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["no_channel"; 16]);
}

#[test]
fn another_program_that_sets_the_module_is_an_error() {
    // Acquisitions, counted from 0, in order: 4 for the delay of the line, 6 for the wide sweep, 41
    // for the fine sweep, 1 for the calibration.
    let intrusions: [(Intrusion, &str); 2] = [
        (move_nco, "NCO is "),
        (switch_off, "amplitude is 0, was set to"),
    ];
    for acquisition in [2, 7, 30, 51] {
        for (intrude, words) in intrusions {
            let mut fake = FakeBoard::new(array(20, LOW, HIGH, 3), 4);
            fake.intruder = Some((acquisition, intrude));
            let (board, _) = fake.handle();
            let error = tune(&board, ModuleId::FIRST, &params()).wait().unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::EpochChanged,
                "{acquisition}: {error}"
            );
            let message = error.to_string();
            for words in [words, "another program sets this module"] {
                assert!(message.contains(words), "{message}");
            }
        }
    }
}

#[test]
fn a_single_delay_or_sweep_has_its_own_warnings() {
    let mut fake = FakeBoard::new(Vec::new(), 4);
    (fake.gain, fake.sigma) = (0.0, 0.0);
    let (board, _) = fake.handle();
    let band = Band::new(LOW, HIGH);
    let delay = CableDelayParams::default();
    let delay = cable_delay(&board, ModuleId::FIRST, band, &delay);
    assert_eq!(delay.wait().unwrap().warnings(), ["cable delay: no_signal"]);
    let wide = params().network_analysis;
    let wide = network_analysis(&board, ModuleId::FIRST, band, 0.0, &wide);
    assert_eq!(wide.wait().unwrap().warnings().len(), 1);
}

#[test]
fn a_delay_over_a_narrow_band_has_a_warning() {
    for (span_hz, is_narrow) in [(1e6, true), (4e6, true), (8e6, false), (50e6, false)] {
        let (board, _) = FakeBoard::new(Vec::new(), 64).handle();
        let band = Band::new(LOW, LOW + span_hz);
        let params = CableDelayParams::default();
        let found = cable_delay(&board, ModuleId::FIRST, band, &params).wait();
        let found = found.unwrap();
        assert!(found.delay.status.is_success(), "{found:?}");
        let warnings = found.warnings();
        let has_warning = warnings
            .iter()
            .any(|one| one.contains("measured over only"));
        assert_eq!(has_warning, is_narrow, "{span_hz} Hz: {warnings:?}");
    }
}
