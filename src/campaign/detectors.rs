//! Assignment of the resonances that a tune has found to the detectors that the hardware map lists.
//! Each detector is a resonator, and the map has the frequency at which its resonance is expected.

use twotone_algorithms::{ChannelOutcome, ChannelStatus, NotToned, TuneOutcome};
use twotone_hal::{ChannelId, ModuleId};

use crate::map::{DetectorEntry, HardwareMap};
use crate::record::{DetectorStatus, DetectorTune};

/// Largest distance of a resonance from the frequency at which its detector is expected, as a
/// fraction of that frequency.
const MOST_SHIFT: f64 = 1e-3;
/// Smallest ratio of the distance of the second-nearest resonance or detector to the distance of
/// the nearest one. Below this ratio, either of the two may be the right one.
const UNAMBIGUOUS: f64 = 2.0;

/// A resonance that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Resonance {
    hz: f64,
    channel: Option<(ChannelId, ChannelStatus)>,
}

/// Returns the detectors of a module of the board called `board`, in the order of the map.
pub(super) fn of_module<'a>(
    map: &'a HardwareMap,
    board: &'a str,
    module: ModuleId,
) -> impl Iterator<Item = &'a DetectorEntry> {
    let detectors = map.detectors().iter();
    detectors.filter(move |detector| detector.module == module && detector.board == board)
}

/// Returns the detectors of the map on the module of a tune, each with its resonance, in the order
/// of the map.
///
/// A resonance belongs to a detector if three things are true. Each is the nearest to the other.
/// Their distance is at most a thousandth of the expected frequency. The second-nearest resonance
/// of the detector, and the second-nearest detector of the resonance, are at least twice as far
/// away. Otherwise the detector has no resonance.
pub(super) fn identify(map: &HardwareMap, board: &str, tune: &TuneOutcome) -> Vec<DetectorTune> {
    identify_among(map, board, tune.module, &tune.channels, &tune.not_toned)
}

/// As [`identify`], with the channels of a tune and its resonances without a channel.
pub(crate) fn identify_among(
    map: &HardwareMap,
    board: &str,
    module: ModuleId,
    channels: &[ChannelOutcome],
    not_toned: &[NotToned],
) -> Vec<DetectorTune> {
    let detectors: Vec<_> = of_module(map, board, module).collect();
    if detectors.is_empty() {
        return Vec::new();
    }
    let toned = channels.iter().map(|channel| Resonance {
        hz: channel.fr_hz.unwrap_or(channel.tone_hz),
        channel: Some((channel.channel, channel.status)),
    });
    let not_toned = not_toned.iter().map(|one| Resonance {
        hz: one.fr_hz,
        channel: None,
    });
    let mut resonances: Vec<_> = toned.chain(not_toned).collect();
    resonances.retain(|resonance| resonance.hz.is_finite());
    resonances.sort_by(|one, other| one.hz.total_cmp(&other.hz));
    let found: Vec<f64> = resonances.iter().map(|resonance| resonance.hz).collect();
    let mut expected: Vec<f64> = detectors.iter().map(|one| one.expected.0).collect();
    expected.sort_unstable_by(f64::total_cmp);
    let identify = |detector: &&DetectorEntry| {
        let expected_hz = detector.expected.0;
        let choice = choose(expected_hz, &expected, &found);
        let resonance = choice.ok().map(|at| resonances[at]);
        DetectorTune {
            id: detector.id.clone(),
            module,
            expected_hz,
            status: choice.map_or_else(|none| none, |at| status(&resonances[at])),
            channel: resonance.and_then(|found| Some(found.channel?.0)),
            fr_hz: resonance.map(|found| found.hz),
        }
    };
    detectors.iter().map(identify).collect()
}

/// Returns the index of the resonance of each detector, by the rule of [`identify`]. `None` if a
/// detector has no resonance. The resonances are sorted; all frequencies are in hertz.
pub(crate) fn of_frequencies(detectors_hz: &[f64], resonances_hz: &[f64]) -> Vec<Option<usize>> {
    let mut expected = detectors_hz.to_vec();
    expected.sort_unstable_by(f64::total_cmp);
    let of_one = |hz: &f64| choose(*hz, &expected, resonances_hz).ok();
    detectors_hz.iter().map(of_one).collect()
}

