//! The search and the fits in sweeps of files, and their results.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use serde::Serialize;
use serde_json::{Map, Value};
use twotone_algorithms::delay::DelayStatus;
use twotone_algorithms::finding::{FindStatus, Flag, WideSweep};
use twotone_algorithms::fit::{Fit, FitStatus};
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{Geometry, RefitLine, Sweep, refit};
use twotone_hal::{ChannelId, Complex64, ModuleId};

use super::source::{FitSource, SourceTable};
use crate::campaign::CampaignParams;
use crate::campaign::detectors::of_frequencies;
use crate::record::{SweepKind, SweepPoint};

/// Results of the fits to all sweeps of a source.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FitReport {
    /// Results, one for each module that has sweeps.
    pub modules: Vec<FittedModule>,
    /// Facts that make the results doubtful, a sentence each.
    pub doubts: Vec<String>,
}

/// Results of the search and the fits in the sweeps of a module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FittedModule {
    /// Name of the board, or of the file if it does not name the board.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// Connection of the detectors to the line that was fitted.
    pub geometry: Geometry,
    /// Delay of the line that was used, in seconds.
    pub tau_s: f64,
    /// Status of the estimate of the delay from the network analysis. `None` if the delay was
    /// recorded with the sweeps, or if there is no network analysis.
    pub delay_status: Option<DelayStatus>,
    /// Status of the search. `None` if there is no network analysis.
    pub find_status: Option<FindStatus>,
    /// Reason that nothing was fitted, if so.
    pub problem: Option<String>,
    /// Warnings, a sentence each.
    pub warnings: Vec<String>,
    /// Resonances, in order of frequency.
    pub resonances: Vec<FittedResonance>,
}

/// A resonance, and its fit.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FittedResonance {
    /// Channel whose fine sweeps were fitted. `None` if the network analysis was fitted.
    pub channel: Option<ChannelId>,
    /// Id of the detector, if the sweeps name it.
    pub detector: Option<String>,
    /// Frequency at which the search found the resonance, in hertz. `None` if it did not.
    pub found_hz: Option<f64>,
    /// Flags about the surroundings of the resonance.
    pub flags: Vec<Flag>,
    /// Status of the fit. The values below are meaningful only if it is `success`.
    pub status: FitStatus,
    /// Resonance frequency at vanishing power, in hertz. This field and the next five are `None`
    /// if the fit failed.
    pub fr_hz: Option<f64>,
    /// Total quality factor.
    pub qr: Option<f64>,
    /// Coupling quality factor. This field and the next two are also `None` for a peak.
    pub qc: Option<f64>,
    /// Internal quality factor.
    pub qi: Option<f64>,
    /// Asymmetry angle, in radians.
    pub phi_rad: Option<f64>,
    /// Nonlinearity at the power of the sweep.
    pub a: Option<f64>,
    /// The fit, successful or not.
    pub fit: Fit,
}

impl FitReport {
    /// Number of resonances, and the number of those whose fit succeeded.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.modules.iter().flat_map(|module| &module.resonances);
        let good = all().filter(|one| one.status.is_success());
        (all().count(), good.count())
    }
}

