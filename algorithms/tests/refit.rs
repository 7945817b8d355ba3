//! Tests of the search and the fits in sweeps that were measured earlier. The sweeps are those of
//! circuits, and not of the formula of the fits.

mod support;

use std::f64::consts::TAU;

use num_complex::Complex64;
use twotone_algorithms::finding::{FindParams, WideSweep};
use twotone_algorithms::fit::FitParams;
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{Geometry, RefitParams, Sweep, refit};
use twotone_hal::ChannelId;

use crate::support::circuit::Circuit;

const TAU_S: f64 = 55e-9;

fn circuit() -> Circuit {
    Circuit::new(Geometry::Notch, 3.1e9, 3e4, 1.2e5)
}

/// Returns `points` frequencies about `centre_hz`, and the samples there, with the delay of a line.
fn sweep(centre_hz: f64, span_hz: f64, points: usize) -> (Vec<f64>, Vec<Complex64>) {
    let circuit = circuit();
    let step_hz = span_hz / (points - 1) as f64;
    let f: Vec<f64> = (0..points)
        .map(|k| centre_hz + step_hz * (k as f64 - 0.5 * (points - 1) as f64))
        .collect();
    let line = |f_hz: f64| 3e4 * Complex64::cis(0.7 - TAU * f_hz * TAU_S);
    let z = f.iter().map(|f_hz| line(*f_hz) * circuit.response(*f_hz));
    let z = z.collect();
    (f, z)
}

fn fine(channel: usize, centre_hz: f64, span_hz: f64) -> Sweep {
    let (frequency_hz, z) = sweep(centre_hz, span_hz, 61);
    Sweep {
        channel: ChannelId::from_index(channel - 1).unwrap(),
        direction: Direction::Up,
        frequency_hz,
        z,
        amplitude: 1e-3,
        noise: None,
    }
}

fn params() -> RefitParams {
    RefitParams {
        geometry: Geometry::Notch,
        tau_s: None,
        max_delay_s: 1e-6,
        find: FindParams::default(),
        fit: FitParams::default(),
    }
}

#[test]
fn a_network_analysis_alone_gives_the_delay_and_the_resonance() {
    let ringing = circuit().ringing();
    let (f, z) = sweep(3.1e9, 20e6, 2001);
    let wide = WideSweep {
        frequency_hz: &f,
        z: &z,
        tau_s: f64::NAN,
        noise: None,
        nco_hz: &[],
        geometry: Geometry::Peak,
    };
    let outcome = refit(Some(&wide), &[], &params());
    assert!((outcome.tau_s - TAU_S).abs() < 0.5e-9, "{}", outcome.tau_s);
    let [line] = outcome.lines.as_slice() else {
        panic!("{outcome:?}");
    };
    assert!(line.channel.is_none() && line.candidate.is_some());
    let fit = line.fit;
    assert!(fit.status.is_success(), "{fit:?}");
    let off_lw = (fit.fr_hz - ringing.fr_hz) * ringing.qr / ringing.fr_hz;
    assert!(off_lw.abs() < 0.02, "{off_lw} linewidths");
    assert!((fit.qr / ringing.qr - 1.0).abs() < 0.03, "{}", fit.qr);
    assert!((fit.qi.unwrap() / ringing.qi - 1.0).abs() < 0.1, "{fit:?}");
}

#[test]
fn a_resonance_belongs_to_the_sweep_whose_centre_is_nearest() {
    let ringing = circuit().ringing();
    let linewidth_hz = ringing.fr_hz / ringing.qr;
    let (f, z) = sweep(3.1e9, 20e6, 2001);
    let wide = WideSweep {
        frequency_hz: &f,
        z: &z,
        tau_s: 0.0,
        noise: None,
        nco_hz: &[],
        geometry: Geometry::Notch,
    };
    let mut lost = fine(9, 3.2e9, 1e6);
    lost.frequency_hz.fill(f64::NAN);
    let span_hz = 8.0 * linewidth_hz;
    let sweeps = [
        fine(1, ringing.fr_hz + 2.0 * linewidth_hz, span_hz),
        fine(2, ringing.fr_hz - 0.3 * linewidth_hz, span_hz),
        lost,
    ];
    let outcome = refit(Some(&wide), &sweeps, &params());
    let found: Vec<_> = outcome
        .lines
        .iter()
        .map(|line| (line.channel.unwrap().number(), line.candidate.is_some()))
        .collect();
    // The other sweep is fitted too, and leads to the same resonance.
    assert_eq!(found, [(2, true), (1, false)], "{outcome:?}");
    let says = |words: &str| outcome.warnings.iter().any(|text| text.contains(words));
    assert!(
        says("two fits lead to the same resonance"),
        "{:?}",
        outcome.warnings
    );
    assert!(
        says("channel 9 has a sweep without a frequency"),
        "{:?}",
        outcome.warnings
    );
}

#[test]
fn sweeps_without_a_network_analysis_are_fitted_without_a_known_delay() {
    let ringing = circuit().ringing();
    let linewidth_hz = ringing.fr_hz / ringing.qr;
    let sweep = fine(4, ringing.fr_hz, 6.0 * linewidth_hz);
    let outcome = refit(None, &[sweep], &params());
    assert!(outcome.find.is_none() && outcome.delay.is_none());
    assert!(outcome.warnings[0].contains("the delay of the line is not known"));
    let fit = outcome.lines[0].fit;
    assert!(fit.status.is_success(), "{fit:?}");
    let off_lw = (fit.fr_hz - ringing.fr_hz) * ringing.qr / ringing.fr_hz;
    assert!(off_lw.abs() < 0.02, "{off_lw} linewidths");
}
