//! Property tests: no function panics or hangs for any numbers in the data, the parameters or a
//! resonator.

use num_complex::Complex64;
use proptest::prelude::*;
use twotone_algorithms::Geometry;
use twotone_algorithms::calibration::Calibration;
use twotone_algorithms::chunks::{Chunk, join_chunks};
use twotone_algorithms::delay::estimate_delay;
use twotone_algorithms::finding::{FindMethod, FindParams, WideSweep, find_resonances};
use twotone_algorithms::fit::{
    BoundParameters, FitParams, SweepData, cramer_rao, fit_circle, fit_joint, fit_linear,
    fit_nonlinear, fit_pair,
};
use twotone_algorithms::placement::{PlacementParams, PlacementRule, place};
use twotone_algorithms::resonator::{Direction, Resonator, detuning_slope, pulled_detuning};
use twotone_algorithms::robust::{complex_median, median, spread, sweep_noise};

/// Numbers of every size, with special ones such as NaN and zero.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => -10.0..10.0f64,
        3 => 1e8..1e10f64,
        2 => (-330..309).prop_map(|power| 10f64.powi(power)),
        1 => prop::num::f64::ANY,
        1 => prop::sample::select(vec![
            0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN,
            f64::MIN_POSITIVE, 5e-324, -5e-324, 1.0, -1.0,
        ]),
    ]
}

fn complex() -> impl Strategy<Value = Complex64> {
    (number(), number()).prop_map(|(re, im)| Complex64::new(re, im))
}

fn geometry() -> impl Strategy<Value = Geometry> {
    prop::sample::select(Geometry::ALL.to_vec())
}

fn resonator() -> impl Strategy<Value = Resonator> {
    let numbers = prop::array::uniform6(number());
    let others = (complex(), complex(), complex(), geometry());
    (numbers, others).prop_map(|(n, (gain, coupling, off, geometry))| Resonator {
        geometry,
        f_ref_hz: n[0],
        gain,
        slope_per_hz: n[1],
        tau_s: n[2],
        fr_hz: n[3],
        qr: n[4],
        coupling,
        off,
        a: n[5],
    })
}

/// Unordered frequencies, equal frequencies, and frequencies of a sweep with any start and any
/// step.
fn frequencies(count: usize) -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        prop::collection::vec(number(), count),
        number().prop_map(move |f| vec![f; count]),
        (number(), number()).prop_map(move |(first, step)| {
            (0..count).map(|i| first + step * i as f64).collect()
        }),
        Just((0..count).map(|i| 1e9 + 1e4 * i as f64).collect()),
    ]
}

/// Sweep with no point, one point or several points.
fn sweep() -> impl Strategy<Value = (Vec<f64>, Vec<Complex64>)> {
    let count = prop_oneof![1 => 0..2usize, 4 => 2..80usize];
    count.prop_flat_map(|count| {
        let z = prop_oneof![
            prop::collection::vec(complex(), count),
            complex().prop_map(move |z| vec![z; count]),
        ];
        (frequencies(count), z)
    })
}

fn direction() -> impl Strategy<Value = Direction> {
    prop::sample::select(vec![Direction::Up, Direction::Down])
}

fn find_params() -> impl Strategy<Value = FindParams> {
    let method = prop::sample::select(vec![
        FindMethod::MatchedFilter,
        FindMethod::Prominence,
        FindMethod::IqSpeed,
    ]);
    (method, prop::array::uniform9(number())).prop_map(|(method, n)| FindParams {
        method,
        min_depth_db: n[0],
        false_alarms: n[1],
        min_linewidth_hz: n[2],
        max_linewidth_hz: n[3],
        max_phi_rad: n[4],
        crowded_lw: n[5],
        collided_lw: n[6],
        near_nco_hz: n[7],
        edge_lw: n[8],
    })
}

fn fit_params() -> impl Strategy<Value = FitParams> {
    let flags = any::<(bool, bool)>();
    (flags, prop::array::uniform5(number()), 0..100usize).prop_map(|(flags, n, max_iterations)| {
        FitParams {
            fit_delay: flags.0,
            fit_slope: flags.1,
            max_residual: n[0],
            max_fr_error_lw: n[1],
            max_a_error: n[2],
            min_a: n[3],
            max_a: n[4],
            max_iterations,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_resonator_of_any_numbers(
        resonator in resonator(),
        other in number(),
        grid in prop::option::of(number()),
        numbers in prop::array::uniform3(number()),
        direction in direction(),
        z in complex(),
        f in frequencies(20),
    ) {
        let _ = pulled_detuning(other, resonator.a, direction);
        let _ = detuning_slope(other, resonator.a);
        let _ = (resonator.transmission(other, direction), resonator.depth_db(), resonator.qi());
        for rule in [
            PlacementRule::Stable,
            PlacementRule::LeastTransmission,
            PlacementRule::GreatestSpeed,
        ] {
            let params = PlacementParams {
                rule,
                high_power_a: numbers[0],
                high_power_y: numbers[1],
                approach_lw: numbers[2],
                grid_hz: grid,
            };
            if let Some(placed) = place(&resonator, &params) {
                prop_assert!(placed.tone_hz.is_finite());
            }
        }
        if let Some(calibration) = Calibration::at(&resonator, other) {
            let turned = calibration.rotated(numbers[0]).aligned();
            let _ = (turned.small_shift_hz(z), turned.small_loss(z));
            let _ = (turned.shift_hz(z), turned.detuning(z));
        }
        let free = BoundParameters { delay: true, slope: true, a: true };
        let _ = cramer_rao(&resonator, &f, other, direction, free);
    }

    #[test]
    fn fits_of_any_numbers_with_any_parameters(
        (f, z) in sweep(),
        params in fit_params(),
        first in resonator(),
        tau in number(),
        noise in prop::option::of(number()),
        direction in direction(),
        geometry in geometry(),
    ) {
        let data = SweepData { frequency_hz: &f, z: &z, noise, tau_s: tau, direction, geometry };
        for fit in [fit_linear(&data, &params), fit_nonlinear(&data, &params)] {
            prop_assert!(!fit.status.is_success() || fit.model.is_finite());
        }
        let _ = fit_joint(&data, &[first, first], true, &params);
        let _ = fit_joint(&data, &[], false, &params);
        let _ = fit_pair(&data, true, &params);
    }

    #[test]
    fn searches_and_statistics_of_any_numbers(
        (f, z) in sweep(),
        (f2, z2) in sweep(),
        params in find_params(),
        tau in number(),
        noise in prop::option::of(number()),
        ncos in prop::collection::vec(number(), 0..3),
        geometry in geometry(),
    ) {
        let sweep = WideSweep { frequency_hz: &f, z: &z, tau_s: tau, noise, nco_hz: &ncos, geometry };
        let _ = find_resonances(&sweep, &params);
        let _ = find_resonances(&sweep, &FindParams { method: params.method, ..FindParams::default() });
        let _ = estimate_delay(&f, &z, tau);
        let chunks = [
            Chunk { nco_hz: tau, frequency_hz: f.clone(), z: z.clone() },
            Chunk { nco_hz: tau, frequency_hz: f2, z: z2 },
        ];
        for number in 0..=2 {
            let _ = join_chunks(&chunks[..number], tau);
        }
        let _ = (median(&f), spread(&f, tau), complex_median(&z), sweep_noise(&z));
        if let Some(circle) = fit_circle(&z) {
            prop_assert!(circle.radius.is_finite());
        }
    }
}
