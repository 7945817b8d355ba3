//! Selection of the frequencies of reference tones.

use super::params::TuneParams;
use crate::band::Band;
use crate::finding::Candidate;
use crate::geometry::Geometry;
use crate::network_analysis::NetworkAnalysisOutcome;
use crate::robust::median;
use crate::session::Session;

/// Smallest distance of a reference tone from the NCO, in hertz.
const NEAR_NCO_HZ: f64 = 200e3;
/// Smallest signal of a reference tone between peaks, in multiples of the noise of a point of the
/// wide sweep. A capture refuses reference tones that differ by more than 3 %, and its samples have
/// less noise than these points.
const LEAST_SNR: f64 = 20.0;

/// Returns absolute frequencies for reference tones. The part of the band within the reach of the
/// NCO is divided into equal parts. Each part gets one reference tone, as many linewidths as
/// possible away from the resonances.
pub(super) fn choose(
    candidates: &[Candidate],
    session: &Session<'_>,
    band: Band,
    wide: &NetworkAnalysisOutcome,
    relative_noise: f64,
    taken: usize,
    params: &TuneParams,
) -> Vec<f64> {
    let nco_hz = session.nco.frequency.0;
    let reach = session.reach(nco_hz).part(band.f_min_hz, band.f_max_hz);
    let (low, high) = (reach.low_hz, reach.high_hz);
    let count = params
        .reference_tones
        .min(session.channels().saturating_sub(taken));
    if count == 0 || high <= low {
        return Vec::new();
    }
    let part = (high - low) / count as f64;
    let magnitudes: Vec<f64> = wide.z.iter().map(|z| z.norm()).collect();
    let least = LEAST_SNR * relative_noise * median(&magnitudes).unwrap_or(0.0);
    (0..count)
        .filter_map(|k| {
            let from = low + part * k as f64;
            (1..200)
                .map(|i| from + part * f64::from(i) / 200.0)
                // In a narrow part the distance is smaller, so that the part is not excluded as a
                // whole.
                .filter(|f| (f - nco_hz).abs() > NEAR_NCO_HZ.min(0.1 * part))
                .filter(|f| params.geometry != Geometry::Peak || is_heard(wide, *f, least))
                .map(|f| (clearance(candidates, f), f))
                // Of frequencies with equal clearance, the first is taken, so that the selection is
                // reproducible.
                .fold(None, |best: Option<(f64, f64)>, one| match best {
                    Some(b) if b.0 >= one.0 => Some(b),
                    _ => Some(one),
                })
                .map(|(_, f)| f)
        })
        .collect()
}

/// True if a signal above `least` comes back at a frequency, by the two points of the wide sweep
/// beside it. Between peaks this may not be so.
fn is_heard(wide: &NetworkAnalysisOutcome, f_hz: f64, least: f64) -> bool {
    let above = wide.frequency_hz.partition_point(|f| *f < f_hz);
    let beside = above.saturating_sub(1)..(above + 1).min(wide.z.len());
    !beside.is_empty() && wide.z[beside].iter().all(|z| z.norm() > least)
}

/// Returns the distance from the nearest resonance, in linewidths of that resonance.
fn clearance(candidates: &[Candidate], f_hz: f64) -> f64 {
    candidates
        .iter()
        .map(|c| (f_hz - c.fr_hz).abs() / c.linewidth_hz())
        .fold(f64::INFINITY, f64::min)
}
