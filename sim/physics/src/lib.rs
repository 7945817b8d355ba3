#![doc = include_str!("../README.md")]
//!
//! # Files
//!
//! - [`units`]: rates, frequency steps and conversions of the board
//! - [`hash`]: random numbers as pure functions
//! - [`profile`]: all parameters of the simulation, for arrays of three qualities
//! - [`detector`], [`population`], [`truth`]: parameters of one detector, the draw of an array of
//!   detectors, and their true parameters in a truth file
//! - [`kerr`]: the nonlinear resonator, the pull of its frequency by stored energy, and hysteresis
//! - [`mod@line`]: cable, standing waves, box modes
//! - `array`: all detectors of a line: those near a tone one by one, and the others together
//! - `chain`: levels, clipping, compression, noise of the electronics
//! - [`converter`]: Nyquist zones, and the response of the DAC in each
//! - [`bank`]: the bins of the filter bank, which filter tones and noise before the decimation
//! - [`cic`]: the decimation filters: step response, droop, correlation of noise
//! - [`drift`], [`glitch`]: slow and sudden noise; `world`: changes of detectors and line with time
//! - [`conditions`]: conditions that the caller may change: load, bath, modulation, faults
//! - [`module`]: the model of a module, which uses all other parts

mod array;
pub mod bank;
mod chain;
pub mod cic;
pub mod circuit;
pub mod conditions;
pub mod converter;
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

pub use circuit::Geometry;
pub use conditions::{ChannelFault, Conditions, DetectorFault, Modulation};
pub use detector::Detector;
pub use line::Line;
pub use module::{ModuleModel, SampleFlags, SettingError, Tone};
pub use population::{Band, Population};
pub use profile::{Profile, ProfileParams};
pub use truth::{OperatingPoint, TruthDetector};
