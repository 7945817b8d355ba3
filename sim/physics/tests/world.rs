//! Tests of the motion of resonances under constant settings: noise of detectors and line, hits,
//! pairs, and power.

use std::f64::consts::TAU;

use twotone_physics::units;
use twotone_physics::{
    Band, Complex64, Conditions, Detector, DetectorFault, Line, ModuleModel, Population, Profile,
    ProfileParams, Tone,
};

const AMPLITUDE: f64 = 0.002;

fn silent() -> ProfileParams {
    ProfileParams {
        noise_temperature_k: 0.0,
        adc_bits: 31,
        ..ProfileParams::clean()
    }
}

fn power_mw() -> f64 {
    units::dbm_to_mw(units::tone_dbm(1.0, AMPLITUDE) - 40.0)
}

/// A module with a tone at each detector, `y0` linewidths from it.
fn toned(seed: u64, detectors: &[Detector], y0: f64, params: &ProfileParams) -> ModuleModel {
    let population = Population::from_detectors(detectors.to_vec());
    let mut model = ModuleModel::new(seed, 0, 1, population, Line::flat(), 16, params);
    for (channel, d) in detectors.iter().enumerate() {
        let frequency_hz = d.fr_hz + y0 * d.linewidth_hz();
        let tone = Tone {
            frequency_hz,
            amplitude: AMPLITUDE,
            ..Tone::default()
        };
        model.set_tone(channel, tone).expect("valid");
    }
    model
}

/// Returns the samples of a channel as shifts of fr in Hz. Samples in which the filters settle are
/// left out.
fn shifts(model: &mut ModuleModel, channel: usize, n: usize) -> Vec<f64> {
    let point = model.truth_at(channel, 0).expect("a tone is on");
    let mut out = Vec::new();
    model.acquire(0, n + 10, channel..channel + 1, &mut out);
    out[10..]
        .iter()
        .map(|z| ((z - point.sample) / point.d_per_hz).re)
        .collect()
}

/// Returns the one-sided power spectral density around a frequency, in the square of the unit of
/// `x` per Hz.
fn density(x: &[f64], frequency: f64) -> f64 {
    let rate = units::sample_rate_hz(6);
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let sum: f64 = [0.85, 0.95, 1.05, 1.15]
        .iter()
        .map(|near| {
            let (mut sum, mut norm) = (Complex64::default(), 0.0);
            for (k, value) in x.iter().enumerate() {
                let window = (std::f64::consts::PI * k as f64 / x.len() as f64)
                    .sin()
                    .powi(2);
                let angle = TAU * frequency * near * k as f64 / rate;
                sum += window * (value - mean) * Complex64::from_polar(1.0, angle);
                norm += window * window;
            }
            2.0 * sum.norm_sqr() / (norm * rate)
        })
        .sum();
    sum / 4.0
}

#[test]
fn two_level_noise_has_its_level_and_falls_with_the_root_of_power() {
    // The pull, by which stored energy lowers the resonance, of a tone on the resonance: s = a / (1
    // + 4 y^2) with y = s.
    let level = |a: f64| {
        let mut sum = 0.0;
        for seed in 0..24 {
            let d = Detector {
                tls: 1e-17,
                a_per_mw: a / power_mw(),
                ..Detector::new(0, 1e9, 2e4, 1e5)
            };
            let mut model = toned(seed, &[d], 0.0, &silent());
            let fractional: Vec<f64> = shifts(&mut model, 0, 6000)
                .iter()
                .map(|hz| hz / 1e9)
                .collect();
            sum += density(&fractional, 1.0) / 24.0;
        }
        sum
    };
    let low = level(0.103);
    assert!((0.6e-17..1.6e-17).contains(&low), "at a pull of 0.1: {low}");
    // With the same random numbers, a sixteenth of the power gives about four times the density.
    let ratio = level(0.103 / 16.0) / low;
    assert!((ratio - 4.0).abs() < 0.3, "{ratio}");
}