/// Searches the network analyses of `source` for resonances, and fits each resonance: to its fine
/// sweeps, or to the network analysis if there are none. The geometry is that of the parameters if
/// they have it, or else the recorded one, or else notch. The delay of the line is the recorded
/// one, or is estimated. Modules are fitted side by side, on all cores.
pub fn fit(source: FitSource, params: &CampaignParams) -> FitReport {
    let tables = source.tables.iter();
    let jobs: Vec<(&SourceTable, ModuleId, Vec<&SweepPoint>)> = tables
        .flat_map(|table| {
            let mut modules: BTreeMap<ModuleId, Vec<&SweepPoint>> = BTreeMap::new();
            for point in table.sweeps.points() {
                modules.entry(point.head.module).or_default().push(point);
            }
            let modules = modules.into_iter();
            modules.map(move |(module, points)| (table, module, points))
        })
        .collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(jobs.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let job = lock(&next).next();
                    let Some((index, (table, module, points))) = job else {
                        return;
                    };
                    let fitted = fit_module(table, *module, points, params);
                    lock(&done).push((index, fitted));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    done.sort_by_key(|(index, _)| *index);
    FitReport {
        modules: done.into_iter().map(|(_, fitted)| fitted).collect(),
        doubts: source.doubts,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn fit_module(
    table: &SourceTable,
    module: ModuleId,
    points: &[&SweepPoint],
    params: &CampaignParams,
) -> FittedModule {
    let line = table.sweeps.line(module);
    let highest_hz = points.iter().map(|point| point.frequency.0);
    let highest_hz = highest_hz.fold(0.0, f64::max);
    let params = params.for_refit(highest_hz, line.geometry, line.tau_s);
    let mut fitted = FittedModule {
        board: table.board.clone(),
        module,
        geometry: params.geometry,
        tau_s: params.tau_s.unwrap_or(0.0),
        delay_status: None,
        find_status: None,
        problem: params.problem(),
        warnings: Vec::new(),
        resonances: Vec::new(),
    };
    if fitted.problem.is_some() {
        return fitted;
    }
    let wide = Wide::of(points, &mut fitted.warnings);
    let fine = fine_sweeps(points);
    let wide = wide.as_ref().map(Wide::as_sweep);
    let outcome = refit(wide.as_ref(), &fine, &params);
    fitted.tau_s = outcome.tau_s;
    fitted.delay_status = outcome.delay.map(|delay| delay.status);
    fitted.find_status = outcome.find.map(|find| find.status);
    fitted.warnings.extend(outcome.warnings);
    let detectors = detectors(table, module);
    let resonances = outcome.lines.into_iter();
    fitted.resonances = resonances
        .map(|line| resonance(line, &detectors.by_channel))
        .collect();
    detectors.name_by_frequency(&mut fitted.resonances);
    fitted
}

fn resonance(line: RefitLine, detectors: &BTreeMap<ChannelId, String>) -> FittedResonance {
    let RefitLine {
        channel,
        candidate,
        fit,
    } = line;
    let fitted = |value: f64| fit.status.is_success().then_some(value);
    let known = |value: Option<f64>| value.filter(|_| fit.status.is_success());
    FittedResonance {
        channel,
        detector: channel.and_then(|channel| detectors.get(&channel).cloned()),
        found_hz: candidate.as_ref().map(|candidate| candidate.fr_hz),
        flags: candidate
            .map(|candidate| candidate.flags)
            .unwrap_or_default(),
        status: fit.status,
        fr_hz: fitted(fit.fr_hz),
        qr: fitted(fit.qr),
        qc: known(fit.qc),
        qi: known(fit.qi),
        phi_rad: known(fit.phi_rad),
        a: fitted(fit.a),
        fit,
    }
}

/// Detectors of a module, as the metadata of its sweeps name them.
#[derive(Default)]
struct Detectors {
    /// Ids of detectors whose channels are known.
    by_channel: BTreeMap<ChannelId, String>,
    /// Ids of the other detectors, with the frequencies at which they are expected, in hertz.
    by_frequency: Vec<(String, f64)>,
}

impl Detectors {
    /// Names the resonances that have no name yet by their frequencies.
    fn name_by_frequency(self, resonances: &mut [FittedResonance]) {
        let place = |one: &FittedResonance| one.fr_hz.or(one.found_hz);
        let mut found: Vec<(f64, usize)> = resonances
            .iter()
            .enumerate()
            .filter_map(|(at, one)| Some((place(one)?, at)))
            .collect();
        found.sort_by(|one, other| one.0.total_cmp(&other.0));
        let found_hz: Vec<f64> = found.iter().map(|(hz, _)| *hz).collect();
        let expected_hz: Vec<f64> = self.by_frequency.iter().map(|(_, hz)| *hz).collect();
        let chosen = of_frequencies(&expected_hz, &found_hz);
        for ((id, _), chosen) in self.by_frequency.into_iter().zip(chosen) {
            if let Some(at) = chosen {
                resonances[found[at].1].detector.get_or_insert(id);
            }
        }
    }
}

/// Returns the detectors of a module.
fn detectors(table: &SourceTable, module: ModuleId) -> Detectors {
    let text = table.sweeps.provenance.get("detectors");
    let all = text.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let mut detectors = Detectors::default();
    for (id, place) in all.into_iter().flatten() {
        let number = |key: &str| place.get(key)?.as_u64();
        if number("module") != Some(module.number().into()) {
            continue;
        }
        let channel = number("channel").and_then(|channel| u16::try_from(channel).ok());
        if let Some(channel) = channel.and_then(|channel| ChannelId::new(channel).ok()) {
            detectors.by_channel.insert(channel, id);
        } else if let Some(hz) = place.get("f_hz").and_then(Value::as_f64) {
            detectors.by_frequency.push((id, hz));
        }
    }
    detectors
}

/// The network analysis of a module.
struct Wide {
    frequency_hz: Vec<f64>,
    z: Vec<Complex64>,
    noise: Option<f64>,
    nco_hz: Vec<f64>,
}

impl Wide {
    /// Returns the network analysis among the points, in order of frequency. Sentences about points
    /// that are left out are added to `warnings`.
    fn of(points: &[&SweepPoint], warnings: &mut Vec<String>) -> Option<Self> {
        let is_wide = |point: &&&SweepPoint| point.head.kind == SweepKind::NetworkAnalysis;
        let mut points: Vec<_> = points.iter().filter(is_wide).collect();
        let all = points.len();
        points.retain(|point| point.frequency.0.is_finite() && point.mean.is_finite());
        let finite = points.len();
        points.sort_by(|a, b| a.frequency.0.total_cmp(&b.frequency.0));
        points.dedup_by(|later, earlier| later.frequency.0 == earlier.frequency.0);
        for (left_out, why) in [
            (all - finite, "that are no finite numbers"),
            (finite - points.len(), "at the frequency of another point"),
        ] {
            if left_out > 0 {
                warnings.push(format!(
                    "{left_out} points of the network analysis {why} are left out"
                ));
            }
        }
        let mut nco_hz: Vec<f64> = points.iter().map(|point| point.head.nco.0).collect();
        nco_hz.retain(|hz| hz.is_finite());
        nco_hz.sort_by(f64::total_cmp);
        nco_hz.dedup();
        let wide = Self {
            frequency_hz: points.iter().map(|point| point.frequency.0).collect(),
            z: points.iter().map(|point| point.mean).collect(),
            noise: points.first().and_then(|point| point.noise),
            nco_hz,
        };
        (!wide.z.is_empty()).then_some(wide)
    }

    fn as_sweep(&self) -> WideSweep<'_> {
        WideSweep {
            frequency_hz: &self.frequency_hz,
            z: &self.z,
            tau_s: 0.0,
            noise: self.noise,
            nco_hz: &self.nco_hz,
            geometry: Geometry::default(),
        }
    }
}

/// Returns the fine sweeps of a module: the upward sweep of a channel before its downward sweep.
pub(crate) fn fine_sweeps(points: &[&SweepPoint]) -> Vec<Sweep> {
    let mut sweeps: BTreeMap<(ChannelId, bool), Sweep> = BTreeMap::new();
    for point in points {
        let direction = match point.head.kind {
            SweepKind::NetworkAnalysis => continue,
            SweepKind::FineUp => Direction::Up,
            SweepKind::FineDown => Direction::Down,
        };
        let channel = point.head.channel.unwrap_or(ChannelId::FIRST);
        let key = (channel, direction == Direction::Down);
        let sweep = sweeps.entry(key).or_insert_with(|| Sweep {
            channel,
            direction,
            frequency_hz: Vec::new(),
            z: Vec::new(),
            amplitude: 0.0,
            noise: point.noise,
        });
        sweep.frequency_hz.push(point.frequency.0);
        sweep.z.push(point.mean);
    }
    sweeps.into_values().collect()
}
