//! Physics of simulated detectors and their readout electronics, as pure functions.
//!
//! A [`ModuleModel`] is one readout module with its feedline and detectors: give it settings (NCO,
//! tones, decimation) and ask it for samples. It has no clock and no random state. Time is the
//! sample number that the caller asks for, and every random number is a hash of a seed and of what
//! the number is for, so that the same request gives the same samples in any order.
//!
//! Story by file:
//! - [`units`]: rates, quanta and conversions of the board
//! - [`hash`]: random numbers as pure functions
//! - [`profile`]: every number of the simulation, for three kinds of array
//! - [`detector`], [`population`], [`truth`]: what one detector is, how an array of them is drawn,
//!   and what a truth file says of it
//! - [`kerr`]: the nonlinear resonator and the memory of its branch
//! - [`mod@line`]: cable, standing waves, box modes
//! - [`cic`]: the decimation filters: step response, droop, correlation of noise
//! - [`drift`], [`glitch`]: noise that is slow, noise that is sudden
//! - [`conditions`]: what the caller may change: load, bath, modulation, faults
//! - [`module`]: all of it put together

mod array;
mod chain;
pub mod cic;
pub mod conditions;
pub mod detector;
pub mod drift;
pub mod glitch;
pub mod hash;
pub mod kerr;
pub mod line;
pub mod module;
pub mod population;
pub mod profile;
pub mod truth;
pub mod units;
mod world;

pub use num_complex::Complex64;

pub use conditions::{ChannelFault, Conditions, DetectorFault, Modulation};
pub use detector::Detector;
pub use line::Line;
pub use module::{ModuleModel, SampleFlags, SettingError, Tone};
pub use population::{Band, Population};
pub use profile::{Profile, ProfileParams};
pub use truth::{OperatingPoint, TruthDetector};
