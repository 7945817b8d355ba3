//! Search for resonances in a wide sweep.
//!
//! There are three methods: the matched filter (the default), the prominence of dips in |S21|, and
//! the speed along the loop, the circle that a resonance describes in the IQ plane. Each method
//! returns peaks. Every peak is then fitted, which gives a first value of its frequency, width and
//! depth. The resonances that the fits confirm get flags about their surroundings.

mod candidate;
mod cleaning;
mod iq_speed;
mod matched;
mod prominence;

pub use candidate::{Candidate, Flag};

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::geometry::Geometry;
use crate::robust::{median, sweep_noise};

/// Method of a search for resonances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindMethod {
    /// Correlation with resonators of many widths and all allowed asymmetry angles
    /// ([`FindParams::max_phi_rad`]). It is the most sensitive method.
    #[default]
    MatchedFilter,
    /// Prominence of dips in |S|, or of peaks, in decibels. In reflection an overcoupled resonator
    /// may have no dip, so this method is refused.
    Prominence,
    /// Speed along the loop in the IQ plane. It is insensitive to ripple of the feedline.
    IqSpeed,
}

/// Parameters of a search for resonances, of their flags, and of the choice among resonances that
/// collide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FindParams {
    /// The method.
    pub method: FindMethod,
    /// Smallest depth of the dip of a notch, in decibels. In reflection, and for a peak, that of a
    /// notch with the same loop, relative to the line, or to the largest signal near the peak.
    pub min_depth_db: f64,
    /// Expected number of false resonances that white noise alone causes in the whole sweep.
    pub false_alarms: f64,
    /// Linewidth of the narrowest resonance that is searched for, in hertz.
    pub min_linewidth_hz: f64,
    /// Linewidth of the widest resonance that is searched for, in hertz. A wider dip is a
    /// resonance of the detectors' housing (a box mode), or ripple of the feedline.
    pub max_linewidth_hz: f64,
    /// Largest asymmetry angle of a resonator, in radians.
    pub max_phi_rad: f64,
    /// Resonances that are closer to each other than this many linewidths of the wider one are
    /// flagged `crowded`, unless they are flagged `collided`.
    pub crowded_lw: f64,
    /// Resonances that are closer to each other than this many linewidths of the wider one are
    /// flagged `collided`. Of these, only the one with the highest [`Candidate::statistic`] gets a
    /// tone.
    pub collided_lw: f64,
    /// Distance from a frequency of the NCO, in hertz, below which a resonance is flagged
    /// `near_nco`.
    pub near_nco_hz: f64,
    /// Resonances that are closer than this many linewidths to an end of the sweep are flagged
    /// `edge`.
    pub edge_lw: f64,
}

impl Default for FindParams {
    fn default() -> Self {
        Self {
            method: FindMethod::MatchedFilter,
            min_depth_db: 0.5,
            false_alarms: 0.01,
            min_linewidth_hz: 15e3,
            max_linewidth_hz: 500e3,
            max_phi_rad: 1.0,
            crowded_lw: 5.0,
            collided_lw: 1.0,
            near_nco_hz: 30e3,
            edge_lw: 3.0,
        }
    }
}

impl FindParams {
    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        let ranges = [
            ("min_depth_db", self.min_depth_db, 0.01, 40.0),
            ("false_alarms", self.false_alarms, 1e-12, 1e3),
            ("min_linewidth_hz", self.min_linewidth_hz, 1.0, 1e9),
            (
                "max_linewidth_hz",
                self.max_linewidth_hz,
                self.min_linewidth_hz,
                1e9,
            ),
            ("max_phi_rad", self.max_phi_rad, 0.0, 1.5),
            ("crowded_lw", self.crowded_lw, self.collided_lw, 1e3),
            ("collided_lw", self.collided_lw, 0.0, 1e3),
            ("near_nco_hz", self.near_nco_hz, 0.0, 1e9),
            ("edge_lw", self.edge_lw, 0.0, 1e3),
        ];
        crate::params::out_of_range(&ranges)
    }

    /// Returns the reason that these parameters cannot be used for resonators of this geometry, or
    /// `None` if they can.
    pub(crate) fn problem_for(&self, geometry: Geometry) -> Option<String> {
        let misses = self.method == FindMethod::Prominence && geometry == Geometry::Reflection;
        misses.then(|| {
            "the method prominence looks for dips, and an overcoupled resonator in reflection may \
             have none: use matched_filter or iq_speed"
                .to_owned()
        })
    }
}

/// Wide sweep to search, with its known properties.
#[derive(Debug, Clone, Copy)]
pub struct WideSweep<'a> {
    /// Frequencies in hertz, ascending. The spacing may vary.
    pub frequency_hz: &'a [f64],
    /// One sample for each frequency.
    pub z: &'a [Complex64],
    /// Delay of the line, in seconds.
    pub tau_s: f64,
    /// Noise of each point, `sqrt(<|n|^2>)`. If this field is `None`, the noise is estimated from
    /// the sweep.
    pub noise: Option<f64>,
    /// Frequencies of the NCO during the sweep, in hertz.
    pub nco_hz: &'a [f64],
    /// Connection of the resonators to the line.
    pub geometry: Geometry,
}

