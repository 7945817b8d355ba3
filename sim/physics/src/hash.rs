//! Random numbers as pure functions.
//!
//! Every random number of the simulation is a hash of a [`Key`], which identifies its purpose, and
//! of a counter, which is its index in the series. No number depends on numbers that were drawn
//! before.

use std::sync::OnceLock;

/// Key of a series of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// Finaliser of 64 bits (Stafford's variant 13, as in SplitMix64).
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Key {
    /// Root key of all series of a seed.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(GOLDEN)))
    }

    /// Key of the child series number `n`.
    #[must_use]
    pub fn child(self, n: u64) -> Self {
        // Two rounds of mixing, so that the series of neighbouring parents do not overlap.
        Self(mix(
            mix(self.0 ^ 0x6a09_e667_f3bc_c909).wrapping_add(n.wrapping_mul(GOLDEN))
        ))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(self, counter: u64) -> u64 {
        mix(self.0.wrapping_add(counter.wrapping_mul(GOLDEN)))
    }

    /// Random number with a uniform distribution in 0..1.
    #[inline]
    pub fn uniform(self, counter: u64) -> f64 {
        (self.bits(counter) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Random number with a normal distribution of mean 0 and variance 1, from 53 random bits and
    /// the inverse of the distribution.
    pub fn normal(self, counter: u64) -> f64 {
        inverse_normal(((self.bits(counter) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0)
    }

    /// Two independent normally distributed random numbers from one hash and a table, accurate to
    /// 1e-4 of a standard deviation.
    #[inline]
    pub fn normal_pair(self, counter: u64) -> (f32, f32) {
        let bits = self.bits(counter);
        let table = normal_table();
        (
            from_table(table, bits as u32),
            from_table(table, (bits >> 32) as u32),
        )
    }

    /// Fills two rows with the pairs of consecutive counters from `first` on. The counter wraps.
    pub(crate) fn fill_pairs(self, first: u64, re: &mut [f32], im: &mut [f32]) {
        let table = normal_table();
        for (k, (re, im)) in re.iter_mut().zip(im).enumerate() {
            let bits = self.bits(first.wrapping_add(k as u64));
            *re = from_table(table, bits as u32);
            *im = from_table(table, (bits >> 32) as u32);
        }
    }

    /// Random number with a nearly normal distribution of variance 1 and a magnitude of at most
    /// 3.5. The slow noise ([`crate::drift`]) interpolates between numbers of this kind.
    #[inline]
    pub(crate) fn node(self, counter: u64) -> f32 {
        let b = self.bits(counter);
        let sum = (b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48);
        // The sum of four uniform numbers of 16 bits has a standard deviation of 65536 / sqrt 3.
        (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
    }
}

const TABLE_BITS: u32 = 12;
const TABLE: usize = 1 << TABLE_BITS;

/// Inverse of the normal distribution at k / 4096, for k from 0 to 4096. The first and last entries
/// are never read.
fn normal_table() -> &'static [f32; TABLE + 1] {
    static CELL: OnceLock<Box<[f32; TABLE + 1]>> = OnceLock::new();
    CELL.get_or_init(|| {
        let mut table = Box::new([0f32; TABLE + 1]);
        for (k, value) in table.iter_mut().enumerate() {
            let p = (k as f64 / TABLE as f64).clamp(1e-12, 1.0 - 1e-12);
            *value = inverse_normal(p) as f32;
        }
        table
    })
}

#[inline]
fn from_table(table: &[f32; TABLE + 1], bits: u32) -> f32 {
    let k = (bits >> (32 - TABLE_BITS)) as usize;
    if !(EDGE..TABLE - EDGE).contains(&k) {
        return tail(bits);
    }
    let fraction = (bits << TABLE_BITS) as f32 * (1.0 / 4_294_967_296.0);
    table[k] + fraction * (table[k + 1] - table[k])
}

/// Number of cells at each end of the table that are not interpolated. In all other cells, the
/// error of linear interpolation is below 1e-4.
const EDGE: usize = 24;

#[cold]
fn tail(bits: u32) -> f32 {
    inverse_normal((f64::from(bits) + 0.5) / 4_294_967_296.0) as f32
}

/// Inverse of the normal distribution, with a relative error below 1.2e-9 (Acklam's rational
/// approximation).
pub fn inverse_normal(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [
        7.784695709041462e-3,
        3.224671290700398e-1,
        2.445134137142996,
        3.754408661907416,
    ];
    let p = p.clamp(1e-300, 1.0 - 1e-16);
    let outer = |q: f64| {
        (((((C[0] * q + C[1]) * q + C[2]) * q + C[3]) * q + C[4]) * q + C[5])
            / ((((D[0] * q + D[1]) * q + D[2]) * q + D[3]) * q + 1.0)
    };
    if p < 0.02425 {
        outer((-2.0 * p.ln()).sqrt())
    } else if p > 1.0 - 0.02425 {
        -outer((-2.0 * (1.0 - p).ln()).sqrt())
    } else {
        let q = p - 0.5;
        let r = q * q;
        (((((A[0] * r + A[1]) * r + A[2]) * r + A[3]) * r + A[4]) * r + A[5]) * q
            / (((((B[0] * r + B[1]) * r + B[2]) * r + B[3]) * r + B[4]) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(xs: impl Iterator<Item = f64>) -> (f64, f64, f64) {
        let (mut n, mut s1, mut s2, mut s4) = (0.0, 0.0, 0.0, 0.0);
        for x in xs {
            n += 1.0;
            s1 += x;
            s2 += x * x;
            s4 += x.powi(4);
        }
        (s1 / n, s2 / n, s4 / n)
    }

    #[test]
    fn normals_have_their_moments() {
        let key = Key::new(1).child(2);
        let (mean, var, fourth) = moments((0..400_000).flat_map(|n| {
            let (a, b) = key.normal_pair(n);
            [f64::from(a), f64::from(b)]
        }));
        assert!(mean.abs() < 0.006, "mean {mean}");
        assert!((var - 1.0).abs() < 0.01, "variance {var}");
        assert!((fourth - 3.0).abs() < 0.08, "fourth moment {fourth}");
        let (mean, var, _) = moments((0..200_000).map(|n| f64::from(key.node(n))));
        assert!(
            mean.abs() < 0.01 && (var - 1.0).abs() < 0.01,
            "nodes {mean} {var}"
        );
    }

    #[test]
    fn tails_are_those_of_a_normal() {
        let key = Key::new(7);
        let beyond = (0..2_000_000)
            .filter(|&n| key.normal_pair(n).0.abs() > 4.0)
            .count();
        // A normal distribution has 6.33e-5 of its values beyond four sigma: 127 of 2e6, with a
        // sigma of 11.
        assert!((80..180).contains(&beyond), "{beyond} beyond four sigma");
    }

    #[test]
    fn table_follows_the_exact_inverse() {
        let table = normal_table();
        for k in 0..100_000u32 {
            let bits = k.wrapping_mul(42_949);
            let exact = inverse_normal((f64::from(bits) + 0.5) / 4_294_967_296.0);
            let quick = f64::from(from_table(table, bits));
            assert!((exact - quick).abs() < 1e-3, "{bits}: {exact} {quick}");
        }
    }

    #[test]
    fn neighbours_are_independent() {
        let root = Key::new(3);
        let n = 100_000;
        let cross = |other: Key, lag: u64| {
            (0..n)
                .map(|i| root.normal(i) * other.normal(i + lag))
                .sum::<f64>()
                / n as f64
        };
        for (name, rho) in [
            ("next counter", cross(root, 1)),
            ("child", cross(root.child(0), 0)),
            ("next seed", cross(Key::new(4), 0)),
        ] {
            assert!(rho.abs() < 0.016, "{name}: {rho}");
        }
        assert_ne!(root.child(1).child(2), root.child(2).child(1));
    }
}
