//! Linear fit to a piece of a sweep: the notch of one resonator in a sloped line.
//!
//! For a resonator of given frequency and width, the model `c0 + c1 t + d / (1 + 2 i y)` is linear
//! in the three complex numbers `c0`, `c1` and `d`. Here `t` is the frequency and `y` the detuning
//! in linewidths. So the best coupling, with any asymmetry angle, follows in closed form. The
//! statistic of the matched filter follows from the reduction of the squared residual. Fits use the
//! projection to find their starting points.

use num_complex::Complex64;

/// The notch of one frequency and width that fits a piece of a sweep best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Projection {
    /// Reduction of the squared residual `sum |.|^2` by the resonance, compared with the line
    /// alone.
    pub gain: f64,
    /// Squared residual with the resonance.
    pub residual: f64,
    /// Transmission of the line at the resonance.
    pub line: Complex64,
    /// Slope of the line over `t`.
    pub slope: Complex64,
    /// Amplitude `d` of the resonance.
    pub amplitude: Complex64,
    /// `A = -d / line`; not finite if the line transmits nothing.
    pub coupling: Complex64,
}

/// Fits a notch centred at `t = 0` to samples. `points` yields `(t, y, z)`: the frequency relative
/// to the centre in any unit, the detuning in linewidths, including the pull of
/// [`crate::resonator`], and the sample. `None` if there are fewer than five points, or if all of
/// them are in the wings of the notch.
pub(crate) fn project(points: impl Iterator<Item = (f64, f64, Complex64)>) -> Option<Projection> {
    let zero = Complex64::new(0.0, 0.0);
    let (mut n, mut t1, mut t2) = (0.0, 0.0, 0.0);
    let (mut w0, mut w1, mut v0, mut v1) = (0.0, 0.0, 0.0, 0.0);
    let (mut z0, mut z1, mut zw, mut zv) = (zero, zero, zero, zero);
    let mut zz = 0.0;
    for (t, y, z) in points {
        // r = 1 / (1 + 2 i y) = w - i v
        let w = 1.0 / (1.0 + 4.0 * y * y);
        let v = 2.0 * y * w;
        n += 1.0;
        t1 += t;
        t2 += t * t;
        w0 += w;
        w1 += t * w;
        v0 += v;
        v1 += t * v;
        z0 += z;
        z1 += z * t;
        zw += z * w;
        zv += z * v;
        zz += z.norm_sqr();
    }
    if n < 5.0 {
        return None;
    }
    // The functions 1 and `t - mean` are orthogonal over the points. Projections onto them are
    // independent.
    let mean = t1 / n;
    let spread = t2 - t1 * mean;
    if spread <= 0.0 {
        return None;
    }
    let r0 = Complex64::new(w0, -v0) / n;
    let r1 = (Complex64::new(w1, -v1) - Complex64::new(w0, -v0) * mean) / spread;
    let s0 = z0 / n;
    let s1 = (z1 - z0 * mean) / spread;
    // |r|^2 = w, so the squared norm of r is w0; <r, z> = sum (w + i v) z.
    let norm = w0 - n * r0.norm_sqr() - spread * r1.norm_sqr();
    if norm <= 1e-6 * w0.max(1e-3) {
        return None;
    }
    let overlap = zw + Complex64::i() * zv - n * r0.conj() * s0 - spread * r1.conj() * s1;
    let d = overlap / norm;
    let gain = overlap.norm_sqr() / norm;
    let about_line = zz - n * s0.norm_sqr() - spread * s1.norm_sqr();
    let slope = s1 - d * r1;
    let line = s0 - d * r0 - slope * mean;
    let coupling = -d / line;
    let usable = gain.is_finite() && d.is_finite() && line.is_finite();
    usable.then_some(Projection {
        gain,
        residual: (about_line - gain).max(0.0),
        line,
        slope,
        amplitude: d,
        coupling,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_a_notch_on_a_sloped_line() {
        let coupling = Complex64::new(0.6, 0.2);
        let (line, slope) = (Complex64::new(2.0, 1.0), Complex64::new(0.1, -0.3));
        let points = (-20..=20).map(|i| {
            let t = f64::from(i) * 0.15;
            let y = 1.3 * t;
            let r = 1.0 / Complex64::new(1.0, 2.0 * y);
            (t, y, line + slope * t - coupling * line * r)
        });
        let found = project(points).unwrap();
        assert!((found.coupling - coupling).norm() < 1e-9);
        assert!((found.line - line).norm() < 1e-9);
        assert!((found.slope - slope).norm() < 1e-9);
        assert!(found.residual < 1e-9 * found.gain);
    }

    #[test]
    fn points_that_determine_no_notch_have_no_projection() {
        let z = Complex64::new(1.0, 0.0);
        assert_eq!(
            project((0..4).map(|i| (f64::from(i), f64::from(i), z))),
            None
        );
        assert_eq!(project((0..9).map(|_| (1.0, 1.0, z))), None);
        assert_eq!(project((0..9).map(|i| (f64::from(i), f64::NAN, z))), None);
    }
}
