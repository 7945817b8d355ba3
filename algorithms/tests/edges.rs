//! Tests of detectors at the ends of a module's range and of its NCO's reach, and of samples that
//! are not numbers. Each affects its own channel or point, and never the module.
//!
//! A *tune* sets a tone on the resonance of each detector; the channels for which this succeeds are
//! *tuned*. The *NCO* is the oscillator to which all tones of a module are relative, and the
//! *reach* is the range of frequencies that tones can have around it.

mod support;

use twotone_algorithms::placement::PlacementParams;
use twotone_algorithms::{
    Band, CableDelayParams, ChannelOutcome, ChannelStatus, NetworkAnalysisParams, Reason,
    TuneOutcome, TuneParams, cable_delay, network_analysis, tune,
};
use twotone_hal::{Dbm, ErrorKind, Hertz, ModuleId, ModuleLimits};

use support::board::{Detector, FakeBoard, array};
use support::{HIGH, LOW, params};

fn limits_of_range(low_hz: f64, high_hz: f64) -> ModuleLimits {
    ModuleLimits {
        f_min: Some(Hertz(low_hz)),
        f_max: Some(Hertz(high_hz)),
        ..ModuleLimits::default()
    }
}

/// Tunes over the range from `low_hz` to `high_hz` of a board that refuses tones outside of it.
fn tune_within(
    detectors: &[Detector],
    (low_hz, high_hz): (f64, f64),
    change: impl FnOnce(&mut FakeBoard, &mut TuneParams),
) -> TuneOutcome {
    let mut fake = FakeBoard::new(detectors.to_vec(), 4);
    fake.limits = limits_of_range(low_hz, high_hz);
    let mut params = TuneParams {
        band: None,
        ..params()
    };
    change(&mut fake, &mut params);
    let (board, running) = fake.handle();
    let outcome = tune(&board, ModuleId::FIRST, &params).wait().unwrap();
    let on = running.tones();
    assert_eq!(on.len(), outcome.toned() + outcome.references.len());
    assert_eq!(outcome.band, Band::new(low_hz, high_hz));
    outcome
}

fn linewidth(detector: &Detector) -> f64 {
    detector.fr_hz / detector.qr
}

fn near<'a>(outcome: &'a TuneOutcome, detector: &Detector) -> Option<&'a ChannelOutcome> {
    let apart =
        |c: &&ChannelOutcome| (c.tone_hz - detector.fr_hz).abs() < 2.0 * linewidth(detector);
    outcome.channels.iter().find(apart)
}

#[test]
fn a_detector_near_an_end_of_the_range_affects_no_other() {
    let detectors = array(30, LOW, HIGH, 3);
    let (low, high) = (&detectors[4], &detectors[25]);
    for inside_lw in [8.0, 4.0, 2.9, 2.0, 1.0, 0.5, 0.2, 0.0, -0.2, -1.0, -3.0] {
        let range = (
            low.fr_hz - inside_lw * linewidth(low),
            high.fr_hz + inside_lw * linewidth(high),
        );
        let outcome = tune_within(&detectors, range, |_, _| {});
        for detector in &detectors[5..25] {
            let channel = near(&outcome, detector).unwrap();
            assert_eq!(
                channel.status,
                ChannelStatus::Tuned,
                "{inside_lw}: {channel:?}"
            );
        }
        for detector in [low, high] {
            match near(&outcome, detector) {
                Some(channel) if inside_lw >= 1.0 => {
                    assert_eq!(
                        channel.status,
                        ChannelStatus::Tuned,
                        "{inside_lw}: {channel:?}"
                    );
                    let off = channel.fr_hz.unwrap() - detector.fr_hz;
                    assert!(off.abs() < 0.05 * linewidth(detector), "{inside_lw}: {off}");
                }
                // A sweep needs half a linewidth beyond the dip. Near that limit a tuned channel
                // and a failed one are both right, because the search finds the frequency with an
                // error.
                Some(channel) if (-0.2..1.0).contains(&inside_lw) => {
                    let tuned = channel.status == ChannelStatus::Tuned;
                    assert!(
                        tuned || channel.reason == Reason::Edge,
                        "{inside_lw}: {channel:?}"
                    );
                }
                Some(channel) => assert_eq!(channel.reason, Reason::Edge, "{inside_lw}"),
                None => assert!(inside_lw < 0.5, "{inside_lw}: not found"),
            }
        }
        for channel in outcome.channels.iter().filter(|c| c.reason == Reason::Edge) {
            assert_eq!(
                (channel.status, channel.amplitude),
                (ChannelStatus::Failed, 0.0)
            );
        }
    }
}

