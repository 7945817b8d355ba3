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
    /// [`Batch::wait`].
    Wait,
    /// The kind of an operation that no board knows, for tests.
    #[cfg(feature = "mock")]
    #[doc(hidden)]
    Unknown,
}

impl OperationKind {
    /// The object of these operations, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "its description",
            Self::Tones => "tones",
            Self::Nco => "an NCO",
            Self::Samples => "samples",
            Self::Clock => "a clock",
            Self::Housekeeping => "housekeeping",
            Self::Wait => "waits",
            #[cfg(feature = "mock")]
            Self::Unknown => "something unknown",
        }
    }
}

/// Description of a board: its kind, its modules and the operations that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The board kind, in the words of the board: maps may have another name for it.
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
    /// Facts that the board did not tell about itself, each with the reason and with the
    /// assumption in its place. They are for people to read. A description with doubts can
    /// still be used.
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
    /// Frequencies that the NCO can be set to; `None` if the module has no NCO. The tones of such
    /// a base-band module are relative to 0 Hz.
    #[serde(flatten)]
    pub nco: Option<NcoRange>,
    /// Largest distance of a tone from the NCO, on either side. The highest frequency of a tone,
    /// if there is no NCO.
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
    /// The power, at the board's connector, of a tone of amplitude 1; `None` if the board has no
    /// such scale or does not say it, and then [`ModuleDescription::power_scale`] is an error.
    pub full_scale: Option<Dbm>,
    /// Volts (peak) at the board's input for one readout count.
    pub volts_per_count: Volts,
    /// Limits of the module's output: those of the board itself, or narrower ones if a hardware
    /// map sets them.
    #[serde(default)]
    pub limits: ModuleLimits,
}

/// Frequencies that an NCO can be set to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NcoRange {
    /// The lowest frequency.
    #[serde(rename = "nco_min")]
    pub min: Hertz,
    /// The highest frequency.
    #[serde(rename = "nco_max")]
    pub max: Hertz,
}

impl NcoRange {
    /// Range of a module that has no NCO: its tones are relative to 0 Hz.
    const AT_ZERO: Self = Self {
        min: Hertz(0.0),
        max: Hertz(0.0),
    };

    /// True if the NCO can be set to `frequency`.
    pub fn contains(&self, frequency: Hertz) -> bool {
        (self.min.0..=self.max.0).contains(&frequency.0)
    }

    /// The middle of the range.
    pub fn middle(&self) -> Hertz {
        (self.min + self.max) * 0.5
    }
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

    /// Checks that the board has the operations of all of these kinds, for code that cannot do
    /// without them. It names what is lacking before anything is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the kinds that the board lacks.
    pub fn require(&self, operations: &[OperationKind]) -> Result<(), Error> {
        let lacking = operations.iter().filter(|kind| !self.has(**kind));
        let lacking: Vec<_> = lacking.map(|kind| kind.as_str()).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let message = format!(
            "a board of the kind {} has no operations for {}",
            self.kind,
            lacking.join(" and ")
        );
        Err(Error::new(ErrorKind::Unsupported, message))
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
        if let Some(full_scale) = self.full_scale {
            return Ok(full_scale);
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
        let nco = self.nco_range();
        let lowest = (nco.min - self.max_offset).0.max(0.0);
        (Hertz(lowest), nco.max + self.max_offset)
    }

    /// Frequencies that tones can be relative to: the range of the NCO, or 0 Hz alone if there is
    /// no NCO.
    pub fn nco_range(&self) -> NcoRange {
        self.nco.unwrap_or(NcoRange::AT_ZERO)
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
