//! Selection of the resonances that get a tone, and of the sweep over each of them.
//!
//! A *candidate* is a resonance that the search of a wide sweep has found. The *reach* is the range
//! of frequencies that tones can have at the present frequency of the NCO, the oscillator to which
//! all tones of a module are relative. The candidates of a *group* are so close together that their
//! tones must move together.

use super::lines::groups;
use super::outcome::{NotToned, NotTonedReason};
use super::params::TuneParams;
use crate::finding::Candidate;
use crate::fine_sweep::SweepTarget;
use crate::fit::Fit;
use crate::reach::Reach;
use crate::session::Session;

/// Smallest distance of a dip from either end of its sweep, in linewidths. If the sweep covers less
/// on one side, a resonance looks like a slope of the line.
const LEAST_SIDE_LW: f64 = 0.5;

/// Candidates that are swept over, and candidates that are left out, each with its reason.
#[derive(Debug)]
pub(super) struct Choice {
    /// Indices of the candidates that are swept over, in order of frequency.
    pub chosen: Vec<usize>,
    /// Sweep over each of these candidates.
    pub targets: Vec<SweepTarget>,
    /// Indices of the candidates that are too near an end of the reach to be swept over.
    pub edge: Vec<usize>,
    /// Candidates without a tone for other reasons.
    pub not_toned: Vec<NotToned>,
}

/// Returns the NCO frequency with the most candidates within reach, in hertz.
pub(super) fn best_nco(candidates: &[Candidate], session: &Session<'_>, centre_hz: f64) -> f64 {
    // The factor is slightly less than 2, so that the outermost candidates stay within reach when
    // the board rounds the frequency of the NCO.
    let span = 1.98 * session.description.max_offset.0;
    let kept: Vec<f64> = candidates
        .iter()
        .filter(|c| c.keep)
        .map(|c| c.fr_hz)
        .collect();
    let within = |first: usize| {
        kept[first..]
            .iter()
            .take_while(|f| *f - kept[first] <= span)
            .count()
    };
    let best = (0..kept.len()).max_by(|&i, &j| within(i).cmp(&within(j)).then(j.cmp(&i)));
    let centre = best.map_or(centre_hz, |first| {
        0.5 * (kept[first] + kept[first + within(first) - 1])
    });
    session.nearest_nco(centre)
}

/// Decides for each candidate whether it is swept over, at the present frequency of the NCO.
pub(super) fn choose(
    candidates: &[Candidate],
    session: &Session<'_>,
    params: &TuneParams,
) -> Choice {
    let nco_hz = session.nco.frequency.0;
    let reach = session.reach(nco_hz);
    let room = session.channels().saturating_sub(params.reference_tones);
    let mut choice = Choice {
        chosen: Vec::new(),
        targets: Vec::new(),
        edge: Vec::new(),
        not_toned: Vec::new(),
    };
    let targets = targets(candidates, reach, params);
    for (i, candidate) in candidates.iter().enumerate() {
        let apart = (candidate.fr_hz - nco_hz).abs();
        let reason = if !candidate.keep {
            NotTonedReason::Collided
        } else if targets[i].is_some() {
            choice.chosen.push(i);
            continue;
        } else if apart > session.description.max_offset.0 {
            NotTonedReason::OutsideNcoSpan
        } else {
            choice.edge.push(i);
            continue;
        };
        choice.leave_out(candidate, reason);
    }
    if choice.chosen.len() > room {
        // If there are more candidates than channels, those that stand out most from the noise get
        // a channel.
        let statistic = |i: usize| candidates[i].statistic;
        choice
            .chosen
            .sort_by(|&i, &j| statistic(j).total_cmp(&statistic(i)));
        for i in choice.chosen.split_off(room) {
            choice.leave_out(&candidates[i], NotTonedReason::NoChannel);
        }
        choice.chosen.sort_unstable();
    }
    // A resonance at an end of the reach gets a channel too, if one is left, so that the outcome
    // has a status for it.
    let left = room - choice.chosen.len();
    for i in choice.edge.split_off(left.min(choice.edge.len())) {
        choice.leave_out(&candidates[i], NotTonedReason::NoChannel);
    }
    choice.targets = choice.chosen.iter().filter_map(|&i| targets[i]).collect();
    choice
}

