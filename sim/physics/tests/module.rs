//! A module as its user sees it: settings in, samples out.

use std::f64::consts::TAU;

use twotone_physics::cic::{self, Filter};
use twotone_physics::units;
use twotone_physics::{
    Band, ChannelFault, Complex64, Conditions, Detector, DetectorFault, Line, Modulation,
    ModuleModel, Population, Profile, ProfileParams, SettingError, Tone,
};

const BAND: Band = Band {
    f_min_hz: 750e6,
    f_max_hz: 1250e6,
};

/// No noise worth speaking of.
fn silent() -> ProfileParams {
    ProfileParams {
        noise_temperature_k: 0.0,
        adc_bits: 31,
        ..ProfileParams::clean()
    }
}

fn one_detector(detector: Detector, params: &ProfileParams) -> ModuleModel {
    let line = Line {
        gain_db: -2.0,
        delay_s: 60e-9,
        ..Line::flat()
    };
    let population = Population::from_detectors([detector]);
    let mut model = ModuleModel::new(1, 0, 1, population, line, 16, params);
    model.set_nco(1e9 - 10e6).expect("finite");
    model
}

fn tone(model: &ModuleModel, absolute_hz: f64, amplitude: f64) -> Tone {
    Tone {
        frequency_hz: absolute_hz - model.nco_hz(),
        amplitude,
        ..Tone::default()
    }
}

/// Settled mean of a channel.
fn settled(model: &mut ModuleModel, channel: usize, start: &mut u64) -> Complex64 {
    let mut out = Vec::new();
    model.acquire(*start, 12, channel..channel + 1, &mut out);
    *start += 12;
    out[8..].iter().sum::<Complex64>() / 4.0
}

#[test]
fn far_from_all_detectors_a_tone_reads_its_power() {
    let mut model = one_detector(Detector::new(0, 1e9, 2e4, 1e5), &silent());
    model.set_tone(0, tone(&model, 1.1e9, 0.01)).expect("valid");
    let z = settled(&mut model, 0, &mut 0);
    // 1 dBm - 1.5 dB - 40 dB + a line of -2 dB.
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
fn a_change_shows_as_the_filters_step_and_only_for_their_length() {
    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &silent());
    let mut out = Vec::new();
    for stage in [6u8, 4] {
        model.set_stage(stage).expect("valid");
        model
            .set_tone(0, tone(&model, 1.0e9, 0.002))
            .expect("valid");
        model.acquire(1000, 20, 0..1, &mut out);
        let (old, n) = (out[19], 20);
        model.set_amplitude(0, 0.003).expect("valid");
        model.acquire(1000 + n, 20, 0..1, &mut out);
        let new = out[19];
        assert!((new / old - 1.5).norm() < 1e-6);
        let filter = Filter::at_stage(stage);
        for (k, z) in out.iter().enumerate() {
            let shown = filter.step((k as f64 + 1.0) * f64::from(1u32 << stage));
            assert!(
                (z - old - (new - old) * shown).norm() < 0.05,
                "stage {stage} sample {k}"
            );
        }
        assert!(
            (out[2] - new).norm() > 0.1 * (new - old).norm(),
            "stage {stage}: no memory"
        );
        assert!((out[6] - new).norm() < 1e-3, "stage {stage}: not settled");
        // Read one by one, or another channel first: the same.
        model.set_amplitude(0, 0.002).expect("valid");
        let mut other = Vec::new();
        model.acquire(2000, 2, 5..6, &mut other);
        assert_eq!(other.len(), 2);
    }
}

