//! Descriptions of boards and their modules.

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{
    Batch, Dbm, Epoch, Error, ErrorKind, Hertz, ModuleId, ModuleLimits, Op, Replies, Ticket, Volts,
};

/// Ask for the description.
#[derive(Debug)]
pub enum Describe {}

impl Operation for Describe {
    type Reply<'a> = &'a Description;

    fn reply<'a>(entry: &'a Entry, replies: &'a Replies) -> Option<&'a Description> {
        match entry {
            Entry::Description(index) => replies.descriptions.get(*index),
            _ => None,
        }
    }
}

impl Batch {
    /// Adds: say what the board is and has.
    pub fn describe(&mut self) -> Ticket<Describe> {
        self.push(Op::Describe)
    }
}

/// A capability of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationKind {
    /// [`Batch::describe`].
    Describe,
    /// [`Batch::set_tones`], [`Batch::read_tones`], [`Batch::clear_tones`].
    Tones,
    /// [`Batch::set_nco`], [`Batch::read_nco`].
    Nco,
    /// [`Batch::acquire_mean`], [`Batch::acquire_samples`].
    Samples,
    /// [`Batch::read_clock`].
    Clock,
    /// [`Batch::read_housekeeping`].
    Housekeeping,
    /// The kind of an operation that no board knows, for tests.
    #[cfg(feature = "mock")]
    #[doc(hidden)]
    Unknown,
}

/// Description of a board: its kind, its modules and the operations that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The board kind, as the hardware map names it (`crs`).
    pub kind: String,
    /// The serial number, as the board says it; empty if it does not.
    pub serial: String,
    /// The firmware release, as the board says it; empty if it does not.
    pub firmware: String,
    /// The life of the board's state that this description belongs to.
    pub epoch: Epoch,
    /// The operations that it has.
    pub operations: Vec<OperationKind>,
    /// The modules that can be used in its present configuration.
    pub modules: Vec<ModuleDescription>,
    /// Facts that the board did not tell about itself, each with the reason and with the assumption
    /// in its place. They are for people to read. A description with doubts can still be used.
    #[serde(default)]
    pub doubts: Vec<String>,
}

/// Description of a module of a board: its channels, ranges, rates and limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleDescription {
    /// Its number, from 1.
    pub module: ModuleId,
    /// Number of channels (tones) of the module; channels are numbered from 1.
    pub channels: u16,
    /// The lowest frequency that the NCO can be set to.
    pub nco_min: Hertz,
    /// The highest frequency that the NCO can be set to.
    pub nco_max: Hertz,
    /// Largest distance of a tone from the NCO, on either side.
    pub max_offset: Hertz,
    /// The spacing of the frequencies that a tone can have.
    pub frequency_step: Hertz,
    /// The rate of the samples that the acquire operations answer; no number (NaN) if the board
    /// does not say it.
    pub sample_rate: Hertz,
    /// Number of samples after a change of settings that still depend on the earlier settings.
    /// Acquisitions discard them, unless [`crate::Acquire::unsettled`] asks for them. If the board
    /// does not say its rate, this is the largest number that there can be.
    pub settle_samples: u32,
    /// Correlation of the noise of one sample with that of the samples after it (lags 1, 2, ...),
    /// as the decimation filters make it, or as much as they can make it if the board does not say
    /// its rate. The error of a mean follows from it:
    /// see [`ModuleDescription::mean_error_factor`].
    pub noise_correlation: Vec<f64>,
    /// The most samples that one acquisition may ask for.
    pub max_samples: u32,
    /// The power, at the board's connector, of a tone of amplitude 1; no number (NaN) if the board
    /// does not say it, and then [`ModuleDescription::power_scale`] is an error.
    pub full_scale: Dbm,
    /// Volts (peak) at the board's input for one readout count.
    pub volts_per_count: Volts,
    /// Limits of the module's output: those of the board itself, or narrower ones if a hardware map
    /// sets them.
    #[serde(default)]
    pub limits: ModuleLimits,
}

impl Description {
    /// The description of `module`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the board has no such module. The message names those that
    /// it has.
    pub fn module(&self, module: ModuleId) -> Result<&ModuleDescription, Error> {
        self.modules
            .iter()
            .find(|known| known.module == module)
            .ok_or_else(|| {
                let known: Vec<_> = self.modules.iter().map(|m| m.module.to_string()).collect();
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "there is no module {module}; the board has {}",
                        known.join(", ")
                    ),
                )
            })
    }

    /// True if the board has the operations of this kind.
    pub fn has(&self, operation: OperationKind) -> bool {
        self.operations.contains(&operation)
    }
}

impl ModuleDescription {
    /// Returns [`ModuleDescription::full_scale`], for code that sets a tone by its power or holds a
    /// tone to a limit of power.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the board does not say it: then amplitudes cannot be converted
    /// to powers.
    pub fn power_scale(&self) -> Result<Dbm, Error> {
        if self.full_scale.0.is_finite() {
            return Ok(self.full_scale);
        }
        let module = self.module;
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "module {module} does not say the scale of its DAC, so no power in dBm can be set \
                 or held; set the scale, or set amplitudes as fractions of it"
            ),
        ))
    }

    /// The lowest and the highest absolute frequency that a tone can have.
    pub fn reach(&self) -> (Hertz, Hertz) {
        let lowest = (self.nco_min - self.max_offset).0.max(0.0);
        (Hertz(lowest), self.nco_max + self.max_offset)
    }

    /// Factor by which the error of a mean of `samples` consecutive samples exceeds
    /// `scatter / sqrt(samples)`, because the filters correlate them:
    /// `sqrt(1 + 2 sum_k (1 - k/n) rho_k)`.
    pub fn mean_error_factor(&self, samples: u32) -> f64 {
        let n = f64::from(samples.max(1));
        let correlated: f64 = (1u32..samples)
            .zip(&self.noise_correlation)
            .map(|(lag, rho)| (1.0 - f64::from(lag) / n) * rho)
            .sum();
        (1.0 + 2.0 * correlated).max(0.0).sqrt()
    }
}