impl Choice {
    fn leave_out(&mut self, candidate: &Candidate, reason: NotTonedReason) {
        let fr_hz = candidate.fr_hz;
        self.not_toned.push(NotToned { fr_hz, reason });
    }
}

/// Frequency and width of a resonance.
#[derive(Debug, Clone, Copy)]
struct Line {
    dip_hz: f64,
    linewidth_hz: f64,
}

impl Line {
    fn found(candidate: &Candidate) -> Self {
        Self {
            dip_hz: candidate.fr_hz,
            linewidth_hz: candidate.linewidth_hz(),
        }
    }
}

/// Returns the sweep over each candidate, by its index; `None` if the sweep does not fit into
/// `reach`, or if the candidate collides with another one, which gets the tone.
fn targets(
    candidates: &[Candidate],
    reach: Reach,
    params: &TuneParams,
) -> Vec<Option<SweepTarget>> {
    let lines: Vec<Line> = candidates.iter().map(Line::found).collect();
    let mut targets = vec![None; candidates.len()];
    for group in groups(candidates) {
        let kept = group.into_iter().filter(|&i| candidates[i].keep);
        for (i, target) in sweeps(&lines, kept.collect(), reach, params) {
            targets[i] = Some(target);
        }
    }
    targets
}

/// Returns the sweeps over the members of a group. Sweeps that do not fit into `reach` are left
/// out.
///
/// The tones of a group move by equal steps, so that they never meet. All sweeps are as wide as the
/// widest member needs, but not so wide that their steps are too coarse for the narrowest member.
/// The same shift brings all sweeps into the reach. If the dip of any member would be too near an
/// end of its own sweep after this shift, the member nearest to an end of the reach is left out,
/// and the other members are tried again.
fn sweeps(
    lines: &[Line],
    mut group: Vec<usize>,
    reach: Reach,
    params: &TuneParams,
) -> Vec<(usize, SweepTarget)> {
    group.retain(|&i| reach.contains(lines[i].dip_hz));
    let all = || group.iter().map(|&i| lines[i].linewidth_hz);
    let narrowest = all().fold(f64::INFINITY, f64::min);
    // The width is limited to 1.6 times the narrowest linewidth, so that the steps stay fine
    // enough.
    let linewidth_hz = all().fold(0.0, f64::max).min(1.6 * narrowest);
    let half = 0.5 * params.fine_sweep.span_lw * linewidth_hz;
    while !group.is_empty() {
        let shift_hz = shift(lines, &group, reach, half);
        let fits = |i: usize| {
            let side = LEAST_SIDE_LW * lines[i].linewidth_hz;
            shift_hz.is_some_and(|shift| shift.abs() <= half - side)
        };
        if let (true, Some(shift_hz)) = (group.iter().all(|&i| fits(i)), shift_hz) {
            let target = |i: usize| SweepTarget {
                centre_hz: lines[i].dip_hz + shift_hz,
                linewidth_hz,
                amplitude: params.tone_amplitude,
            };
            return group.into_iter().map(|i| (i, target(i))).collect();
        }
        // The member nearest to an end of the reach is left out first.
        let room = |i: usize| {
            let dip_hz = lines[i].dip_hz;
            (dip_hz - reach.low_hz).min(reach.high_hz - dip_hz)
        };
        let nearest = (0..group.len()).min_by(|&a, &b| room(group[a]).total_cmp(&room(group[b])));
        if let Some(nearest) = nearest {
            group.remove(nearest);
        }
    }
    Vec::new()
}

/// Returns the smallest shift that brings sweeps of half width `half` over all members of a group
/// into `reach`, in hertz; `None` if there is none.
fn shift(lines: &[Line], group: &[usize], reach: Reach, half: f64) -> Option<f64> {
    let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
    for &i in group {
        least = least.max(reach.low_hz + half - lines[i].dip_hz);
        most = most.min(reach.high_hz - half - lines[i].dip_hz);
    }
    (least <= most).then(|| 0.0f64.clamp(least, most))
}

