//! Confirmation of peaks as resonances. Each peak is fitted. The sweep is divided by the fitted
//! notch before weaker peaks are examined, so that the wings of a strong resonance are not found as
//! resonances. In this file a line is a resonance line, and not the feedline. The loop is the
//! circle that a resonance describes in the IQ plane.

use num_complex::Complex64;

use super::candidate::Candidate;
use super::matched::refine;
use super::{FindParams, Flattened, Peak};
use crate::fit::{
    Fit, FitParams, FitStatus, SweepData, fit_joint, fit_linear, fit_nonlinear, fit_pair,
};
use crate::geometry::Geometry;
use crate::projection::Projection;
use crate::resonator::{Direction, Resonator, pulled_detuning};

/// Distance from a line, in linewidths, up to which the sweep is divided by its notch.
const DIVIDE_LW: f64 = 60.0;
/// The same for the subtraction of a peak, whose wings are large next to the leak.
const SUBTRACT_LW: f64 = 1000.0;
/// Half width of the piece of sweep that is fitted, in linewidths.
const FIT_LW: f64 = 4.0;
/// Largest number of peaks beside one line that are examined. Further peaks beside this line are
/// ignored, but the line may still be split into a pair of lines.
const MOST_ATTEMPTS: usize = 3;
/// Residual, as a fraction of the loop's diameter, above which one linear resonator does not
/// explain the sweep.
const CLEAN: f64 = 0.05;

/// A confirmed line.
struct Line {
    model: Resonator,
    statistic: f64,
    /// Residual of the fit, as a fraction of the loop's diameter.
    residual: f64,
    /// Number of peaks beside the line that were examined.
    attempts: usize,
}

impl Line {
    fn dip_hz(&self) -> f64 {
        self.model.frequency_at(0.0)
    }
}

/// Confirms peaks, which are in descending order of their statistic, and returns the resonances in
/// order of frequency.
pub(super) fn confirm(flat: &Flattened, peaks: Vec<Peak>, params: &FindParams) -> Vec<Candidate> {
    // The conditions of success are loose, because a wide sweep has few points on each line. Strict
    // conditions apply to the fits of the fine sweep.
    let fits = FitParams {
        max_residual: 10.0,
        max_fr_error_lw: 1.0,
        max_a_error: 1.0,
        ..FitParams::default()
    };
    let mut clean = Flattened {
        f: flat.f.clone(),
        z: flat.z.clone(),
        ..*flat
    };
    let mut lines: Vec<Line> = Vec::new();
    for peak in peaks {
        let near = nearest(&lines, &peak);
        if near.is_some_and(|k| {
            lines[k].residual < residual_limit(flat, &lines[k])
                || lines[k].attempts >= MOST_ATTEMPTS
        }) {
            continue;
        }
        let Some((peak, projection)) = refine(&clean, params, &peak) else {
            continue;
        };
        // The limit is half of the smallest depth, because the resonator of the matched filter is
        // less deep than a narrow dip.
        let template = resonator(flat, &peak, &projection);
        if contrast_db(flat, &template) < 0.5 * params.min_depth_db {
            continue;
        }
        if let Some(k) = near {
            confirm_beside(
                flat, &mut clean, &mut lines, k, &peak, &template, params, &fits,
            );
            continue;
        }
        // What an inexact fit leaves of a peak is large next to the leak.
        let nonlinear = flat.geometry == Geometry::Peak;
        let fit = fit_piece(&clean, peak.f_hz, peak.linewidth_hz, nonlinear, &fits);
        let line = line_for(&fit, &peak, template, params);
        if let Some(line) = line {
            remove(&mut clean, &line.model);
            lines.push(line);
        }
    }
    split(flat, &mut clean, &mut lines, params, &fits);
    let mut candidates: Vec<Candidate> = lines
        .iter()
        .filter(|line| contrast_db(flat, &line.model) >= params.min_depth_db)
        .map(|line| Candidate {
            fr_hz: line.dip_hz(),
            q: line.model.qr,
            depth_db: line.model.depth_db(),
            coupling: line.model.coupling,
            statistic: line.statistic,
            flags: Vec::new(),
            keep: true,
        })
        .collect();
    candidates.sort_by(|a, b| a.fr_hz.total_cmp(&b.fr_hz));
    candidates
}

