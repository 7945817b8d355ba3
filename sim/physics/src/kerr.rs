//! The nonlinear resonator, and the hysteresis of its branches.
//!
//! The kinetic inductance grows with the current, so that stored energy pulls the resonance down
//! (Swenson et al. 2013). This shift `s` is called the pull.
//!
//! A quantity "as drawn" has the value that the random draw gave it ([`crate::population`]): it is
//! valid under nominal conditions and at low power. All frequencies are in linewidths of the
//! resonator as drawn. Let `u_j` be the detuning of tone `j` from the low-power resonance, `w` the
//! ratio of the present linewidth to the one as drawn, and `a_j` the nonlinearity parameter, which
//! is proportional to the power of the tone. Then `s = sum_j a_j / (w^2 + 4 (u_j + s)^2)`. For one
//! tone and `w = 1`, this equation is `y = y0 + a / (1 + 4 y^2)`, with `y0 = u` and the detuning `y
//! = y0 + s` from the pulled resonance.
//!
//! Each solution of the equation is called a branch. If there is more than one, the pull depends on
//! the past. After a change, the stored energy grows if the drive causes more pull than the present
//! pull, and decays if it causes less, until the first solution in this direction is reached. So a
//! tone that is swept upward stays on the smallest root until this root vanishes, and a tone that
//! is swept downward stays on the largest root. Where a root vanishes, the resonator jumps to
//! another branch.

/// A tone near a resonator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drive {
    /// Detuning of the tone from the low-power resonance as drawn, in linewidths as drawn. It does
    /// not include the `shift` of [`settle`].
    pub u: f64,
    /// Nonlinearity parameter `a` at the power of the tone, for the linewidth as drawn.
    pub a: f64,
}

/// All tones that drive a resonator.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Drives<'a> {
    /// Tones near the resonator.
    pub near: &'a [Drive],
    /// Pull by distant tones, which does not depend on the frequency of the resonator.
    pub ambient: f64,
}

/// Width of the resonance as a function of the pull, in linewidths as drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Width {
    /// Contribution of the coupling: Qr/Qc.
    pub coupling: f64,
    /// Contribution of the internal loss at low power: Qr/Qi.
    pub internal: f64,
    /// Share of the internal loss that saturates with power.
    pub saturating: f64,
    /// Pull at which the saturating share has fallen by a factor of 1/sqrt 2.
    pub knee: f64,
    /// Growth of the width by heating, per linewidth of pull.
    pub heating: f64,
}

impl Width {
    /// Width that does not depend on power.
    pub fn constant(width: f64) -> Self {
        Self {
            coupling: width,
            internal: 0.0,
            saturating: 0.0,
            knee: 1.0,
            heating: 0.0,
        }
    }

    /// Returns the width with the internal loss increased by `loss`, or decreased if `loss` is
    /// negative, but not below a twentieth of the present internal loss.
    #[inline]
    #[must_use]
    pub fn with_loss(&self, loss: f64) -> Self {
        Self {
            internal: (self.internal + loss).max(0.05 * self.internal),
            ..*self
        }
    }

    /// Width at a pull.
    #[inline]
    pub fn at(&self, s: f64) -> f64 {
        self.coupling + self.internal_at(s)
    }

    /// Part of the width from internal loss, at a pull.
    #[inline]
    pub fn internal_at(&self, s: f64) -> f64 {
        if self.saturating == 0.0 {
            return self.internal + self.heating * s;
        }
        let saturated = 1.0 - self.saturating + self.saturating / (1.0 + s / self.knee).sqrt();
        self.internal * saturated + self.heating * s
    }

    fn slope(&self, s: f64) -> f64 {
        if self.saturating == 0.0 {
            return self.heating;
        }
        let root = (1.0 + s / self.knee).sqrt();
        self.heating - self.internal * self.saturating / (2.0 * self.knee * root * root * root)
    }

    fn least(&self) -> f64 {
        self.coupling + self.internal * (1.0 - self.saturating)
    }
}

