//! Fits of resonators to fine sweeps. In this file a line is a resonance line, and not the
//! feedline.

use num_complex::Complex64;

use crate::finding::{Candidate, Flag};
use crate::fine_sweep::Sweep;
use crate::fit::{
    Fit, FitParams, FitStatus, SweepData, fit_joint, fit_linear, fit_nonlinear, with_neighbours,
};
use crate::geometry::Geometry;
use crate::resonator::{Direction, Resonator};

/// The feedline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Feedline {
    pub tau_s: f64,
    pub geometry: Geometry,
}

/// Largest number of lines that are fitted jointly.
const MOST_JOINT: usize = 4;
/// Largest distance of a neighbour, in linewidths, at which the sweep is divided by the neighbour's
/// notch before a line is fitted.
const NEIGHBOUR_LW: f64 = 30.0;
/// Largest difference between two frequencies that count as equal, in hertz.
const SAME_HZ: f64 = 0.01;
/// Number of times that each line is fitted again, each time to the sweep divided by the notches of
/// the latest fits of its neighbours.
const NEIGHBOUR_ROUNDS: usize = 2;

/// Divides the candidates, which are in order of frequency, into groups of neighbours that are
/// flagged as crowded or collided. Any other candidate is a group of its own. A group has at most
/// [`MOST_JOINT`] members. Returns the indices of the members of each group.
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

/// Returns one fit for each of the candidates with the indices `chosen`, in this order. `sweeps`
/// has the sweeps over each of them, in the same order.
///
/// Each line is fitted alone, and then again after the notches or peaks of its neighbours were
/// removed from its sweep, so that their wings do not distort the result. If the fit of any member
/// of a group of crowded lines still fails, the group is fitted jointly.
pub(super) fn fit_all(
    sweeps: &[Vec<&Sweep>],
    candidates: &[Candidate],
    chosen: &[usize],
    feed: Feedline,
    params: &FitParams,
) -> Vec<Fit> {
    let mut fits: Vec<Fit> = sweeps
        .iter()
        .map(|sweeps| fit_one(sweeps, feed, params))
        .collect();
    for _ in 0..NEIGHBOUR_ROUNDS {
        let lines = lines(candidates, chosen, &fits, feed.geometry);
        for (k, &own) in chosen.iter().enumerate() {
            let near = neighbours(&lines, own);
            if near.is_empty() {
                continue;
            }
            let without: Vec<Sweep> = sweeps[k]
                .iter()
                .map(|s| without(s, &near, feed.tau_s))
                .collect();
            let mut fit = fit_one(&without.iter().collect::<Vec<_>>(), feed, params);
            if fit.status.is_success() {
                // The neighbours' notches are put back into the model, because the samples at the
                // tone contain them.
                fit.model = with_neighbours(&fit.model, near.iter(), Direction::Up, feed.tau_s);
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
                sweeps, candidates, chosen, group, &members, feed, params, &mut fits,
            );
        }
    }
    fits
}

/// Marks the fits of lines that are wider than any detector: such a line is a box mode, even if its
/// fit is good.
pub(super) fn refuse_wide(fits: &mut [Fit], widest_hz: f64) {
    for fit in fits {
        if fit.status.is_success() && fit.linewidth_hz() > widest_hz {
            fit.status = FitStatus::TooWide;
        }
    }
}

/// Returns a resonator for each candidate: the fitted one if the candidate was fitted with success,
/// and otherwise the one that was found in the wide sweep.
fn lines(
    candidates: &[Candidate],
    chosen: &[usize],
    fits: &[Fit],
    geometry: Geometry,
) -> Vec<Resonator> {
    let found = candidates.iter().map(|one| as_found(one, geometry));
    let mut lines: Vec<Resonator> = found.collect();
    for (&i, fit) in chosen.iter().zip(fits) {
        if fit.status.is_success() {
            lines[i] = fit.model;
        }
    }
    lines
}

/// Returns the resonator that was found in the wide sweep. The height of a peak in the fine sweep
/// is not known from there, so its gain is zero.
fn as_found(candidate: &Candidate, geometry: Geometry) -> Resonator {
    let (gain, off) = match geometry {
        Geometry::Peak => (Complex64::ZERO, Complex64::ZERO),
        Geometry::Notch | Geometry::Reflection => (Complex64::ONE, Complex64::ONE),
    };
    Resonator {
        geometry,
        f_ref_hz: candidate.fr_hz,
        gain,
        slope_per_hz: 0.0,
        tau_s: 0.0,
        fr_hz: candidate.fr_hz,
        qr: candidate.q,
        coupling: candidate.coupling,
        off,
        a: 0.0,
    }
}

/// Returns the lines that are so near to the line at index `own` that their wings distort its fit.
/// Peaks of unknown height are left out.
fn neighbours(lines: &[Resonator], own: usize) -> Vec<Resonator> {
    let reach =
        |other: &Resonator| NEIGHBOUR_LW * other.linewidth_hz().max(lines[own].linewidth_hz());
    let near = |other: &Resonator| (other.fr_hz - lines[own].fr_hz).abs() < reach(other);
    let is_known = |other: &Resonator| other.gain != Complex64::ZERO;
    let others = lines
        .iter()
        .enumerate()
        .filter(|(i, other)| *i != own && is_known(other) && near(other));
    others.map(|(_, other)| *other).collect()
}

