//! Sweep of a whole band with combs of tones.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};
use twotone_hal::{BoardHandle, ErrorKind, ModuleId, Result};

use crate::band::Band;
use crate::chunks::{Chunk, JoinStatus, join_chunks};
use crate::finding::WideSweep;
use crate::geometry::Geometry;
use crate::progress::{Progress, Stage};
use crate::robust::median;
use crate::session::{InputFlags, Session, Tone, carrier_phase, pseudorandom};

/// Name of the operation in errors.
const OPERATION: &str = "network analysis";

/// Parameters of a sweep of a band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkAnalysisParams {
    /// Number of points over the band.
    pub points: usize,
    /// Largest number of tones of a comb; null for as many as the module has channels.
    pub max_tones: Option<usize>,
    /// Amplitude of each tone, as a fraction of full scale.
    pub amplitude: f64,
    /// Number of samples averaged for each point.
    pub samples: u32,
    /// Highest quality factor of the resonances that are resolved. Points must be at most
    /// `f / (2 qr_max)` apart.
    pub qr_max: f64,
    /// Largest random shift of a tone from even spacing, in hertz. The shifts spread
    /// intermodulation products over frequency.
    pub dither_hz: f64,
    /// Number of points that neighbouring NCO settings share.
    pub overlap: usize,
    /// Seed of the random shifts.
    pub seed: u64,
}

impl Default for NetworkAnalysisParams {
    fn default() -> Self {
        Self {
            points: 50_000,
            max_tones: None,
            amplitude: 0.001,
            samples: 4,
            qr_max: 5e4,
            dither_hz: 50.0,
            overlap: 16,
            seed: 1,
        }
    }
}

impl NetworkAnalysisParams {
    /// Returns the reason that the points are too far apart over `band` to resolve resonances of
    /// the highest quality factor, or `None` if they are close enough. Points may be at most
    /// `f / (2 qr_max)` apart.
    pub fn too_coarse(&self, band: Band) -> Option<String> {
        let spacing_hz = band.span_hz() / self.points as f64;
        let widest = band.f_min_hz / (2.0 * self.qr_max);
        (spacing_hz > widest * (1.0 + 1e-9)).then(|| {
            let needed = (band.span_hz() / widest).ceil();
            format!(
                "points {spacing_hz:.0} Hz apart are too coarse for resonances of quality factor \
                 {}; use at least {needed} points (at most {widest:.0} Hz apart), or a lower qr_max",
                self.qr_max
            )
        })
    }

    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        crate::params::out_of_range(&[
            ("points", self.points as f64, 32.0, 1e8),
            (
                "max_tones",
                self.max_tones.map_or(1.0, |n| n as f64),
                1.0,
                65_535.0,
            ),
            ("amplitude", self.amplitude, 1e-9, 1.0),
            ("samples", f64::from(self.samples), 1.0, 1e6),
            ("qr_max", self.qr_max, 10.0, 1e8),
            ("dither_hz", self.dither_hz, 0.0, 1e4),
            ("overlap", self.overlap as f64, 8.0, 1e4),
        ])
    }
}

/// Sweep of a whole band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkAnalysisOutcome {
    /// The module.
    pub module: ModuleId,
    /// Success, or the reason that the sweeps at different NCO settings could not be brought to
    /// one scale.
    pub join: JoinStatus,
    /// Absolute frequencies, rounded as the board rounds them, in hertz, ascending.
    pub frequency_hz: Vec<f64>,
    /// Samples in readout counts, with the phase of each carrier removed.
    pub z: Vec<Complex64>,
    /// Error of each point, `sqrt(<|n|^2>)` in readout counts. `None` if it is not known because
    /// each point is a single sample.
    pub noise: Option<f64>,
    /// Frequencies of the NCO that were used, in hertz.
    pub nco_hz: Vec<f64>,
    /// Frequencies at which neighbouring settings were joined, in hertz.
    pub seams_hz: Vec<f64>,
    /// Outcome of the join at each frequency of `seams_hz`. If a join failed, gain and phase are
    /// not on the same scale above and below its frequency.
    pub seam_status: Vec<JoinStatus>,
    /// Number of points whose samples are not finite numbers. These points are left out.
    pub bad_points: usize,
    /// Amplitude of each tone.
    pub amplitude: f64,
    /// True if a converter was over its range.
    pub overrange: bool,
    /// True if an input was over its voltage limit.
    pub overvoltage: bool,
}

