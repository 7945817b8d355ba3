//! Session of one algorithm on one module of a board. It remembers the settings that were sent, so
//! that only changes are sent.
//!
//! A *comb* is a set of tones that are on at the same time. A *batch* is a list of operations that
//! one request carries. The *NCO* is the oscillator of the module to which all its tones are
//! relative.

mod change;
mod read_back;

use num_complex::Complex64;
use twotone_hal::{
    Acquire, Batch, BoardHandle, Certainty, Change, Description, Epoch, Error, ErrorKind, Hertz,
    ModuleDescription, ModuleId, ModuleSettings, NcoState, OperationKind, PhaseEpoch, Result,
};

use crate::band::Band;
use crate::progress::{Progress, Stage, Step};
use crate::reach::Reach;

/// Wanted settings of one tone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tone {
    pub offset_hz: f64,
    pub amplitude: f64,
    pub phase_rad: f64,
    pub rotation_rad: f64,
}

/// Means of the samples of one step of a measurement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Means {
    /// One mean for each tone. It does not contain the phase of the tone's carrier, nor the
    /// rotation by which the board turns the samples of the channel.
    pub z: Vec<Complex64>,
    /// Variance of each of these means. Zero if each mean is of one sample, because one sample has
    /// no scatter.
    pub variance: Vec<f64>,
    pub flags: InputFlags,
}

/// Warnings of a board about its inputs while it took samples.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InputFlags {
    /// A converter was over its range.
    pub overrange: bool,
    /// An input was over its voltage limit.
    pub overvoltage: bool,
}

impl InputFlags {
    /// Sets the flags that are set in `other`.
    pub(crate) fn add(&mut self, other: Self) {
        self.overrange |= other.overrange;
        self.overvoltage |= other.overvoltage;
    }

    /// Warnings for the flags that are set. `when` is the time of the samples, in words.
    pub(crate) fn warnings(self, when: &str) -> impl Iterator<Item = String> {
        let range = self
            .overrange
            .then(|| format!("a converter was over its range {when}"));
        let voltage = self
            .overvoltage
            .then(|| format!("an input was over its voltage {when}"));
        range.into_iter().chain(voltage)
    }
}

impl Means {
    /// Number of tones whose mean is not finite.
    pub(crate) fn bad_points(&self) -> usize {
        self.z.iter().filter(|z| !z.is_finite()).count()
    }
}

/// Warning about samples that are not finite, if there are any.
pub(crate) fn bad_points_warning(points: usize, stage: &str) -> Option<String> {
    let are = if points == 1 {
        "point is"
    } else {
        "points are"
    };
    (points > 0).then(|| {
        format!("{points} {are} left out of {stage}: their samples are not finite numbers")
    })
}

pub(crate) struct Session<'a> {
    pub board: &'a BoardHandle,
    pub module: ModuleId,
    pub description: ModuleDescription,
    pub epoch: Epoch,
    pub nco: NcoState,
    progress: &'a dyn Progress,
    /// Settings that were sent. Until `is_cleared` is true, the module may have other tones.
    sent: ModuleSettings,
    is_cleared: bool,
    /// Number of reads of settings so far.
    read_backs: usize,
}

impl<'a> Session<'a> {
    /// Reads the description of the module and, if the module has an NCO, the frequency of the NCO.
    /// Changes nothing yet: the module's earlier tones are cleared when the first comb is set.
    pub(crate) async fn open(
        board: &'a BoardHandle,
        module: ModuleId,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let description = board.describe().await?;
        description
            .require(&[OperationKind::Tones, OperationKind::Samples])
            .map_err(|error| {
                error
                    .during(format!("measure on module {module}"))
                    .on(board.name())
            })?;
        let of = |description: &Description| {
            let described = description.module(module).cloned();
            described.map_err(|error| error.on(board.name()))
        };
        let mut of_module = of(&description)?;
        let mut epoch = description.epoch;
        let nco = match of_module.nco {
            // The description and the NCO are read in one batch, so that both are of one epoch: the
            // board has not restarted in between.
            Some(_) => {
                let mut batch = Batch::new();
                let described = batch.describe();
                let nco = batch.read_nco(module);
                let replies = board.run(&batch).await?;
                of_module = of(replies.get(described))?;
                epoch = replies.get(described).epoch;
                replies.get(nco)
            }
            // Tones of a module without an NCO are relative to 0 Hz, and no NCO moves them.
            None => NcoState {
                frequency: Hertz(0.0),
                phase_epoch: PhaseEpoch(0),
            },
        };
        let mut session = Self {
            board,
            module,
            sent: ModuleSettings::unknown(of_module.channels),
            description: of_module,
            epoch,
            nco,
            progress,
            is_cleared: false,
            read_backs: 0,
        };
        session.record_nco(nco);
        Ok(session)
    }