/// Centres the sweeps over the `chosen` candidates on the fitted dips. If the new sweeps of a group
/// do not all fit into `reach`, the group keeps its old sweeps.
pub(super) fn recentre(
    targets: &mut [SweepTarget],
    candidates: &[Candidate],
    chosen: &[usize],
    fits: &[Fit],
    reach: Reach,
    params: &TuneParams,
) {
    let mut lines: Vec<Line> = candidates.iter().map(Line::found).collect();
    for (&i, fit) in chosen.iter().zip(fits) {
        if fit.status.is_success() {
            lines[i] = Line {
                dip_hz: fit.model.frequency_at(0.0),
                linewidth_hz: fit.linewidth_hz(),
            };
        }
    }
    for group in groups(candidates) {
        let is_chosen = |i: &usize| chosen.binary_search(i).is_ok();
        let group: Vec<usize> = group.into_iter().filter(is_chosen).collect();
        let moved = sweeps(&lines, group.clone(), reach, params);
        // New and old sweeps of one group must not be mixed, because their steps may differ and
        // their tones could meet.
        if moved.len() < group.len() {
            continue;
        }
        for (i, target) in moved {
            if let Ok(at) = chosen.binary_search(&i) {
                targets[at] = target;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Flag;
    use num_complex::Complex64;

    const LW: f64 = 1e5;
    const REACH: Reach = Reach {
        low_hz: 1.0e9,
        high_hz: 1.1e9,
    };

    fn candidate(fr_hz: f64, linewidth_hz: f64, flags: &[Flag]) -> Candidate {
        Candidate {
            fr_hz,
            q: fr_hz / linewidth_hz,
            depth_db: 10.0,
            coupling: Complex64::new(0.7, 0.0),
            statistic: 1.0,
            flags: flags.to_vec(),
            keep: true,
        }
    }

    /// Centres of the sweeps, in linewidths from their candidates; `None` for candidates at an
    /// edge.
    fn centres(candidates: &[Candidate], reach: Reach) -> Vec<Option<f64>> {
        let params = TuneParams::default();
        let found = targets(candidates, reach, &params);
        for target in found.iter().flatten() {
            let half = 0.5 * params.fine_sweep.span_lw * target.linewidth_hz;
            assert!(reach.contains(target.centre_hz - half), "{target:?}");
            assert!(reach.contains(target.centre_hz + half), "{target:?}");
        }
        let pairs = found.iter().zip(candidates);
        pairs
            .map(|(target, one)| Some(((*target)?.centre_hz - one.fr_hz) / LW))
            .map(|shift| shift.map(|shift| (shift * 1e3).round() / 1e3))
            .collect()
    }

    #[test]
    fn sweeps_at_an_end_are_moved_inward_as_far_as_the_dip_allows() {
        for (inside_lw, shift) in [
            (50.0, Some(0.0)),
            (3.1, Some(0.0)),
            (2.0, Some(1.0)),
            (1.0, Some(2.0)),
            (0.6, Some(2.4)),
            (0.4, None),
            (0.0, None),
            (-1.0, None),
        ] {
            let low = candidate(REACH.low_hz + inside_lw * LW, LW, &[]);
            let high = candidate(REACH.high_hz - inside_lw * LW, LW, &[]);
            let expected = vec![shift, shift.map(|shift| 0.0 - shift)];
            assert_eq!(centres(&[low, high], REACH), expected, "{inside_lw}");
        }
    }

    #[test]
    fn a_group_at_an_end_moves_as_one() {
        let crowded = |at_lw: f64, lw| candidate(REACH.high_hz - at_lw * LW, lw, &[Flag::Crowded]);
        // The wider resonance makes both sweeps 1.6 times 6 linewidths wide.
        let pair = [crowded(4.0, LW), crowded(2.0, 2.0 * LW)];
        assert_eq!(centres(&pair, REACH), [Some(-2.8), Some(-2.8)]);
        // A resonance whose sweep does not fit leaves the others of its group as they are.
        let pair = [crowded(3.5, LW), crowded(0.1, LW)];
        assert_eq!(centres(&pair, REACH), [Some(0.0), None]);
        let three = [crowded(3.0, LW), crowded(1.0, LW), crowded(-0.5, LW)];
        assert_eq!(centres(&three, REACH), [Some(-2.0), Some(-2.0), None]);
    }

    #[test]
    fn a_reach_narrower_than_a_sweep_has_none() {
        let narrow = Reach {
            low_hz: 1.0e9,
            high_hz: 1.0e9 + 4.0 * LW,
        };
        let one = candidate(1.0e9 + 2.0 * LW, LW, &[]);
        assert_eq!(centres(&[one], narrow), [None]);
    }
}
