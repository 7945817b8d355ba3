//! Resonances that a search found, with flags about their surroundings.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use super::{FindParams, WideSweep};

/// Property of a resonance that depends on its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flag {
    /// A neighbour is closer than [`FindParams::crowded_lw`] linewidths, so that the two resonances
    /// may need a joint fit.
    Crowded,
    /// A neighbour is closer than [`FindParams::collided_lw`] linewidths, so that both share one
    /// tone.
    Collided,
    /// The resonance is near an end of the sweep.
    Edge,
    /// The resonance is near an NCO, whose leakage may disturb it.
    NearNco,
    /// The wide sweep has fewer than two points per linewidth.
    Undersampled,
}

impl Flag {
    /// Name in files and tables, which stays the same in all versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Collided => "collided",
            Self::Edge => "edge",
            Self::NearNco => "near_nco",
            Self::Undersampled => "undersampled",
        }
    }
}

/// Resonance found in a wide sweep, with values that a fine sweep will improve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Frequency of the dip or the peak, in hertz.
    pub fr_hz: f64,
    /// Total quality factor.
    pub q: f64,
    /// Depth of the dip, or height of the peak, in decibels: see
    /// [`Resonator::depth_db`](crate::resonator::Resonator::depth_db).
    pub depth_db: f64,
    /// Coupling `A` of the resonator: see [`crate::resonator::Resonator::coupling`].
    pub coupling: Complex64,
    /// Reduction of chi-squared by the resonance, compared with the feedline alone.
    pub statistic: f64,
    /// Flags about the surroundings of the resonance.
    pub flags: Vec<Flag>,
    /// False if a candidate with a higher statistic, which collides with this one, gets the tone.
    pub keep: bool,
}

impl Candidate {
    /// Returns the full linewidth, in hertz.
    pub fn linewidth_hz(&self) -> f64 {
        self.fr_hz / self.q
    }

    /// True if a flag is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    fn set(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }
}

/// Sets the flags of candidates, which are in order of frequency.
pub(super) fn flag(candidates: &mut [Candidate], sweep: &WideSweep<'_>, params: &FindParams) {
    let Some((&low, &high)) = sweep.frequency_hz.first().zip(sweep.frequency_hz.last()) else {
        return;
    };
    let spacing = (high - low) / sweep.frequency_hz.len() as f64;
    for candidate in candidates.iter_mut() {
        let (f, lw) = (candidate.fr_hz, candidate.linewidth_hz());
        if f - low < params.edge_lw * lw || high - f < params.edge_lw * lw {
            candidate.set(Flag::Edge);
        }
        if sweep
            .nco_hz
            .iter()
            .any(|nco| (f - nco).abs() < params.near_nco_hz)
        {
            candidate.set(Flag::NearNco);
        }
        if lw < 2.0 * spacing {
            candidate.set(Flag::Undersampled);
        }
    }
    flag_neighbours(candidates, params);
}

/// Sets the flags of crowded and collided candidates. Of candidates that collide, the one with the
/// highest statistic is kept.
fn flag_neighbours(candidates: &mut [Candidate], params: &FindParams) {
    let widest = candidates
        .iter()
        .map(Candidate::linewidth_hz)
        .fold(0.0, f64::max);
    let reach = params.crowded_lw.max(params.collided_lw) * widest;
    for i in 0..candidates.len() {
        for j in i + 1..candidates.len() {
            let apart = candidates[j].fr_hz - candidates[i].fr_hz;
            if apart > reach {
                break;
            }
            let lw = candidates[i]
                .linewidth_hz()
                .max(candidates[j].linewidth_hz());
            if apart < params.collided_lw * lw {
                candidates[i].set(Flag::Collided);
                candidates[j].set(Flag::Collided);
            } else if apart < params.crowded_lw * lw {
                candidates[i].set(Flag::Crowded);
                candidates[j].set(Flag::Crowded);
            }
        }
    }
    // Candidates with the highest statistic come first: each candidate that is kept excludes the
    // candidates that collide with it.
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&i, &j| candidates[j].statistic.total_cmp(&candidates[i].statistic));
    for &i in &order {
        if !candidates[i].keep || !candidates[i].has(Flag::Collided) {
            continue;
        }
        let (f, lw) = (candidates[i].fr_hz, candidates[i].linewidth_hz());
        for j in (0..candidates.len()).filter(|&j| j != i) {
            let widest = lw.max(candidates[j].linewidth_hz());
            if (candidates[j].fr_hz - f).abs() < params.collided_lw * widest {
                candidates[j].keep = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(fr_hz: f64, statistic: f64) -> Candidate {
        Candidate {
            fr_hz,
            q: fr_hz / 1e5,
            depth_db: 10.0,
            coupling: Complex64::new(0.7, 0.0),
            statistic,
            flags: Vec::new(),
            keep: true,
        }
    }

    #[test]
    fn neighbours_crowd_and_collide_by_distance() {
        let mut found = vec![
            candidate(1.0e9, 9.0),
            candidate(1.0e9 + 0.5e5, 20.0),
            candidate(1.0e9 + 3.0e5, 5.0),
            candidate(1.01e9, 7.0),
        ];
        flag_neighbours(&mut found, &FindParams::default());
        let kept: Vec<bool> = found.iter().map(|c| c.keep).collect();
        assert_eq!(kept, [false, true, true, true]);
        assert!(found[0].has(Flag::Collided) && found[1].has(Flag::Collided));
        assert!(found[1].has(Flag::Crowded) && found[2].has(Flag::Crowded));
        assert!(found[3].flags.is_empty());
    }
}