#[test]
fn samples_do_not_depend_on_how_they_are_asked_for() {
    for profile in [Profile::Clean, Profile::Lab, Profile::Harsh] {
        let mut model = ModuleModel::draw(7, 3, 2, 64, BAND, 128, &profile.params());
        for channel in 0..128 {
            let frequency_hz = -240e6 + 3.7e6 * channel as f64;
            let tone = Tone {
                frequency_hz,
                amplitude: 0.001,
                ..Tone::default()
            };
            model.set_tone(channel, tone).expect("valid");
        }
        let (mut first, mut out) = (Vec::new(), Vec::new());
        model.acquire(0, 10, 0..128, &mut first);
        let mut fresh = model.clone();
        model.acquire(10, 90, 0..128, &mut out);
        let whole: Vec<Complex64> = out.clone();
        // In pieces, in another order of channels, with others between.
        let mut model = fresh.clone();
        for piece in 0..9 {
            for channel in (0..128).rev() {
                fresh.acquire(10 + piece * 10, 10, channel..channel + 1, &mut out);
                for (k, z) in out.iter().enumerate() {
                    let expected = whole[channel * 90 + piece as usize * 10 + k];
                    assert!(
                        (z - expected).norm() < 1e-6 * expected.norm().max(1.0),
                        "{profile} channel {channel} sample {k} of piece {piece}: {z} {expected}"
                    );
                }
            }
        }
        // The same request, bit for bit.
        model.acquire(10, 90, 0..128, &mut out);
        assert_eq!(out, whole, "{profile}");
    }
}

#[test]
fn boards_modules_and_seeds_have_their_own_noise() {
    let noise = |seed, board, module, channel: usize| {
        let params = Profile::Clean.params();
        let mut model = ModuleModel::draw(seed, board, module, 4, BAND, 8, &params);
        let mut out = Vec::new();
        model.acquire(50, 4000, channel..channel + 1, &mut out);
        out
    };
    let one = noise(1, 2, 3, 4);
    assert_eq!(one, noise(1, 2, 3, 4));
    let power: f64 = one.iter().map(Complex64::norm_sqr).sum();
    for other in [
        noise(2, 2, 3, 4),
        noise(1, 3, 3, 4),
        noise(1, 2, 4, 4),
        noise(1, 2, 3, 5),
    ] {
        let cross: Complex64 = one.iter().zip(&other).map(|(a, b)| a * b.conj()).sum();
        assert!(cross.norm() / power < 0.08, "{}", cross.norm() / power);
    }
}

#[test]
fn noise_of_samples_has_the_filters_correlation_and_the_temperature() {
    let params = ProfileParams {
        noise_temperature_k: 5.0,
        ..ProfileParams::clean()
    };
    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &params);
    model
        .set_tone(0, tone(&model, 1.0e9, 0.002))
        .expect("valid");
    for (stage, rho) in [(6u8, [0.62, 0.14]), (0, [0.394, 0.015])] {
        model.set_stage(stage).expect("valid");
        let mut out = Vec::new();
        let n = 100_000;
        settled(&mut model, 0, &mut 0);
        model.acquire(12, n, 0..1, &mut out);
        let mean = out.iter().sum::<Complex64>() / n as f64;
        let product = |lag: usize| {
            let pairs = out.iter().zip(&out[lag..]);
            pairs
                .map(|(a, b)| ((a - mean) * (b - mean).conj()).re)
                .sum::<f64>()
        };
        for (lag, expected) in rho.into_iter().enumerate() {
            let measured = product(lag + 1) / product(0);
            assert!(
                (measured - expected).abs() < 0.015,
                "stage {stage} lag {lag}: {measured}"
            );
        }
        // k T against the tone's power at the amplifier, in the bandwidth of the filters.
        let snr = mean.norm() / (product(0) / n as f64).sqrt();
        let tone_w = 1e-3 * 10f64.powf((1.0 - 1.5 - 40.0) / 10.0) * 0.002 * 0.002;
        let noise_w = 1.380649e-23 * 5.0 * Filter::at_stage(stage).noise_bandwidth_hz();
        let expected = (tone_w / noise_w).sqrt();
        assert!(
            (snr / expected - 1.0).abs() < 0.02,
            "stage {stage}: {snr} {expected}"
        );
    }
}

/// A detector whose tone of amplitude 0.002 has the nonlinearity `a`.
fn nonlinear(a: f64) -> Detector {
    let power = units::dbm_to_mw(units::tone_dbm(1.0, 0.002) - 40.0);
    Detector {
        a_per_mw: a / power,
        ..Detector::new(0, 1e9, 2e4, 1e5)
    }
}