impl NetworkAnalysisOutcome {
    /// Returns the warnings about this result, a sentence each; empty if there are none.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (seam_hz, status) in self.seams_hz.iter().zip(&self.seam_status) {
            let reason = match status {
                JoinStatus::Success => continue,
                JoinStatus::TooLittleOverlap => "the two sides share too few points",
                JoinStatus::Inconsistent => "the two sides do not agree",
            };
            let mhz = seam_hz / 1e6;
            warnings.push(format!(
                "the sweep could not be joined at {mhz:.3} MHz, because {reason}: gain and phase \
                 above this frequency are on another scale ({})",
                status.as_str()
            ));
        }
        if self.join != JoinStatus::Success && warnings.is_empty() {
            warnings.push(format!(
                "the sweep could not be joined ({})",
                self.join.as_str()
            ));
        }
        let flags = InputFlags {
            overrange: self.overrange,
            overvoltage: self.overvoltage,
        };
        warnings.extend(flags.warnings("during the network analysis"));
        warnings.extend(crate::session::bad_points_warning(
            self.bad_points,
            "the network analysis",
        ));
        if !self.z.is_empty() && self.z.iter().all(|z| z.norm() == 0.0) {
            warnings.push("every sample of the network analysis is zero".to_owned());
        }
        warnings
    }

    /// Returns the sweep as input of a search, with the delay `tau_s` of the feedline and its
    /// cables.
    pub fn as_sweep(&self, tau_s: f64) -> WideSweep<'_> {
        WideSweep {
            frequency_hz: &self.frequency_hz,
            z: &self.z,
            tau_s,
            noise: self.noise,
            nco_hz: &self.nco_hz,
            geometry: Geometry::Notch,
        }
    }

    /// Returns the frequency of the NCO at which the point at `frequency_hz` was measured, in
    /// hertz: each setting covers the frequencies up to its seam with the next. `None` if nothing
    /// was swept.
    pub fn nco_at(&self, frequency_hz: f64) -> Option<f64> {
        let setting = self.seams_hz.partition_point(|seam| *seam < frequency_hz);
        self.nco_hz.get(setting).copied()
    }
}

/// Sweeps `band` with interleaved combs. Each comb of tones covers the whole part of the band that
/// one NCO setting reaches. From step to step, each tone moves upward through the interval between
/// itself and the next tone. A wider band takes several NCO settings. Their data are joined over
/// their overlaps, after the delay `tau_s` of the line is removed.
///
/// The NCO is set so that the mirror image of each tone about the NCO is half way between two
/// points of the sweep, apart from the random shifts. This is not possible if the range of the NCO
/// is too narrow. Each batch sets a comb, settles and acquires; only frequencies change from batch
/// to batch, unless a later comb has fewer tones. The module's earlier tones are cleared before the
/// first comb is set; the tones of the last comb are left on.
///
/// # Errors
/// If the band is empty or outside the module's limits, if parameters are out of range, if the
/// points are too far apart, or if a comb exceeds full scale or a limit of the module. In these
/// cases nothing is set on the board. Also the errors of the board.
#[tworoutine::tworoutine(Send)]
pub async fn network_analysis(
    board: &BoardHandle,
    module: ModuleId,
    band: Band,
    tau_s: f64,
    params: &NetworkAnalysisParams,
) -> Result<NetworkAnalysisOutcome> {
    network_analysis_with_progress(board, module, band, tau_s, params, &()).await
}

/// As [`network_analysis()`], with a report of every step to `progress`.
#[tworoutine::tworoutine(Send)]
pub async fn network_analysis_with_progress(
    board: &BoardHandle,
    module: ModuleId,
    band: Band,
    tau_s: f64,
    params: &NetworkAnalysisParams,
    progress: &dyn Progress,
) -> Result<NetworkAnalysisOutcome> {
    let mut session = Session::open(board, module, progress).await?;
    sweep(&mut session, band, tau_s, params).await
}

