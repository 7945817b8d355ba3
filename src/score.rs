//! Score of a tune (the tones that were set on resonances), by comparison with the true parameters
//! of simulated detectors.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use twotone_algorithms::{Band, ChannelOutcome, ChannelStatus, TuneOutcome};
use twotone_hal::Complex64;
use twotone_sim::converter::{dac_response, zone_of};
use twotone_sim::{Geometry, Truth, TruthDetector};

/// Score of a tune, by comparison with the truth: the true parameters of the detectors of simulated
/// boards.
///
/// The truth has the parameters of the detectors at low power. In the simulator's profiles `lab`
/// and `harsh`, the loss of a detector depends on power. The derivative of the transmission with
/// respect to the resonance frequency then differs between the power of the tone and low power, so
/// that a correct tune counts as wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Detectors that should be tuned: those that resonate within the band of a tune, and all
    /// detectors of modules that were not tuned. Dead detectors, which do not resonate, are left
    /// out.
    pub detectors: usize,
    /// Those of `detectors` that have no neighbour within 20 linewidths and are at least 1 dB
    /// deep. A search should find them.
    pub isolated: usize,
    /// Detectors among `isolated` with a candidate (a resonance that the search has found) within
    /// half a linewidth.
    pub found: usize,
    /// Candidates with no detector within a linewidth.
    #[serde(rename = "false")]
    pub false_found: usize,
    /// Detectors within the tuned band whose channel reports `tuned` correctly. This means two
    /// things. The tone is within 0.1 linewidths of the detuning (from the resonance) that the
    /// channel reports. And the derivative that the channel reports is within 5 % and 3 degrees of
    /// the truth: that of the transmission with respect to the resonance frequency, relative to
    /// the transmission of the line at the tone.
    pub tuned: usize,
    /// Channels that report `tuned` wrongly, or that have tuned a detector that another channel
    /// has tuned already.
    pub wrong: usize,
}

/// Largest difference between the true detuning of a tone and the detuning that its channel
/// reports, in linewidths.
const MAX_OFFSET_LW: f64 = 0.1;
/// Largest relative error of the size of a derivative.
const MAX_SLOPE_ERROR: f64 = 0.05;
/// Largest error of the phase of a derivative.
const MAX_ANGLE_DEGREES: f64 = 3.0;
/// Largest distance of a candidate that counts as finding a detector, in linewidths.
const FOUND_LW: f64 = 0.5;
/// Distance in linewidths beyond which a candidate belongs to no detector.
const FALSE_LW: f64 = 1.0;

/// Scores the tunes of named boards by comparison with `truth`. A module that was not tuned counts
/// with all of its detectors that are not dead, and none of them counts as found.
pub fn score<'a>(
    truth: &Truth,
    tunes: impl IntoIterator<Item = (&'a str, &'a TuneOutcome)>,
) -> Score {
    let tunes: Vec<_> = tunes.into_iter().collect();
    let mut score = Score::default();
    for board in &truth.boards {
        for module in &board.modules {
            let alive: Vec<&TruthDetector> = module
                .detectors
                .iter()
                .filter(|detector| !detector.dead)
                .collect();
            let tune = tunes
                .iter()
                .find(|(name, tune)| *name == board.name && tune.module.number() == module.module);
            let asked = alive
                .iter()
                .filter(|detector| tune.is_none_or(|(_, tune)| is_within(detector, &tune.band)));
            let fair = asked.clone().filter(|detector| is_fair(detector));
            score.detectors += asked.count();
            score.isolated += fair.count();
            if let Some((_, tune)) = tune {
                score_module(&alive, tune, &mut score);
            }
        }
    }
    score
}

fn is_fair(detector: &TruthDetector) -> bool {
    detector.isolated && detector.depth_db >= 1.0
}

fn is_within(detector: &TruthDetector, band: &Band) -> bool {
    (band.f_min_hz..=band.f_max_hz).contains(&detector.fr_hz)
}

fn score_module(alive: &[&TruthDetector], tune: &TuneOutcome, score: &mut Score) {
    let mut found = HashSet::new();
    for candidate in &tune.find.candidates {
        match nearest(alive, candidate.fr_hz) {
            Some((detector, lw)) if lw <= FOUND_LW => {
                let asked = is_fair(detector) && is_within(detector, &tune.band);
                if asked && found.insert(detector.id) {
                    score.found += 1;
                }
            }
            Some((_, lw)) if lw <= FALSE_LW => {}
            _ => score.false_found += 1,
        }
    }
    let mut tuned = HashSet::new();
    let reported = tune
        .channels
        .iter()
        .filter(|channel| channel.status == ChannelStatus::Tuned);
    for channel in reported {
        let near = channel.fr_hz.and_then(|fr_hz| nearest(alive, fr_hz));
        match near {
            Some((detector, _)) if is_tuned(detector, channel) && tuned.insert(detector.id) => {
                score.tuned += usize::from(is_within(detector, &tune.band));
            }
            _ => score.wrong += 1,
        }
    }
}

