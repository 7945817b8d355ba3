//! Every problem that a stage of a tune finds is among the warnings of the tune.

mod support;

use twotone_algorithms::chunks::JoinStatus;
use twotone_algorithms::{
    Band, CableDelayParams, TuneOutcome, TuneParams, cable_delay, network_analysis, tune,
};
use twotone_hal::{ErrorKind, ModuleId};

use support::board::{FakeBoard, Intrusion, array, move_nco, switch_off};
use support::{HIGH, LOW, params};

/// Tunes a board of 20 detectors with a problem. Checks that each of `words` is in a warning of its
/// own, and that there is no other warning.
fn check(change: impl FnOnce(&mut FakeBoard, &mut TuneParams), words: &[&str]) -> TuneOutcome {
    let mut fake = FakeBoard::new(array(20, LOW, HIGH, 3), 4);
    let mut params = params();
    change(&mut fake, &mut params);
    let (board, _) = fake.handle();
    let outcome = tune(&board, ModuleId::FIRST, &params).wait().unwrap();
    let told = &outcome.warnings;
    assert_eq!(told.len(), words.len(), "{words:?}: {told:?}");
    for (warning, words) in told.iter().zip(words) {
        assert!(warning.contains(words), "{words}: {told:?}");
    }
    outcome
}

#[test]
fn a_line_without_signal_is_told_by_every_stage() {
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
fn an_input_that_is_overdriven_is_told_by_the_stage() {
    // Acquisitions: 4 of the delay, 6 of the wide sweep, 41 of the fine one, the calibration.
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
fn settings_of_the_nco_that_cannot_be_joined_are_told_with_their_frequency() {
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
fn resonances_for_which_there_is_no_channel_are_told() {
    let many = |_: &mut FakeBoard, params: &mut TuneParams| params.reference_tones = 1020;
    let outcome = check(many, &[]);
    // The channels that are left went to the best resonances.
    assert_eq!(outcome.toned(), 4);
    let reasons = outcome.not_toned.iter().map(|one| one.reason.as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["no_channel"; 16]);
}

#[test]
fn another_program_on_the_module_is_noticed_and_told() {
    // Acquisitions: 4 of the delay, 6 of the wide sweep, 41 of the fine one, the calibration.
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
            let told = error.to_string();
            let says = |words: &str| told.contains(words);
            assert!(
                says(words) && says("another program sets this module"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_delay_and_a_sweep_alone_tell_as_much() {
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
fn a_delay_of_a_narrow_band_is_told_as_doubtful() {
    for (span_hz, doubtful) in [(1e6, true), (4e6, true), (8e6, false), (50e6, false)] {
        let (board, _) = FakeBoard::new(Vec::new(), 64).handle();
        let band = Band::new(LOW, LOW + span_hz);
        let params = CableDelayParams::default();
        let found = cable_delay(&board, ModuleId::FIRST, band, &params).wait();
        let found = found.unwrap();
        assert!(found.delay.status.is_success(), "{found:?}");
        let told = found.warnings();
        let is_told = told.iter().any(|told| told.contains("MHz alone"));
        assert_eq!(is_told, doubtful, "{span_hz} Hz: {told:?}");
    }
}
