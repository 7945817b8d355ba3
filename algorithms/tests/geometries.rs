//! Fits of resonators beside a line, at its end and between two lines, on sweeps that circuits of
//! inductors and capacitors made.

mod support;

use std::f64::consts::TAU;

use num_complex::Complex64;
use twotone_algorithms::calibration::Calibration;
use twotone_algorithms::fit::{
    Fit, FitErrors, FitParams, FitStatus, SweepData, fit_linear, fit_nonlinear,
};
use twotone_algorithms::placement::{PlacementParams, PlacementRule};
use twotone_algorithms::{
    Band, CableDelayParams, ChannelStatus, FindParams, Geometry, Reason, TuneOutcome, TuneParams,
    cable_delay_of, finding::FindMethod, tune,
};
use twotone_hal::{Acquire, ModuleId};

use support::board::{Detector, FakeBoard, Running, array};
use support::circuit::{Circuit, Ringing};
use support::{HIGH, LOW, Noise, params};

/// A sweep over a circuit behind a line.
struct Measured {
    f: Vec<f64>,
    z: Vec<Complex64>,
    noise: f64,
    truth: Ringing,
    gain: Complex64,
}

/// Largest error of the known delay, in seconds.
const DELAY_ERROR_S: f64 = 20e-9;

fn measure(circuit: &Circuit, snr: f64, tau_s: f64, noise: &mut Noise) -> Measured {
    let truth = circuit.ringing();
    let lw = truth.fr_hz / truth.qr;
    let centre = truth.fr_hz + (noise.uniform() - 0.5) * lw;
    let f: Vec<f64> = (0..61)
        .map(|k| centre + (f64::from(k) / 10.0 - 3.0) * lw)
        .collect();
    let gain = Complex64::from_polar(3e4, TAU * noise.uniform());
    let slope = 1e-8 * (noise.uniform() - 0.5);
    let clean: Vec<Complex64> = f
        .iter()
        .map(|&f| {
            let line = gain * (1.0 + slope * (f - centre)) * Complex64::cis(-TAU * f * tau_s);
            line * circuit.response(f)
        })
        .collect();
    let largest = clean.iter().map(|z| z.norm()).fold(0.0, f64::max);
    let sigma = largest / snr;
    let z = noise.add(&clean, sigma);
    Measured {
        f,
        z,
        noise: sigma,
        truth,
        gain,
    }
}

fn fit(measured: &Measured, geometry: Geometry, tau_s: f64, nonlinear: bool) -> Fit {
    let data = SweepData::new(&measured.f, &measured.z)
        .noise(measured.noise)
        .delay(tau_s)
        .geometry(geometry);
    if nonlinear {
        fit_nonlinear(&data, &FitParams::default())
    } else {
        fit_linear(&data, &FitParams::default())
    }
}

fn between(noise: &mut Noise, low: f64, high: f64) -> f64 {
    low * (high / low).powf(noise.uniform())
}

/// A circuit with random properties. The mismatches turn loops by some tenths of a radian.
fn draw(geometry: Geometry, noise: &mut Noise) -> Circuit {
    let fr_hz = between(noise, 0.5e9, 8e9);
    let qc = between(noise, 5e3, 2e5);
    // From undercoupled to overcoupled.
    let qi = qc * between(noise, 0.2, 20.0);
    let mut circuit = Circuit::new(geometry, fr_hz, qc, qi);
    let signed = |noise: &mut Noise, most: f64| most * (2.0 * noise.uniform() - 1.0);
    match geometry {
        Geometry::Reflection => {
            circuit.bond = 10.0 * noise.uniform() / (TAU * fr_hz);
            circuit.echo = Complex64::new(0.0, signed(noise, 0.1));
        }
        Geometry::Peak => {
            let leak = between(noise, 1e-5, 0.3);
            circuit.leak = Complex64::from_polar(leak, TAU * noise.uniform());
        }
        _ => circuit.bond = 20.0 * noise.uniform() / (TAU * fr_hz),
    }
    circuit
}

