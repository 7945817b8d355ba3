//! Sweeps over all resonances of a module at once.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};
use twotone_hal::{BoardHandle, ChannelId, ErrorKind, ModuleId, PhaseEpoch, Result};

use crate::fit::SweepData;
use crate::geometry::Geometry;
use crate::progress::Stage;
use crate::resonator::Direction;
use crate::session::{InputFlags, Session, Tone, bad_points_warning, carrier_phase};

/// Name of the operation in errors.
const OPERATION: &str = "fine sweep";

/// Parameters of sweeps over resonances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FineSweepParams {
    /// Number of points of each sweep.
    pub points: usize,
    /// Span of each sweep, in linewidths of its resonance.
    pub span_lw: f64,
    /// Number of samples averaged for each point.
    pub samples: u32,
    /// Directions of the sweeps, one after the other.
    pub directions: Vec<Direction>,
    /// Number of steps sent in one batch.
    pub steps_per_batch: usize,
}

impl Default for FineSweepParams {
    fn default() -> Self {
        Self {
            points: 41,
            span_lw: 6.0,
            samples: 10,
            directions: vec![Direction::Up],
            steps_per_batch: 1,
        }
    }
}

impl FineSweepParams {
    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        if self.directions.is_empty() {
            return Some("directions is empty; sweep up, down or both".to_owned());
        }
        let ranges = [
            ("points", self.points as f64, 9.0, 1e5),
            ("span_lw", self.span_lw, 1.0, 100.0),
            ("samples", f64::from(self.samples), 1.0, 1e6),
            ("steps_per_batch", self.steps_per_batch as f64, 1.0, 1e4),
        ];
        crate::params::out_of_range(&ranges).or_else(|| {
            let step = self.span_lw / (self.points as f64 - 1.0);
            (step > 0.2 + 1e-9).then(|| {
                let needed = (5.0 * self.span_lw).ceil() + 1.0;
                format!(
                    "steps of {step:.3} linewidths are too coarse; use at least {needed} points, so \
                     that a step is at most a fifth of a linewidth"
                )
            })
        })
    }
}

/// Resonance to sweep over. The tone of the target at index `i` of a list gets channel `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepTarget {
    /// Centre of the sweep, an absolute frequency in hertz.
    pub centre_hz: f64,
    /// Linewidth of the resonance, in hertz.
    pub linewidth_hz: f64,
    /// Amplitude of the tone, as a fraction of full scale.
    pub amplitude: f64,
}

/// Sweep of one tone over one resonance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The tone's channel.
    pub channel: ChannelId,
    /// Direction in which the tone was stepped.
    pub direction: Direction,
    /// Absolute frequencies, rounded as the board rounds them, in hertz, in the order of the
    /// steps.
    pub frequency_hz: Vec<f64>,
    /// Samples in readout counts, with the phase of the carrier removed.
    pub z: Vec<Complex64>,
    /// Amplitude of the tone.
    pub amplitude: f64,
    /// Error of each point, `sqrt(<|n|^2>)` in readout counts. `None` if it is not known because
    /// each point is a single sample.
    pub noise: Option<f64>,
}

impl Sweep {
    /// Returns the sweep over a notch as input of the fits, with the known delay `tau_s`.
    /// [`SweepData::geometry`] sets another geometry.
    pub fn data(&self, tau_s: f64) -> SweepData<'_> {
        SweepData {
            frequency_hz: &self.frequency_hz,
            z: &self.z,
            noise: self.noise,
            tau_s,
            direction: self.direction,
            geometry: Geometry::Notch,
        }
    }
}

/// Sweeps over the resonances of a module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FineSweepOutcome {
    /// The module.
    pub module: ModuleId,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// Phase reference of the samples.
    pub phase_epoch: PhaseEpoch,
    /// One sweep for each target and direction, in the order of [`FineSweepParams::directions`]:
    /// all targets in the first direction, then all in the second.
    pub sweeps: Vec<Sweep>,
    /// True if a converter was over its range.
    pub overrange: bool,
    /// True if an input was over its voltage limit.
    pub overvoltage: bool,
    /// Number of points whose samples are not finite numbers. These points are left out of their
    /// sweeps.
    pub bad_points: usize,
}

impl FineSweepOutcome {
    /// Returns the warnings about this result, a sentence each; empty if there are none.
    pub fn warnings(&self) -> Vec<String> {
        let flags = InputFlags {
            overrange: self.overrange,
            overvoltage: self.overvoltage,
        };
        let bad = bad_points_warning(self.bad_points, "the fine sweep");
        flags.warnings("during the fine sweep").chain(bad).collect()
    }
}

/// Steps all tones at the same time, each over the span of its own resonance.
///
/// All targets must be within reach of one frequency of the NCO: `nco_hz` if it is given, else the
/// present frequency. Call this function once for each region if targets are further apart. The
/// module's earlier tones are cleared before the first comb is set; the tones of the last step are
/// left on.
///
/// # Errors
/// If there is no target, if there are more targets than channels, if a number in the targets or
/// parameters is out of its range, if a step is larger than a fifth of a linewidth, if a tone is
/// beyond the NCO's reach, or if the comb exceeds full scale or a limit of the module. In these
/// cases nothing is set on the board. Also the errors of the board.
#[tworoutine::tworoutine(Send)]
pub async fn fine_sweep(
    board: &BoardHandle,
    module: ModuleId,
    targets: &[SweepTarget],
    nco_hz: Option<f64>,
    params: &FineSweepParams,
) -> Result<FineSweepOutcome> {
    let mut session = Session::open(board, module, &()).await?;
    sweep(&mut session, targets, nco_hz, params).await
}

