//! Descriptions of boards and their modules.

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{
    Batch, Dbm, Epoch, Error, ErrorKind, Hertz, ModuleId, ModuleLimits, Op, Replies, Ticket, Volts,
};

/// Type of the operation that asks for the description of a board.
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
    /// Adds an operation that describes the board: its kind, its modules and its operations.
    pub fn describe(&mut self) -> Ticket<Describe> {
        self.push(Op::Describe)
    }
}

/// Kind of operations. A board has either all operations of a kind or none of them.
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
    /// [`Batch::set_fast_stream`], [`Batch::read_fast_stream`].
    FastStream,
    /// [`Batch::read_clock`].
    Clock,
    /// [`Batch::read_housekeeping`].
    Housekeeping,
    /// [`Batch::wait`].
    Wait,
    /// [`Batch::set_property`], [`Batch::read_property`].
    Properties,
    /// Kind of an operation that no board has, for tests.
    #[cfg(feature = "mock")]
    #[doc(hidden)]
    Unknown,
}

impl OperationKind {
    /// Object of these operations, in words that follow "no operations for" in a message.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "its description",
            Self::Tones => "tones",
            Self::Nco => "an NCO",
            Self::Samples => "samples",
            Self::FastStream => "a fast stream",
            Self::Clock => "a clock",
            Self::Housekeeping => "housekeeping",
            Self::Wait => "waits",
            Self::Properties => "properties",
            #[cfg(feature = "mock")]
            Self::Unknown => "something unknown",
        }
    }
}

/// Description of a board: its kind, its modules and its operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The board kind, as the board reports it. A hardware map, the file that lists the boards,
    /// may have another name for it.
    pub kind: String,
    /// The serial number that the board reports; empty if it reports none.
    pub serial: String,
    /// The firmware release that the board reports; empty if it reports none.
    pub firmware: String,
    /// The epoch in which this description was made. An epoch is a period during which a board
    /// keeps its settings.
    pub epoch: Epoch,
    /// The kinds of operations that the board has.
    pub operations: Vec<OperationKind>,
    /// The modules that can be used in the present configuration of the board.
    pub modules: Vec<ModuleDescription>,
    /// Facts that the board did not report, each with the reason and with the assumption that is
    /// made instead. Each entry is a sentence for people to read. A description with doubts can
    /// still be used.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Abilities that the server of the board lacks, each with what is done instead. Each entry is
    /// a sentence for people to read. Nothing is less correct for it.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// Description of a module of a board: its channels, ranges, rates and limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleDescription {
    /// Number of the module, from 1.
    pub module: ModuleId,
    /// Number of channels (tones) of the module; channels are numbered from 1.
    pub channels: u16,
    /// Frequencies that the NCO can be set to; `None` if the module has no NCO. The NCO is the
    /// oscillator that the frequencies of the tones are relative to. The tones of a module without
    /// an NCO are relative to 0 Hz.
    #[serde(flatten)]
    pub nco: Option<NcoRange>,
    /// Largest distance of a tone from the NCO, on either side. If there is no NCO, the highest
    /// frequency of a tone.
    pub max_offset: Hertz,
    /// The spacing of the frequencies that a tone can have.
    pub frequency_step: Hertz,
    /// The rate of the samples of acquisitions; NaN if the board does not report it.
    pub sample_rate: Hertz,
    /// Number of samples after a change of settings that still depend on the earlier settings.
    /// Acquisitions discard them, unless [`crate::Acquire::unsettled`] asks for them. If the board
    /// does not report its sample rate, this is the largest number that is possible.
    pub settle_samples: u32,
    /// Correlation coefficients of the noise of two samples that are 1, 2, ... samples apart. The
    /// decimation filters cause this correlation. If the board does not report its sample rate,
    /// these are the largest coefficients that its filters can cause. The error of a mean follows
    /// from them: see [`ModuleDescription::mean_error_factor`].
    pub noise_correlation: Vec<f64>,
    /// Largest number of samples of one acquisition.
    pub max_samples: u32,
    /// The power, at the board's connector, of a tone of amplitude 1. `None` if this power is not
    /// known or the board does not report it; [`ModuleDescription::power_scale`] is then an error.
    pub full_scale: Option<Dbm>,
    /// Volts (peak) at the board's input for one readout count, the unit of samples.
    pub volts_per_count: Volts,
    /// Limits of the module's output: the limits of the board itself, or narrower limits if a
    /// hardware map sets them.
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
    /// Range for a module that has no NCO: its tones are relative to 0 Hz.
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
    /// A description in epoch 0, with no serial number, no firmware release and no doubts.
    pub fn new(
        kind: impl Into<String>,
        operations: impl Into<Vec<OperationKind>>,
        modules: impl Into<Vec<ModuleDescription>>,
    ) -> Self {
        Self {
            kind: kind.into(),
            serial: String::new(),
            firmware: String::new(),
            epoch: Epoch(0),
            operations: operations.into(),
            modules: modules.into(),
            doubts: Vec::new(),
            lacks: Vec::new(),
        }
    }

    /// The description of `module`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the board has no such module. The message names the
    /// modules that it has.
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

    /// Checks that the board has the operations of all of these kinds. Code that needs them calls
    /// this method before it sends anything.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]. The message names the kinds that the board lacks.
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

    /// Checks that the board can execute `op`, an operation of `batch`: the board must have
    /// operations of this kind and the module, and the arguments must be in the ranges of the
    /// module.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for an operation of a kind that the board lacks, and the errors
    /// of [`Description::module`] and [`ModuleDescription::check`].
    pub fn check(&self, batch: &Batch, op: &Op) -> Result<(), Error> {
        self.require(&[op.kind()])?;
        match op.module() {
            Some(module) => self.module(module)?.check(batch, op, |_, _| false),
            None => Ok(()),
        }
    }

    /// True if the board has the operations of this kind.
    pub fn has(&self, operation: OperationKind) -> bool {
        self.operations.contains(&operation)
    }
}

