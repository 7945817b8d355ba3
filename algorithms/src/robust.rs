//! Order statistics, which change little if a few values are outliers.
//!
//! In a measurement of a feedline, the points on resonances are outliers, which would distort a
//! mean.

use num_complex::Complex64;

/// Ratio of a normal distribution's standard deviation to its median absolute deviation.
pub const SIGMA_PER_MAD: f64 = 1.482_602_218_505_602;

/// Returns the median of the finite values, or `None` if there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    median_of_finite(&mut finite)
}

/// Returns the median of finite values, and reorders them. `None` if there are none.
pub(crate) fn median_of_finite(finite: &mut [f64]) -> Option<f64> {
    let n = finite.len();
    if n == 0 {
        return None;
    }
    let (below, middle, _) = finite.select_nth_unstable_by(n / 2, f64::total_cmp);
    let upper = *middle;
    if n % 2 == 1 {
        return Some(upper);
    }
    let lower = below
        .iter()
        .copied()
        .max_by(f64::total_cmp)
        .unwrap_or(upper);
    Some(0.5 * (lower + upper))
}

/// Returns the median absolute deviation of the finite values from `centre`, scaled to the standard
/// deviation of a normal distribution. `None` if there are no finite values.
pub fn spread(values: &[f64], centre: f64) -> Option<f64> {
    let mut deviations: Vec<f64> = values
        .iter()
        .map(|v| (v - centre).abs())
        .filter(|v| v.is_finite())
        .collect();
    median_of_finite(&mut deviations).map(|mad| mad * SIGMA_PER_MAD)
}

/// Returns the medians of the finite real parts and of the finite imaginary parts. `None` if there
/// are no finite real parts, or no finite imaginary parts.
pub fn complex_median(values: &[Complex64]) -> Option<Complex64> {
    let mut re: Vec<f64> = values
        .iter()
        .map(|z| z.re)
        .filter(|v| v.is_finite())
        .collect();
    let mut im: Vec<f64> = values
        .iter()
        .map(|z| z.im)
        .filter(|v| v.is_finite())
        .collect();
    Some(Complex64::new(
        median_of_finite(&mut re)?,
        median_of_finite(&mut im)?,
    ))
}

/// Returns the root mean square `sqrt(<|n|^2>)` of the white noise `n` in the points of a sweep,
/// from the second differences of the samples.
///
/// In a second difference, everything that is smooth over three points cancels. Sharp lines do not
/// change the median if they cover less than about a third of the points. `None` if fewer than
/// three second differences are finite.
pub fn sweep_noise(z: &[Complex64]) -> Option<f64> {
    let mut powers: Vec<f64> = z
        .windows(3)
        .map(|w| (w[0] - 2.0 * w[1] + w[2]).norm_sqr())
        .filter(|v| v.is_finite())
        .collect();
    if powers.len() < 3 {
        return None;
    }
    // |second difference|^2 has an exponential distribution with mean 6 sigma^2, whose median is
    // ln 2 times the mean.
    median_of_finite(&mut powers).map(|m| (m / (6.0 * std::f64::consts::LN_2)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_odd_and_nothing() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN, 7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
    }

    #[test]
    fn spread_ignores_an_outlier() {
        let values = [-1.0, 1.0, -1.0, 1.0, 1.0e9];
        assert_eq!(spread(&values, 0.0), Some(SIGMA_PER_MAD));
    }
}
