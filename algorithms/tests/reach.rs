//! Tests of the frequencies that algorithms can reach, and of tunes that they refuse, on a board in
//! memory.
//!
//! A *tune* sets a tone on the resonance of each detector. A *comb* is a set of tones that are on
//! at the same time. The *NCO* is the oscillator to which all tones of a module are relative.

mod support;

use twotone_algorithms::{
    Band, CableDelayParams, FineSweepParams, NetworkAnalysisParams, SweepTarget, TuneParams,
    cable_delay, fine_sweep, network_analysis, tune,
};
use twotone_hal::{BoardHandle, ErrorKind, ModuleId};

use support::board::{Counts, FakeBoard, Running, array};
use support::{HIGH, LOW, params};

/// Checks that a tune is refused before any setting is sent.
fn refused(params: &TuneParams, kind: ErrorKind, words: &str) {
    let (board, running) = FakeBoard::new(array(5, LOW, HIGH, 3), 4).handle();
    let error = tune(&board, ModuleId::FIRST, params).wait().unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.board(), Some("fake"));
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(
        running.counts(),
        Counts {
            batches: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn bad_parameters_are_refused_before_anything_is_sent() {
    let check = |change: fn(&mut TuneParams), kind, words| {
        let mut params = params();
        change(&mut params);
        refused(&params, kind, words);
    };
    let argument = ErrorKind::InvalidArgument;
    check(|p| p.band = Some(Band::new(HIGH, LOW)), argument, "empty");
    check(|p| p.band = Some(Band::new(LOW, LOW)), argument, "empty");
    let nan = |p: &mut TuneParams| p.band = Some(Band::new(f64::NAN, HIGH));
    check(nan, argument, "not a range");
    // The band is outside the range of the NCO.
    check(|p| p.band = Some(Band::new(6e9, 6.01e9)), argument, "NCO");
    check(|p| p.network_analysis.points = 0, argument, "points");
    check(|p| p.network_analysis.points = 600, argument, "too coarse");
    let loud = |p: &mut TuneParams| p.network_analysis.amplitude = 0.02;
    check(loud, ErrorKind::Limit, "full scale");
    let nan = |p: &mut TuneParams| p.network_analysis.amplitude = f64::NAN;
    check(nan, argument, "amplitude");
    check(|p| p.network_analysis.overlap = 2, argument, "overlap");
    check(|p| p.tone_amplitude = 2.0, argument, "tone_amplitude");
    check(|p| p.fine_sweep.points = 21, argument, "too coarse");
    check(|p| p.fine_sweep.directions.clear(), argument, "directions");
}

#[test]
fn the_limit_of_a_comb_is_as_stated() {
    // The comb peaks at 5.5 sqrt(1024 a^2 / 2), which is full scale for the amplitude a = 0.00804.
    let (board, _) = FakeBoard::new(Vec::new(), 4).handle();
    let band = Band::new(LOW, HIGH);
    let at = |amplitude| {
        let params = NetworkAnalysisParams {
            points: 6000,
            amplitude,
            ..Default::default()
        };
        network_analysis(&board, ModuleId::FIRST, band, 0.0, &params)
            .wait()
            .map(drop)
    };
    assert!(at(0.0080).is_ok());
    assert_eq!(at(0.0081).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn fine_sweeps_refuse_what_they_cannot_do() {
    let (board, running) = FakeBoard::new(Vec::new(), 4).handle();
    let target = SweepTarget {
        centre_hz: 1.1e9,
        linewidth_hz: 6e4,
        amplitude: 0.001,
    };
    let try_it = |targets: &[SweepTarget]| {
        let params = FineSweepParams::default();
        fine_sweep(&board, ModuleId::FIRST, targets, Some(1.1e9), &params)
            .wait()
            .unwrap_err()
    };
    assert!(try_it(&[]).to_string().contains("no resonance to sweep"));
    assert!(
        try_it(&vec![target; 1025])
            .to_string()
            .contains("more than the module's 1024")
    );
    let far = SweepTarget {
        centre_hz: 1.4e9,
        ..target
    };
    assert!(try_it(&[far]).to_string().contains("beyond"));
    let loud = SweepTarget {
        amplitude: 0.5,
        ..target
    };
    assert_eq!(try_it(&[loud; 3]).kind(), ErrorKind::Limit);
    let nonsense = SweepTarget {
        linewidth_hz: -1.0,
        ..target
    };
    let error = try_it(&[nonsense]).to_string();
    assert!(
        error.contains("a target with") && error.contains("cannot be swept"),
        "{error}"
    );
    assert_eq!(running.counts().clears, 0);
    let unknown = ModuleId::new(9).unwrap();
    let error = cable_delay(
        &board,
        unknown,
        Band::new(LOW, HIGH),
        &CableDelayParams::default(),
    )
    .wait()
    .unwrap_err();
    assert!(error.to_string().contains("no module 9"), "{error}");
}

#[test]
fn delays_up_to_ten_microseconds_are_measured_with_few_combs() {
    for tau_s in [0.0, 40e-9, 1.03e-6, 9.7e-6] {
        let mut fake = FakeBoard::new(array(40, LOW, HIGH, 3), 4);
        fake.tau_s = tau_s;
        let (board, running) = fake.handle();
        let found = cable_delay(
            &board,
            ModuleId::FIRST,
            Band::new(LOW, HIGH),
            &CableDelayParams::default(),
        )
        .wait()
        .unwrap();
        assert!(found.delay.status.is_success(), "{tau_s}: {found:?}");
        // The delay is right if it changes the phase by less than 0.1 rad over the span of 60 MHz.
        let left = (found.delay.tau_s - tau_s) * std::f64::consts::TAU * 60e6;
        assert!(left.abs() < 0.1, "{tau_s}: {left} rad left");
        assert!(running.counts().batches <= 6);
    }
}

#[test]
fn mirror_images_of_tones_fall_between_tones() {
    // Board that checks that no tone of a comb is close to the mirror image of a tone about the
    // NCO.
    struct Spy(Running);
    #[twotone_hal::async_trait]
    impl twotone_hal::Board for Spy {
        fn name(&self) -> &str {
            "spy"
        }
        async fn run(
            &self,
            batch: &twotone_hal::Batch,
        ) -> twotone_hal::Result<twotone_hal::Replies> {
            let replies = self.0.run(batch).await;
            let nco = self.0.module().nco().frequency.0;
            let mut offsets: Vec<f64> = self.0.tones().iter().map(|t| t.1 - nco).collect();
            offsets.sort_by(f64::total_cmp);
            for offset in &offsets {
                let at = offsets.partition_point(|o| *o < -offset);
                for near in offsets[at.saturating_sub(1)..].iter().take(2) {
                    assert!(
                        (near + offset).abs() > 4.5e3,
                        "{offset} mirrors onto {near}"
                    );
                }
            }
            replies
        }
    }
    let board = BoardHandle::new(Spy(FakeBoard::new(Vec::new(), 4).start()));
    for points in [6000, 6001, 7168, 6143] {
        let params = NetworkAnalysisParams {
            points,
            amplitude: 0.001,
            ..Default::default()
        };
        let band = Band::new(LOW, LOW + 1e4 * points as f64);
        let found = network_analysis(&board, ModuleId::FIRST, band, 0.0, &params)
            .wait()
            .unwrap();
        assert_eq!(found.frequency_hz.len(), points);
        assert!(found.frequency_hz.windows(2).all(|w| w[1] > w[0]));
        // The frequencies are shifted at random, and the outcome has them as they were set.
        let step = |i: usize| found.frequency_hz[i + 1] - found.frequency_hz[i] - 1e4;
        assert!(
            (10..50).any(|i| step(i).abs() > 1.0) && (0..points - 1).all(|i| step(i).abs() < 101.0)
        );
    }
}