#[test]
fn partners_take_part_in_each_others_shifts() {
    let lw = Detector::new(0, 1e9, 2e4, 1e5).linewidth_hz();
    let pair = |id: u32, fr_hz, partner| Detector {
        partner: Some(partner),
        mixing: 0.3,
        ..Detector::new(id, fr_hz, 2e4, 1e5)
    };
    let detectors = [pair(1, 1e9, 2), pair(2, 1e9 + 6.0 * lw, 1)];
    let mut model = toned(1, &detectors, 0.0, &silent());
    let at = |model: &mut ModuleModel, channel| model.truth_at(channel, 100).expect("on").fr_hz;
    let before = [at(&mut model, 0), at(&mut model, 1)];
    let jump = DetectorFault::Jump {
        at_s: 0.0,
        linewidths: 0.5,
    };
    model.set_conditions(Conditions {
        detector_faults: vec![(2, jump)],
        ..Conditions::default()
    });
    assert!(((at(&mut model, 0) - before[0]) / lw - 0.3 * 0.5).abs() < 1e-3);
    assert!(((at(&mut model, 1) - before[1]) / lw - 0.7 * 0.5).abs() < 1e-3);
    // The samples of the tone on the partner show the shift too.
    let point = model.truth_at(0, 100).expect("on");
    let mut out = Vec::new();
    model.acquire(100, 20, 0..1, &mut out);
    assert!((out[19] - point.sample).norm() < 1e-3 * point.sample.norm());
}

#[test]
fn hits_push_the_resonance_down_and_its_loss_up() {
    let params = silent();
    let d = Detector::new(3, 1e9, 2e4, 1e5);
    let mut model = toned(1, std::slice::from_ref(&d), 0.0, &params);
    let point = model.truth_at(0, 0).expect("on");
    let hits = DetectorFault::Glitches { rate_hz: 1.0 };
    model.set_conditions(Conditions {
        detector_faults: vec![(3, hits)],
        ..Conditions::default()
    });
    let mut out = Vec::new();
    model.acquire(0, 12_000, 0..1, &mut out);
    let moved: Vec<(f64, f64)> = out[10..]
        .iter()
        .map(|z| {
            let change = z - point.sample;
            let fr = (change / point.d_per_hz).re;
            (fr / d.linewidth_hz(), (change / point.d_per_inv_qi).re)
        })
        .filter(|(fr, _)| fr.abs() > 0.005)
        .collect();
    // 20 s with one hit per second, each of which lasts some samples.
    assert!(
        (20..200).contains(&moved.len()),
        "{} samples hit",
        moved.len()
    );
    assert!(moved.iter().all(|(fr, loss)| *fr < 0.0 && *loss > 0.0));
}

#[test]
fn strong_tones_change_the_internal_loss() {
    let params = ProfileParams {
        qi_power_fraction: 0.3,
        heating: 0.05,
        ..silent()
    };
    let qi = |a: f64| {
        let d = Detector {
            a_per_mw: a / power_mw(),
            ..Detector::new(0, 1e9, 2e4, 1e5)
        };
        toned(1, &[d], 0.0, &params).truth_at(0, 0).expect("on").qi
    };
    assert!((qi(1e-6) - 1e5).abs() < 100.0, "{}", qi(1e-6));
    assert!(qi(0.1) > 1.05e5, "saturation: {}", qi(0.1));
    assert!(qi(3.0) < qi(0.1), "heating: {}", qi(3.0));
}

#[test]
fn drift_of_the_line_is_common_to_all_tones() {
    let params = ProfileParams {
        gain_noise: 1e-3,
        phase_noise_rad: 1e-3,
        ..silent()
    };
    let far = [Detector::new(0, 2e9, 2e4, 1e5)];
    let mut model = toned(2, &far, 0.0, &params);
    for channel in 0..3 {
        let frequency_hz = 1e9 + 1e7 * channel as f64;
        let tone = Tone {
            frequency_hz,
            amplitude: AMPLITUDE,
            ..Tone::default()
        };
        model.set_tone(channel, tone).expect("valid");
    }
    let mut out = Vec::new();
    model.acquire(0, 2000, 0..3, &mut out);
    let spread = (out[1999] / out[100] - 1.0).norm();
    assert!(spread > 1e-4, "no drift: {spread}");
    for k in 100..2000 {
        let [a, b] = [out[k] / out[100], out[2000 + k] / out[2100]];
        // The remaining difference is the converter's quantisation, 2e-10 of a tone.
        assert!((a / b - 1.0).norm() < 5e-9, "sample {k}: {a} {b}");
    }
}

