//! Board in memory for dry runs, which count the requests that an algorithm would send to a real
//! board. A *batch* is a list of operations, sent to a board as one request.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use twotone_hal::{
    Acquire, Batch, Board, Complex64, Description, Error, ErrorKind, MemoryModule,
    ModuleDescription, ModuleId, Op, Replies, RepliesBuilder, Result, ToneState, async_trait,
};

/// Magnitude of a sample of a full-scale tone outside of resonances, in readout counts.
const FULL_SCALE: f64 = 7.5e6;
/// Standard deviation of the complex noise of a single sample, with both quadratures together, in
/// readout counts.
const NOISE: f64 = 1.0;
/// Delay of the line, in seconds.
const DELAY_S: f64 = 100e-9;
/// Width of the resonances, in hertz.
const LINEWIDTH_HZ: f64 = 60e3;
const NO_SENSORS: &str = "a board of a dry run has no clock, no sensors and no properties";
/// Distance from a tone beyond which a resonance is neglected, in linewidths.
const REACH_LW: f64 = 100.0;

/// Requests that an algorithm would send to a module. A batch counts for only one module: that of
/// its first operation that concerns a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Traffic {
    /// Number of batches. The client of a board sends each batch as one request, and a very long
    /// batch as a few requests.
    pub requests: u64,
    /// Number of operations in these batches.
    pub operations: u64,
    /// Number of tone settings. A tone counts each time that it is set.
    pub tones_set: u64,
    /// Number of times that the NCO is set.
    pub ncos_set: u64,
    /// Number of samples that are acquired per channel, including samples that are discarded while
    /// filters settle.
    pub samples: u64,
    /// Time that the board takes for these samples, in seconds. `None` if its sample rate is not
    /// known.
    pub acquiring_s: Option<f64>,
    /// Sum of the times of the wait operations, in seconds.
    pub waiting_s: f64,
}

impl Traffic {
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            operations: self.operations + other.operations,
            tones_set: self.tones_set + other.tones_set,
            ncos_set: self.ncos_set + other.ncos_set,
            samples: self.samples + other.samples,
            acquiring_s: self
                .acquiring_s
                .zip(other.acquiring_s)
                .map(|(one, other)| one + other),
            waiting_s: self.waiting_s + other.waiting_s,
        }
    }
}

/// A board in memory that replaces a real one: nothing is sent anywhere.
///
/// The board keeps its settings, and answers acquisitions with the samples of a line that has
/// resonances at given frequencies. With these samples an algorithm goes through all its steps.
/// They do not predict the samples of real detectors. The board has no clock and no sensors, and
/// refuses to read them with [`ErrorKind::Unsupported`].
pub struct DryRun {
    name: String,
    description: Description,
    modules: Mutex<BTreeMap<ModuleId, MemoryModule>>,
    /// Frequencies of the resonances of each module, in hertz, in ascending order.
    resonances: BTreeMap<ModuleId, Vec<f64>>,
    traffic: Mutex<BTreeMap<ModuleId, Traffic>>,
    /// Number of noise values that have been drawn.
    drawn: Mutex<u64>,
}

impl DryRun {
    /// Makes a board with this name and description. No tone was ever set on it. `resonances` has
    /// the frequencies of the resonances of each module in hertz, in ascending order.
    pub fn new(
        name: &str,
        description: &Description,
        resonances: BTreeMap<ModuleId, Vec<f64>>,
    ) -> Self {
        let modules = description.modules.iter();
        let modules = modules.map(|one| (one.module, MemoryModule::new(one.clone())));
        Self {
            name: name.to_owned(),
            description: description.clone(),
            modules: Mutex::new(modules.collect()),
            resonances,
            traffic: Mutex::default(),
            drawn: Mutex::default(),
        }
    }

    /// Returns the requests that were sent to a module until now.
    pub fn traffic(&self, module: ModuleId) -> Traffic {
        let traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        traffic.get(&module).copied().unwrap_or_default()
    }