#[test]
fn fits_are_right_over_couplings_asymmetries_noise_and_delay() {
    for geometry in Geometry::ALL {
        let mut noise = Noise::new(11);
        let (mut fitted, mut all) = (0, 0);
        // Squares of the errors over their sigmas.
        let mut pulls = [0.0; 4];
        for case in 0..400 {
            let circuit = draw(geometry, &mut noise);
            let snr = between(&mut noise, 100.0, 3000.0);
            let tau_s = 10e-6 * noise.uniform();
            let known_s = tau_s + DELAY_ERROR_S * (2.0 * noise.uniform() - 1.0);
            let measured = measure(&circuit, snr, tau_s, &mut noise);
            let truth = measured.truth;
            // In the noise of a very shallow loop there is nothing to fit.
            let ratio = truth.qr / truth.qc;
            if geometry != Geometry::Peak && ratio * snr < 50.0 {
                continue;
            }
            all += 1;
            let fit = fit(&measured, geometry, known_s, false);
            if !fit.status.is_success() {
                println!(
                    "{geometry} {case}: {} {truth:?} snr {snr} {circuit:?}",
                    fit.status
                );
                continue;
            }
            fitted += 1;
            let lw = truth.fr_hz / truth.qr;
            let check = |what: &str, off: f64, sigma: f64, least: f64| {
                assert!(
                    off.abs() < 5.0 * sigma + least,
                    "{geometry} {case}, {what}: off by {off}, sigma {sigma}: {fit:?} {truth:?} \
                     {circuit:?}"
                );
                (off / sigma).powi(2)
            };
            pulls[0] += check(
                "fr",
                (fit.fr_hz - truth.fr_hz) / lw,
                fit.errors.fr_hz / lw,
                2e-3,
            );
            pulls[1] += check(
                "Qr",
                fit.qr / truth.qr - 1.0,
                fit.errors.qr / truth.qr,
                2e-3,
            );
            if geometry == Geometry::Peak {
                let FitErrors {
                    qc, qi, phi_rad, ..
                } = fit.errors;
                for unknown in [fit.qc, fit.qi, fit.phi_rad, qc, qi, phi_rad] {
                    assert_eq!(unknown, None);
                }
                continue;
            }
            let (qc, qi, phi) = (fit.qc.unwrap(), fit.qi.unwrap(), fit.phi_rad.unwrap());
            // The diameter correction is good to the second order in the asymmetry.
            let least = 5e-3 + 1.5 * phi * phi;
            let sigma = fit.errors.qc.unwrap() / qc;
            pulls[2] += check("Qc", qc / truth.qc - 1.0, sigma, least);
            // Relative to 1/Qr, an error of Qc appears in 1/Qi as it is.
            let off = truth.qr / qi - truth.qr / truth.qi;
            let sigma = truth.qr * fit.errors.qi.unwrap() / (qi * qi);
            pulls[3] += check("1/Qi", off, sigma, least * ratio);
        }
        let rms = pulls.map(|sum: f64| (sum / f64::from(fitted)).sqrt());
        println!("{geometry}: {fitted} of {all} fitted, rms errors over sigma {rms:.2?}");
        // In reflection, what the asymmetry adds to Qc in second order is larger than the noise.
        let determined = if geometry == Geometry::Notch { 4 } else { 2 };
        for rms in &rms[..determined] {
            assert!((0.5..=1.5).contains(rms), "{geometry}: {rms}");
        }
        assert!(
            f64::from(fitted) > 0.97 * f64::from(all),
            "{geometry}: {fitted} of {all}"
        );
    }
}

/// The derivative of the samples by the resonance frequency, against that of the circuit by the
/// frequency of the tone.
#[test]
fn calibrations_of_peaks_are_as_good_as_the_noise_allows() {
    for leak in [0.0, 0.01, 0.1, 0.17, 0.3] {
        let mut noise = Noise::new(13);
        let mut squares = 0.0;
        for _ in 0..100 {
            let qc = between(&mut noise, 1e4, 1e5);
            let mut circuit = Circuit::new(Geometry::Peak, 1.1e9, qc, 3.0 * qc);
            circuit.leak = Complex64::from_polar(leak, TAU * noise.uniform());
            let measured = measure(&circuit, 300.0, 0.0, &mut noise);
            let fit = fit(&measured, Geometry::Peak, 0.0, false);
            assert!(fit.status.is_success(), "{leak} {fit:?}");
            let Ringing { fr_hz, qr, .. } = measured.truth;
            let step_hz = 1e-3 * fr_hz / qr;
            let change = circuit.response(fr_hz + step_hz) - circuit.response(fr_hz - step_hz);
            let d = measured.gain * change / (2.0 * step_hz);
            let found = Calibration::at(&fit.model, fr_hz).unwrap().d;
            squares += (found / d - 1.0).norm_sqr();
        }
        let rms = (squares / 100.0).sqrt();
        assert!(rms < 0.004, "leak {leak}: {rms}");
    }
}

