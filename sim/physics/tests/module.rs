//! Tests of the public interface of a module: settings and conditions as inputs, levels and
//! detectors as results.

mod rig;

use std::f64::consts::TAU;

use twotone_physics::{
    Band, Complex64, Conditions, Detector, DetectorFault, Geometry, Modulation, ModuleModel,
    ProfileParams, SettingError, Tone, cic, units,
};

use rig::{one_detector, settled, silent, tone};

const BAND: Band = Band {
    f_min_hz: 750e6,
    f_max_hz: 1250e6,
};

/// A detector whose tone of amplitude 0.002 has the nonlinearity `a`.
fn nonlinear(a: f64) -> Detector {
    let power = units::dbm_to_mw(units::tone_dbm(1.0, 0.002) - 40.0);
    Detector {
        a_per_mw: a / power,
        ..Detector::new(0, 1e9, 2e4, 1e5)
    }
}

/// Sweeps a tone over a detector, between two detunings in linewidths. Returns the detuning of the
/// largest step between neighbouring samples, with the phase of the cable removed.
fn largest_step(detector: &Detector, from: f64, to: f64) -> f64 {
    let mut model = one_detector(detector.clone(), &silent());
    let (mut last, mut greatest, mut start) = (None, (0.0, 0.0), 0);
    for k in 0..=400 {
        let y0 = from + (to - from) * f64::from(k) / 400.0;
        let f = detector.fr_hz + y0 * detector.linewidth_hz();
        model.set_tone(0, tone(&model, f, 0.002)).expect("valid");
        let z = settled(&mut model, 0, &mut start) * Complex64::from_polar(1.0, TAU * f * 60e-9);
        if let Some(last) = last {
            let step: f64 = (z - last as Complex64).norm();
            if step > greatest.0 {
                greatest = (step, y0);
            }
        }
        last = Some(z);
    }
    greatest.1
}

#[test]
fn far_from_all_detectors_a_tone_reads_its_power() {
    let mut model = one_detector(Detector::new(0, 1e9, 2e4, 1e5), &silent());
    model.set_tone(0, tone(&model, 1.1e9, 0.01)).expect("valid");
    let z = settled(&mut model, 0, &mut 0);
    // The tone has 1 dBm - 1.5 dB - 40 dB, and the line adds -2 dB.
    let dbm = units::counts_to_dbm(z.norm());
    assert!((dbm + 42.5).abs() < 0.01, "{dbm} dBm");
    model.set_dac_scale_dbm(-3.0).expect("finite");
    model.set_adc_attenuator_db(6.0).expect("finite");
    let dbm = units::counts_to_dbm(settled(&mut model, 0, &mut 12).norm());
    assert!((dbm + 52.5).abs() < 0.01, "{dbm} dBm");
}

#[test]
fn on_resonance_the_dip_is_as_deep_as_the_truth_says() {
    let detector = Detector {
        phi_rad: 0.4,
        ..Detector::new(0, 1e9, 2e4, 1e5)
    };
    let mut model = one_detector(detector, &silent());
    let truth = model.truth()[0].clone();
    let mut start = 0;
    model
        .set_tone(0, tone(&model, 1.05e9, 0.001))
        .expect("valid");
    let base = settled(&mut model, 0, &mut start).norm();
    let mut least = f64::INFINITY;
    for k in -150..150 {
        let f = truth.fr_hz + f64::from(k) * 0.01 * truth.linewidth_hz;
        model.set_tone(0, tone(&model, f, 0.001)).expect("valid");
        least = least.min(settled(&mut model, 0, &mut start).norm());
    }
    let depth = -20.0 * (least / base).log10();
    assert!(
        (depth - truth.depth_db).abs() < 0.02,
        "{depth} {}",
        truth.depth_db
    );
}