#[test]
fn crowded_detectors_at_an_end_affect_no_other() {
    let mut detectors = array(30, LOW, HIGH, 3);
    let (edge, lw) = (detectors[25].fr_hz, linewidth(&detectors[25]));
    for (k, apart) in [(26, 2.5), (27, 5.0), (28, 7.5)] {
        detectors[k].fr_hz = edge + apart * lw;
    }
    for inside_lw in [9.0, 7.0, 4.0, 2.0, 1.0] {
        let range = (LOW, edge + inside_lw * lw);
        for passes in 1..3 {
            let outcome = tune_within(&detectors, range, |_, params| {
                params.sweep_passes = passes;
            });
            let sweeps = &outcome.fine_sweep.as_ref().unwrap().sweeps;
            for (at, one) in sweeps.iter().enumerate() {
                for other in &sweeps[at + 1..] {
                    let pairs = one.frequency_hz.iter().zip(&other.frequency_hz);
                    let apart = pairs.map(|(a, b)| (a - b).abs());
                    let nearest = apart.fold(f64::INFINITY, f64::min);
                    assert!(nearest > 1.5 * lw, "{inside_lw} {passes}: {nearest}");
                }
            }
            for detector in &detectors[..25] {
                let channel = near(&outcome, detector).unwrap();
                assert_eq!(
                    channel.status,
                    ChannelStatus::Tuned,
                    "{inside_lw}: {channel:?}"
                );
            }
        }
    }
}

#[test]
fn tones_that_approach_from_above_or_are_rounded_stay_within_the_range() {
    let mut detectors = array(20, LOW, HIGH, 8);
    for detector in &mut detectors {
        detector.a = 0.5;
    }
    let last = &detectors[15];
    for inside_lw in [3.0, 1.5, 0.8, 0.4, 0.1] {
        let range = (LOW, last.fr_hz + inside_lw * linewidth(last));
        let outcome = tune_within(&detectors, range, |_, params| {
            params.placement = PlacementParams {
                grid_hz: Some(20e3),
                ..PlacementParams::default()
            };
        });
        for detector in &detectors[..15] {
            let channel = near(&outcome, detector).unwrap();
            assert_eq!(
                channel.status,
                ChannelStatus::Tuned,
                "{inside_lw}: {channel:?}"
            );
        }
        let on = outcome.channels.iter().filter(|c| c.amplitude != 0.0);
        assert!(on.into_iter().all(|c| c.tone_hz <= range.1));
    }
}

#[test]
fn detectors_at_the_ends_of_the_reach_of_the_nco_have_the_reason_edge() {
    let detectors = array(40, LOW, HIGH, 3);
    for max_offset_hz in [20e6, 21.3e6, 24.7e6] {
        let outcome = tune_within(&detectors, (LOW, HIGH), |fake, _| {
            fake.max_offset_hz = max_offset_hz;
        });
        for channel in &outcome.channels {
            let far = (channel.tone_hz - outcome.nco_hz).abs() < max_offset_hz - 1e6;
            assert!(
                !far || channel.status == ChannelStatus::Tuned,
                "{channel:?}"
            );
        }
        assert_eq!(outcome.channels.len() + outcome.not_toned.len(), 40);
    }
}

