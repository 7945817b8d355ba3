//! Search and fits in sweeps that were measured earlier. No board is needed.

use num_complex::Complex64;
use twotone_hal::ChannelId;

use super::lines::{self, Feedline};
use crate::cable_delay::estimate_from_squares;
use crate::delay::{Delay, estimate_delay};
use crate::finding::{Candidate, FindOutcome, FindParams, WideSweep, find_resonances};
use crate::fine_sweep::Sweep;
use crate::fit::{Fit, FitParams};
use crate::geometry::Geometry;
use crate::resonator::Direction;

/// Half the span of a piece of a network analysis to which a resonance is fitted, in linewidths.
const PIECE_LW: f64 = 5.0;
/// Smallest number of points on either side of a resonance in such a piece.
const PIECE_POINTS: usize = 8;
/// Smallest distance from the centre of a fine sweep to its ends, in linewidths of the resonance
/// that it was probably made for. It gives a first linewidth if nothing else is known.
const HALF_SPAN_LW: f64 = 3.0;

/// Distance of two fitted resonances below which they are one, in linewidths.
const SAME_LW: f64 = 0.1;

/// Parameters of a search and of fits in sweeps that were measured earlier.
#[derive(Debug, Clone, PartialEq)]
pub struct RefitParams {
    /// Connection of the detectors to the line.
    pub geometry: Geometry,
    /// Delay of the line, in seconds, if it is known. Otherwise it is estimated from the network
    /// analysis, or left to the fits if there is none.
    pub tau_s: Option<f64>,
    /// Largest delay that the estimate searches for, in either direction, in seconds.
    pub max_delay_s: f64,
    /// Parameters of the search.
    pub find: FindParams,
    /// Parameters of the fits.
    pub fit: FitParams,
}

impl RefitParams {
    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        let delay = self.tau_s.filter(|tau_s| !tau_s.is_finite());
        delay
            .map(|tau_s| format!("tau_s is {tau_s}; it must be a finite number"))
            .or_else(|| {
                crate::params::out_of_range(&[("max_delay_s", self.max_delay_s, 1e-9, 1e-3)])
            })
            .or_else(|| self.find.problem())
            .or_else(|| self.find.problem_for(self.geometry))
            .or_else(|| self.fit.problem())
    }
}

/// Results of a search and of fits in the sweeps of one module.
#[derive(Debug, Clone, PartialEq)]
pub struct RefitOutcome {
    /// Delay of the line that the search and the fits use, in seconds.
    pub tau_s: f64,
    /// Estimate of the delay. `None` if the delay was given, or if there is no network analysis.
    pub delay: Option<Delay>,
    /// Result of the search. `None` if there is no network analysis.
    pub find: Option<FindOutcome>,
    /// Resonances in order of frequency: those of the search, and those of fine sweeps in which
    /// the search found none.
    pub lines: Vec<RefitLine>,
    /// Warnings, a sentence each.
    pub warnings: Vec<String>,
}

/// A resonance, and its fit.
#[derive(Debug, Clone, PartialEq)]
pub struct RefitLine {
    /// Channel of the fine sweeps to which the resonance was fitted. `None` if it was fitted to
    /// the network analysis.
    pub channel: Option<ChannelId>,
    /// The resonance as the search found it, if it did.
    pub candidate: Option<Candidate>,
    /// The fit, successful or not.
    pub fit: Fit,
}

