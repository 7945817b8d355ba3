//! Fits of resonators to fine sweeps. In this file a line is a resonance line, and not the
//! feedline.

use num_complex::Complex64;

use crate::finding::{Candidate, Flag};
use crate::fine_sweep::{FineSweepOutcome, Sweep};
use crate::fit::{
    Fit, FitParams, FitStatus, SweepData, fit_joint, fit_linear, fit_nonlinear, with_neighbours,
};
use crate::resonator::{Direction, Resonator};

/// Largest number of lines of one joint fit.
const MOST_JOINT: usize = 4;
/// Distance up to which neighbours are divided out before a line is fitted, in linewidths.
const NEIGHBOUR_LW: f64 = 30.0;
/// Largest difference of two frequencies that count as equal, in hertz.
const SAME_HZ: f64 = 0.01;
/// Number of times that each line is fitted again, with the latest fits of its neighbours divided
/// out.
const NEIGHBOUR_ROUNDS: usize = 2;

/// Returns groups of candidates that are crowded together, each in order of frequency.
pub(super) fn groups(candidates: &[Candidate]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for i in 0..candidates.len() {
        let close = i > 0 && {
            let (a, b) = (&candidates[i - 1], &candidates[i]);
            let both = |flag| a.has(flag) && b.has(flag);
            let lw = a.linewidth_hz().max(b.linewidth_hz());
            // A flag may be about another neighbour, so the distance to this neighbour is checked
            // too.
            let near = b.fr_hz - a.fr_hz < 6.0 * lw;
            near && (both(Flag::Crowded)
                || both(Flag::Collided)
                || (a.has(Flag::Collided) && b.has(Flag::Crowded))
                || (a.has(Flag::Crowded) && b.has(Flag::Collided)))
        };
        match groups.last_mut() {
            Some(group) if close && group.len() < MOST_JOINT => group.push(i),
            _ => groups.push(vec![i]),
        }
    }
    groups
}

/// Returns one fit for each target.
///
/// Each line is fitted alone, and then again with its neighbours divided out, so that their wings
/// do not distort the result. Crowded lines whose fits still fail are fitted jointly.
pub(super) fn fit_all(
    fine: &FineSweepOutcome,
    candidates: &[Candidate],
    chosen: &[usize],
    tau_s: f64,
    params: &FitParams,
) -> Vec<Fit> {
    let mut fits: Vec<Fit> = (0..chosen.len())
        .map(|k| fit_one(&sweeps_of(fine, k), tau_s, params))
        .collect();
    for _ in 0..NEIGHBOUR_ROUNDS {
        let lines = lines(candidates, chosen, &fits);
        for (k, &own) in chosen.iter().enumerate() {
            let near = neighbours(&lines, own);
            if near.is_empty() {
                continue;
            }
            let without: Vec<Sweep> = sweeps_of(fine, k)
                .into_iter()
                .map(|s| divided(s, &near))
                .collect();
            let mut fit = fit_one(&without.iter().collect::<Vec<_>>(), tau_s, params);
            if fit.status.is_success() {
                // The neighbours are added to the model again, because the samples at the tone
                // contain them.
                fit.model = with_neighbours(&fit.model, near.iter(), Direction::Up);
                fits[k] = fit;
            }
        }
    }
    for group in groups(candidates).iter().filter(|group| group.len() > 1) {
        let members: Vec<usize> = group
            .iter()
            .filter_map(|i| chosen.iter().position(|c| c == i))
            .collect();
        if members.iter().any(|&m| !fits[m].status.is_success()) {
            fit_group(
                fine, candidates, chosen, group, &members, tau_s, params, &mut fits,
            );
        }
    }
    fits
}

/// Returns the resonators of all candidates: as fitted, or as found if no fit succeeded.
fn lines(candidates: &[Candidate], chosen: &[usize], fits: &[Fit]) -> Vec<Resonator> {
    let mut lines: Vec<Resonator> = candidates.iter().map(as_found).collect();
    for (&i, fit) in chosen.iter().zip(fits) {
        if fit.status.is_success() {
            lines[i] = fit.model;
        }
    }
    lines
}

fn as_found(candidate: &Candidate) -> Resonator {
    Resonator {
        f_ref_hz: candidate.fr_hz,
        gain: Complex64::new(1.0, 0.0),
        slope_per_hz: 0.0,
        tau_s: 0.0,
        fr_hz: candidate.fr_hz,
        qr: candidate.q,
        coupling: candidate.coupling,
        a: 0.0,
    }
}

/// Returns the lines that are so near to `own` that their wings matter.
fn neighbours(lines: &[Resonator], own: usize) -> Vec<Resonator> {
    let reach =
        |other: &Resonator| NEIGHBOUR_LW * other.linewidth_hz().max(lines[own].linewidth_hz());
    let near = |other: &Resonator| (other.fr_hz - lines[own].fr_hz).abs() < reach(other);
    let others = lines
        .iter()
        .enumerate()
        .filter(|(i, other)| *i != own && near(other));
    others.map(|(_, other)| *other).collect()
}