/// Returns the detector nearest to the frequency `hz`, and its distance in units of its linewidth.
fn nearest<'a>(alive: &[&'a TruthDetector], hz: f64) -> Option<(&'a TruthDetector, f64)> {
    let distance = |detector: &TruthDetector| (detector.fr_hz - hz).abs() / detector.linewidth_hz;
    let nearest = alive
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some((nearest, distance(nearest)))
}

/// True if the detuning and the calibration that a channel reports are those of the true detector.
fn is_tuned(detector: &TruthDetector, channel: &ChannelOutcome) -> bool {
    let (Some(declared), Some(calibration)) = (channel.y, channel.calibration.as_ref()) else {
        return false;
    };
    // The truth is that of a DAC whose output does not fall with frequency.
    let response = dac_response(zone_of(channel.nco_hz), channel.tone_hz);
    let amplitude = channel.amplitude * response;
    let a = detector.a_per_amplitude2 * amplitude * amplitude;
    let y0 = detector.qr * (channel.tone_hz - detector.fr_hz) / detector.fr_hz;
    let y = upper_branch(y0, a);
    if (y - declared).abs() > MAX_OFFSET_LW {
        return false;
    }
    // The loop is o - A/(1 + 2iy), relative to the line or to a peak. A change of fr changes y0,
    // and y by that change divided by `pull`, which is the derivative of y0 = y - a/(1 + 4 y^2)
    // with respect to y.
    let notch =
        Complex64::from_polar(detector.qr / detector.qc, detector.phi_rad) / detector.phi_rad.cos();
    let coupling = match detector.geometry {
        Geometry::Notch => notch,
        Geometry::Reflection => 2.0 * notch,
        Geometry::Peak => Complex64::new(-1.0, 0.0),
    };
    let pull = 1.0 + 8.0 * a * y / (1.0 + 4.0 * y * y).powi(2);
    let by_fr = -detector.qr * channel.tone_hz / (detector.fr_hz * detector.fr_hz) / pull;
    let slope = Complex64::new(0.0, 2.0) * coupling / Complex64::new(1.0, 2.0 * y).powi(2) * by_fr;
    let ratio = calibration.d / calibration.line / -slope;
    (ratio.norm() - 1.0).abs() <= MAX_SLOPE_ERROR
        && ratio.arg().abs() <= MAX_ANGLE_DEGREES.to_radians()
}

/// Returns the largest solution of `y = y0 + a / (1 + 4 y^2)`, which is the detuning in linewidths
/// of a tone that was swept downward. `y0` is the detuning at low power, and `a` the nonlinearity
/// of the resonator. The search goes downward in steps, from a value of `y` that is at least as
/// large as every solution, and ends with a bisection.
fn upper_branch(y0: f64, a: f64) -> f64 {
    let excess = |y: f64| y - y0 - a / (1.0 + 4.0 * y * y);
    // At and above y0 + a, `excess` is not negative. Downward from there, its first change of sign
    // is at the largest solution.
    let (mut high, step) = (y0 + a.max(0.0), (a.abs() / 256.0).max(1e-9));
    let mut low = high;
    while low > y0 - 1.0 && excess(low) >= 0.0 {
        high = low;
        low -= step;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if excess(middle) >= 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_branch_solves_the_cubic() {
        for a in [0.0, 0.3, 0.76, 2.0] {
            for y0 in [-3.0, -1.0, -0.2, 0.0, 0.5, 2.0] {
                let y = upper_branch(y0, a);
                assert!(
                    (y - y0 - a / (1.0 + 4.0 * y * y)).abs() < 1e-6,
                    "a {a} y0 {y0} y {y}"
                );
                // No larger value solves the equation.
                let above = (1..2000).map(|n| y + 1e-5 + f64::from(n) * 1e-3);
                let crossed = above
                    .into_iter()
                    .any(|y| y - y0 - a / (1.0 + 4.0 * y * y) < 0.0);
                assert!(!crossed, "a {a} y0 {y0} y {y}");
            }
        }
    }
}