pub(crate) async fn sweep(
    session: &mut Session<'_>,
    band: Band,
    tau_s: f64,
    params: &NetworkAnalysisParams,
) -> Result<NetworkAnalysisOutcome> {
    let plans = plan(session, band, params)?;
    let total: usize = plans.iter().map(|p| p.steps).sum();
    let mut done = 0;
    let mut chunks = Vec::with_capacity(plans.len());
    let (mut variance, mut batches) = (0.0, 0.0);
    let (mut flags, mut bad_points) = (InputFlags::default(), 0);
    for plan in &plans {
        session.set_nco(plan.nco_hz).await?;
        let nco_hz = session.nco.frequency.0;
        let mut points: Vec<(f64, Complex64)> = Vec::with_capacity(plan.points);
        for step in 0..plan.steps {
            let comb = plan.comb(session, step, params, nco_hz);
            let means = session
                .run(std::slice::from_ref(&comb), params.samples)
                .await?;
            for mean in means {
                if let Some(median) = median(&mean.variance) {
                    variance += median;
                    batches += 1.0;
                }
                flags.add(mean.flags);
                bad_points += mean.bad_points();
                let frequencies = comb.iter().map(|tone| nco_hz + tone.offset_hz);
                points.extend(frequencies.zip(mean.z).filter(|(_, z)| z.is_finite()));
            }
            done += 1;
            session.report(Stage::NetworkAnalysis, done, total);
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (frequency_hz, z) = points.into_iter().unzip();
        chunks.push(Chunk {
            nco_hz,
            frequency_hz,
            z,
        });
    }
    // `join_chunks` makes no seam for a chunk without points, so its NCO setting is left out too.
    let used = chunks.iter().filter(|chunk| !chunk.z.is_empty());
    let nco_hz = used.map(|chunk| chunk.nco_hz).collect();
    let joined = tworoutine::offload(move || join_chunks(&chunks, tau_s)).await;
    let noise = (variance / f64::max(batches, 1.0)).sqrt();
    Ok(NetworkAnalysisOutcome {
        module: session.module,
        join: joined.status,
        frequency_hz: joined.frequency_hz,
        z: joined.z,
        noise: (noise > 0.0).then_some(noise),
        nco_hz,
        seams_hz: joined.seams_hz,
        seam_status: joined.seam_status,
        bad_points,
        amplitude: params.amplitude,
        overrange: flags.overrange,
        overvoltage: flags.overvoltage,
    })
}

/// Returns the frequencies of the NCO that a sweep of `band` needs, in hertz, or the error that
/// refuses the sweep.
pub(crate) fn nco_settings(
    session: &Session<'_>,
    band: Band,
    params: &NetworkAnalysisParams,
) -> Result<Vec<f64>> {
    Ok(plan(session, band, params)?
        .iter()
        .map(|p| p.nco_hz)
        .collect())
}

/// Points that are measured with one setting of the NCO.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    nco_hz: f64,
    /// Frequency of the first point.
    first_hz: f64,
    spacing_hz: f64,
    points: usize,
    /// Number of points of each tone, which is the number of batches.
    steps: usize,
    /// Index of the first point among the points of the whole band.
    first: usize,
}

impl Plan {
    /// Returns the comb of a step, in which tone `k` is at the point `k * steps + step`.
    fn comb(
        &self,
        session: &Session<'_>,
        step: usize,
        params: &NetworkAnalysisParams,
        nco_hz: f64,
    ) -> Vec<Tone> {
        (step..self.points)
            .step_by(self.steps)
            .enumerate()
            .map(|(k, point)| {
                // The dither is less than half a spacing, so that points stay in order. The points
                // at the ends have no dither, so that they stay within the reach.
                let interior = point > 0 && point + 1 < self.points;
                let most = params.dither_hz.min(0.2 * self.spacing_hz);
                let dither = if interior {
                    most * (2.0 * pseudorandom(params.seed, 2, (self.first + point) as u64) - 1.0)
                } else {
                    0.0
                };
                let f_hz = self.first_hz + self.spacing_hz * point as f64 + dither;
                Tone {
                    offset_hz: session.nearest_settable(f_hz - nco_hz),
                    amplitude: params.amplitude,
                    phase_rad: carrier_phase(k),
                    rotation_rad: 0.0,
                }
            })
            .collect()
    }
}

