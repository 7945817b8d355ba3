//! Tests of samples: filters, noise, other tones in a channel, and the order of requests.

mod rig;

use twotone_physics::cic::{self, Filter};
use twotone_physics::units;
use twotone_physics::{
    Band, ChannelFault, Complex64, Conditions, Detector, Modulation, ModuleModel, Profile,
    ProfileParams, Tone,
};

use rig::{one_detector, settled, silent, tone};

const BAND: Band = Band {
    f_min_hz: 750e6,
    f_max_hz: 1250e6,
};

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
        // Samples are the same if they are read one by one, or after those of another channel.
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
        // The same samples, requested in parts, in another order of channels, and with other
        // channels in between.
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
        // The same request gives the same bits.
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
        // Noise k T relative to the tone's power at the amplifier, in the bandwidth of the filters.
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
        // The samples of the other channel, whose own tone is half as large.
        let sizes = out[620..].iter().map(|z| z.norm());
        let (low, high) = sizes.fold((f64::MAX, f64::MIN), |(l, h), z| (l.min(z), h.max(z)));
        let expected = cic::droop(6, offset).abs().min(0.5);
        let measured = (high - low) / 2.0 / alone;
        assert!(
            (measured - expected).abs() < 0.05 * expected + 1e-5,
            "{offset}: {measured}"
        );
    }
    // Two channels on the same frequency read the sum of both tones.
    model.set_tone(1, tone(&model, 1e9, 0.002)).expect("valid");
    assert!((settled(&mut model, 0, &mut start).norm() / alone - 2.0).abs() < 1e-6);
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
    // White noise that the bin filters: a quarter of it passes, and neighbouring samples are
    // correlated. Another program computed the numbers from the transform of the window.
    for (lag, expected) in [(1, 0.8308), (2, 0.4725), (3, 0.179)] {
        let got = power(lag) / power(0);
        assert!((got - expected).abs() < 0.02, "{lag}: {got}");
    }
    let mut slow = Vec::new();
    model.acquire(0, 20_000, 3..4, &mut slow);
    let slow_power = slow.iter().map(Complex64::norm_sqr).sum::<f64>() / 2e4;
    let expected = 0.246_131 * units::PFB_RATE_HZ / Filter::at_stage(6).noise_bandwidth_hz();
    assert!((power(0) / slow_power / expected - 1.0).abs() < 0.06);
    // A modulation that is too fast for the decimated samples.
    let detector = Detector::new(0, 1e9, 2e4, 1e5);
    let lw = detector.linewidth_hz();
    let mut model = one_detector(detector, &silent());
    model.set_tone(0, tone(&model, 1e9, 0.002)).expect("valid");
    settled(&mut model, 0, &mut 0);
    let point = model.truth_at(0, 0).expect("a tone is on");
    let modulation = Modulation {
        amplitude_lw: 0.01,
        frequency_hz: 600.0,
        phase_rad: 0.0,
    };
    model.set_conditions(Conditions {
        modulation: Some(modulation),
        ..Conditions::default()
    });
    let n = (units::PFB_RATE_HZ / 100.0) as usize;
    model.acquire_pfb(3000, n, 0, &mut out);
    let sin: f64 = out
        .iter()
        .enumerate()
        .map(|(k, z)| {
            let t = 3000.0 / units::TICK_RATE_HZ + k as f64 / units::PFB_RATE_HZ;
            let shift = ((z - point.sample) / point.d_per_hz).re / lw;
            shift * (std::f64::consts::TAU * 600.0 * t).sin() * 2.0 / n as f64
        })
        .sum();
    assert!((sin / 0.01 - 1.0).abs() < 0.02, "{sin}");
    model.acquire_pfb(0, 10, 999, &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_change_between_samples_is_seen_from_its_own_time_on() {
    let mut model = one_detector(Detector::new(0, 1.2e9, 2e4, 1e5), &silent());
    model.set_tone(0, tone(&model, 1e9, 0.002)).expect("valid");
    let mut out = Vec::new();
    model.acquire(0, 20, 0..1, &mut out);
    let old = out[19];
    // Half way between samples 19 and 20, which are 64 ticks apart.
    model.set_time(19.5 * 64.0);
    model.set_amplitude(0, 0.004).expect("valid");
    model.acquire(20, 10, 0..1, &mut out);
    for (k, z) in out.iter().enumerate() {
        let shown = Filter::at_stage(6).step((k as f64 + 0.5) * 64.0);
        assert!((z / old - 1.0 - shown).norm() < 1e-4, "sample {k}");
    }
    // A time that is set is valid only until samples are requested.
    let mut later = model.clone();
    later.set_time(35.0 * 64.0);
    later.acquire(40, 5, 0..1, &mut out);
    later.set_amplitude(0, 0.002).expect("valid");
    later.acquire(45, 1, 0..1, &mut out);
    assert!((out[0] / old - 2.0).norm() < 0.01, "{}", out[0] / old);
    // Samples that are requested again are computed with the present settings.
    model.acquire(20, 1, 0..1, &mut out);
    assert!((out[0] / old - 2.0).norm() < 1e-4);
}

#[test]
fn looking_at_the_truth_changes_no_sample() {
    let params = Profile::Lab.params();
    let mut plain = ModuleModel::draw(7, 3, 2, 64, BAND, 16, &params);
    let mut looked_at = plain.clone();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for round in 0..20 {
        for channel in 0..16 {
            let frequency_hz = -200e6 + 2e7 * channel as f64 + 5e3 * round as f64;
            let tone = Tone {
                frequency_hz,
                amplitude: 0.01,
                ..Tone::default()
            };
            plain.set_tone(channel, tone).expect("valid");
            looked_at.set_tone(channel, tone).expect("valid");
            assert!(looked_at.truth_at(channel, round * 5).is_some());
        }
        plain.acquire(round * 5, 5, 0..16, &mut one);
        looked_at.acquire(round * 5, 5, 0..16, &mut two);
        assert_eq!(one, two);
    }
}