#[test]
fn images_fall_on_the_mirror_of_each_tone() {
    let params = ProfileParams {
        image_db: -40.0,
        ..silent()
    };
    let mut model = toned(2, &[Detector::new(0, 2e9, 2e4, 1e5)], 0.0, &params);
    model.set_nco(1e9).expect("finite");
    model.clear();
    let tone = |frequency_hz, amplitude| Tone {
        frequency_hz,
        amplitude,
        ..Tone::default()
    };
    model.set_tone(0, tone(30e6, AMPLITUDE)).expect("valid");
    model
        .set_tone(1, tone(-30e6 + 100.0, AMPLITUDE * 1e-3))
        .expect("valid");
    model
        .set_tone(2, tone(-31e6, AMPLITUDE * 1e-3))
        .expect("valid");
    let mut out = Vec::new();
    model.acquire(0, 400, 0..3, &mut out);
    let spread = |row: &[Complex64]| {
        let mean = row.iter().sum::<Complex64>() / row.len() as f64;
        (row.iter().map(|z| (z - mean).norm_sqr()).sum::<f64>() / row.len() as f64).sqrt()
    };
    let image = spread(&out[420..800]) / out[399].norm();
    let expected = 0.01 * twotone_physics::cic::droop(6, 100.0);
    assert!((image / expected - 1.0).abs() < 0.05, "{image} {expected}");
    assert!(spread(&out[820..]) < 1e-3 * spread(&out[420..800]));
}

#[test]
fn usual_powers_are_nearly_linear_and_high_ones_bifurcate() {
    let band = Band::new(750e6, 1250e6);
    for profile in [Profile::Clean, Profile::Lab, Profile::Harsh] {
        let model = ModuleModel::draw(1, 0, 1, 256, band, 16, &profile.params());
        let mut a: Vec<f64> = model
            .truth()
            .iter()
            .filter(|t| !t.dead)
            .map(|t| t.a_per_amplitude2)
            .collect();
        a.sort_by(f64::total_cmp);
        let median = a[a.len() / 2];
        let at = |amplitude: f64| median * amplitude * amplitude;
        assert!(
            (0.02..0.06).contains(&at(0.001)),
            "{profile}: {}",
            at(0.001)
        );
        assert!((0.3..0.7).contains(&at(0.004)), "{profile}: {}", at(0.004));
        assert!(at(0.008) > 0.77, "{profile}: {}", at(0.008));
    }
}

#[test]
fn truth_and_conditions_survive_json() {
    let band = Band::new(750e6, 1250e6);
    let model = ModuleModel::draw(1, 0, 1, 32, band, 16, &ProfileParams::harsh());
    let truth = model.truth();
    let text = serde_json::to_string(&truth).expect("plain data");
    for key in [
        "id", "fr_hz", "qr", "qc", "qi", "isolated", "dead", "collided",
    ] {
        assert!(
            text.contains(&format!("\"{key}\":")),
            "{key} is not in the truth"
        );
    }
    let back: Vec<twotone_physics::TruthDetector> = serde_json::from_str(&text).expect("same");
    assert_eq!(back.len(), truth.len());
    let conditions = Conditions {
        detector_faults: vec![(
            3,
            DetectorFault::Drift {
                from_s: 1.0,
                linewidths_per_s: 0.1,
            },
        )],
        ..Conditions::default()
    };
    let text = serde_json::to_string(&conditions).expect("plain data");
    assert_eq!(conditions, serde_json::from_str(&text).expect("same"));
    assert!(serde_json::from_str::<Conditions>(r#"{"optical_lod": 1}"#).is_err());
    for profile in [Profile::Clean, Profile::Lab, Profile::Harsh] {
        let text = serde_json::to_string(&profile.params()).expect("plain data");
        let back: ProfileParams = serde_json::from_str(&text).expect("same");
        assert_eq!(back, profile.params());
        assert_eq!(profile.to_string().parse(), Ok(profile));
    }
}