/// Pull that the drives cause if the resonator is at pull `s`, and its derivative.
#[inline]
fn pull(drives: &Drives<'_>, width: &Width, shift: f64, s: f64) -> (f64, f64) {
    let w = width.at(s);
    let slope = width.slope(s);
    let (mut sum, mut derivative) = (drives.ambient, 0.0);
    for drive in drives.near {
        let y = drive.u - shift + s;
        let inverse = 1.0 / (w * w + 4.0 * y * y);
        let part = drive.a * inverse;
        sum += part;
        derivative -= part * inverse * (8.0 * y + 2.0 * w * slope);
    }
    (sum, derivative)
}

/// Step of the search for the first solution, linewidths. The search may miss a pair of solutions
/// that are closer together than this step. The jump to another branch then happens at a detuning
/// that is wrong by about the square of the step.
const STEP: f64 = 0.03;

/// Pull to which the resonator settles from the pull `s` under these drives, linewidths, with the
/// low-power resonance moved up by `shift` linewidths. Never negative; 0 without drives, or if a
/// parameter of the drives or the width is not finite.
pub fn settle(drives: &Drives<'_>, width: &Width, shift: f64, s: f64) -> f64 {
    let least = width.least();
    let total: f64 = drives.near.iter().map(|d| d.a).sum();
    let most = drives.ambient + total / (least * least);
    if !(most > 0.0 && most.is_finite() && least > 0.0) {
        return 0.0;
    }
    let s = if s.is_finite() {
        s.clamp(0.0, most)
    } else {
        0.0
    };
    // If the sum of all `a`, divided by the cube of the smallest width, is below 0.7698, there is
    // only one solution. The limit of 0.5 leaves a margin for the dependence of the width on the
    // pull.
    if total / (least * least * least) < 0.5 {
        return polish(drives, width, shift, s, 0.0, most);
    }
    let rising = pull(drives, width, shift, s).0 > s;
    let step = STEP.max(most / 500.0);
    let mut at = s;
    loop {
        let next = if rising {
            (at + step).min(most)
        } else {
            (at - step).max(0.0)
        };
        let at_end = if rising { next >= most } else { next <= 0.0 };
        if at_end || (pull(drives, width, shift, next).0 > next) != rising {
            let (low, high) = if rising { (at, next) } else { (next, at) };
            return polish(drives, width, shift, at, low, high);
        }
        at = next;
    }
}

/// Finds the solution in a bracket with Newton's method. The result is rounded to a fine grid, so
/// that it does not depend on the start of the search.
fn polish(
    drives: &Drives<'_>,
    width: &Width,
    shift: f64,
    start: f64,
    mut low: f64,
    mut high: f64,
) -> f64 {
    const GRID: f64 = 68_719_476_736.0; // 2^36
    let mut s = start;
    for _ in 0..60 {
        let (value, derivative) = pull(drives, width, shift, s);
        let excess = value - s;
        if excess > 0.0 {
            low = s;
        } else {
            high = s;
        }
        let newton = s + excess / (1.0 - derivative);
        // After a small step of Newton's method, the error is about the square of the step. This is
        // checked before the bracket, because the solution may be at an end of the bracket.
        if (newton - s).abs() < 1e-7 {
            s = newton;
            break;
        }
        if high - low < 1e-13 {
            break;
        }
        s = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
    }
    // The last step may have left the bracket, so negative values are clamped. A cast is cheaper
    // than rounding.
    ((s * GRID + 0.5) as i64).max(0) as f64 / GRID
}

