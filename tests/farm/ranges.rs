//! Tests of frequency ranges whose ends are chosen at random among the detectors of simulated
//! boards. Each module is tuned without an error, and so is every detector within the range. To
//! tune is to set a tone on the resonance of each detector.

use twotone::algorithms::{ChannelStatus, NetworkAnalysisParams, Reason, TuneParams, tune};
use twotone::hal::{Hertz, ModuleLimits};
use twotone::run::{Outcome, Runner};
use twotone::sim::{Farm, Profile, TruthDetector};

use super::{RUN_DEADLINE, connect};

/// Returns a pseudorandom number from 0 to 1, a different one for each index.
fn drawn(index: u64) -> f64 {
    let mut x = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// True if the resonance of a detector is within a range, at least `spare_lw` of its linewidths
/// from both ends.
fn within(detector: &TruthDetector, range: (f64, f64), spare_lw: f64) -> bool {
    let spare = spare_lw * detector.linewidth_hz;
    (range.0 + spare..=range.1 - spare).contains(&detector.fr_hz)
}

#[test]
fn no_range_costs_a_module_and_what_lies_within_it_is_tuned() {
    let farm = Farm::builder()
        .detectors(60)
        .band(1.0e9, 1.2e9)
        .seed(5)
        .profile(Profile::Clean)
        .start_blocking()
        .unwrap();
    let array = connect(&farm);
    let truth = farm.truth();
    let detectors: Vec<_> = truth.boards[0].modules[0]
        .detectors
        .iter()
        .filter(|detector| !detector.dead)
        .collect();
    let params = TuneParams {
        network_analysis: NetworkAnalysisParams {
            points: 24_000,
            ..Default::default()
        },
        ..TuneParams::default()
    };
    for trial in 0..24 {
        // Each end is at most four linewidths below or above the resonance of a detector.
        let end = |low: f64, at: u64| {
            let index = low + 0.45 * drawn(2 * trial + at);
            let detector = detectors[(index * detectors.len() as f64) as usize];
            let apart_lw = 8.0 * drawn(1000 + 2 * trial + at) - 4.0;
            detector.fr_hz + apart_lw * detector.linewidth_hz
        };
        let range = (end(0.0, 0), end(0.5, 1));
        let targets = array.targets().into_iter().map(|target| {
            let limits = ModuleLimits {
                f_min: Some(Hertz(range.0)),
                f_max: Some(Hertz(range.1)),
                ..target.limits
            };
            target.limits(limits)
        });
        let params = params.clone();
        let outcomes = Runner::new()
            .deadline(RUN_DEADLINE)
            .run(targets.collect(), move |board, module| {
                let params = params.clone();
                async move { tune(&board, module, &params).await }
            })
            .wait();
        let Outcome { result, .. } = &outcomes[0];
        let outcome = result
            .as_ref()
            .unwrap_or_else(|error| panic!("{trial}: {error}"));
        for detector in detectors
            .iter()
            .filter(|one| one.isolated && within(one, range, 1.0))
        {
            let near = |hz: f64| (hz - detector.fr_hz).abs() < detector.linewidth_hz;
            let channel = outcome
                .channels
                .iter()
                .find(|channel| near(channel.tone_hz));
            let status = channel.map(|channel| (channel.status, channel.reason));
            let tuned = Some((ChannelStatus::Tuned, Reason::Ok));
            assert_eq!(status, tuned, "{trial}: {range:?} {detector:?}");
        }
        let on = outcome.channels.iter().filter(|one| one.amplitude != 0.0);
        assert!(
            on.into_iter()
                .all(|one| (range.0..=range.1).contains(&one.tone_hz))
        );
    }
}
