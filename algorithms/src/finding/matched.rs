//! Peaks of a matched filter.
//!
//! At each frequency, and for each of a grid of widths, the sweep is compared with a model of the
//! feedline (a sloped line) with and without a resonator. The best complex coupling follows in
//! closed form. If the angle of this coupling is outside the allowed range, only its component
//! within the range counts. The statistic is the reduction of chi-squared. Its distribution on
//! white noise is known, so the threshold follows from the allowed number of false alarms.

use super::{FindParams, Flattened, Peak};
use crate::geometry::Geometry;
use crate::projection::{Projection, project};

/// Relative error of the model of the feedline, caused by ripple within a few linewidths. At high
/// signal-to-noise ratios this error in the variance prevents ripple from being found as
/// resonances.
const MODEL_ERROR: f64 = 0.003;
/// Fraction of the misfit that counts as noise, so that the width that fits best has the highest
/// statistic.
const MISFIT_WEIGHT: f64 = 0.1;
/// Half width of the piece of sweep that is compared, in linewidths.
const REACH_LW: f64 = 4.0;
/// Ratio of each width of the grid to the next smaller width.
const WIDTH_RATIO: f64 = 1.6;

/// Returns all maxima of the statistic along frequency that are above the threshold, in descending
/// order.
pub(super) fn peaks(flat: &Flattened, params: &FindParams) -> Vec<Peak> {
    let mut found = Vec::new();
    // Resonances narrower than the spacing of the points look like noise.
    let least = params.min_linewidth_hz.max(1.5 * flat.spacing_hz);
    let mut lw = least;
    loop {
        scan(flat, params, lw, &mut found);
        if lw >= params.max_linewidth_hz {
            break;
        }
        lw = (lw * WIDTH_RATIO).min(params.max_linewidth_hz);
    }
    found.sort_by(|a, b| {
        b.statistic
            .total_cmp(&a.statistic)
            .then(a.f_hz.total_cmp(&b.f_hz))
    });
    found
}

fn scan(flat: &Flattened, params: &FindParams, lw: f64, found: &mut Vec<Peak>) {
    let (low, high) = (flat.f[0], flat.f[flat.f.len() - 1]);
    // Steps of a third of a linewidth are fine enough: half a step away from a maximum, the
    // statistic is lower by only a few per cent.
    let step = (lw / 3.0).max(0.5 * flat.spacing_hz);
    let count = ((high - low) / step) as usize;
    let mut window = Window::default();
    // A maximum is known only when the next value is lower, so peaks are found one step late.
    let (mut before, mut last) = (0.0, 0.0);
    for k in 0..=count + 1 {
        let f_hz = low + step * k as f64;
        let statistic = if k <= count {
            window.move_to(flat, f_hz, lw);
            window
                .statistic(flat, params, f_hz, lw)
                .map_or(0.0, |(s, _)| s)
        } else {
            0.0
        };
        if last > flat.threshold && last >= before && last > statistic {
            found.push(Peak {
                f_hz: f_hz - step,
                linewidth_hz: lw,
                statistic: last,
            });
        }
        before = last;
        last = statistic;
    }
}

/// Piece of the sweep around a frequency.
#[derive(Default)]
struct Window {
    first: usize,
    end: usize,
}

impl Window {
    /// Moves the piece to a higher frequency.
    fn move_to(&mut self, flat: &Flattened, f_hz: f64, lw: f64) {
        // Several points are needed to distinguish the notch from the sloped line.
        let reach = (REACH_LW * lw).max(5.0 * flat.spacing_hz);
        while self.first < flat.f.len() && flat.f[self.first] < f_hz - reach {
            self.first += 1;
        }
        while self.end < flat.f.len() && flat.f[self.end] <= f_hz + reach {
            self.end += 1;
        }
    }

    fn statistic(
        &self,
        flat: &Flattened,
        params: &FindParams,
        f_hz: f64,
        lw: f64,
    ) -> Option<(f64, Projection)> {
        let range = self.first..self.end;
        let n = range.len();
        let sharpness = 1.0 / lw;
        let points = flat.f[range.clone()]
            .iter()
            .zip(&flat.z[range])
            .map(|(&f, &z)| {
                let y = (f - f_hz) * sharpness;
                (y, y, z)
            });
        let is_usable =
            |found: &Projection| flat.geometry == Geometry::Peak || found.coupling.is_finite();
        let found = project(points).filter(is_usable)?;
        Some((statistic_of(&found, n, flat, params), found))
    }
}

/// Returns the peak with the highest statistic near `peak`, over a few frequencies and widths, with
/// its projection. `None` if no statistic is above the threshold.
pub(super) fn refine(
    flat: &Flattened,
    params: &FindParams,
    peak: &Peak,
) -> Option<(Peak, Projection)> {
    let mut best: Option<(Peak, Projection)> = None;
    // The grid of the search is coarse, and the sweep has been divided by the notches of stronger
    // lines since the search.
    for stretch in [0.8, 1.0, 1.25] {
        let lw = peak.linewidth_hz * stretch;
        let reach = (REACH_LW * lw).max(5.0 * flat.spacing_hz);
        for shift in [-0.3, -0.15, 0.0, 0.15, 0.3] {
            let f_hz = peak.f_hz + shift * peak.linewidth_hz;
            let window = Window {
                first: flat.f.partition_point(|f| *f < f_hz - reach),
                end: flat.f.partition_point(|f| *f <= f_hz + reach),
            };
            let Some((statistic, found)) = window.statistic(flat, params, f_hz, lw) else {
                continue;
            };
            if statistic > flat.threshold
                && best.as_ref().is_none_or(|(b, _)| statistic > b.statistic)
            {
                best = Some((
                    Peak {
                        f_hz,
                        linewidth_hz: lw,
                        statistic,
                    },
                    found,
                ));
            }
        }
    }
    best
}

fn statistic_of(found: &Projection, n: usize, flat: &Flattened, params: &FindParams) -> f64 {
    let model = MODEL_ERROR * found.line.norm();
    // Three complex parameters are fitted.
    let misfit = found.residual / (n as f64 - 3.0).max(1.0);
    let variance = flat.noise * flat.noise + model * model + MISFIT_WEIGHT * misfit;
    // The phase of a leak, and so the angle of a peak to it, is arbitrary.
    let allowed = match flat.geometry {
        Geometry::Peak => 1.0,
        Geometry::Notch | Geometry::Reflection => {
            let beyond = (found.coupling.arg().abs() - params.max_phi_rad).max(0.0);
            beyond.cos().max(0.0)
        }
    };
    if variance > 0.0 {
        2.0 * found.gain * allowed * allowed / variance
    } else {
        0.0
    }
}