/// Real roots of `4y^3 - 4 y0 y^2 + y - (y0 + a) = 0` in ascending order: the possible detunings of
/// one tone from the pulled resonance, in linewidths. There are one or three roots, or two if two
/// of them coincide.
pub fn roots(y0: f64, a: f64) -> Vec<f64> {
    // The substitution y = z + y0/3 removes the square: z^3 + p z + q = 0.
    let p = 0.25 - y0 * y0 / 3.0;
    let q = -2.0 * y0.powi(3) / 27.0 - y0 / 6.0 - a / 4.0;
    let discriminant = (q / 2.0).powi(2) + (p / 3.0).powi(3);
    let mut found = if discriminant > 0.0 {
        let root = discriminant.sqrt();
        // The root is a sum of two cube roots. The larger one is computed first to avoid
        // cancellation.
        let larger = if q > 0.0 {
            (-q / 2.0 - root).cbrt()
        } else {
            (-q / 2.0 + root).cbrt()
        };
        let other = if larger == 0.0 {
            0.0
        } else {
            -p / (3.0 * larger)
        };
        vec![larger + other + y0 / 3.0]
    } else {
        let radius = 2.0 * (-p / 3.0).max(0.0).sqrt();
        let angle = if radius == 0.0 {
            0.0
        } else {
            (3.0 * q / (p * radius)).clamp(-1.0, 1.0).acos() / 3.0
        };
        (0..3)
            .map(|k| radius * (angle - f64::from(k) * std::f64::consts::TAU / 3.0).cos() + y0 / 3.0)
            .collect()
    };
    found.sort_by(f64::total_cmp);
    found.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle_one(u: f64, a: f64, width: &Width, s: f64) -> f64 {
        settle(
            &Drives {
                near: &[Drive { u, a }],
                ambient: 0.0,
            },
            width,
            0.0,
            s,
        )
    }

    fn residual(y: f64, y0: f64, a: f64) -> f64 {
        4.0 * y.powi(3) - 4.0 * y0 * y * y + y - (y0 + a)
    }

    #[test]
    fn roots_solve_the_cubic() {
        for a in [0.0, 0.1, 0.5, 0.77, 1.0, 3.0, 20.0] {
            for k in -400..=200 {
                let y0 = f64::from(k) * 0.05;
                let found = roots(y0, a);
                assert!(!found.is_empty() && found.len() <= 3);
                for y in &found {
                    let scale = 1.0 + y0.abs().powi(3) + a;
                    assert!(
                        residual(*y, y0, a).abs() < 1e-9 * scale,
                        "a {a} y0 {y0} y {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn three_roots_begin_at_the_known_nonlinearity() {
        let critical = 4.0 * 3f64.sqrt() / 9.0;
        let most = |a: f64| {
            (-4000..0)
                .map(|k| roots(f64::from(k) * 1e-3, a).len())
                .max()
        };
        assert_eq!(most(critical * 0.98), Some(1));
        assert_eq!(most(critical * 1.02), Some(3));
    }

    #[test]
    fn sweeps_keep_to_their_branch() {
        for a in [0.3, 0.77, 1.0, 2.0, 6.0] {
            for up in [true, false] {
                let mut s = 0.0;
                for k in 0..2000 {
                    let step = f64::from(k) * 0.006;
                    let y0 = if up { -9.0 + step } else { 3.0 - step };
                    s = settle_one(y0, a, &Width::constant(1.0), s);
                    let found = roots(y0, a);
                    let expected = if up { found[0] } else { found[found.len() - 1] };
                    // A jump may come one search step too early.
                    let alternative = if up { found[found.len() - 1] } else { found[0] };
                    let spread = found[found.len() - 1] - found[0];
                    let near_fold = found.len() == 3
                        && found
                            .windows(2)
                            .any(|w| w[1] - w[0] < 2.0 * STEP.max(a / 500.0));
                    let y = y0 + s;
                    assert!(
                        (y - expected).abs() < 1e-7 || near_fold && (y - alternative).abs() < 1e-7,
                        "a {a} up {up} y0 {y0}: {y}, expected {expected}, spread {spread}"
                    );
                }
            }
        }
    }

    #[test]
    fn sum_of_two_equal_tones_is_one_of_twice_the_power() {
        let width = Width::constant(1.1);
        let one = settle_one(-0.3, 0.4, &width, 0.0);
        let half = Drive { u: -0.3, a: 0.2 };
        let two = settle(
            &Drives {
                near: &[half, half],
                ambient: 0.0,
            },
            &width,
            0.0,
            0.0,
        );
        assert!((one - two).abs() < 1e-10);
    }

    #[test]
    fn bad_numbers_settle_at_nothing() {
        let width = Width::constant(1.0);
        assert_eq!(settle(&Drives::default(), &width, 0.0, 3.0), 0.0);
        assert_eq!(settle_one(0.0, f64::NAN, &width, 0.0), 0.0);
        assert_eq!(settle_one(0.0, 1.0, &Width::constant(0.0), 0.0), 0.0);
        assert!(settle_one(f64::NAN, 1.0, &width, f64::NAN).is_finite());
    }
}