impl WideSweep<'_> {
    /// Sets the connection of the resonators to the line.
    #[must_use]
    pub fn geometry(self, geometry: Geometry) -> Self {
        Self { geometry, ..self }
    }
}

/// Status of a search: success, or the reason that the sweep could not be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindStatus {
    /// The sweep was searched. It may have no resonance.
    Success,
    /// There are fewer than 32 points, or the numbers of frequencies and samples differ.
    TooFewPoints,
    /// A frequency, a sample, the delay or the noise is not a finite number.
    NonFinite,
    /// Frequencies do not ascend, or the first one is not positive.
    NotAscending,
    /// The median magnitude of the samples is zero, or too small to divide by.
    NoSignal,
    /// The points are too far apart for the widest resonance that is searched for.
    TooCoarse,
    /// The parameters cannot be used.
    InvalidParameters,
}

crate::status::names_of_status! {
    FindStatus {
        Success => "success",
        TooFewPoints => "too_few_points",
        NonFinite => "non_finite",
        NotAscending => "not_ascending",
        NoSignal => "no_signal",
        TooCoarse => "too_coarse",
        InvalidParameters => "invalid_parameters",
    }
}

/// Result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FindOutcome {
    /// Success, or the reason that the sweep could not be searched.
    pub status: FindStatus,
    /// Resonances in order of frequency.
    pub candidates: Vec<Candidate>,
    /// Noise of each point relative to the line's gain.
    pub relative_noise: f64,
    /// Value that the statistic of a resonance exceeds: see [`Candidate::statistic`].
    pub threshold: f64,
    /// Median spacing of the points, in hertz.
    pub spacing_hz: f64,
    /// Highest quality factor for which the sweep has two points per linewidth.
    pub highest_q: f64,
    /// Number of places at which |S| is more than 10 dB above its surroundings and falls again on
    /// both sides, as it does on peaks. Zero in a search for peaks.
    #[serde(default)]
    pub rises: usize,
}

impl FindOutcome {
    /// Returns the warnings about this result, a sentence each; empty if there are none.
    pub fn warnings(&self) -> Vec<String> {
        if !self.status.is_success() {
            return vec![format!("the search failed: {}", self.status.as_str())];
        }
        let mut warnings = Vec::new();
        if self.candidates.is_empty() {
            warnings.push("no resonance was found".to_owned());
        }
        if self.rises > 0 {
            warnings.push(format!(
                "the signal rises by more than 10 dB at {} places, as if the module had resonators \
                 of the geometry peak and not of the given one",
                self.rises
            ));
        }
        warnings
    }
}

/// Rise of |S| that no notch and no dip in reflection has: 10 dB. A skew notch with an angle of 1
/// rad rises by up to 5 dB.
const RISE: f64 = 3.2;
/// Lowest level above which a rise counts, in multiples of the noise.
const RISE_NOISE: f64 = 3.0;
/// Width of the pieces of a sweep whose medians are the level of the line, in units of the largest
/// linewidth.
const PIECE_LW: f64 = 20.0;

/// Peak of a search: a frequency at which there may be a resonance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peak {
    pub f_hz: f64,
    pub linewidth_hz: f64,
    pub statistic: f64,
}

/// Sweep with the delay removed, divided by its median magnitude.
pub(crate) struct Flattened {
    pub f: Vec<f64>,
    pub z: Vec<Complex64>,
    /// Noise per point.
    pub noise: f64,
    pub spacing_hz: f64,
    /// Value that the statistic of a peak must exceed, or else the peak is not a resonance.
    pub threshold: f64,
    pub geometry: Geometry,
}

/// Searches a wide sweep for resonances. Never panics.
///
/// The search may take tens of milliseconds for 50,000 points. Call it through
/// `tworoutine::offload` if it must not block an event loop.
pub fn find_resonances(sweep: &WideSweep<'_>, params: &FindParams) -> FindOutcome {
    let failed = |status| FindOutcome {
        status,
        candidates: Vec::new(),
        relative_noise: 0.0,
        threshold: 0.0,
        spacing_hz: 0.0,
        highest_q: 0.0,
        rises: 0,
    };
    let problem = params.problem();
    if problem
        .or_else(|| params.problem_for(sweep.geometry))
        .is_some()
    {
        return failed(FindStatus::InvalidParameters);
    }
    let flat = match flatten(sweep, params) {
        Ok(flat) => flat,
        Err(status) => return failed(status),
    };
    let peaks = match params.method {
        FindMethod::MatchedFilter => matched::peaks(&flat, params),
        FindMethod::Prominence => prominence::peaks(&flat, params),
        FindMethod::IqSpeed => iq_speed::peaks(&flat, params),
    };
    let mut candidates = cleaning::confirm(&flat, peaks, params);
    candidate::flag(&mut candidates, sweep, params);
    FindOutcome {
        status: FindStatus::Success,
        candidates,
        relative_noise: flat.noise,
        threshold: flat.threshold,
        spacing_hz: flat.spacing_hz,
        highest_q: flat.f.last().map_or(0.0, |f| f / (2.0 * flat.spacing_hz)),
        rises: rises(&flat, params),
    }
}