/// Replaces each line that does not explain the sweep by two lines, if two lines do explain the
/// sweep.
fn split(
    flat: &Flattened,
    clean: &mut Flattened,
    lines: &mut Vec<Line>,
    params: &FindParams,
    fits: &FitParams,
) {
    for k in 0..lines.len() {
        if lines[k].residual < residual_limit(flat, &lines[k]) {
            continue;
        }
        restore(clean, &lines[k].model);
        let reach = (FIT_LW * lines[k].model.linewidth_hz()).max(10.0 * flat.spacing_hz);
        let (f, z) = piece(clean, lines[k].dip_hz() - reach, lines[k].dip_hz() + reach);
        let data = SweepData::new(f, z).geometry(clean.geometry);
        let pair = fit_pair(&data, false, fits);
        if let Some([first, second]) = pair
            && [&first, &second]
                .iter()
                .all(|fit| is_sound(flat, fit, params))
            && first
                .residual_over_diameter
                .max(second.residual_over_diameter)
                < 2.0 * CLEAN
        {
            lines[k].model = first.model;
            lines[k].residual = first.residual_over_diameter;
            remove(clean, &second.model);
            lines.push(Line {
                model: second.model,
                statistic: lines[k].statistic,
                residual: second.residual_over_diameter,
                attempts: 0,
            });
        }
        let model = lines[k].model;
        remove(clean, &model);
    }
}

/// True if a fit succeeded on a line that could be a detector.
fn is_sound(flat: &Flattened, fit: &Fit, params: &FindParams) -> bool {
    fit.model.is_finite()
        && fit.linewidth_hz() < params.max_linewidth_hz
        && fit.linewidth_hz() > 0.5 * params.min_linewidth_hz
        && fit
            .phi_rad
            .is_none_or(|phi| phi.abs() < params.max_phi_rad + 0.3)
        && contrast_db(flat, &fit.model) > params.min_depth_db
}

/// Returns the depth by which a resonance is judged, in decibels. In reflection and for peaks it is
/// that of a notch with the same loop, relative to the line, or to the largest signal within a few
/// linewidths of the peak: there an inexact model of the wings of other peaks must not look like a
/// peak.
fn contrast_db(flat: &Flattened, r: &Resonator) -> f64 {
    let share = match r.geometry {
        Geometry::Notch => return r.depth_db(),
        Geometry::Reflection => r.coupling.norm(),
        Geometry::Peak => {
            let near = &flat.z[around(flat, r, FIT_LW)];
            let largest = near.iter().map(|z| z.norm()).fold(0.0, f64::max);
            r.diameter() / largest
        }
    };
    -20.0 * (1.0 - share).max(1e-9).log10()
}

/// Returns the index of the line that a peak is close to.
fn nearest(lines: &[Line], peak: &Peak) -> Option<usize> {
    let apart = |k: usize| (lines[k].dip_hz() - peak.f_hz).abs();
    let k = (0..lines.len()).min_by(|&i, &j| apart(i).total_cmp(&apart(j)))?;
    let lw = lines[k].model.linewidth_hz().max(peak.linewidth_hz);
    (apart(k) < 2.5 * lw).then_some(k)
}

/// Returns the residual, as a fraction of the loop's diameter, below which one line explains the
/// sweep.
fn residual_limit(flat: &Flattened, line: &Line) -> f64 {
    CLEAN.max(2.0 * flat.noise / line.model.diameter().max(1e-3))
}