#[test]
fn sweeps_up_and_down_jump_at_the_folds() {
    let strong = nonlinear(2.0);
    // A fine scan finds the folds of y0(y) = y - a/(1 + 4 y^2), where its slope changes sign.
    let y0_of = |y: f64| y - 2.0 / (1.0 + 4.0 * y * y);
    let ys: Vec<f64> = (-2_000_000..0).map(|k| f64::from(k) * 1e-6).collect();
    let turns: Vec<f64> = ys
        .windows(3)
        .filter(|w| (y0_of(w[1]) - y0_of(w[0])) * (y0_of(w[2]) - y0_of(w[1])) < 0.0)
        .map(|w| y0_of(w[1]))
        .collect();
    let [upper, lower] = turns[..] else {
        panic!("two folds, not {turns:?}")
    };
    let (up, down) = (
        largest_step(&strong, -4.0, 1.0),
        largest_step(&strong, 1.0, -4.0),
    );
    assert!((up - upper).abs() < 0.03, "up at {up}, fold at {upper}");
    assert!(
        (down - lower).abs() < 0.03,
        "down at {down}, fold at {lower}"
    );

    // A tone that is moved to a frequency between the folds ends on the same branch, whether or not
    // samples are read while it moves.
    let middle = 0.5 * (upper + lower);
    for from in [1.0, -4.0] {
        let mut model = one_detector(strong.clone(), &silent());
        for k in 0..=100 {
            let y0 = from + (middle - from) * f64::from(k) / 100.0;
            let f = strong.fr_hz + y0 * strong.linewidth_hz();
            model.set_tone(0, tone(&model, f, 0.002)).expect("valid");
        }
        let point = model.truth_at(0, 0).expect("a tone is on");
        assert!((point.a - 2.0).abs() < 1e-6 && (point.y0 - middle).abs() < 1e-6);
        assert!((y0_of(point.y) - middle).abs() < 1e-6);
        assert_eq!(point.y > -0.4, from > 0.0, "from {from}: y {}", point.y);
        // If a tone is turned off and on, the detector loses its memory, and is on the branch with
        // little energy.
        model.set_amplitude(0, 0.0).expect("valid");
        model.acquire(0, 1, 0..1, &mut Vec::new());
        model.set_amplitude(0, 0.002).expect("valid");
        assert!(model.truth_at(0, 0).expect("a tone is on").y < -0.4);
    }
}

#[test]
fn a_modulation_of_the_resonance_appears_with_its_size_sign_and_time() {
    for (a, geometry) in [
        (0.0, Geometry::Notch),
        (0.4, Geometry::Notch),
        (0.4, Geometry::Reflection),
        (0.4, Geometry::Peak),
    ] {
        let amplitude = 0.002;
        let power = units::dbm_to_mw(units::tone_dbm(1.0, amplitude) - 40.0);
        let detector = Detector {
            phi_rad: -0.3,
            a_per_mw: a / power,
            ..Detector::new(0, 1e9, 2e4, 1e5)
        };
        let lw = detector.linewidth_hz();
        let mut model = one_detector(detector, &silent().geometry(geometry));
        model
            .set_tone(0, tone(&model, 1e9 + 0.1 * lw, amplitude))
            .expect("valid");
        let point = model.truth_at(0, 0).expect("a tone is on");
        let modulation = Modulation {
            amplitude_lw: 0.01,
            frequency_hz: 1.0,
            phase_rad: 0.7,
        };
        model.set_conditions(Conditions {
            modulation: Some(modulation),
            ..Conditions::default()
        });
        let mut out = Vec::new();
        let n = 5960;
        model.acquire(100, n, 0..1, &mut out);
        let (mut sin, mut cos) = (0.0, 0.0);
        for (k, z) in out.iter().enumerate().skip(10) {
            let df = ((z - point.sample) / point.d_per_hz).re;
            let t = (k as f64 + 100.0) / units::sample_rate_hz(6) - cic::group_delay_s(6);
            sin += df * (TAU * t + 0.7).sin() * 2.0 / n as f64;
            cos += df * (TAU * t + 0.7).cos() * 2.0 / n as f64;
        }
        assert!(
            (sin / (0.01 * lw) - 1.0).abs() < 0.01,
            "{geometry:?}, a {a}: {sin} of {}",
            0.01 * lw
        );
        assert!(cos.abs() < 0.01 * sin, "a {a}: {cos}");
    }
}