impl ModuleDescription {
    /// A module without any of the optional properties: it has no NCO, no scale in dBm and no
    /// limits, its samples have uncorrelated noise, and no samples are discarded after a change of
    /// settings. The caller sets the other fields. Until then they are NaN, and the largest number
    /// of samples of an acquisition is 0.
    pub fn new(module: ModuleId, channels: u16) -> Self {
        Self {
            module,
            channels,
            nco: None,
            max_offset: Hertz(f64::NAN),
            frequency_step: Hertz(f64::NAN),
            sample_rate: Hertz(f64::NAN),
            settle_samples: 0,
            noise_correlation: Vec::new(),
            max_samples: 0,
            full_scale: None,
            volts_per_count: Volts(f64::NAN),
            limits: ModuleLimits::default(),
        }
    }

    /// Returns [`ModuleDescription::full_scale`], for code that sets the power of a tone or checks
    /// it against a limit.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the scale is not known: amplitudes can then not be converted
    /// to powers.
    pub fn power_scale(&self) -> Result<Dbm, Error> {
        if let Some(full_scale) = self.full_scale {
            return Ok(full_scale);
        }
        let module = self.module;
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the power of a full-scale tone of module {module} is not known, so powers in dBm \
                 can be neither set nor limited; set the scale of the DAC, or give amplitudes as \
                 fractions of full scale"
            ),
        ))
    }

    /// The lowest and the highest absolute frequency that the hardware can give a tone. The
    /// [`limits`](Self::limits) may allow less.
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
    /// `scatter / sqrt(samples)`, because the filters correlate them. It is
    /// `sqrt(1 + 2 sum_k (1 - k/n) rho_k)`, where `n` is the number of samples and `rho_k` is the
    /// coefficient of [`noise_correlation`](Self::noise_correlation) for samples that are `k`
    /// apart.
    pub fn mean_error_factor(&self, samples: u32) -> f64 {
        let n = f64::from(samples.max(1));
        let correlated: f64 = (1u32..samples)
            .zip(&self.noise_correlation)
            .map(|(lag, rho)| (1.0 - f64::from(lag) / n) * rho)
            .sum();
        (1.0 + 2.0 * correlated).max(0.0).sqrt()
    }
}