/// Returns the line for a peak. Its model is the fit if the fit is good, and `template`, the
/// resonator of the matched filter, if the fit is imprecise. `None` if the fit shows that there is
/// no such resonator.
fn line_for(fit: &Fit, peak: &Peak, template: Resonator, params: &FindParams) -> Option<Line> {
    let shift = (fit.model.frequency_at(0.0) - peak.f_hz).abs();
    let lw = fit.linewidth_hz();
    let agrees = fit.model.is_finite()
        && shift < 1.5 * peak.linewidth_hz.max(lw)
        && lw < 3.0 * peak.linewidth_hz
        && lw > 0.25 * peak.linewidth_hz;
    let model = match fit.status {
        FitStatus::Success | FitStatus::NegativeQi | FitStatus::OtherGeometry if agrees => {
            fit.model
        }
        FitStatus::TooWide | FitStatus::OutsideSweep => return None,
        _ => template,
    };
    // If the fit succeeds with a large width, the narrow template is on the flank of a wide dip,
    // such as a resonance of the housing.
    let too_wide = model.linewidth_hz() > params.max_linewidth_hz
        || (fit.status.is_success() && lw > params.max_linewidth_hz);
    let residual = if agrees {
        fit.residual_over_diameter
    } else {
        1.0
    };
    (!too_wide).then_some(Line {
        model,
        statistic: peak.statistic,
        residual,
        attempts: 0,
    })
}

/// Examines a peak within a few linewidths of a known line. The peak is a resonance only if two
/// lines explain the sweep around it and one nonlinear line does not.
#[expect(
    clippy::too_many_arguments,
    reason = "it is one step of `confirm` and uses its variables"
)]
fn confirm_beside(
    flat: &Flattened,
    clean: &mut Flattened,
    lines: &mut Vec<Line>,
    k: usize,
    peak: &Peak,
    template: &Resonator,
    params: &FindParams,
    fits: &FitParams,
) {
    let enough = residual_limit(flat, &lines[k]);
    lines[k].attempts += 1;
    // First the line is restored in the sweep, and one nonlinear line is fitted.
    restore(clean, &lines[k].model);
    let lw = lines[k].model.linewidth_hz();
    let centre = lines[k].dip_hz();
    // One nonlinear fit is enough, because the sweep does not change between attempts.
    let pulled = (lines[k].attempts == 1).then(|| fit_piece(clean, centre, lw, true, fits));
    if let Some(pulled) = pulled
        && pulled.status.is_success()
        && pulled.linewidth_hz() < 3.0 * lw
        && pulled.residual_over_diameter < lines[k].residual
    {
        lines[k].model = pulled.model;
        lines[k].residual = pulled.residual_over_diameter;
    }
    if lines[k].residual >= enough {
        // If the resonance is pulled by its power, a linear fit also has a large residual. So two
        // lines are tried only after the nonlinear fit.
        let both = two_lines(clean, &lines[k].model, template, fits);
        if let Some([first, second]) = both {
            let sound = |fit: &Fit| {
                is_sound(flat, fit, params)
                    && fit.linewidth_hz() > 0.3 * lw
                    && fit.model.diameter() > 0.1 * first.model.diameter()
            };
            // Two lines have more parameters and fit better in any case, so the residual must fall
            // by half.
            let is_better =
                first.residual_rms * 2.0 < lines[k].residual * lines[k].model.diameter();
            if sound(&first) && sound(&second) && is_better {
                lines[k].model = first.model;
                lines[k].residual = first.residual_over_diameter;
                remove(clean, &second.model);
                lines.push(Line {
                    model: second.model,
                    statistic: peak.statistic,
                    residual: second.residual_over_diameter,
                    attempts: 0,
                });
            }
        }
    }
    let model = lines[k].model;
    remove(clean, &model);
}

fn two_lines(
    clean: &Flattened,
    first: &Resonator,
    second: &Resonator,
    fits: &FitParams,
) -> Option<[Fit; 2]> {
    let reach = FIT_LW * first.linewidth_hz().max(second.linewidth_hz());
    let low = first.fr_hz.min(second.fr_hz) - reach;
    let high = first.fr_hz.max(second.fr_hz) + reach;
    let (f, z) = piece(clean, low, high);
    let data = SweepData::new(f, z).geometry(clean.geometry);
    let both = fit_joint(&data, &[*first, *second], false, fits);
    let found = both.iter().all(|fit| fit.status.is_success());
    found.then(|| [both[0], both[1]])
}

