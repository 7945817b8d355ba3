//! Peaks of the prominence of dips, or of peaks, in |S|.

use super::{FindParams, Flattened, Peak};
use crate::geometry::Geometry;

/// Returns the dips whose prominence is at least the smallest depth and is above the noise, in
/// descending order of their [`statistic`](super::Candidate::statistic). The width is taken at half
/// of the prominence.
pub(super) fn peaks(flat: &Flattened, params: &FindParams) -> Vec<Peak> {
    // Peaks of the attenuation in decibels, or of the transmission.
    let sign = match flat.geometry {
        Geometry::Peak => 20.0,
        Geometry::Notch | Geometry::Reflection => -20.0,
    };
    let decibels = flat.z.iter().map(|z| sign * z.norm().max(1e-9).log10());
    let height: Vec<f64> = decibels.collect();
    // Noise of one quadrature, in decibels relative to the line. The prominence is a difference of
    // extreme values among many points. The threshold of the matched filter also allows for the
    // number of points, so it is used here.
    let noise_db = 20.0 / std::f64::consts::LN_10 * flat.noise / 2f64.sqrt();
    let least = params
        .min_depth_db
        .max(noise_db * (2.0 * flat.threshold).sqrt());
    let (left, right) = (bases(&height), {
        let mut reversed: Vec<f64> = height.iter().rev().copied().collect();
        let mut bases = bases(&reversed);
        bases.reverse();
        reversed.clear();
        bases
    });
    let mut found = Vec::new();
    for i in 1..height.len().saturating_sub(1) {
        if !(height[i] > height[i - 1] && height[i] >= height[i + 1]) {
            continue;
        }
        let prominence = height[i] - left[i].max(right[i]);
        if prominence < least {
            continue;
        }
        let half = height[i] - 0.5 * prominence;
        let below = (0..i)
            .rev()
            .find(|&k| height[k] < half)
            .map(|k| flat.f[i] - flat.f[k]);
        let above = (i + 1..height.len())
            .find(|&k| height[k] < half)
            .map(|k| flat.f[k] - flat.f[i]);
        let width = below.unwrap_or(0.0) + above.unwrap_or(0.0);
        found.push(Peak {
            f_hz: flat.f[i],
            linewidth_hz: width.clamp(params.min_linewidth_hz, params.max_linewidth_hz),
            statistic: (prominence / noise_db.max(1e-6)).powi(2),
        });
    }
    found.sort_by(|a, b| {
        b.statistic
            .total_cmp(&a.statistic)
            .then(a.f_hz.total_cmp(&b.f_hz))
    });
    found
}

/// Returns for each point the lowest value on its left, up to the next higher point. The stack of
/// higher points makes the time linear in the number of points.
fn bases(height: &[f64]) -> Vec<f64> {
    let mut stack: Vec<(f64, f64)> = Vec::new();
    let mut bases = Vec::with_capacity(height.len());
    for &h in height {
        let mut lowest = h;
        while let Some(&(top, below)) = stack.last() {
            if top > h {
                break;
            }
            lowest = lowest.min(below);
            stack.pop();
        }
        stack.push((h, lowest));
        bases.push(lowest);
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_end_at_the_next_higher_point() {
        assert_eq!(bases(&[3.0, 1.0, 2.0, 0.0, 5.0]), [3.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