    /// Records the NCO frequency that the algorithm works with. A later read-back of another
    /// frequency is an error.
    fn record_nco(&mut self, nco: NcoState) {
        let change = Change::Nco(nco.frequency);
        self.sent.apply([change], Certainty::Executed);
        self.nco = nco;
    }

    pub(crate) fn channels(&self) -> usize {
        self.sent.tones().len()
    }

    pub(crate) fn report(&self, stage: Stage, done: usize, total: usize) {
        self.progress.report(&Step {
            module: self.module,
            stage,
            done,
            total: total.max(1),
        });
    }

    /// An error about arguments, before anything is sent.
    pub(crate) fn refuse(&self, kind: ErrorKind, what: &str, why: impl Into<String>) -> Error {
        Error::new(kind, why)
            .during(format!("{what} on module {}", self.module))
            .on(self.board.name())
    }

    /// The frequencies that tones can have with the NCO at `nco_hz`.
    pub(crate) fn reach(&self, nco_hz: f64) -> Reach {
        Reach::of(&self.description, nco_hz)
    }

    /// The band to work in: `asked` if it is given, else the range that the module is limited to,
    /// else the default band.
    pub(crate) fn band(&self, asked: Option<Band>) -> Band {
        let limits = &self.description.limits;
        let range = || Some(Band::new(limits.f_min?.0, limits.f_max?.0));
        asked.or_else(range).unwrap_or_default()
    }

    /// The NCO frequency nearest to `wanted_hz` that the board can set.
    pub(crate) fn nearest_nco(&self, wanted_hz: f64) -> f64 {
        let range = self.description.nco_range();
        let (low, high) = (range.min.0, range.max.0);
        let nearest = wanted_hz.max(low).min(high);
        let rounded = self.nearest_settable(nearest);
        if (low..=high).contains(&rounded) {
            rounded
        } else {
            nearest
        }
    }

    /// Refuses an NCO frequency outside the range of the board.
    pub(crate) fn check_nco(&self, what: &str, nco_hz: f64) -> Result<()> {
        let range = self.description.nco_range();
        let (low, high) = (range.min.0, range.max.0);
        if nco_hz >= low && nco_hz <= high {
            return Ok(());
        }
        let why = format!("the NCO would stand at {nco_hz} Hz, outside {low} Hz to {high} Hz");
        Err(self.refuse(ErrorKind::InvalidArgument, what, why))
    }

    /// Refuses a band if the module may not drive tones in all of it.
    pub(crate) fn check_band(&self, what: &str, band: Band) -> Result<()> {
        let limits = &self.description.limits;
        let low = limits.f_min.filter(|low| band.f_min_hz < low.0);
        let high = limits.f_max.filter(|high| band.f_max_hz > high.0);
        let (side, limit) = match (low, high) {
            (Some(low), _) => ("no lower than", low),
            (None, Some(high)) => ("no higher than", high),
            (None, None) => return Ok(()),
        };
        let why = format!(
            "{} Hz to {} Hz asked, and the module allows {side} {limit}",
            band.f_min_hz, band.f_max_hz
        );
        Err(self.refuse(ErrorKind::Limit, what, why))
    }

    /// Sets the NCO to a frequency. Sends nothing if the NCO has this frequency already.
    pub(crate) async fn set_nco(&mut self, frequency_hz: f64) -> Result<()> {
        let step = self.description.frequency_step.0;
        if (self.nco.frequency.0 - frequency_hz).abs() <= 0.5 * step.max(1e-9) {
            return Ok(());
        }
        let mut batch = Batch::new();
        let ticket = batch.set_nco(self.module, Hertz(frequency_hz));
        let nco = self.board.run(&batch).await?.get(ticket);
        self.record_nco(nco);
        Ok(())
    }

    /// Returns the offset or frequency that is nearest to `offset_hz` and that the board can set.
    pub(crate) fn nearest_settable(&self, offset_hz: f64) -> f64 {
        let step = self.description.frequency_step.0;
        if step > 0.0 {
            (offset_hz / step).round() * step
        } else {
            offset_hz
        }
    }