fn piece(flat: &Flattened, low: f64, high: f64) -> (&[f64], &[Complex64]) {
    let first = flat.f.partition_point(|f| *f < low);
    let end = flat.f.partition_point(|f| *f <= high).max(first);
    (&flat.f[first..end], &flat.z[first..end])
}

fn fit_piece(flat: &Flattened, f_hz: f64, lw: f64, nonlinear: bool, fits: &FitParams) -> Fit {
    let reach = (FIT_LW * lw).max(8.0 * flat.spacing_hz);
    let (f, z) = piece(flat, f_hz - reach, f_hz + reach);
    let data = SweepData::new(f, z).geometry(flat.geometry);
    if nonlinear {
        fit_nonlinear(&data, fits)
    } else {
        fit_linear(&data, fits)
    }
}

/// Returns the resonator that the matched filter found at a peak.
fn resonator(flat: &Flattened, peak: &Peak, found: &Projection) -> Resonator {
    let (gain, coupling, off) = match flat.geometry {
        Geometry::Peak => (
            found.amplitude,
            -Complex64::ONE,
            found.line / found.amplitude,
        ),
        Geometry::Notch | Geometry::Reflection => (found.line, found.coupling, Complex64::ONE),
    };
    Resonator {
        geometry: flat.geometry,
        f_ref_hz: peak.f_hz,
        gain,
        slope_per_hz: 0.0,
        tau_s: 0.0,
        fr_hz: peak.f_hz,
        qr: peak.f_hz / peak.linewidth_hz,
        coupling,
        off,
        a: 0.0,
    }
}

fn remove(flat: &mut Flattened, line: &Resonator) {
    match line.geometry {
        Geometry::Peak => add(flat, line, -1.0),
        Geometry::Notch | Geometry::Reflection => scale_by(flat, line, |z, notch| z / notch),
    }
}

fn restore(flat: &mut Flattened, line: &Resonator) {
    match line.geometry {
        Geometry::Peak => add(flat, line, 1.0),
        Geometry::Notch | Geometry::Reflection => scale_by(flat, line, |z, notch| z * notch),
    }
}

/// Returns the indices of the points up to `reach_lw` linewidths from a line.
fn around(flat: &Flattened, line: &Resonator, reach_lw: f64) -> std::ops::Range<usize> {
    let reach = reach_lw * line.linewidth_hz();
    let first = flat.f.partition_point(|f| *f < line.fr_hz - reach);
    let end = flat.f.partition_point(|f| *f <= line.fr_hz + reach);
    first..end.max(first)
}

/// Adds a peak to the sweep, without its leak.
fn add(flat: &mut Flattened, line: &Resonator, sign: f64) {
    for i in around(flat, line, SUBTRACT_LW) {
        let y0 = line.y0(flat.f[i]);
        // So far away the pull changes nothing, and its equation takes long to solve.
        let y = if y0.abs() > DIVIDE_LW {
            y0
        } else {
            pulled_detuning(y0, line.a, Direction::Up)
        };
        // The delay of the line was removed from the sweep.
        flat.z[i] += sign * line.wing(flat.f[i], y, 0.0);
    }
}

fn scale_by(
    flat: &mut Flattened,
    line: &Resonator,
    by: impl Fn(Complex64, Complex64) -> Complex64,
) {
    for i in around(flat, line, DIVIDE_LW) {
        let y = pulled_detuning(line.y0(flat.f[i]), line.a, Direction::Up);
        let notch = line.factor(y);
        // The magnitude of the notch is raised to at least 0.02, because a division by a notch near
        // zero would magnify the noise.
        let floor = notch.norm().max(0.02);
        let notch = if notch.norm() > 0.0 {
            notch * (floor / notch.norm())
        } else {
            floor.into()
        };
        flat.z[i] = by(flat.z[i], notch);
    }
}
