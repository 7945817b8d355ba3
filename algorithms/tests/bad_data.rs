//! Tests on data without a resonance: no fit and no search succeeds on them, and none panics.

mod support;

use num_complex::Complex64;
use proptest::prelude::*;
use twotone_algorithms::Geometry;
use twotone_algorithms::chunks::{Chunk, join_chunks};
use twotone_algorithms::delay::{DelayStatus, estimate_delay};
use twotone_algorithms::finding::{FindMethod, FindParams, WideSweep, find_resonances};
use twotone_algorithms::fit::{
    Fit, FitParams, FitStatus, SweepData, fit_circle, fit_joint, fit_linear, fit_nonlinear,
    fit_pair,
};
use twotone_algorithms::resonator::Direction;

use support::{Case, Noise, case, cases};

fn frequencies(n: usize) -> Vec<f64> {
    (0..n).map(|i| 1.2e9 + 8e3 * i as f64).collect()
}

fn both(data: &SweepData<'_>) -> [Fit; 2] {
    let params = FitParams::default();
    [fit_linear(data, &params), fit_nonlinear(data, &params)]
}

/// Checks that no fit succeeds on `z`, with and without known noise.
fn check_failure(name: &str, z: &[Complex64], noise: f64) {
    let f = frequencies(z.len());
    for data in [SweepData::new(&f, z), SweepData::new(&f, z).noise(noise)] {
        for fit in both(&data) {
            assert_ne!(fit.status, FitStatus::Success, "{name}: {fit:?}");
        }
    }
}

fn line(n: usize, tau_s: f64) -> Vec<Complex64> {
    frequencies(n)
        .iter()
        .map(|f| Complex64::from_polar(1e4, -std::f64::consts::TAU * (f - 1.2e9) * tau_s))
        .collect()
}

#[test]
fn flat_zero_and_saturated_sweeps_fail() {
    for n in [0, 1, 2, 5, 8, 9, 41, 200] {
        check_failure("zero", &vec![Complex64::new(0.0, 0.0); n], 0.0);
        check_failure("flat", &vec![Complex64::new(3.0, 4.0); n], 0.0);
        check_failure(
            "saturated",
            &vec![Complex64::new(8_388_607.0, 8_388_607.0); n],
            1.0,
        );
        check_failure("line with a delay", &line(n, 4e-6), 1.0);
    }
    let mut one = vec![Complex64::new(0.0, 0.0); 41];
    one[20] = Complex64::new(1.0, 0.0);
    check_failure("a single point", &one, 0.0);
    let mut step = line(41, 0.0);
    for z in &mut step[20..] {
        *z *= Complex64::new(0.6, 0.5);
    }
    check_failure("a step", &step, 1.0);
}

#[test]
fn clipped_resonances_fail() {
    // Both quadratures are clipped at a value inside the loop.
    for name in ["matched", "mismatched", "kerr_up_0.3"] {
        let case = case(name);
        let rail = 0.5 * case.scale();
        let z: Vec<Complex64> = case
            .z()
            .iter()
            .map(|z| Complex64::new(z.re.clamp(-rail, rail), z.im.clamp(-rail, rail)))
            .collect();
        for fit in both(&case.data(&z)) {
            assert_ne!(fit.status, FitStatus::Success, "{name}: {fit:?}");
        }
    }
}

#[test]
fn fits_of_noise_fail() {
    let mut noise = Noise::new(11);
    for draw in 0..1500 {
        let n = [9, 15, 31, 41, 101][draw % 5];
        let mean = [0.0, 1.0, 30.0, 1e4][draw % 4];
        let z: Vec<Complex64> = (0..n).map(|_| mean + noise.complex(1.0)).collect();
        check_failure("noise", &z, 1.0);
    }
}

#[test]
fn fits_of_drift_fail() {
    // Drift with a 1/f spectrum makes smooth curves in the IQ plane.
    let mut noise = Noise::new(12);
    for _ in 0..600 {
        let mut at = Complex64::new(0.0, 0.0);
        let z: Vec<Complex64> = (0..41)
            .map(|_| {
                at += noise.complex(0.01);
                1.0 + at
            })
            .collect();
        let f = frequencies(41);
        for fit in both(&SweepData::new(&f, &z)) {
            assert_ne!(fit.status, FitStatus::Success, "{fit:?}");
        }
    }
}

#[test]
fn numbers_that_are_not_finite_have_a_status_of_their_own() {
    let good = case("matched");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut z = good.z();
        z[50].im = bad;
        for fit in both(&good.data(&z)) {
            assert_eq!(fit.status, FitStatus::NonFinite);
        }
        let z = good.z();
        let mut f = good.frequency_hz.clone();
        f[7] = bad;
        for fit in both(&SweepData::new(&f, &z)) {
            assert_eq!(fit.status, FitStatus::NonFinite);
        }
        for fit in both(&good.data(&z).noise(bad)) {
            assert_eq!(fit.status, FitStatus::NonFinite);
        }
    }
}

#[test]
fn too_few_points_have_a_status_of_their_own() {
    let good = case("matched");
    let z = good.z();
    for n in 0..9 {
        for fit in both(&SweepData::new(&good.frequency_hz[..n], &z[..n])) {
            assert_eq!(fit.status, FitStatus::TooFewPoints);
        }
    }
    for fit in both(&SweepData::new(&[1.2e9; 41], &z[..41])) {
        assert_eq!(fit.status, FitStatus::TooFewPoints);
    }
    for fit in both(&SweepData::new(&good.frequency_hz, &z[..100])) {
        assert_eq!(fit.status, FitStatus::TooFewPoints);
    }
}