/// Searches a network analysis for resonances, and fits each of them: to the fine sweeps over it,
/// or else to its piece of the network analysis.
///
/// `wide` has the frequencies in ascending order, and its `tau_s` is not used. The fine sweeps may
/// be in any order, and a channel may have one sweep in each direction. All samples are as they
/// were measured, with the delay of the line in them. Takes some milliseconds for each resonance,
/// so an async function calls it through [`tworoutine::offload`].
pub fn refit(wide: Option<&WideSweep<'_>>, fine: &[Sweep], params: &RefitParams) -> RefitOutcome {
    let mut warnings = Vec::new();
    let (tau_s, delay) = delay_of(wide, params, &mut warnings);
    let wide = wide.map(|wide| WideSweep {
        tau_s,
        geometry: params.geometry,
        ..*wide
    });
    let find = wide
        .as_ref()
        .map(|wide| find_resonances(wide, &params.find));
    warnings.extend(find.iter().flat_map(FindOutcome::warnings));
    let found = find.iter().flat_map(|find| find.candidates.iter().cloned());
    let found: Vec<Candidate> = found.collect();
    let targets = targets(found, wide.as_ref(), fine, &mut warnings);

    let feed = Feedline {
        tau_s,
        geometry: params.geometry,
    };
    let sweeps: Vec<Vec<&Sweep>> = targets
        .iter()
        .map(|one| one.sweeps.iter().collect())
        .collect();
    let candidates: Vec<Candidate> = targets.iter().map(|target| target.guess.clone()).collect();
    let chosen: Vec<usize> = (0..targets.len()).collect();
    let mut fits = lines::fit_all(&sweeps, &candidates, &chosen, feed, &params.fit);
    lines::refuse_wide(&mut fits, params.find.max_linewidth_hz);
    for pair in fits.windows(2) {
        let [one, other] = pair else { continue };
        let near = SAME_LW * one.linewidth_hz().max(other.linewidth_hz());
        let are_good = one.status.is_success() && other.status.is_success();
        if are_good && (one.fr_hz - other.fr_hz).abs() < near {
            let mhz = one.fr_hz / 1e6;
            warnings.push(format!(
                "two fits lead to the same resonance at {mhz:.6} MHz"
            ));
        }
    }
    let lines = targets
        .into_iter()
        .zip(fits)
        .map(|(target, fit)| RefitLine {
            channel: target.channel,
            candidate: target.is_found.then_some(target.guess),
            fit,
        });
    RefitOutcome {
        tau_s,
        delay,
        lines: lines.collect(),
        find,
        warnings,
    }
}

/// Returns the delay of the line, and its estimate if it was not given.
fn delay_of(
    wide: Option<&WideSweep<'_>>,
    params: &RefitParams,
    warnings: &mut Vec<String>,
) -> (f64, Option<Delay>) {
    if let Some(tau_s) = params.tau_s {
        return (tau_s, None);
    }
    let Some(wide) = wide else {
        let text = "the delay of the line is not known, because there is no network analysis: each \
                    fit determines the delay over its own sweep";
        warnings.push(text.to_owned());
        return (0.0, None);
    };
    let estimate = match params.geometry {
        Geometry::Peak => estimate_from_squares(wide.frequency_hz, wide.z, params.max_delay_s),
        Geometry::Notch | Geometry::Reflection => {
            estimate_delay(wide.frequency_hz, wide.z, params.max_delay_s)
        }
    };
    if estimate.status.is_success() {
        return (estimate.tau_s, Some(estimate));
    }
    let status = estimate.status.as_str();
    warnings.push(format!(
        "the delay of the line could not be estimated: {status}"
    ));
    let usable = estimate.tau_s.is_finite();
    (if usable { estimate.tau_s } else { 0.0 }, Some(estimate))
}

/// A resonance to fit, with its sweeps.
struct Target {
    channel: Option<ChannelId>,
    guess: Candidate,
    /// True if the search found the resonance. Otherwise the guess is only a place.
    is_found: bool,
    sweeps: Vec<Sweep>,
}

