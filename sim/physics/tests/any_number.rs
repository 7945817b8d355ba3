//! Tests of all functions that take numbers: none of them panics or hangs, for any values.

use twotone_physics::kerr::{Drive, Drives, Width, roots, settle};
use twotone_physics::{Detector, bank, cic, hash, units};

/// Numbers of every size, and special ones.
const NUMBERS: [f64; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.3,
    -2.5,
    77.0,
    1e9,
    -1e9,
    4.5e9,
    1e-9,
    1e16,
    1e-16,
    1e60,
    -1e60,
    1e155,
    1e300,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

#[test]
fn units_and_filters() {
    for x in NUMBERS {
        let _ = (
            units::tone_dbm(x, x),
            units::peak_volts(x),
            units::counts(x),
        );
        let _ = (
            units::counts_to_dbm(x),
            units::mw_to_dbm(x),
            units::dbm_to_mw(x),
        );
        let _ = (bank::offset_in_bin_hz(x), bank::gain(x));
        assert!(!units::quantise_hz(x).is_nan(), "{x}");
        assert!(hash::inverse_normal(x).is_nan() == x.is_nan(), "{x}");
        for stage in [0, 6, 7, 31, 32, 255] {
            let _ = (cic::droop(stage, x), cic::group_delay_s(stage));
        }
    }
}

#[test]
fn resonators_of_any_power_settle() {
    for a in NUMBERS {
        for u in NUMBERS {
            assert!((1..=3).contains(&roots(u, a).len()), "{u} {a}");
            for s in [0.0, 5.0, a, u] {
                for width in [
                    Width::constant(1.0),
                    Width::constant(a),
                    Width {
                        coupling: 0.5,
                        internal: 0.5,
                        saturating: u,
                        knee: a,
                        heating: u,
                    },
                ] {
                    let near = [Drive { u, a }, Drive { u: 1.0, a: u }];
                    for (near, ambient) in [(&near[..1], 0.0), (&near[..], a)] {
                        let settled = settle(&Drives { near, ambient }, &width.with_loss(u), u, s);
                        assert!(settled >= 0.0, "{u} {a} {s} {width:?}: {settled}");
                    }
                }
            }
        }
    }
}

#[test]
fn detectors_of_any_numbers() {
    for x in NUMBERS {
        for y in NUMBERS {
            let mut detector = Detector::new(1, x, y, 1e5);
            detector.phi_rad = y;
            let _ = (detector.qr(), detector.depth_db(), detector.ringdown_s());
            let _ = (
                detector.transmission(y),
                detector.is_physical(),
                detector.linewidth_hz(),
            );
        }
    }
}