/// Damages a golden sweep, which comes from a simulation: the sweep is cut, shifted and thinned,
/// and gets noise and an outlier.
fn damaged(case: &Case, noise: &mut Noise) -> (Vec<f64>, Vec<Complex64>, f64) {
    let n = case.frequency_hz.len();
    let snr = 10f64.powf(1.0 + 2.5 * noise.uniform());
    let sigma = case.scale() / snr;
    let first = (noise.uniform() * 0.5 * n as f64) as usize;
    let last = n - (noise.uniform() * 0.5 * n as f64) as usize;
    let every = 1 + (noise.uniform() * 7.0) as usize;
    let mut z = noise.add(&case.z(), sigma);
    if noise.uniform() < 0.2 {
        let hit = (noise.uniform() * n as f64) as usize;
        z[hit.min(n - 1)] *= 1.0 + 3.0 * noise.uniform();
    }
    let kept: Vec<usize> = (first..last).step_by(every).collect();
    (
        kept.iter().map(|&i| case.frequency_hz[i]).collect(),
        kept.iter().map(|&i| z[i]).collect(),
        sigma,
    )
}

#[test]
fn no_success_is_far_from_the_truth() {
    let mut noise = Noise::new(13);
    let cases: Vec<Case> = cases().into_iter().filter(|c| c.second.is_none()).collect();
    let (mut successes, mut tried) = (0, 0);
    let mut wrong = Vec::new();
    while tried < 10_000 {
        for case in &cases {
            let (f, z, sigma) = damaged(case, &mut noise);
            let data = SweepData::new(&f, &z)
                .noise(sigma)
                .delay(case.delay_s)
                .direction(case.direction);
            let fit = fit_nonlinear(&data, &FitParams::default());
            tried += 1;
            if fit.status.is_success() {
                successes += 1;
                let off = (fit.fr_hz - case.truth.fr_hz) / case.truth.linewidth_hz();
                if off.abs() > 0.3 {
                    wrong.push((case.name.clone(), f.len(), off, fit));
                }
            }
        }
    }
    println!("{successes} successes of {tried}");
    assert!(successes > tried / 4, "{successes} of {tried}");
    assert!(
        wrong.is_empty(),
        "{} wrong: {:?}",
        wrong.len(),
        wrong.first()
    );
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e4..1e4f64,
        1 => prop_oneof![
            Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
            Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(1e-320), Just(-1e300),
        ],
    ]
}

fn any_complex() -> impl Strategy<Value = Complex64> {
    (any_number(), any_number()).prop_map(|(re, im)| Complex64::new(re, im))
}

fn any_sweep() -> impl Strategy<Value = (Vec<f64>, Vec<Complex64>)> {
    prop::collection::vec((any_number(), any_complex()), 0..60).prop_map(|v| v.into_iter().unzip())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_function_panics_on_any_data(
        (f, z) in any_sweep(),
        tau in any_number(),
        noise in any_number(),
        down in any::<bool>(),
        geometry in prop::sample::select(Geometry::ALL.to_vec()),
    ) {
        let direction = if down { Direction::Down } else { Direction::Up };
        let data = SweepData { frequency_hz: &f, z: &z, noise: Some(noise), tau_s: tau, direction, geometry };
        let params = FitParams::default();
        let fits = [fit_linear(&data, &params), fit_nonlinear(&data, &params)];
        for fit in &fits {
            if fit.status.is_success() {
                prop_assert!(fit.model.is_finite() && fit.errors.fr_hz.is_finite());
            }
        }
        let _ = fit_joint(&data, &[fits[0].model, fits[1].model], true, &params);
        let _ = fit_pair(&data, true, &params);
        let _ = fit_circle(&z);
        let _ = estimate_delay(&f, &z, tau);
        let chunk = Chunk { nco_hz: tau, frequency_hz: f.clone(), z: z.clone() };
        let _ = join_chunks(&[chunk.clone(), chunk], tau);
        let sweep = WideSweep {
            frequency_hz: &f, z: &z, tau_s: tau, noise: Some(noise), nco_hz: &[noise],
            geometry: Geometry::Peak,
        };
        for method in [FindMethod::MatchedFilter, FindMethod::Prominence, FindMethod::IqSpeed] {
            let _ = find_resonances(&sweep, &FindParams { method, ..FindParams::default() });
        }
    }

    #[test]
    fn searches_do_not_panic_on_any_ascending_sweep(
        z in prop::collection::vec(any_complex(), 32..300),
        finite in any::<bool>(),
        geometry in prop::sample::select(Geometry::ALL.to_vec()),
    ) {
        let f: Vec<f64> = (0..z.len()).map(|i| 1e9 + 1e4 * i as f64).collect();
        let z: Vec<Complex64> = z
            .into_iter()
            .map(|z| if finite && !z.is_finite() { Complex64::new(1.0, 0.0) } else { z })
            .collect();
        let sweep = WideSweep { frequency_hz: &f, z: &z, tau_s: 1e-6, noise: None, nco_hz: &[], geometry };
        for method in [FindMethod::MatchedFilter, FindMethod::Prominence, FindMethod::IqSpeed] {
            let found = find_resonances(&sweep, &FindParams { method, ..FindParams::default() });
            for candidate in &found.candidates {
                prop_assert!(candidate.fr_hz.is_finite() && candidate.q > 0.0);
            }
        }
    }
}

#[test]
fn a_delay_is_not_found_in_noise() {
    let mut noise = Noise::new(14);
    for n in [16, 100, 1000] {
        let f: Vec<f64> = (0..n).map(|i| 1e9 + 2e4 * f64::from(i)).collect();
        for _ in 0..20 {
            let z: Vec<Complex64> = (0..n).map(|_| noise.complex(1.0)).collect();
            assert_ne!(estimate_delay(&f, &z, 10e-6).status, DelayStatus::Success);
        }
    }
}