/// Loops of one geometry that no resonator of the other geometry can have.
#[test]
fn loops_of_another_geometry_are_told() {
    use Geometry::{Notch, Peak, Reflection};
    for (is, named, qi_over_qc, told) in [
        (Reflection, Notch, 3.0, true),
        (Reflection, Notch, 1e3, true),
        (Peak, Notch, 1.0, true),
        (Peak, Reflection, 1.0, true),
        (Notch, Peak, 1.0, true),
        (Notch, Peak, 10.0, true),
        (Reflection, Peak, 0.5, true),
        // These loops are possible in the named geometry.
        (Notch, Reflection, 3.0, false),
        (Reflection, Notch, 0.5, false),
        (Notch, Notch, 1e4, false),
        (Reflection, Reflection, 1e4, false),
        (Peak, Peak, 1e4, false),
    ] {
        let mut noise = Noise::new(17);
        for _ in 0..20 {
            let qc = between(&mut noise, 1e4, 1e5);
            let mut circuit = Circuit::new(is, 1.1e9, qc, qi_over_qc * qc);
            if is == Peak {
                circuit.leak = Complex64::from_polar(0.02, TAU * noise.uniform());
            }
            let measured = measure(&circuit, 1000.0, 0.0, &mut noise);
            for nonlinear in [false, true] {
                let fit = fit(&measured, named, 0.0, nonlinear);
                let is_told = fit.status == FitStatus::OtherGeometry;
                assert_eq!(
                    is_told, told,
                    "{is}, fitted as {named}, {qi_over_qc}: {fit:?}"
                );
            }
        }
    }
}

/// An undercoupled resonator in reflection, fitted as a notch, has an internal quality factor that
/// is wrong by a factor. Fitted as what it is, it is right.
#[test]
fn an_undercoupled_resonator_in_reflection_is_fitted_as_such() {
    let circuit = Circuit::new(Geometry::Reflection, 1.1e9, 5e4, 2e4);
    let measured = measure(&circuit, 1000.0, 0.0, &mut Noise::new(3));
    let fit = fit(&measured, Geometry::Reflection, 0.0, false);
    assert!(fit.status.is_success());
    let qi = fit.qi.unwrap();
    assert!(
        (qi / measured.truth.qi - 1.0).abs() < 0.01,
        "{fit:?} {:?}",
        measured.truth
    );
}

fn tuned(is: Geometry, named: Geometry, tau_s: f64) -> (TuneOutcome, Running) {
    let fake = FakeBoard {
        geometry: is,
        tau_s,
        ..FakeBoard::new(array(40, LOW, HIGH, 3), 4)
    };
    let (board, running) = fake.handle();
    let params = TuneParams {
        geometry: named,
        ..params()
    };
    (
        tune(&board, ModuleId::FIRST, &params).wait().unwrap(),
        running,
    )
}

#[test]
fn a_tune_puts_a_calibrated_tone_on_every_detector_of_each_geometry() {
    let detectors = array(40, LOW, HIGH, 3);
    for geometry in Geometry::ALL {
        for tau_s in [50e-9, 8e-6] {
            let (outcome, running) = tuned(geometry, geometry, tau_s);
            assert_eq!(
                outcome.warnings, [""; 0],
                "{geometry} {:?}",
                outcome.cable_delay
            );
            for candidate in &outcome.find.candidates {
                let away = |d: &Detector| (candidate.fr_hz - d.fr_hz) * d.qr / d.fr_hz;
                let nearest = detectors
                    .iter()
                    .map(away)
                    .min_by(|a, b| a.abs().total_cmp(&b.abs()));
                let nearest_lw = nearest.unwrap();
                assert!(
                    nearest_lw.abs() < 0.5,
                    "{geometry} {nearest_lw} {candidate:?}"
                );
            }
            assert_eq!(
                (outcome.channels.len(), outcome.references.len()),
                (40, 8),
                "{geometry}"
            );
            running.shift_detectors(0.1);
            let acquire = Acquire::new(50).first_channels(40);
            let board = twotone_hal::BoardHandle::new(running);
            let means = tworoutine::block_on(board.samples().mean(ModuleId::FIRST, acquire));
            let means = means.unwrap().mean;
            for ((channel, detector), z) in outcome.channels.iter().zip(&detectors).zip(means) {
                assert_eq!(channel.reason, Reason::Ok, "{geometry} {channel:?}");
                let lw = detector.fr_hz / detector.qr;
                let off_lw = (channel.fr_hz.unwrap() - detector.fr_hz) / lw;
                assert!(off_lw.abs() < 0.02, "{geometry} {off_lw}");
                assert!(
                    (channel.qr.unwrap() / detector.qr - 1.0).abs() < 0.02,
                    "{geometry}"
                );
                assert!(
                    (channel.a.unwrap() - detector.a).abs() < 0.03,
                    "{geometry} {channel:?}"
                );
                match channel.qi {
                    Some(qi) => assert!((qi / 1e5 - 1.0).abs() < 0.05, "{geometry} {qi}"),
                    None => assert_eq!(geometry, Geometry::Peak),
                }
                let shift_hz = channel.calibration.unwrap().shift_hz(z).unwrap();
                assert!(
                    (shift_hz / lw - 0.1).abs() < 0.005,
                    "{geometry} {shift_hz} {channel:?}"
                );
            }
        }
    }
}