/// Returns the resonances to fit, in order of frequency. The fine sweeps of a channel belong to the
/// resonance that is nearest to their centre, unless it is nearer to that of another channel.
fn targets(
    found: Vec<Candidate>,
    wide: Option<&WideSweep<'_>>,
    fine: &[Sweep],
    warnings: &mut Vec<String>,
) -> Vec<Target> {
    let mut targets: Vec<Target> = found
        .into_iter()
        .map(|guess| Target {
            channel: None,
            guess,
            is_found: true,
            sweeps: Vec::new(),
        })
        .collect();
    // The sweeps of each channel, with the ends of the first one.
    let mut channels: Vec<(ChannelId, (f64, f64), Vec<&Sweep>)> = Vec::new();
    for sweep in fine {
        let known = channels.iter_mut().find(|one| one.0 == sweep.channel);
        match (known, ends(&sweep.frequency_hz)) {
            (Some(known), _) => known.2.push(sweep),
            (None, Some(ends)) => channels.push((sweep.channel, ends, vec![sweep])),
            (None, None) => warnings.push(format!(
                "channel {} has a sweep without a frequency, which is left out",
                sweep.channel
            )),
        }
    }
    // Pairs of a channel and a resonance in its span. The nearest pairs are taken first.
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (at, (_, (low_hz, high_hz), _)) in channels.iter().enumerate() {
        for (to, target) in targets.iter().enumerate() {
            let fr_hz = target.guess.fr_hz;
            if (*low_hz..=*high_hz).contains(&fr_hz) {
                pairs.push(((fr_hz - 0.5 * (low_hz + high_hz)).abs(), at, to));
            }
        }
    }
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut is_taken = vec![false; channels.len()];
    for (_, at, to) in pairs {
        let (channel, _, sweeps) = &channels[at];
        if !is_taken[at] && targets[to].channel.is_none() {
            is_taken[at] = true;
            targets[to].channel = Some(*channel);
            targets[to].sweeps = sweeps.iter().map(|sweep| (*sweep).clone()).collect();
        }
    }
    for (at, (channel, (low_hz, high_hz), sweeps)) in channels.into_iter().enumerate() {
        if !is_taken[at] {
            targets.push(Target {
                channel: Some(channel),
                guess: place(low_hz, high_hz),
                is_found: false,
                sweeps: sweeps.into_iter().cloned().collect(),
            });
        }
    }
    for target in targets.iter_mut().filter(|target| target.sweeps.is_empty()) {
        target
            .sweeps
            .extend(wide.map(|wide| piece(wide, &target.guess)));
    }
    targets.sort_by(|a, b| a.guess.fr_hz.total_cmp(&b.guess.fr_hz));
    targets
}

/// Returns the lowest and the highest of frequencies. `None` if there are none.
fn ends(frequency_hz: &[f64]) -> Option<(f64, f64)> {
    let finite = || frequency_hz.iter().copied().filter(|f| f.is_finite());
    let low_hz = finite().min_by(f64::total_cmp)?;
    let high_hz = finite().max_by(f64::total_cmp)?;
    Some((low_hz, high_hz))
}

/// Returns a resonance in the middle of a fine sweep, without a loop: it stands for the place of a
/// resonance, and does not disturb its neighbours.
fn place(low_hz: f64, high_hz: f64) -> Candidate {
    let fr_hz = 0.5 * (low_hz + high_hz);
    let linewidth_hz = (high_hz - low_hz) / (2.0 * HALF_SPAN_LW);
    Candidate {
        fr_hz,
        q: fr_hz / linewidth_hz.max(f64::MIN_POSITIVE),
        depth_db: 0.0,
        coupling: Complex64::ZERO,
        statistic: 0.0,
        flags: Vec::new(),
        keep: true,
    }
}

/// Returns the part of a network analysis around a resonance.
fn piece(wide: &WideSweep<'_>, around: &Candidate) -> Sweep {
    let f = wide.frequency_hz;
    let at = |f_hz: f64| f.partition_point(|one| *one < f_hz);
    let reach_hz = PIECE_LW * around.linewidth_hz();
    let middle = at(around.fr_hz);
    let from = at(around.fr_hz - reach_hz).min(middle.saturating_sub(PIECE_POINTS));
    let to = at(around.fr_hz + reach_hz)
        .max(middle + PIECE_POINTS)
        .min(f.len());
    Sweep {
        channel: ChannelId::FIRST,
        direction: Direction::Up,
        frequency_hz: f[from..to].to_vec(),
        z: wide.z[from..to].to_vec(),
        amplitude: 0.0,
        noise: wide.noise,
    }
}
