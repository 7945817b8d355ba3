//! Tests of searches of a feedline with thirty detectors, a standing wave and a delay, simulated as
//! a circuit.

mod support;

use num_complex::Complex64;
use twotone_algorithms::Geometry;
use twotone_algorithms::delay::{DelayStatus, estimate_delay};
use twotone_algorithms::finding::{
    Candidate, FindMethod, FindOutcome, FindParams, FindStatus, Flag, WideSweep, find_resonances,
};

use support::{Noise, Truth, Wide};

fn search(wide: &Wide, z: &[Complex64], noise: f64, params: &FindParams) -> FindOutcome {
    let f = wide.frequency_hz();
    let sweep = WideSweep {
        frequency_hz: &f,
        z,
        tau_s: wide.delay_s,
        noise: Some(noise),
        nco_hz: &[1.25e9],
        geometry: Geometry::Notch,
    };
    find_resonances(&sweep, params)
}

/// Distance from a candidate to the nearest true resonance, in linewidths of that resonance.
fn off(candidate: &Candidate, truth: &[Truth]) -> f64 {
    truth
        .iter()
        .map(|t| (candidate.fr_hz - t.fr_hz).abs() / t.linewidth_hz())
        .fold(f64::INFINITY, f64::min)
}

fn is_found(truth: &Truth, candidates: &[Candidate]) -> bool {
    candidates
        .iter()
        .any(|c| (c.fr_hz - truth.fr_hz).abs() < 0.3 * truth.linewidth_hz())
}

/// True resonances further than this many linewidths from the others.
fn isolated(truth: &[Truth], lw: f64) -> Vec<Truth> {
    let apart =
        |a: &Truth, b: &Truth| (a.fr_hz - b.fr_hz).abs() / a.linewidth_hz().max(b.linewidth_hz());
    truth
        .iter()
        .enumerate()
        .filter(|(i, a)| {
            truth
                .iter()
                .enumerate()
                .all(|(j, b)| *i == j || apart(a, b) > lw)
        })
        .map(|(_, a)| *a)
        .collect()
}