#[test]
fn a_range_outside_that_of_the_nco_is_reached_by_offsets() {
    // The NCO is at its limit, and the whole range of the tones is on one side of it.
    let detectors = array(20, LOW, HIGH, 3);
    for nco_hz in [
        (HIGH + 20e6, 2e9),
        (0.5e9, LOW - 20e6),
        (LOW + 9e6, LOW + 9e6),
    ] {
        let outcome = tune_within(&detectors, (LOW, HIGH), |fake, _| fake.nco_hz = nco_hz);
        assert_eq!(outcome.tuned(), 20, "{nco_hz:?}: {:?}", outcome.warnings);
        assert!((nco_hz.0..=nco_hz.1).contains(&outcome.nco_hz));
    }
}

#[test]
fn a_limit_of_the_total_power_lowers_every_tone() {
    let detectors = array(40, LOW, HIGH, 3);
    let outcome = tune_within(&detectors, (LOW, HIGH), |fake, params| {
        // A tone of full scale has 0 dBm. So 48 tones of amplitude 0.002 have -37.2 dBm together,
        // and one has -54 dBm.
        fake.limits.max_total = Some(Dbm(-40.0));
        params.network_analysis.amplitude = 0.0002;
        params.cable_delay.amplitude = 0.0002;
    });
    assert_eq!(outcome.tuned(), 40, "{:?}", outcome.warnings);
    let all = outcome.channels.iter().map(|c| c.amplitude);
    let all = all.chain(outcome.references.iter().map(|r| r.amplitude));
    let total = 20.0 * all.map(|a| a * a).sum::<f64>().sqrt().log10();
    assert!((-40.1..=-40.0).contains(&total), "{total}");
    let warning = outcome
        .warnings
        .iter()
        .find(|w| w.contains("below the requested power"));
    assert!(
        warning.is_some_and(|w| w.contains("2.8 dB")),
        "{:?}",
        outcome.warnings
    );
}

#[test]
fn a_band_outside_the_range_is_refused_before_anything_is_sent() {
    let mut fake = FakeBoard::new(array(5, LOW, HIGH, 3), 4);
    fake.limits = limits_of_range(LOW, HIGH);
    let (board, running) = fake.handle();
    let band = Band::new(LOW - 1e6, HIGH);
    let module = ModuleId::FIRST;
    let delay = cable_delay(&board, module, band, &CableDelayParams::default()).wait();
    let wide = NetworkAnalysisParams::default();
    let wide = network_analysis(&board, module, band, 0.0, &wide).wait();
    let asked = TuneParams {
        band: Some(band),
        ..params()
    };
    let tuned = tune(&board, module, &asked).wait();
    for error in [delay.unwrap_err(), wide.unwrap_err(), tuned.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    }
    assert_eq!(running.counts().clears, 0);
}

#[test]
fn a_sample_that_is_not_a_number_removes_only_its_point() {
    let detectors = array(20, LOW, HIGH, 3);
    // Pairs of an acquisition, counted from 0, and of a point in it. Acquisitions, in order: 4 for
    // the delay of the line, 6 for the wide sweep, 41 for the fine sweep, 1 for the calibration.
    for bad in [(1, 3), (6, 100), (30, 7), (51, 4)] {
        let outcome = tune_within(&detectors, (LOW, HIGH), |fake, _| fake.bad = vec![bad]);
        assert_eq!(outcome.tuned(), 20, "{bad:?}: {:?}", outcome.warnings);
        let has_warning = outcome
            .warnings
            .iter()
            .any(|w| w.starts_with("1 point is left out"));
        // A calibration with a bad point is measured again, so no point of it is missing.
        assert_eq!(has_warning, bad.0 != 51, "{bad:?}: {:?}", outcome.warnings);
    }
    let bad = vec![(51, 4), (52, 4)];
    let outcome = tune_within(&detectors, (LOW, HIGH), |fake, _| fake.bad = bad);
    assert_eq!(outcome.tuned(), 19);
    let failed = outcome
        .channels
        .iter()
        .find(|c| c.status == ChannelStatus::Failed);
    assert_eq!(failed.map(|c| c.reason.as_str()), Some("non_finite"));
    assert!(failed.is_some_and(|c| c.calibration.is_none()));
}