#[test]
fn derivatives_are_those_of_the_samples() {
    let amplitude = 0.002;
    let power = units::dbm_to_mw(units::tone_dbm(1.0, amplitude) - 40.0);
    for (a, y0, geometry) in [
        (0.0, 0.0, Geometry::Notch),
        (0.3, -0.4, Geometry::Notch),
        (0.6, 0.3, Geometry::Notch),
        (0.3, -0.4, Geometry::Reflection),
        (0.6, 0.3, Geometry::Reflection),
        (0.3, -0.4, Geometry::Peak),
        (0.6, 0.3, Geometry::Peak),
    ] {
        let params = silent().geometry(geometry);
        let detector = Detector {
            phi_rad: 0.2,
            a_per_mw: a / power,
            ..Detector::new(0, 1e9, 2e4, 1e5)
        };
        let lw = detector.linewidth_hz();
        let f = 1e9 + y0 * lw;
        let sample = |detector: Detector| {
            let mut model = one_detector(detector, &params);
            model
                .set_tone(0, tone(&model, f, amplitude))
                .expect("valid");
            settled(&mut model, 0, &mut 0)
        };
        let mut model = one_detector(detector.clone(), &params);
        model
            .set_tone(0, tone(&model, f, amplitude))
            .expect("valid");
        let point = model.truth_at(0, 0).expect("a tone is on");
        assert!((point.sample - sample(detector.clone())).norm() < 1e-3);
        assert!((point.y0 - y0).abs() < 1e-6 && (point.a - a).abs() < 1e-9);
        assert!((point.y - y0 - a / (1.0 + 4.0 * point.y * point.y)).abs() < 1e-6);
        let moved = sample(Detector {
            fr_hz: 1e9 + 50.0,
            ..detector.clone()
        }) - sample(Detector {
            fr_hz: 1e9 - 50.0,
            ..detector.clone()
        });
        let d = moved / 100.0;
        assert!(
            (d / point.d_per_hz - 1.0).norm() < 0.01,
            "{geometry:?}, a {a}: {d} {}",
            point.d_per_hz
        );
        // The same for a change of Qi. At a constant power, `a` grows with Qr^3.
        let lossier = |inverse: f64| {
            let qi = 1.0 / (1e-5 + inverse);
            let changed = Detector {
                qi,
                ..detector.clone()
            };
            let cubed = (changed.qr() / detector.qr()).powi(3);
            sample(Detector {
                a_per_mw: a / power * cubed,
                ..changed
            })
        };
        let d = (lossier(1e-8) - lossier(-1e-8)) / 2e-8;
        assert!(
            (d / point.d_per_inv_qi - 1.0).norm() < 0.01,
            "{geometry:?}, a {a}: {d}"
        );
    }
}

#[test]
fn epochs_phases_and_the_cable() {
    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &silent());
    let mut start = 0;
    model.set_tone(0, tone(&model, 1e9, 0.002)).expect("valid");
    model
        .set_tone(1, tone(&model, 1.001e9, 0.002))
        .expect("valid");
    let slope = |model: &mut ModuleModel, start: &mut u64| {
        (settled(model, 1, start) / settled(model, 0, start)).arg()
    };
    let before = settled(&mut model, 0, &mut start);
    assert!((slope(&mut model, &mut start) + TAU * 1e6 * 60e-9).abs() < 1e-6);

    model.set_dac_phase(0, 0.5).expect("valid");
    model.set_adc_phase(0, 0.2).expect("valid");
    let turned = settled(&mut model, 0, &mut start);
    assert!(((turned / before).arg() - 0.3).abs() < 1e-9);
    model
        .set_tone(
            0,
            Tone {
                dac_phase_rad: 0.0,
                adc_phase_rad: 0.0,
                ..model.tone(0)
            },
        )
        .expect("valid");

    let epoch = model.phase_epoch();
    let nco = model.nco_hz();
    model.set_nco(nco).expect("finite");
    assert_eq!(model.phase_epoch(), epoch + 1);
    let after = settled(&mut model, 0, &mut start);
    assert!((after.norm() / before.norm() - 1.0).abs() < 1e-9);
    assert!(
        (after / before).arg().abs() > 1e-3,
        "the phase did not change"
    );

    // If the right cable length is set, the samples show no delay.
    model
        .set_cable_length_m(60e-9 * 0.66 * 299_792_458.0)
        .expect("finite");
    assert_eq!(model.phase_epoch(), epoch + 2);
    assert!(slope(&mut model, &mut start).abs() < 1e-6);
}