/// Returns the number of places at which |S| rises above [`RISE`] and falls to less than half
/// within the largest linewidth on both sides. At an end of the line's band, or where its gain
/// changes, it rises on one side alone. The level of the line is the median of a piece of the sweep
/// that is many linewidths wide, and not divided by a slope or a standing wave of the line.
fn rises(flat: &Flattened, params: &FindParams) -> usize {
    if flat.geometry == Geometry::Peak {
        return 0;
    }
    let points = (PIECE_LW * params.max_linewidth_hz / flat.spacing_hz).ceil() as usize;
    let magnitudes: Vec<f64> = flat.z.iter().map(|z| z.norm()).collect();
    let mut is_above = Vec::with_capacity(magnitudes.len());
    for piece in magnitudes.chunks(points.max(32)) {
        let level = median(piece).unwrap_or(0.0).max(RISE_NOISE * flat.noise);
        is_above.extend(piece.iter().map(|z| *z > RISE * level));
    }
    let falls = |top: usize, beside: &mut dyn Iterator<Item = usize>| {
        let is_near = |i: &usize| (flat.f[*i] - flat.f[top]).abs() <= params.max_linewidth_hz;
        beside
            .take_while(is_near)
            .any(|i| magnitudes[i] < 0.5 * magnitudes[top])
    };
    let (mut rises, mut from) = (0, 0);
    for run in is_above.chunk_by(|a, b| a == b) {
        let to = from + run.len();
        // One point alone may be a glitch.
        if run[0] && run.len() >= 2 {
            let highest = (from..to).max_by(|&i, &j| magnitudes[i].total_cmp(&magnitudes[j]));
            let top = highest.unwrap_or(from);
            let falls =
                falls(top, &mut (0..top).rev()) && falls(top, &mut (top + 1..magnitudes.len()));
            rises += usize::from(falls);
        }
        from = to;
    }
    rises
}

fn flatten(sweep: &WideSweep<'_>, params: &FindParams) -> Result<Flattened, FindStatus> {
    let n = sweep.frequency_hz.len();
    if n < 32 || sweep.z.len() != n {
        return Err(FindStatus::TooFewPoints);
    }
    let finite = sweep.frequency_hz.iter().all(|f| f.is_finite())
        && sweep.z.iter().all(|z| z.is_finite())
        && sweep.tau_s.is_finite()
        && sweep.noise.is_none_or(f64::is_finite);
    if !finite {
        return Err(FindStatus::NonFinite);
    }
    let spacings: Vec<f64> = sweep.frequency_hz.windows(2).map(|w| w[1] - w[0]).collect();
    if spacings.iter().any(|d| *d <= 0.0) || sweep.frequency_hz[0] <= 0.0 {
        return Err(FindStatus::NotAscending);
    }
    let spacing_hz = median(&spacings).unwrap_or(0.0);
    if 2.0 * spacing_hz > params.max_linewidth_hz {
        return Err(FindStatus::TooCoarse);
    }
    let magnitudes: Vec<f64> = sweep.z.iter().map(|z| z.norm()).collect();
    let scale = median(&magnitudes).unwrap_or(0.0);
    if !(scale > 0.0 && (1.0 / scale).is_finite()) {
        return Err(FindStatus::NoSignal);
    }
    let f0 = sweep.frequency_hz[n / 2];
    let z: Vec<Complex64> = sweep
        .frequency_hz
        .iter()
        .zip(sweep.z)
        .map(|(&f, z)| z / scale * Complex64::cis(std::f64::consts::TAU * (f - f0) * sweep.tau_s))
        .collect();
    let estimated = sweep_noise(&z).unwrap_or(0.0);
    let noise = sweep.noise.map_or(estimated, |s| s / scale);
    // On white noise, twice the reduction of the squared residual over the variance has a
    // chi-squared distribution with two degrees of freedom, which exceeds `t` with probability
    // `exp(-t/2)`. Each point is tried with several widths, which count as about four independent
    // trials.
    let trials = 4.0 * n as f64;
    let threshold = 2.0 * (trials / params.false_alarms).ln().max(1.0);
    Ok(Flattened {
        f: sweep.frequency_hz.to_vec(),
        z,
        noise,
        spacing_hz,
        threshold,
        geometry: sweep.geometry,
    })
}