/// Returns a sweep without `lines`: divided by notches, or with peaks subtracted. The tone of the
/// sweep pulls the frequencies of these lines. This pull is included to first order only, which is
/// enough: either the tone is far from these lines, or they are fitted jointly with the line of the
/// sweep.
fn without(sweep: &Sweep, lines: &[Resonator], tau_s: f64) -> Sweep {
    let mut rest = sweep.clone();
    for (z, f) in rest.z.iter_mut().zip(&sweep.frequency_hz) {
        for line in lines {
            let y = line.y0(*f) + line.a / (1.0 + 4.0 * line.y0(*f).powi(2));
            if line.geometry == Geometry::Peak {
                *z -= line.wing(*f, y, tau_s);
                continue;
            }
            let notch = line.factor(y);
            // The magnitude of the notch is raised to at least 0.02, because a division by a notch
            // near zero would magnify the noise.
            *z /= notch * (notch.norm().max(0.02) / notch.norm().max(f64::MIN_POSITIVE));
        }
    }
    rest
}

/// Returns the nonlinear fit of one line to its first sweep, or the linear fit if only the linear
/// fit succeeds. If a later sweep in the other direction shows hysteresis, the fit is marked as
/// bifurcated.
fn fit_one(sweeps: &[&Sweep], feed: Feedline, params: &FitParams) -> Fit {
    let Some(first) = sweeps.first() else {
        return Fit::failed(FitStatus::TooFewPoints, Direction::Up);
    };
    let data = first.data(feed.tau_s).geometry(feed.geometry);
    let mut fit = fit_nonlinear(&data, params);
    // If the tone pulls the resonance frequency only a little, the nonlinearity may be undetermined
    // although the linear fit is good.
    if !fit.status.is_success() && fit.status != FitStatus::Bifurcated {
        let linear = fit_linear(&data, params);
        if linear.status.is_success() {
            fit = linear;
        }
    }
    let diameter = fit.model.diameter();
    for second in &sweeps[1..] {
        if second.direction != first.direction && hysteresis(first, second, diameter) {
            fit.bifurcated = true;
        }
    }
    fit
}

/// True if two sweeps in opposite directions differ at any frequency by a large part of `diameter`,
/// the diameter of the resonance circle.
fn hysteresis(first: &Sweep, second: &Sweep, diameter: f64) -> bool {
    let ascending = |sweep: &Sweep| {
        let points = sweep.frequency_hz.iter().copied();
        let mut points: Vec<(f64, Complex64)> = points.zip(sweep.z.iter().copied()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    // Each of the two sweeps may lack points that the other one has.
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
    sweeps: &[Vec<&Sweep>],
    candidates: &[Candidate],
    chosen: &[usize],
    group: &[usize],
    members: &[usize],
    feed: Feedline,
    params: &FitParams,
    fits: &mut [Fit],
) {
    let (mut f, mut z) = (Vec::new(), Vec::new());
    let mut noise: f64 = 0.0;
    for &member in members {
        // Only the first sweep of each member is used: sweeps in opposite directions may follow
        // different branches of a bifurcated resonance, and the model follows only one.
        for sweep in sweeps[member].iter().take(1) {
            f.extend_from_slice(&sweep.frequency_hz);
            z.extend_from_slice(&sweep.z);
            noise = noise.max(sweep.noise.unwrap_or(0.0));
        }
    }
    let Some(guesses) = guesses(candidates, group, &f, &z, feed) else {
        return;
    };
    let mut data = SweepData::new(&f, &z)
        .delay(feed.tau_s)
        .geometry(feed.geometry);
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
    feed: Feedline,
) -> Option<Vec<Resonator>> {
    let found = group
        .iter()
        .map(|&i| as_found(&candidates[i], feed.geometry));
    let mut guesses: Vec<Resonator> = found.collect();
    if feed.geometry == Geometry::Peak {
        for guess in &mut guesses {
            // The sample on the peak stands for its height.
            let near = |i: &usize| guess.y0(f[*i]).abs();
            let at = (0..f.len()).min_by(|i, j| near(i).total_cmp(&near(j)))?;
            (guess.f_ref_hz, guess.gain, guess.tau_s) = (f[at], z[at], feed.tau_s);
        }
        return Some(guesses);
    }
    let nearest = |f: f64| {
        guesses
            .iter()
            .map(|g| g.y0(f).abs())
            .fold(f64::INFINITY, f64::min)
    };
    let far = (0..f.len()).max_by(|&i, &j| nearest(f[i]).total_cmp(&nearest(f[j])))?;
    let notches: Complex64 = guesses.iter().map(|g| g.factor(g.y0(f[far]))).product();
    let gain = z[far] / notches;
    if !(gain.is_finite() && gain.norm() > 0.0) {
        return None;
    }
    for guess in &mut guesses {
        guess.f_ref_hz = f[far];
        guess.gain = gain;
        guess.tau_s = feed.tau_s;
    }
    Some(guesses)
}