#[test]
fn every_method_finds_the_isolated_lines_and_nothing_else() {
    let wide = Wide::load();
    let clean = wide.z();
    let alone = isolated(&wide.truth, 10.0);
    assert_eq!(alone.len(), 26);
    let mut noise = Noise::new(21);
    for method in [
        FindMethod::MatchedFilter,
        FindMethod::Prominence,
        FindMethod::IqSpeed,
    ] {
        for snr in [5000.0, 300.0, 30.0] {
            for _ in 0..4 {
                let z = noise.add(&clean, 1.0 / snr);
                let params = FindParams {
                    method,
                    ..FindParams::default()
                };
                let found = search(&wide, &z, 1.0 / snr, &params);
                assert_eq!(found.status, FindStatus::Success);
                for truth in &alone {
                    assert!(
                        is_found(truth, &found.candidates),
                        "{method:?} {snr} {truth:?}"
                    );
                }
                for candidate in &found.candidates {
                    // The members of the collided pair are half a linewidth apart.
                    assert!(
                        off(candidate, &wide.truth) < 0.6,
                        "{method:?} {snr} {candidate:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_pair_is_found_as_two_crowded_lines() {
    let wide = Wide::load();
    let mut noise = Noise::new(22);
    for snr in [3000.0, 100.0] {
        let z = noise.add(&wide.z(), 1.0 / snr);
        let found = search(&wide, &z, 1.0 / snr, &FindParams::default());
        for truth in &wide.truth[10..12] {
            let near = |c: &&Candidate| (c.fr_hz - truth.fr_hz).abs() < 0.3 * truth.linewidth_hz();
            let candidate = found
                .candidates
                .iter()
                .find(near)
                .expect("a member of the pair");
            assert!(
                candidate.has(Flag::Crowded) && candidate.keep,
                "{candidate:?}"
            );
        }
        let crowded = found
            .candidates
            .iter()
            .filter(|c| c.has(Flag::Crowded))
            .count();
        assert_eq!(crowded, 2);
    }
}

#[test]
fn candidates_have_the_frequency_width_and_depth_of_the_lines() {
    let wide = Wide::load();
    let z = Noise::new(23).add(&wide.z(), 1e-3);
    let found = search(&wide, &z, 1e-3, &FindParams::default());
    for truth in isolated(&wide.truth, 10.0) {
        let candidate = found.candidates.iter().min_by(|a, b| {
            (a.fr_hz - truth.fr_hz)
                .abs()
                .total_cmp(&(b.fr_hz - truth.fr_hz).abs())
        });
        let candidate = candidate.unwrap();
        assert!((candidate.fr_hz - truth.fr_hz).abs() < 0.05 * truth.linewidth_hz());
        assert!(
            (candidate.q / truth.qr - 1.0).abs() < 0.1,
            "{candidate:?} {truth:?}"
        );
        assert!((candidate.coupling.re - truth.qr / truth.qc).abs() < 0.05);
    }
}

#[test]
fn lines_near_an_nco_or_an_end_are_flagged() {
    let wide = Wide::load();
    let truth = &wide.truth[24];
    let f = wide.frequency_hz();
    let z = wide.z();
    // The sweep ends two linewidths above the line, and the NCO is a tenth of a linewidth below it.
    let end = f.partition_point(|f| *f < truth.fr_hz + 2.0 * truth.linewidth_hz());
    let sweep = WideSweep {
        frequency_hz: &f[..end],
        z: &z[..end],
        tau_s: wide.delay_s,
        noise: None,
        nco_hz: &[truth.fr_hz - 0.1 * truth.linewidth_hz()],
        geometry: Geometry::Notch,
    };
    let found = find_resonances(&sweep, &FindParams::default());
    let last = found.candidates.last().unwrap();
    assert!(off(last, &wide.truth) < 0.3);
    assert!(last.has(Flag::Edge) && last.has(Flag::NearNco), "{last:?}");
    assert_eq!(
        found
            .candidates
            .iter()
            .filter(|c| c.has(Flag::NearNco))
            .count(),
        1
    );
}

#[test]
fn noise_causes_as_many_false_alarms_as_requested() {
    // The limits of depth and the model error have no effect here, so that only the statistic
    // decides.
    let mut noise = Noise::new(24);
    let f: Vec<f64> = (0..4000).map(|i| 1.2e9 + 1e4 * f64::from(i)).collect();
    let sigma = 0.3;
    for (method, asked, runs) in [
        (FindMethod::MatchedFilter, 0.01, 100),
        (FindMethod::Prominence, 0.01, 100),
        (FindMethod::IqSpeed, 0.01, 100),
    ] {
        let params = FindParams {
            method,
            min_depth_db: 0.01,
            false_alarms: asked,
            ..FindParams::default()
        };
        let mut alarms = 0;
        for _ in 0..runs {
            let z: Vec<Complex64> = f.iter().map(|_| 1.0 + noise.complex(sigma)).collect();
            let sweep = WideSweep {
                frequency_hz: &f,
                z: &z,
                tau_s: 0.0,
                noise: Some(sigma),
                nco_hz: &[],
                geometry: Geometry::Notch,
            };
            alarms += find_resonances(&sweep, &params).candidates.len();
        }
        println!("{method:?}: {alarms} in {runs}");
        // One false alarm is expected. The probability of eight is 1e-5.
        assert!(alarms <= 7, "{method:?}: {alarms} in {runs}");
    }
}

#[test]
fn weak_lines_at_low_signal_to_noise_are_found() {
    // The lines are 1 to 3 dB deep and twenty linewidths apart. The signal-to-noise ratio is 30.
    let weak = Wide::weak();
    let clean = weak.z();
    let mut noise = Noise::new(25);
    let (mut found_count, mut all, mut false_count) = (0, 0, 0);
    for _ in 0..15 {
        let z = noise.add(&clean, 1.0 / 30.0);
        let found = search(&weak, &z, 1.0 / 30.0, &FindParams::default());
        all += weak.truth.len();
        found_count += weak
            .truth
            .iter()
            .filter(|t| is_found(t, &found.candidates))
            .count();
        false_count += found
            .candidates
            .iter()
            .filter(|c| off(c, &weak.truth) > 1.0)
            .count();
    }
    println!("{found_count} of {all}, {false_count} false");
    assert!(
        found_count as f64 >= 0.99 * all as f64,
        "{found_count} of {all}"
    );
    assert!(
        false_count as f64 <= 0.002 * all as f64,
        "{false_count} false"
    );
}

#[test]
fn a_search_that_cannot_be_made_has_a_reason() {
    let f: Vec<f64> = (0..100).map(|i| 1e9 + 1e4 * f64::from(i)).collect();
    let z = vec![Complex64::new(1.0, 0.0); 100];
    let status = |f: &[f64], z: &[Complex64], params: &FindParams| {
        let sweep = WideSweep {
            frequency_hz: f,
            z,
            tau_s: 0.0,
            noise: None,
            nco_hz: &[],
            geometry: Geometry::Notch,
        };
        find_resonances(&sweep, params).status
    };
    let usual = FindParams::default();
    assert_eq!(status(&f, &z, &usual), FindStatus::Success);
    assert_eq!(status(&f[..9], &z[..9], &usual), FindStatus::TooFewPoints);
    assert_eq!(status(&f, &z[..99], &usual), FindStatus::TooFewPoints);
    assert_eq!(
        status(&f, &[Complex64::new(0.0, 0.0); 100], &usual),
        FindStatus::NoSignal
    );
    let mut back = f.clone();
    back.swap(3, 4);
    assert_eq!(status(&back, &z, &usual), FindStatus::NotAscending);
    let mut nan = z.clone();
    nan[5].re = f64::NAN;
    assert_eq!(status(&f, &nan, &usual), FindStatus::NonFinite);
    let coarse: Vec<f64> = (0..100).map(|i| 1e9 + 1e6 * f64::from(i)).collect();
    assert_eq!(status(&coarse, &z, &usual), FindStatus::TooCoarse);
    let nonsense = FindParams {
        false_alarms: f64::NAN,
        ..usual
    };
    assert_eq!(status(&f, &z, &nonsense), FindStatus::InvalidParameters);
}

#[test]
fn delays_are_found_through_resonances_and_ripple() {
    let wide = Wide::load();
    let (f, clean) = (wide.frequency_hz(), wide.z());
    let mut noise = Noise::new(26);
    for tau in [0.0, 30e-9, -2e-7, 2.5e-6, 10e-6] {
        let z: Vec<Complex64> = f
            .iter()
            .zip(noise.add(&clean, 0.02))
            .map(|(f, z)| {
                z * Complex64::cis(-std::f64::consts::TAU * (f - 1.2e9) * (tau - wide.delay_s))
            })
            .collect();
        let found = estimate_delay(&f, &z, 20e-6);
        assert_eq!(found.status, DelayStatus::Success, "{tau} {found:?}");
        // Resonators and mismatches add a little delay.
        assert!((found.tau_s - tau).abs() < 2e-9, "{tau} {found:?}");
        // The slope that remains over the sweep is less than 0.1 rad.
        assert!(found.sigma_s * std::f64::consts::TAU * 60e6 < 0.1);
    }
    // With every hundredth point, the points are 1 MHz apart. Delays above half a microsecond are
    // then ambiguous.
    let thin: Vec<usize> = (0..f.len()).step_by(100).collect();
    let few: Vec<f64> = thin.iter().map(|&i| f[i]).collect();
    let z: Vec<Complex64> = thin.iter().map(|&i| clean[i]).collect();
    assert_eq!(
        estimate_delay(&few, &z, 20e-6).status,
        DelayStatus::Ambiguous
    );
}

#[test]
fn error_of_a_delay_is_that_of_the_phases() {
    // The expected error is `sigma = s sqrt(12/M) / (2 pi B)`, for M points with phase noise s over
    // a span B.
    let f: Vec<f64> = (0..2000).map(|i| 1e9 + 1e5 * f64::from(i)).collect();
    let (span, sigma) = (1e5 * 1999.0, 0.02);
    let expected =
        sigma / 2f64.sqrt() * (12.0 / 2000.0_f64).sqrt() / (std::f64::consts::TAU * span);
    let mut noise = Noise::new(27);
    let mut sum = 0.0;
    let draws = 200;
    for _ in 0..draws {
        let z: Vec<Complex64> = f
            .iter()
            .map(|f| {
                Complex64::cis(-std::f64::consts::TAU * (f - 1e9) * 1.5e-6) + noise.complex(sigma)
            })
            .collect();
        let found = estimate_delay(&f, &z, 4e-6);
        assert_eq!(found.status, DelayStatus::Success);
        assert!(
            (found.sigma_s / expected - 1.0).abs() < 0.15,
            "{} {expected}",
            found.sigma_s
        );
        sum += (found.tau_s - 1.5e-6).powi(2);
    }
    let rms = (sum / f64::from(draws)).sqrt();
    assert!((rms / expected - 1.0).abs() < 0.2, "{rms} {expected}");
}

/// Peaks rise and fall. The end of a band, a step of the gain and a glitch do not.
#[test]
fn only_peaks_are_counted_as_rises() {
    let f: Vec<f64> = (0..4000).map(|i| 1e9 + 1e4 * f64::from(i)).collect();
    let peak = |f: f64, fr: f64| 1.0 / Complex64::new(1.0, 2.0 * (f - fr) / 1e5);
    let peaks = |f| 0.02 + peak(f, 1.008e9) + peak(f, 1.0133e9) + peak(f, 1.031e9);
    let wave = |f: f64, factor: f64| factor * Complex64::cis(f / 1e6);
    for name in ["peaks", "line", "end of a band", "step", "glitch"] {
        let line = |f: f64| match name {
            "peaks" => peaks(f),
            "end of a band" if f > 1.0041e9 => wave(f, 0.01),
            "step" if f > 1.0159e9 => wave(f, 4.0),
            "glitch" if (f - 1.02e9).abs() < 1e3 => wave(f, 9.0),
            _ => wave(f, 1.0),
        };
        let mut noise = Noise::new(29);
        let clean: Vec<Complex64> = f.iter().map(|f| line(*f)).collect();
        let z = noise.add(&clean, 1e-3);
        let sweep = WideSweep {
            frequency_hz: &f,
            z: &z,
            tau_s: 0.0,
            noise: Some(1e-3),
            nco_hz: &[1.0e9],
            geometry: Geometry::Notch,
        };
        let found = find_resonances(&sweep, &FindParams::default());
        let rises = if name == "peaks" { 3 } else { 0 };
        assert_eq!(found.rises, rises, "{name}");
    }
}