/// Divides the points among the settings of the NCO, or returns the error that refuses the sweep.
fn plan(session: &Session<'_>, band: Band, params: &NetworkAnalysisParams) -> Result<Vec<Plan>> {
    let invalid = |why: String| session.refuse(ErrorKind::InvalidArgument, OPERATION, why);
    if let Some(why) = band.problem().or_else(|| params.problem()) {
        return Err(invalid(why));
    }
    let spacing_hz = band.span_hz() / params.points as f64;
    if let Some(why) = params.too_coarse(band) {
        return Err(invalid(why));
    }
    let most_tones = params.max_tones.unwrap_or(session.channels());
    if most_tones > session.channels() {
        return Err(invalid(format!(
            "{most_tones} tones are more than the module's {} channels",
            session.channels()
        )));
    }
    let tones = most_tones.min(params.points);
    session.check_band(OPERATION, band)?;
    session.check_powers(OPERATION, std::iter::repeat_n(params.amplitude, tones))?;
    let reach = session.description.max_offset.0;
    // The band is divided into one interval for each point, and each point is in the middle of its
    // interval. So a band as wide as the board's span needs only one setting.
    let settings = point_ranges(params.points, spacing_hz, reach, params.overlap).ok_or_else(|| {
        let overlap = params.overlap;
        invalid(format!(
            "an overlap of {overlap} points is too large for the number of points within the span \
             of one NCO setting; use a smaller overlap or more points"
        ))
    })?;
    let mut plans = Vec::with_capacity(settings.len());
    for (first, end) in settings {
        let points = end - first;
        let first_hz = band.f_min_hz + spacing_hz * (first as f64 + 0.5);
        let nco_hz = nco_for(session, first_hz, spacing_hz, points);
        session.check_nco(OPERATION, nco_hz)?;
        let steps = points.div_ceil(tones);
        plans.push(Plan {
            nco_hz,
            first_hz,
            spacing_hz,
            points,
            steps,
            first,
        });
    }
    Ok(plans)
}

/// Returns the frequency of the NCO for `points` points from `first_hz` on: near the middle of the
/// points, or as near to it as the board can set the NCO and still reach all points.
fn nco_for(session: &Session<'_>, first_hz: f64, spacing_hz: f64, points: usize) -> f64 {
    let module = &session.description;
    let last_hz = first_hz + spacing_hz * (points as f64 - 1.0);
    let nco = module.nco_range();
    let low = nco.min.0.max(last_hz - module.max_offset.0);
    let high = nco.max.0.min(first_hz + module.max_offset.0);
    // The NCO is a quarter of the spacing away from the nearest point. So the mirror image of each
    // point about the NCO is half way between two points.
    let at = |place: f64| first_hz + spacing_hz * (place - 0.25);
    let place = |nco_hz: f64| (nco_hz - first_hz) / spacing_hz + 0.25;
    let wanted = ((points / 2) as f64)
        .max(place(low).ceil())
        .min(place(high).floor());
    let wanted_hz = session.nearest_settable(at(wanted));
    // If the NCO has a narrow range, no such frequency may be in it.
    if (low..=high).contains(&wanted_hz) {
        wanted_hz
    } else {
        session.nearest_nco(wanted_hz)
    }
}

/// Returns ranges of points, each at most `2 reach` wide. Neighbouring ranges share `overlap`
/// points. `None` if the overlap is too large for ranges of this width.
fn point_ranges(
    points: usize,
    spacing_hz: f64,
    reach: f64,
    overlap: usize,
) -> Option<Vec<(usize, usize)>> {
    let most = (2.0 * reach / spacing_hz + 1e-6).floor() as usize;
    if points <= most {
        return Some(vec![(0, points)]);
    }
    if most <= 2 * overlap {
        return None;
    }
    let settings = (points - overlap).div_ceil(most - overlap);
    let half = overlap / 2;
    let edge = |k: usize| k * points / settings;
    let range = |k: usize| {
        let first = if k == 0 { 0 } else { edge(k) - half };
        let end = if k + 1 == settings {
            points
        } else {
            edge(k + 1) + overlap - half
        };
        (first, end)
    };
    Some((0..settings).map(range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_points_cover_the_band_and_overlap() {
        assert_eq!(
            point_ranges(50_000, 1e4, 250e6, 16),
            Some(vec![(0, 50_000)])
        );
        let parts = point_ranges(200_000, 1e4, 250e6, 16).unwrap();
        assert_eq!((parts[0].0, parts[parts.len() - 1].1), (0, 200_000));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].1 - pair[1].0, 16);
        }
        assert!(parts.iter().all(|(a, b)| (b - a) as f64 * 1e4 <= 500e6));
        assert_eq!(point_ranges(100, 1e8, 250e6, 16), None);
    }
}