    /// Refuses a comb that could exceed full scale, has too many tones, or has a tone out of reach
    /// with the NCO at `nco_hz`. A tone that is off may have any offset that the board can set.
    pub(crate) fn check(&self, what: &str, nco_hz: f64, tones: &[Tone]) -> Result<()> {
        let invalid = |why: String| Err(self.refuse(ErrorKind::InvalidArgument, what, why));
        if tones.len() > self.channels() {
            return invalid(format!(
                "{} tones are more than the module's {} channels",
                tones.len(),
                self.channels()
            ));
        }
        let (most, reach) = (self.description.max_offset.0, self.reach(nco_hz));
        let step = self.description.frequency_step.0.max(0.0);
        let allowed = Reach {
            low_hz: reach.low_hz - step,
            high_hz: reach.high_hz + step,
        };
        for tone in tones {
            if tone.offset_hz.abs() > most || tone.offset_hz.is_nan() {
                return invalid(format!(
                    "a tone at {} Hz from the NCO lies beyond the board's {most} Hz",
                    tone.offset_hz
                ));
            }
            if tone.amplitude.abs() > 1.0 || tone.amplitude.is_nan() {
                return invalid(format!("amplitude {} is above full scale", tone.amplitude));
            }
            let f_hz = nco_hz + tone.offset_hz;
            if tone.amplitude != 0.0 && !allowed.contains(f_hz) {
                let why = format!(
                    "a tone at {f_hz} Hz lies outside the {} Hz to {} Hz that the module may use",
                    allowed.low_hz, allowed.high_hz
                );
                return Err(self.refuse(ErrorKind::Limit, what, why));
            }
        }
        self.check_powers(what, tones.iter().map(|t| t.amplitude))
    }

    /// Refuses a comb whose powers are beyond the module's limits, or whose peak is beyond full
    /// scale.
    pub(crate) fn check_powers(
        &self,
        what: &str,
        amplitudes: impl Iterator<Item = f64>,
    ) -> Result<()> {
        match self.description.comb_problem(amplitudes) {
            Some(why) => Err(self.refuse(ErrorKind::Limit, what, why)),
            None => Ok(()),
        }
    }

    /// Runs several steps in one batch: each sets its comb, settles and acquires.
    pub(crate) async fn run(&mut self, steps: &[Vec<Tone>], samples: u32) -> Result<Vec<Means>> {
        self.acquire(steps, samples, 1).await
    }

    /// Runs the steps as `run` does, and reads every tone back. Use this method for the last tones
    /// of a [`tune`](crate::tune()), because they stay on after its end.
    pub(crate) async fn run_read_back(
        &mut self,
        steps: &[Vec<Tone>],
        samples: u32,
    ) -> Result<Vec<Means>> {
        self.acquire(steps, samples, u16::MAX).await
    }

    /// Runs `steps` and reads at most `read_back` channels back before the last acquisition.
    async fn acquire(
        &mut self,
        steps: &[Vec<Tone>],
        samples: u32,
        read_back: u16,
    ) -> Result<Vec<Means>> {
        let mut batch = Batch::new();
        let mut tickets = Vec::with_capacity(steps.len());
        let mut reading = None;
        for (step, tones) in steps.iter().enumerate() {
            self.change(&mut batch, tones);
            if step + 1 == steps.len() {
                reading = self.read_back(&mut batch, tones.len(), read_back);
            }
            let count = u16::try_from(tones.len()).unwrap_or(u16::MAX);
            let acquire = Acquire::new(samples).first_channels(count);
            tickets.push(batch.acquire_mean(self.module, acquire));
        }
        let replies = self.board.run(&batch).await?;
        if let Some(reading) = reading {
            self.confirm(&reading, &replies)?;
        }
        let correlated = self.description.mean_error_factor(samples);
        let per_mean = correlated * correlated / f64::from(samples.max(1));
        let means = tickets.iter().zip(steps).map(|(ticket, tones)| {
            let view = replies.get(*ticket);
            let z = view
                .mean
                .iter()
                .zip(tones)
                .map(|(z, tone)| z * Complex64::cis(tone.rotation_rad - tone.phase_rad))
                .collect();
            let variance = view.scatter.iter().map(|s| s * s * per_mean).collect();
            Means {
                z,
                variance,
                flags: InputFlags {
                    overrange: view.overrange,
                    overvoltage: view.overvoltage,
                },
            }
        });
        Ok(means.collect())
    }

    /// Sets tones and acquires nothing.
    pub(crate) async fn set(&mut self, tones: &[Tone]) -> Result<()> {
        let mut batch = Batch::new();
        self.change(&mut batch, tones);
        if batch.is_empty() {
            return Ok(());
        }
        self.board.run(&batch).await.map(drop)
    }
}

/// A number from 0 to 1 that depends on nothing but its arguments.
pub(crate) fn pseudorandom(seed: u64, stream: u64, index: u64) -> f64 {
    let mut x = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
        .wrapping_add(index.wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
    // A mixing function: the finaliser of splitmix64.
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// Phase of a channel's carrier. It is random, because equal phases give the highest peak. It is
/// the same in every measurement, so it is sent only once.
pub(crate) fn carrier_phase(channel: usize) -> f64 {
    (pseudorandom(0, 1, channel as u64) - 0.5) * std::f64::consts::TAU
}