#[test]
fn a_module_of_another_geometry_is_not_tuned_and_a_warning_says_why() {
    use Geometry::{Notch, Peak, Reflection};
    for (is, named, words) in [
        (Reflection, Notch, "reflection"),
        (Peak, Notch, "peak"),
        (Peak, Reflection, "peak"),
        (Notch, Peak, "dips in place of peaks"),
    ] {
        let (outcome, _) = tuned(is, named, 1e-6);
        assert_eq!(outcome.tuned(), 0, "{is} as {named}");
        let said = outcome.warnings.join("; ");
        assert!(said.contains(words), "{is} as {named}: {said}");
        for channel in &outcome.channels {
            assert_eq!(channel.status, ChannelStatus::Failed);
        }
    }
}

/// A module in doubt has no tuned detector, even if some loops would fit the named geometry.
#[test]
fn loops_that_fit_by_chance_are_in_doubt_too() {
    let mut detectors = array(40, LOW, HIGH, 3);
    for (k, detector) in detectors.iter_mut().enumerate() {
        // Three of four are undercoupled: in reflection these are like notches.
        detector.coupling = if k % 4 == 0 { 0.8 } else { 0.3 }.into();
    }
    let fake = FakeBoard {
        geometry: Geometry::Reflection,
        ..FakeBoard::new(detectors, 4)
    };
    let (board, _) = fake.clone().handle();
    let outcome = tune(&board, ModuleId::FIRST, &params()).wait().unwrap();
    assert_eq!(outcome.tuned(), 0);
    for (k, channel) in outcome.channels.iter().enumerate() {
        let is_other = k % 4 == 0;
        let expected = if is_other {
            Reason::Fit(FitStatus::OtherGeometry)
        } else {
            Reason::GeometryInDoubt
        };
        assert_eq!(channel.reason, expected, "{k}");
        // What was found of detectors in doubt is still there.
        assert_eq!(channel.fr_hz.is_some(), !is_other, "{k}");
    }
    let (board, _) = fake.handle();
    let right = TuneParams {
        geometry: Geometry::Reflection,
        ..params()
    };
    assert_eq!(
        tune(&board, ModuleId::FIRST, &right)
            .wait()
            .unwrap()
            .tuned(),
        40
    );
}

#[test]
fn delays_of_peaks_are_found_up_to_the_largest_either_way() {
    let params = CableDelayParams::default();
    for share in [-0.95, -0.7, 0.3, 0.7, 0.95] {
        let fake = FakeBoard {
            geometry: Geometry::Peak,
            tau_s: share * params.max_delay_s,
            ..FakeBoard::new(array(40, LOW, HIGH, 3), 4)
        };
        let (board, running) = fake.handle();
        let band = Band::new(LOW, HIGH);
        let found = cable_delay_of(&board, ModuleId::FIRST, band, Geometry::Peak, &params);
        let delay = found.wait().unwrap().delay;
        assert!(delay.status.is_success(), "{share} {delay:?}");
        let off_s = delay.tau_s - share * params.max_delay_s;
        assert!(off_s.abs() < 5e-9, "{share} {delay:?}");
        drop(running);
    }
}

/// A wide sweep of one sample for each point has no scatter, but it has noise.
#[test]
fn no_reference_tone_is_in_the_noise_between_peaks() {
    for samples in [1, 4] {
        let fake = FakeBoard {
            geometry: Geometry::Peak,
            leak: Complex64::ZERO,
            sigma: 10.0,
            ..FakeBoard::new(array(40, LOW, HIGH, 3), 4)
        };
        let (board, _) = fake.handle();
        let mut params = TuneParams {
            geometry: Geometry::Peak,
            ..params()
        };
        params.network_analysis.samples = samples;
        let outcome = tune(&board, ModuleId::FIRST, &params).wait().unwrap();
        // The tones are twice as strong as those of the sweep.
        let least = 2.0 * 20.0 * 10.0 / f64::from(samples).sqrt();
        assert!(!outcome.references.is_empty(), "{:?}", outcome.warnings);
        for reference in &outcome.references {
            assert!(reference.z0.norm() > 0.8 * least, "{samples} {reference:?}");
        }
    }
}

#[test]
fn parameters_that_do_not_fit_the_geometry_are_refused() {
    let prominence = FindParams {
        method: FindMethod::Prominence,
        ..FindParams::default()
    };
    let least = PlacementParams {
        rule: PlacementRule::LeastTransmission,
        ..PlacementParams::default()
    };
    for geometry in Geometry::ALL {
        let find = TuneParams {
            geometry,
            find: prominence.clone(),
            ..params()
        };
        assert_eq!(find.problem().is_some(), geometry == Geometry::Reflection);
        let placement = TuneParams {
            geometry,
            placement: least.clone(),
            ..params()
        };
        assert_eq!(placement.problem().is_some(), geometry == Geometry::Peak);
    }
}
