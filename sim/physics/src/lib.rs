//! Physics of simulated detectors and their readout electronics, as pure functions.
//!
//! A [`ModuleModel`] is one readout module with its feedline and detectors: give it settings (NCO,
//! tones, decimation) and ask it for samples. It has no clock and no random state. Time is the
//! sample number that the caller asks for, and every random number is a hash of a seed and of the
//! number's purpose, so that the same request gives the same samples in any order.
//!
//! ```
//! use twotone_physics::{Band, ModuleModel, Profile, Tone};
//!
//! let band = Band::new(750e6, 1250e6);
//! let mut module = ModuleModel::draw(1, 0, 1, 256, band, 1024, &Profile::Lab.params());
//! let resonance = module.truth()[0].fr_hz;
//! let tone = Tone {
//!     frequency_hz: resonance - module.nco_hz(),
//!     amplitude: 0.002,
//!     ..Tone::default()
//! };
//! module.set_tone(0, tone)?;
//! let mut samples = Vec::new();
//! let flags = module.acquire(0, 17, 0..1, &mut samples); // the first 7 still settle
//! assert!(!flags.overrange && samples[16].norm() > 0.0);
//! # Ok::<(), twotone_physics::SettingError>(())
//! ```
//!
//! Files:
//! - [`units`]: rates, quanta and conversions of the board
//! - [`hash`]: random numbers as pure functions
//! - [`profile`]: all parameters of the simulation, for three kinds of array
//! - [`detector`], [`population`], [`truth`]: parameters of one detector, the draw of an array of
//!   detectors, and their true parameters in a truth file
//! - [`kerr`]: the nonlinear resonator and the memory of its branch
//! - [`mod@line`]: cable, standing waves, box modes
//! - `array`: all detectors of a line, the near ones exactly, the far ones as a sum
//! - `chain`: levels, clipping, compression, noise of the electronics
//! - [`bank`]: the filter bank's bins, which tones and noise pass before the decimation
//! - [`cic`]: the decimation filters: step response, droop, correlation of noise
//! - [`drift`], [`glitch`]: slow and sudden noise; `world`: the motion of detectors and line
//! - [`conditions`]: conditions that the caller may change: load, bath, modulation, faults
//! - [`module`]: the model of a module, made of all these

mod array;
pub mod bank;
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