pub(crate) async fn sweep(
    session: &mut Session<'_>,
    targets: &[SweepTarget],
    nco_hz: Option<f64>,
    params: &FineSweepParams,
) -> Result<FineSweepOutcome> {
    let invalid = |why: String| session.refuse(ErrorKind::InvalidArgument, OPERATION, why);
    if let Some(why) = params.problem() {
        return Err(invalid(why));
    }
    if targets.is_empty() {
        return Err(invalid("there is no resonance to sweep over".to_owned()));
    }
    for target in targets {
        let sound = target.centre_hz.is_finite()
            && target.linewidth_hz.is_finite()
            && target.linewidth_hz > 0.0
            && target.amplitude.is_finite();
        if !sound {
            let SweepTarget {
                centre_hz,
                linewidth_hz,
                amplitude,
            } = target;
            return Err(invalid(format!(
                "a target with centre_hz {centre_hz}, linewidth_hz {linewidth_hz} and amplitude \
                 {amplitude} cannot be swept: all must be finite numbers, and the linewidth \
                 positive"
            )));
        }
    }
    let wanted_nco = nco_hz.unwrap_or(session.nco.frequency.0);
    // It is enough to check the first and the last step, which have the lowest and the highest
    // frequencies.
    for point in [0, params.points - 1] {
        let comb = comb(session, targets, point, wanted_nco, params);
        session.check(OPERATION, wanted_nco, &comb)?;
    }
    session.check_nco(OPERATION, wanted_nco)?;
    session.set_nco(wanted_nco).await?;
    let nco_hz = session.nco.frequency.0;
    let total = params.points * params.directions.len();
    let mut sweeps = Vec::with_capacity(targets.len() * params.directions.len());
    let (mut flags, mut bad_points) = (InputFlags::default(), 0);
    for (pass, &direction) in params.directions.iter().enumerate() {
        let order: Vec<usize> = match direction {
            Direction::Up => (0..params.points).collect(),
            Direction::Down => (0..params.points).rev().collect(),
        };
        let first = sweeps.len();
        sweeps.extend(targets.iter().enumerate().filter_map(|(index, target)| {
            Some(Sweep {
                channel: ChannelId::from_index(index)?,
                direction,
                frequency_hz: Vec::with_capacity(params.points),
                z: Vec::with_capacity(params.points),
                amplitude: target.amplitude,
                noise: None,
            })
        }));
        let mut variance = vec![0.0; targets.len()];
        let mut known = vec![0u32; targets.len()];
        for (number, part) in order.chunks(params.steps_per_batch).enumerate() {
            let combs: Vec<Vec<Tone>> = part
                .iter()
                .map(|&point| comb(session, targets, point, nco_hz, params))
                .collect();
            let means = session.run(&combs, params.samples).await?;
            for (comb, mean) in combs.iter().zip(means) {
                flags.add(mean.flags);
                bad_points += mean.bad_points();
                for (k, (z, one)) in mean.z.iter().zip(&mean.variance).enumerate() {
                    if !(z.is_finite() && one.is_finite()) {
                        continue;
                    }
                    (variance[k], known[k]) = (variance[k] + one, known[k] + 1);
                    let sweep = &mut sweeps[first + k];
                    sweep.frequency_hz.push(nco_hz + comb[k].offset_hz);
                    sweep.z.push(*z);
                }
            }
            let done = pass * params.points + number * params.steps_per_batch + part.len();
            session.report(Stage::FineSweep, done, total);
        }
        let scatter = variance.iter().zip(&known);
        for (sweep, (variance, known)) in sweeps[first..].iter_mut().zip(scatter) {
            let noise = (variance / f64::from((*known).max(1))).sqrt();
            sweep.noise = (noise > 0.0).then_some(noise);
        }
    }
    Ok(FineSweepOutcome {
        module: session.module,
        nco_hz,
        phase_epoch: session.nco.phase_epoch,
        sweeps,
        overrange: flags.overrange,
        overvoltage: flags.overvoltage,
        bad_points,
    })
}

fn comb(
    session: &Session<'_>,
    targets: &[SweepTarget],
    point: usize,
    nco_hz: f64,
    params: &FineSweepParams,
) -> Vec<Tone> {
    let along = point as f64 / (params.points as f64 - 1.0) - 0.5;
    targets
        .iter()
        .enumerate()
        .map(|(k, target)| {
            let f_hz = target.centre_hz + along * params.span_lw * target.linewidth_hz;
            Tone {
                offset_hz: session.nearest_settable(f_hz - nco_hz),
                amplitude: target.amplitude,
                phase_rad: carrier_phase(k),
                rotation_rad: 0.0,
            }
        })
        .collect()
}