    fn count(&self, batch: &Batch) {
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(module) = batch.ops().iter().find_map(Op::module) else {
            return;
        };
        let counted = traffic.entry(module).or_insert(Traffic {
            acquiring_s: Some(0.0),
            ..Traffic::default()
        });
        counted.requests += 1;
        counted.operations += batch.len() as u64;
        for op in batch.ops() {
            match op {
                Op::SetTones { updates, .. } => counted.tones_set += updates.len() as u64,
                Op::SetNco { .. } => counted.ncos_set += 1,
                Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } => {
                    let described = self.description.module(module).ok();
                    let samples = described.map_or(0, |module| samples(module, acquire));
                    counted.samples += samples;
                    let rate = described.map_or(f64::NAN, |module| module.sample_rate.0);
                    let known = Some(samples as f64 / rate).filter(|time_s| time_s.is_finite());
                    counted.acquiring_s =
                        counted.acquiring_s.zip(known).map(|(all, one)| all + one);
                }
                Op::Wait { time, .. } => counted.waiting_s += time.as_secs_f64(),
                // The other operations take no time beyond that of the request.
                _ => {}
            }
        }
    }

    /// Checks an operation before anything of its batch is executed.
    fn check(&self, batch: &Batch, op: &Op) -> Result<()> {
        self.description.check(batch, op)?;
        match op {
            Op::ReadClock | Op::ReadHousekeeping | Op::ReadProperty { .. } => {
                Err(Error::new(ErrorKind::Unsupported, NO_SENSORS))
            }
            _ => Ok(()),
        }
    }

    /// Executes and answers an operation.
    fn answer(&self, batch: &Batch, op: &Op, replies: &mut RepliesBuilder<'_>) -> Result<()> {
        let mut modules = self.modules();
        let module = match op.module() {
            Some(id) => modules.get_mut(&id),
            None => None,
        };
        match (op, module) {
            (Op::Describe, _) => replies.description(self.description.clone()),
            (Op::AcquireMean { module, acquire }, Some(memory)) => {
                let means = self.samples(*module, memory, acquire);
                let means: Vec<_> = means
                    .map(|mean| mean + self.noise(acquire.samples))
                    .collect();
                let scatter = vec![NOISE; means.len()];
                replies.mean(means, scatter, false, false)
            }
            (Op::AcquireSamples { module, acquire }, Some(memory)) => {
                let means: Vec<_> = self.samples(*module, memory, acquire).collect();
                let channels = means.len();
                let each = means
                    .into_iter()
                    .flat_map(|mean| (0..acquire.samples).map(move |_| mean + self.noise(1)));
                replies.samples(channels, each, false, false)
            }
            (op, Some(memory)) => memory.answer(batch, op, replies),
            (_, None) => Err(Error::new(ErrorKind::Unsupported, NO_SENSORS)),
        }
    }

    /// Returns the noiseless samples of the channels of an acquisition, in readout counts.
    fn samples<'a>(
        &'a self,
        module: ModuleId,
        memory: &'a MemoryModule,
        acquire: &'a Acquire,
    ) -> impl Iterator<Item = Complex64> + use<'a> {
        let nco_hz = memory.nco().frequency.0;
        let resonances = self.resonances.get(&module);
        let resonances = resonances.map_or(&[][..], |resonances| &resonances[..]);
        let sample = move |tone: ToneState| {
            let amplitude = tone.amplitude.unwrap_or(0.0);
            let f_hz = nco_hz + tone.offset.map_or(0.0, |offset| offset.0);
            let turn = tone.phase.map_or(0.0, |phase| phase.0)
                - tone.rotation.map_or(0.0, |rotation| rotation.0);
            let line = Complex64::cis(turn - TAU * f_hz * DELAY_S);
            FULL_SCALE * amplitude * line * transmission(resonances, f_hz)
        };
        memory.acquired(acquire).map(sample)
    }

    fn modules(&self) -> MutexGuard<'_, BTreeMap<ModuleId, MemoryModule>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the noise of a mean over `samples` samples. The n-th call always returns the same
    /// noise, so that dry runs are reproducible.
    fn noise(&self, samples: u32) -> Complex64 {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        *drawn += 1;
        let uniform = |seed: u64| {
            // These three steps are the finaliser of the generator splitmix64. They turn
            // consecutive seeds into independent numbers.
            let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        };
        // The sum of twelve uniform numbers is close to a normal distribution of variance 1.
        let normal = |part: u64| {
            (0..12)
                .map(|k| uniform(*drawn * 24 + 12 * part + k))
                .sum::<f64>()
                - 6.0
        };
        let each = NOISE / f64::from(samples.max(1)).sqrt() / 2f64.sqrt();
        Complex64::new(normal(0), normal(1)) * each
    }
}

/// Returns the number of samples of an acquisition, including those that are discarded while
/// filters settle.
fn samples(module: &ModuleDescription, acquire: &Acquire) -> u64 {
    let settling = if acquire.settle {
        module.settle_samples
    } else {
        0
    };
    u64::from(acquire.samples) + u64::from(settling)
}

/// Returns the transmission at `f_hz` of a line with resonances at these frequencies. Each is
/// [`LINEWIDTH_HZ`] wide and has a ratio of total to coupling quality factor of 0.8.
fn transmission(resonances: &[f64], f_hz: f64) -> Complex64 {
    let reach_hz = REACH_LW * LINEWIDTH_HZ;
    let begin = resonances.partition_point(|fr_hz| *fr_hz < f_hz - reach_hz);
    let near = resonances[begin..].iter();
    let near = near.take_while(|fr_hz| **fr_hz <= f_hz + reach_hz);
    near.map(|fr_hz| {
        let y = (f_hz - fr_hz) / LINEWIDTH_HZ;
        1.0 - 0.8 / Complex64::new(1.0, 2.0 * y)
    })
    .product()
}

#[async_trait]
impl Board for DryRun {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.refuse_unknown(self.name(), Op::is_modelled)?;
        batch.check_each(self.name(), |op| self.check(batch, op))?;
        self.count(batch);
        batch.answer_each(self.name(), |op, replies| self.answer(batch, op, replies))
    }
}

impl std::fmt::Debug for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryRun")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