/// Returns the index of the resonance of the detector that is expected at `expected_hz`, or the
/// status of a detector without a resonance. `detectors_hz` and `resonances_hz` are sorted.
fn choose(
    expected_hz: f64,
    detectors_hz: &[f64],
    resonances_hz: &[f64],
) -> Result<usize, DetectorStatus> {
    let none = DetectorStatus::NotFound;
    let (at, distance_hz, next_hz) = nearest(resonances_hz, expected_hz).ok_or(none)?;
    if distance_hz > MOST_SHIFT * expected_hz {
        return Err(none);
    }
    let found_hz = resonances_hz[at];
    let back = nearest(detectors_hz, found_hz);
    let is_mutual = back.is_some_and(|(back, _, next_back_hz)| {
        let is_clear = |next_hz: f64| next_hz >= UNAMBIGUOUS * distance_hz;
        detectors_hz[back] == expected_hz && is_clear(next_hz) && is_clear(next_back_hz)
    });
    match is_mutual {
        true => Ok(at),
        false => Err(DetectorStatus::Ambiguous),
    }
}

fn status(resonance: &Resonance) -> DetectorStatus {
    match resonance.channel {
        Some((_, ChannelStatus::Tuned)) => DetectorStatus::Tuned,
        Some(_) => DetectorStatus::Failed,
        None => DetectorStatus::NotToned,
    }
}

/// Returns the index and distance of the number nearest to `to` in a sorted list, and the distance
/// of the second-nearest number. The second distance is infinite if the list has one number.
fn nearest(list: &[f64], to: f64) -> Option<(usize, f64, f64)> {
    let above = list.partition_point(|one| *one < to);
    // The two nearest numbers are among the two below `to` and the two above it.
    let mut near: Vec<(usize, f64)> = (above.saturating_sub(2)..(above + 2).min(list.len()))
        .map(|at| (at, (list[at] - to).abs()))
        .collect();
    near.sort_by(|one, other| one.1.total_cmp(&other.1));
    let (at, distance) = *near.first()?;
    Some((
        at,
        distance,
        near.get(1).map_or(f64::INFINITY, |next| next.1),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resonance_has_one_detector_or_none() {
        use DetectorStatus::{Ambiguous, NotFound};
        // Frequencies in MHz: the expected ones, the found ones, and the choice of each detector.
        type Case<'a> = (&'a [f64], &'a [f64], &'a [Result<usize, DetectorStatus>]);
        let cases: [Case<'_>; 9] = [
            (&[1000.0], &[], &[Err(NotFound)]),
            (&[1000.0], &[1000.0], &[Ok(0)]),
            (&[1000.0], &[1000.9], &[Ok(0)]),
            (&[1000.0], &[1001.1], &[Err(NotFound)]),
            // Both resonances have moved by the same amount, which is less than a third of their
            // distance.
            (&[1000.0, 1003.0], &[1000.9, 1003.9], &[Ok(0), Ok(1)]),
            (&[1000.0, 1002.0], &[1000.9, 1002.9], &[Err(Ambiguous); 2]),
            // One of two detectors has no resonance. It does not get the resonance of the other
            // detector.
            (&[1000.0, 1000.9], &[1000.0], &[Ok(0), Err(Ambiguous)]),
            (&[1000.0, 1000.4], &[1000.2], &[Err(Ambiguous); 2]),
            // One of the resonances belongs to no detector of the map.
            (&[1000.0], &[999.8, 1000.3], &[Err(Ambiguous)]),
        ];
        for (expected, found, choices) in cases {
            let hz = |mhz: &[f64]| mhz.iter().map(|mhz| mhz * 1e6).collect::<Vec<_>>();
            let (expected, found) = (hz(expected), hz(found));
            for (one, choice) in expected.iter().zip(choices) {
                assert_eq!(
                    choose(*one, &expected, &found),
                    *choice,
                    "{expected:?} {found:?}"
                );
            }
        }
    }
}