/// Sweeps a tone over a detector in steps of linewidths and gives the place of the largest step
/// between neighbouring samples, the cable taken out.
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
fn sweeps_up_and_down_jump_at_the_folds() {
    let strong = nonlinear(2.0);
    // The folds of y0(y) = y - a/(1 + 4 y^2), from a fine scan.
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

    // Walked to between the folds without reading: the same branch as with.
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
        // Turned off and on, the memory is gone: the branch of little energy.
        model.set_amplitude(0, 0.0).expect("valid");
        model.acquire(0, 1, 0..1, &mut Vec::new());
        model.set_amplitude(0, 0.002).expect("valid");
        assert!(model.truth_at(0, 0).expect("a tone is on").y < -0.4);
    }
}

#[test]
fn a_modulation_of_the_resonance_appears_with_its_size_sign_and_time() {
    for a in [0.0, 0.4] {
        let amplitude = 0.002;
        let power = units::dbm_to_mw(units::tone_dbm(1.0, amplitude) - 40.0);
        let detector = Detector {
            phi_rad: -0.3,
            a_per_mw: a / power,
            ..Detector::new(0, 1e9, 2e4, 1e5)
        };
        let lw = detector.linewidth_hz();
        let mut model = one_detector(detector, &silent());
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
            "a {a}: {sin} of {}",
            0.01 * lw
        );
        assert!(cos.abs() < 0.01 * sin, "a {a}: {cos}");
    }
}

#[test]
fn derivatives_are_those_of_the_samples() {
    let amplitude = 0.002;
    let power = units::dbm_to_mw(units::tone_dbm(1.0, amplitude) - 40.0);
    for (a, y0) in [(0.0, 0.0), (0.3, -0.4), (0.6, 0.3)] {
        let detector = Detector {
            phi_rad: 0.2,
            a_per_mw: a / power,
            ..Detector::new(0, 1e9, 2e4, 1e5)
        };
        let lw = detector.linewidth_hz();
        let f = 1e9 + y0 * lw;
        let sample = |detector: Detector| {
            let mut model = one_detector(detector, &silent());
            model
                .set_tone(0, tone(&model, f, amplitude))
                .expect("valid");
            settled(&mut model, 0, &mut 0)
        };
        let mut model = one_detector(detector.clone(), &silent());
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
            "a {a}: {d} {}",
            point.d_per_hz
        );
        // A change of Qi; `a` of the power grows with Qr^3.
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
        assert!((d / point.d_per_inv_qi - 1.0).norm() < 0.01, "a {a}: {d}");
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

    // The board told of the right length sees no delay.
    model
        .set_cable_length_m(60e-9 * 0.66 * 299_792_458.0)
        .expect("finite");
    assert_eq!(model.phase_epoch(), epoch + 2);
    assert!(slope(&mut model, &mut start).abs() < 1e-6);
}

