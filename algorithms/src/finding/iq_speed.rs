//! Peaks of the speed along the loop, the circle that a resonance describes in the IQ plane.

use super::{FindParams, Flattened, Peak};
use crate::robust::{SIGMA_PER_MAD, median};

/// Returns the peaks of the speed |dS/df| relative to its median, in descending order of their
/// [`statistic`](super::Candidate::statistic). The speed along the loop of a resonator is a
/// Lorentzian with the linewidth of the resonator.
pub(super) fn peaks(flat: &Flattened, params: &FindParams) -> Vec<Peak> {
    let n = flat.z.len();
    let speed: Vec<f64> = (0..n)
        .map(|i| {
            let (a, b) = (i.saturating_sub(1), (i + 1).min(n - 1));
            (flat.z[b] - flat.z[a]).norm() / (flat.f[b] - flat.f[a])
        })
        .collect();
    let typical = median(&speed).unwrap_or(0.0);
    let deviations: Vec<f64> = speed.iter().map(|v| (v - typical).abs()).collect();
    let spread = SIGMA_PER_MAD * median(&deviations).unwrap_or(0.0);
    let least = typical + spread * flat.threshold.sqrt();
    let mut found = Vec::new();
    for i in 1..n - 1 {
        if !(speed[i] > least && speed[i] > speed[i - 1] && speed[i] >= speed[i + 1]) {
            continue;
        }
        let half = typical + 0.5 * (speed[i] - typical);
        let below = (0..i)
            .rev()
            .find(|&k| speed[k] < half)
            .map_or(0.0, |k| flat.f[i] - flat.f[k]);
        let above = (i + 1..n)
            .find(|&k| speed[k] < half)
            .map_or(0.0, |k| flat.f[k] - flat.f[i]);
        let width = below + above;
        if width > 2.0 * params.max_linewidth_hz {
            continue;
        }
        found.push(Peak {
            f_hz: flat.f[i],
            linewidth_hz: width.clamp(params.min_linewidth_hz, params.max_linewidth_hz),
            statistic: ((speed[i] - typical) / spread.max(1e-30)).powi(2),
        });
    }
    found.sort_by(|a, b| {
        b.statistic
            .total_cmp(&a.statistic)
            .then(a.f_hz.total_cmp(&b.f_hz))
    });
    found
}
