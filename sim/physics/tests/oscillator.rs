//! Comparison of the rule for the branches (the steady states) of a nonlinear resonator with an
//! oscillator whose equation of motion is integrated in time.
//!
//! In units of the linewidth's time constant, the field of a driven resonator whose frequency is
//! pulled by its own energy obeys `2 dz/dt = 1 - (1 + 2 i (y0 + a |z|^2)) z`. Its steady states are
//! `z = 1/(1 + 2 i y)` with `y = y0 + a |z|^2`. Nothing here uses the formulae of the crate.

use twotone_physics::Complex64;
use twotone_physics::kerr::{Drive, Drives, Width, roots, settle};

fn slope(z: Complex64, y0: f64, a: f64) -> Complex64 {
    0.5 * (1.0 - Complex64::new(1.0, 2.0 * (y0 + a * z.norm_sqr())) * z)
}

/// Integrates the equation by the Runge-Kutta method of fourth order, for a tone that moves slowly.
fn sweep(a: f64, from: f64, to: f64, mut visit: impl FnMut(f64, Complex64)) {
    // The sweep is slow compared with the relaxation near a fold, which takes many time constants
    // of the linewidth.
    let (step, speed) = (0.05, 2e-4);
    let steps = ((to - from).abs() / (speed * step)) as usize;
    let mut z = 1.0 / Complex64::new(1.0, 2.0 * roots(from, a)[0]);
    for k in 0..=steps {
        let y0 = from + (to - from) * k as f64 / steps as f64;
        let k1 = slope(z, y0, a);
        let k2 = slope(z + 0.5 * step * k1, y0, a);
        let k3 = slope(z + 0.5 * step * k2, y0, a);
        let k4 = slope(z + step * k3, y0, a);
        z += step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        visit(y0, z);
    }
}

/// Detuning from the pulled resonance, computed from the field.
fn detuning(z: Complex64, y0: f64, a: f64) -> f64 {
    y0 + a * z.norm_sqr()
}

#[test]
fn the_oscillator_follows_the_branch_that_is_claimed() {
    for a in [0.3, 0.6, 0.9, 1.5, 3.0] {
        for (from, to) in [(-5.0, 2.0), (2.0, -5.0)] {
            let up = to > from;
            let (mut compared, mut worst, mut last_y0, mut pull) = (0, 0.0f64, from, 0.0);
            let mut misses = Vec::new();
            sweep(a, from, to, |y0, z| {
                if (y0 - last_y0).abs() < 0.01 {
                    return;
                }
                last_y0 = y0;
                let drive = [Drive { u: y0, a }];
                let drives = Drives {
                    near: &drive,
                    ambient: 0.0,
                };
                pull = settle(&drives, &Width::constant(1.0), 0.0, pull);
                let found = roots(y0, a);
                let expected = if up { found[0] } else { found[found.len() - 1] };
                let difference = (detuning(z, y0, a) - (y0 + pull)).abs();
                compared += 1;
                if difference > 0.02 {
                    misses.push(y0);
                } else {
                    worst = worst.max(difference);
                    assert!((y0 + pull - expected).abs() < 1e-6 || found.len() > 1);
                }
            });
            // The branch rule and the oscillator may differ only near a jump, because the field
            // takes some time to fall or rise.
            let width = misses
                .iter()
                .fold((f64::MAX, f64::MIN), |(l, h), y0| (l.min(*y0), h.max(*y0)));
            assert!(compared > 600, "a {a}: {compared} compared");
            assert!(
                misses.is_empty() || (a > 0.77 && width.1 - width.0 < 0.05),
                "a {a} up {up}: differs over {width:?}"
            );
        }
    }
}

#[test]
fn energy_pulls_the_resonance_down() {
    // For a strong tone, the largest response is below the resonance by `a` linewidths.
    let mut best = (0.0, 0.0);
    sweep(1.5, 2.0, -3.0, |y0, z| {
        if z.norm() > best.0 {
            best = (z.norm(), y0);
        }
    });
    assert!(
        (best.1 + 1.5).abs() < 0.05,
        "greatest response at {}",
        best.1
    );
}

/// Lets a field settle under a fixed tone.
fn relax(mut z: Complex64, y0: f64, a: f64) -> Complex64 {
    let step = 0.05;
    for _ in 0..8000 {
        let k1 = slope(z, y0, a);
        let k2 = slope(z + 0.5 * step * k1, y0, a);
        let k3 = slope(z + 0.5 * step * k2, y0, a);
        let k4 = slope(z + step * k3, y0, a);
        z += step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
    }
    z
}

#[test]
fn a_sweep_in_steps_jumps_where_the_oscillator_does() {
    for a in [0.9, 1.5, 3.0] {
        for step in [0.05, -0.05, 0.1, -0.1, 0.2, -0.2] {
            let (mut z, mut pull) = (Complex64::default(), 0.0);
            let from = if step > 0.0 { -5.0 } else { 2.0 };
            let mut differing = Vec::new();
            for k in 0..(7.0 / f64::abs(step)) as usize {
                let y0 = from + step * k as f64;
                z = relax(z, y0, a);
                let drives = [Drive { u: y0, a }];
                let drives = Drives {
                    near: &drives,
                    ambient: 0.0,
                };
                pull = settle(&drives, &Width::constant(1.0), 0.0, pull);
                let difference = (detuning(z, y0, a) - y0 - pull).abs();
                if difference > 1e-3 {
                    differing.push((y0, difference));
                }
            }
            // After a large step near a fold, the field may settle on either branch.
            let allowed = usize::from(step.abs() > 0.15);
            assert!(
                differing.len() <= allowed,
                "a {a} step {step}: {differing:?}"
            );
        }
    }
}