#[test]
fn close_tones_beat_in_the_filter() {
    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &silent());
    model.set_tone(0, tone(&model, 1e9, 0.002)).expect("valid");
    let mut start = 0;
    let alone = settled(&mut model, 0, &mut start).norm();
    for offset in [50.0, 298.0, 700.0] {
        model
            .set_tone(1, tone(&model, 1e9 + offset, 0.001))
            .expect("valid");
        let mut out = Vec::new();
        model.acquire(start, 600, 0..2, &mut out);
        start += 600;
        let sizes = out[20..600].iter().map(|z| z.norm());
        let (low, high) = sizes.fold((f64::MAX, f64::MIN), |(l, h), z| (l.min(z), h.max(z)));
        let expected = 0.5 * cic::droop(6, offset).abs();
        let measured = (high - low) / 2.0 / alone;
        assert!(
            (measured - expected).abs() < 0.05 * expected + 1e-5,
            "{offset}: {measured} {expected}"
        );
        // The other channel sees the first tone twice as strong as its own.
        let sizes = out[620..].iter().map(|z| z.norm());
        let (low, high) = sizes.fold((f64::MAX, f64::MIN), |(l, h), z| (l.min(z), h.max(z)));
        assert!(
            ((high - low) / 2.0 / alone - expected.min(0.25) * 2.0).abs() < 0.1 || offset < 100.0
        );
    }
    // Two channels on the same frequency read the sum.
    model.set_tone(1, tone(&model, 1e9, 0.002)).expect("valid");
    assert!((settled(&mut model, 0, &mut start).norm() / alone - 2.0).abs() < 1e-6);
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
fn broken_channels_read_what_they_are() {
    let params = ProfileParams::clean();
    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &params);
    for channel in 0..5 {
        let f = 1e9 + 1e6 * channel as f64;
        model
            .set_tone(channel, tone(&model, f, 0.002))
            .expect("valid");
    }
    let channel_faults = vec![
        (1, ChannelFault::Dead),
        (2, ChannelFault::Flat),
        (3, ChannelFault::Saturated),
        (4, ChannelFault::Noisy),
        (99, ChannelFault::Dead),
    ];
    let mut out = Vec::new();
    assert!(!model.acquire(0, 50, 0..5, &mut out).overrange);
    model.set_conditions(Conditions {
        channel_faults,
        ..Conditions::default()
    });
    assert!(model.acquire(50, 50, 0..5, &mut out).overrange);
    assert!(!model.acquire(100, 50, 0..3, &mut Vec::new()).overrange);
    let spread = |row: &[Complex64]| {
        let mean = row.iter().sum::<Complex64>() / row.len() as f64;
        (row.iter().map(|z| (z - mean).norm_sqr()).sum::<f64>() / row.len() as f64).sqrt()
    };
    assert!(spread(&out[10..50]) > 0.1);
    assert!(out[50..100].iter().all(|z| z.norm() == 0.0));
    assert!(out[100..150].iter().all(|z| *z == out[100]) && out[100].norm() > 100.0);
    assert!(
        out[150..200]
            .iter()
            .all(|z| z.re.abs() == params.adc_full_scale)
    );
    assert!(spread(&out[210..250]) > 20.0 * spread(&out[10..50]));
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

#[test]
fn the_filter_bank_shows_the_white_noise_and_the_ring_down() {
    let detector = Detector::new(0, 1e9, 2e4, 1e5);
    let tau = detector.ringdown_s();
    let mut model = one_detector(detector, &silent());
    model.set_tone(0, tone(&model, 1e9, 0.002)).expect("valid");
    let mut start = 0;
    let low = settled(&mut model, 0, &mut start);
    model.set_tone(0, tone(&model, 1e9, 0.004)).expect("valid");
    let mut out = Vec::new();
    let change = (start - 1) * 64;
    model.acquire_pfb(change, 200, 0, &mut out);
    assert!((out[0] - low).norm() < 1.0, "{} {low}", out[0]);
    let k = (tau * units::PFB_RATE_HZ).round() as usize;
    let left = (out[k] - low * 2.0).norm() / low.norm();
    assert!((left - (-1f64).exp()).abs() < 0.03, "{left}");

    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &ProfileParams::clean());
    model.acquire_pfb(0, 20_000, 3, &mut out);
    let power = |lag: usize| {
        out.iter()
            .zip(&out[lag..])
            .map(|(a, b)| (a * b.conj()).re)
            .sum::<f64>()
            / 2e4
    };
    assert!(power(1).abs() < 0.03 * power(0));
    let mut slow = Vec::new();
    model.acquire(0, 20_000, 3..4, &mut slow);
    let slow_power = slow.iter().map(Complex64::norm_sqr).sum::<f64>() / 2e4;
    let expected = units::PFB_RATE_HZ / Filter::at_stage(6).noise_bandwidth_hz();
    assert!((power(0) / slow_power / expected - 1.0).abs() < 0.06);
    model.acquire_pfb(0, 10, 999, &mut out);
    assert!(out.is_empty());
}
