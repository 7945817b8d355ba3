//! Algebraic fit of a circle by Taubin's method.

use num_complex::Complex64;

/// Circle in the complex plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circle {
    /// The centre.
    pub centre: Complex64,
    /// The radius.
    pub radius: f64,
}

/// Fits a circle to points by Taubin's method (IEEE Trans. PAMI 13, 1115, 1991). The radius is
/// nearly unbiased on short, noisy arcs, unlike the radius of the plain algebraic fit (Kasa's).
///
/// `None` for fewer than three points, if a point is not finite, for points on a line, and for
/// equal points.
pub fn fit_circle(points: &[Complex64]) -> Option<Circle> {
    let n = points.len();
    if n < 3 || points.iter().any(|z| !z.is_finite()) {
        return None;
    }
    let inverse = 1.0 / n as f64;
    let mean = points.iter().sum::<Complex64>() * inverse;
    let (mut xx, mut yy, mut xy, mut xz, mut yz, mut zz) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for point in points {
        let d = point - mean;
        let z = d.norm_sqr();
        xx += d.re * d.re;
        yy += d.im * d.im;
        xy += d.re * d.im;
        xz += d.re * z;
        yz += d.im * z;
        zz += z * z;
    }
    for sum in [&mut xx, &mut yy, &mut xy, &mut xz, &mut yz, &mut zz] {
        *sum *= inverse;
    }
    // Newton's method from zero finds the smallest root of the characteristic polynomial.
    let mz = xx + yy;
    let covariance = xx * yy - xy * xy;
    let variance = zz - mz * mz;
    let a3 = 4.0 * mz;
    let a2 = -3.0 * mz * mz - zz;
    let a1 = variance * mz + 4.0 * covariance * mz - xz * xz - yz * yz;
    let a0 = xz * (xz * yy - yz * xy) + yz * (yz * xx - xz * xy) - variance * covariance;
    let (mut x, mut y) = (0.0_f64, a0);
    for _ in 0..99 {
        let slope = a1 + x * (2.0 * a2 + 3.0 * x * a3);
        let next = x - y / slope;
        if next == x || !next.is_finite() {
            break;
        }
        let value = a0 + next * (a1 + next * (a2 + next * a3));
        if value.abs() >= y.abs() {
            break;
        }
        x = next;
        y = value;
    }
    let determinant = 2.0 * (x * x - x * mz + covariance);
    let cx = (xz * (yy - x) - yz * xy) / determinant;
    let cy = (yz * (xx - x) - xz * xy) / determinant;
    let radius = (cx * cx + cy * cy + mz).sqrt();
    let centre = mean + Complex64::new(cx, cy);
    let usable = radius.is_finite() && radius > 0.0 && centre.is_finite();
    usable.then_some(Circle { centre, radius })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generator of random numbers, so that the crate needs no dependency: xorshift, Box and
    /// Muller.
    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        fn complex(&mut self, sigma: f64) -> Complex64 {
            let r = sigma * (-self.uniform().ln()).sqrt();
            Complex64::from_polar(r, std::f64::consts::TAU * self.uniform())
        }
    }

    fn mean_radius(arc_degrees: f64) -> f64 {
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let draws = 400;
        let sum: f64 = (0..draws)
            .map(|_| {
                let points: Vec<_> = (0..100)
                    .map(|i| {
                        let angle = (f64::from(i) / 99.0 - 0.5) * arc_degrees.to_radians();
                        // 2 % of the radius in each quadrature.
                        Complex64::new(3.0, -2.0)
                            + Complex64::cis(angle)
                            + noise.complex(0.02 * 2f64.sqrt())
                    })
                    .collect();
                fit_circle(&points).map_or(f64::NAN, |c| c.radius)
            })
            .sum();
        sum / f64::from(draws)
    }

    #[test]
    fn radius_is_right_on_short_noisy_arcs() {
        // Kasa's fit is 3.6 % and 17 % small here.
        assert!(
            (mean_radius(90.0) - 1.0).abs() < 0.01,
            "{}",
            mean_radius(90.0)
        );
        assert!(
            (mean_radius(60.0) - 1.0).abs() < 0.02,
            "{}",
            mean_radius(60.0)
        );
    }

    #[test]
    fn points_that_determine_no_circle_have_none() {
        let point = Complex64::new(1.0, 1.0);
        assert_eq!(fit_circle(&[]), None);
        assert_eq!(fit_circle(&[point, point]), None);
        assert_eq!(fit_circle(&[point; 9]), None);
        assert_eq!(
            fit_circle(&[point, point, Complex64::new(f64::NAN, 0.0)]),
            None
        );
    }
}