#[test]
fn conditions_move_detectors_and_line() {
    let detector = Detector {
        responsivity: 1.0,
        ..Detector::new(5, 1e9, 2e4, 1e5)
    };
    let params = silent();
    let lw = detector.linewidth_hz();
    let mut model = one_detector(detector, &params);
    model.set_tone(0, tone(&model, 1e9, 0.001)).expect("valid");
    let mut at = |conditions: Conditions, sample: u64| {
        model.set_conditions(conditions);
        model.truth_at(0, sample).expect("a tone is on")
    };
    let none = Conditions::default();
    assert!((at(none.clone(), 0).fr_hz - 1e9).abs() < 1e-3);
    let loaded = at(
        Conditions {
            optical_load: 1.0,
            ..none.clone()
        },
        0,
    );
    assert!((loaded.fr_hz - 1e9 * (1.0 - params.load_response)).abs() < 1.0);
    let extra = 1.0 / loaded.qi - 1e-5;
    assert!((extra / (2.0 * params.load_response / params.pair_beta) - 1.0).abs() < 1e-6);
    let shifted = at(
        Conditions {
            common_shift_lw: -0.7,
            ..none.clone()
        },
        0,
    );
    assert!((shifted.fr_hz - 1e9 + 0.7 * lw).abs() < 1.0);
    let spread = |draw| Conditions {
        random_shift_lw: 0.3,
        qi_spread: 0.2,
        random_draw: draw,
        ..Conditions::default()
    };
    let (one, two) = (at(spread(1), 0), at(spread(2), 0));
    assert!(one.fr_hz != two.fr_hz && (0.8e5..=1.2e5).contains(&one.qi));
    let jump = DetectorFault::Jump {
        at_s: 1.0,
        linewidths: 2.0,
    };
    let faulty = Conditions {
        detector_faults: vec![(5, jump)],
        ..none.clone()
    };
    assert!((at(faulty.clone(), 590).fr_hz - 1e9).abs() < 1.0);
    assert!((at(faulty, 600).fr_hz - 1e9 - 2.0 * lw).abs() < 1.0);

    model
        .set_tone(0, tone(&model, 1.1e9, 0.001))
        .expect("valid");
    model.set_conditions(Conditions::default());
    let mut start = 0;
    let before = settled(&mut model, 0, &mut start);
    model.set_conditions(Conditions {
        gain_db: 0.5,
        phase_rad: 0.17,
        ..Conditions::default()
    });
    let ratio = settled(&mut model, 0, &mut start) / before;
    assert!((20.0 * ratio.norm().log10() - 0.5).abs() < 1e-6);
    assert!((ratio.arg() - 0.17).abs() < 1e-6);
}

#[test]
fn a_jump_shows_in_the_samples() {
    let mut model = one_detector(Detector::new(5, 1e9, 2e4, 1e5), &silent());
    model.set_tone(0, tone(&model, 1e9, 0.001)).expect("valid");
    let jump = DetectorFault::Jump {
        at_s: 0.5,
        linewidths: 3.0,
    };
    model.set_conditions(Conditions {
        detector_faults: vec![(5, jump)],
        ..Conditions::default()
    });
    let mut out = Vec::new();
    model.acquire(0, 600, 0..1, &mut out);
    assert!(
        out[500].norm() > 3.0 * out[280].norm(),
        "{} {}",
        out[500],
        out[280]
    );
    let dead = Conditions {
        detector_faults: vec![(5, DetectorFault::Dead)],
        ..Conditions::default()
    };
    model.set_conditions(dead);
    model.acquire(600, 20, 0..1, &mut out);
    let far = units::counts_to_dbm(out[19].norm());
    assert!((far + 62.5).abs() < 0.01, "{far}");
}

#[test]
fn too_large_a_comb_raises_the_flag() {
    let mut model = ModuleModel::draw(1, 0, 1, 4, BAND, 1024, &ProfileParams::clean());
    let mut out = Vec::new();
    for (amplitude, expected) in [(0.0075, false), (0.0090, true), (0.0, false)] {
        for channel in 0..1024 {
            let frequency_hz = -200e6 + 4e5 * channel as f64;
            let dac_phase_rad = (channel * channel) as f64 * 0.37;
            let tone = Tone {
                frequency_hz,
                amplitude,
                dac_phase_rad,
                adc_phase_rad: 0.0,
            };
            model.set_tone(channel, tone).expect("valid");
        }
        assert_eq!(
            model.acquire(0, 1, 0..1, &mut out).overrange,
            expected,
            "{amplitude}"
        );
    }
}

#[test]
fn bad_settings_are_refused_and_change_nothing() {
    let mut model = ModuleModel::draw(1, 0, 1, 4, BAND, 8, &ProfileParams::clean());
    assert_eq!(model.set_amplitude(8, 0.1), Err(SettingError::NoChannel(8)));
    assert_eq!(
        model.set_amplitude(0, 1.1),
        Err(SettingError::Amplitude(1.1))
    );
    assert!(model.set_amplitude(0, f64::NAN).is_err());
    assert_eq!(
        model.set_frequency(0, f64::INFINITY),
        Err(SettingError::NotFinite)
    );
    assert_eq!(model.set_nco(f64::NAN), Err(SettingError::NotFinite));
    assert_eq!(model.set_stage(7), Err(SettingError::Stage(7)));
    assert_eq!(model.tone(0), Tone::default());
    assert_eq!(model.phase_epoch(), 0);
    let mut out = vec![Complex64::default(); 3];
    model.acquire(u64::MAX - 3, 10, 0..100, &mut out);
    assert_eq!(out.len(), 80);
    assert!(out.iter().all(|z| z.re.is_finite() && z.im.is_finite()));
    model.acquire(0, 0, 0..8, &mut out);
    assert!(out.is_empty() && model.truth_at(0, 0).is_none() && model.truth_at(99, 0).is_none());
}