/// Returns a sweep with lines divided out. The frequency pull of these lines by the tone of the
/// sweep is included to first order only. That is enough: either the tone is far from them, or they
/// are fitted jointly.
fn divided(sweep: &Sweep, lines: &[Resonator]) -> Sweep {
    let mut without = sweep.clone();
    for (z, f) in without.z.iter_mut().zip(&sweep.frequency_hz) {
        for line in lines {
            let notch = line.notch(line.y0(*f) + line.a / (1.0 + 4.0 * line.y0(*f).powi(2)));
            // The sweep cannot be divided by a notch that is near zero.
            *z /= notch * (notch.norm().max(0.02) / notch.norm().max(f64::MIN_POSITIVE));
        }
    }
    without
}

fn sweeps_of(fine: &FineSweepOutcome, target: usize) -> Vec<&Sweep> {
    fine.sweeps
        .iter()
        .filter(|s| s.channel.index() == target)
        .collect()
}

/// Returns the nonlinear fit of one line, or the linear fit if only that one succeeds. A second
/// sweep in the other direction shows hysteresis.
fn fit_one(sweeps: &[&Sweep], tau_s: f64, params: &FitParams) -> Fit {
    let Some(first) = sweeps.first() else {
        return Fit::failed(FitStatus::TooFewPoints, Direction::Up);
    };
    let data = first.data(tau_s);
    let mut fit = fit_nonlinear(&data, params);
    // If the pull is small, the nonlinearity may be undetermined although the linear fit is good.
    if !fit.status.is_success() && fit.status != FitStatus::Bifurcated {
        let linear = fit_linear(&data, params);
        if linear.status.is_success() {
            fit = linear;
        }
    }
    let diameter = fit.model.coupling.norm() * fit.model.gain.norm();
    for second in &sweeps[1..] {
        if second.direction != first.direction && hysteresis(first, second, diameter) {
            fit.bifurcated = true;
        }
    }
    fit
}

/// True if two sweeps in opposite directions differ by a large part of the loop.
fn hysteresis(first: &Sweep, second: &Sweep, diameter: f64) -> bool {
    let ascending = |sweep: &Sweep| {
        let points = sweep.frequency_hz.iter().copied();
        let mut points: Vec<(f64, Complex64)> = points.zip(sweep.z.iter().copied()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    // Each of the two sweeps may lack points of the other.
    let back = ascending(second);
    let same = |f_hz: f64| {
        let at = back.partition_point(|point| point.0 < f_hz - SAME_HZ);
        back.get(at).filter(|point| point.0 <= f_hz + SAME_HZ)
    };
    let noise = first.noise.unwrap_or(0.0).max(second.noise.unwrap_or(0.0));
    // Neither noise nor a small difference of two good sweeps may count as hysteresis.
    let limit = (0.25 * diameter).max(8.0 * noise);
    diameter > 0.0
        && ascending(first)
            .into_iter()
            .any(|(f_hz, z)| same(f_hz).is_some_and(|(_, other)| (z - other).norm() > limit))
}

/// Fits a group jointly to the sweeps over all of its members.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different part of the tune"
)]
fn fit_group(
    fine: &FineSweepOutcome,
    candidates: &[Candidate],
    chosen: &[usize],
    group: &[usize],
    members: &[usize],
    tau_s: f64,
    params: &FitParams,
    fits: &mut [Fit],
) {
    let (mut f, mut z) = (Vec::new(), Vec::new());
    let mut noise: f64 = 0.0;
    for &member in members {
        // Only sweeps in one direction are joined, since the model has one branch.
        for sweep in sweeps_of(fine, member).into_iter().take(1) {
            f.extend_from_slice(&sweep.frequency_hz);
            z.extend_from_slice(&sweep.z);
            noise = noise.max(sweep.noise.unwrap_or(0.0));
        }
    }
    let Some(guesses) = guesses(candidates, group, &f, &z, tau_s) else {
        return;
    };
    let mut data = SweepData::new(&f, &z).delay(tau_s);
    if noise > 0.0 {
        data = data.noise(noise);
    }
    for (fit, &i) in fit_joint(&data, &guesses, true, params).iter().zip(group) {
        if let Some(member) = chosen.iter().position(|&c| c == i)
            // A joint fit that failed does not replace a single fit that succeeded.
            && (fit.status.is_success() || !fits[member].status.is_success())
        {
            fits[member] = *fit;
        }
    }
}

/// Returns the starting point of the fit of a group: the candidates as they were found, with the
/// gain of the feedline at the point that is furthest from them.
fn guesses(
    candidates: &[Candidate],
    group: &[usize],
    f: &[f64],
    z: &[Complex64],
    tau_s: f64,
) -> Option<Vec<Resonator>> {
    let mut guesses: Vec<Resonator> = group.iter().map(|&i| as_found(&candidates[i])).collect();
    let nearest = |f: f64| {
        guesses
            .iter()
            .map(|g| g.y0(f).abs())
            .fold(f64::INFINITY, f64::min)
    };
    let far = (0..f.len()).max_by(|&i, &j| nearest(f[i]).total_cmp(&nearest(f[j])))?;
    let notches: Complex64 = guesses.iter().map(|g| g.notch(g.y0(f[far]))).product();
    let line = z[far] / notches;
    if !(line.is_finite() && line.norm() > 0.0) {
        return None;
    }
    for guess in &mut guesses {
        guess.f_ref_hz = f[far];
        guess.gain = line;
        guess.tau_s = tau_s;
    }
    Some(guesses)
}
