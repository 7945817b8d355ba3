//! Measurements, searches, fits and tuning of microwave detectors, each written once.
//!
//! Functions that talk to a board are async functions over a [`twotone_hal::BoardHandle`] that can
//! be called in either idiom, with `.await` or `.wait()`. Functions that only compute are plain
//! ones: they never panic, and return a status, with a reason, for any input. Neither kind knows a
//! protocol, a runtime or a clock: every wait is an operation of the board.
//!
//! ```
//! use twotone_algorithms::{Band, ChannelStatus, TuneParams, tune};
//! use twotone_hal::{BoardHandle, ModuleId, Result};
//!
//! /// Tunes a module and says which of its channels can be used.
//! async fn usable(board: &BoardHandle, module: ModuleId) -> Result<Vec<u16>> {
//!     let params = TuneParams { band: Some(Band::new(1.0e9, 1.5e9)), ..TuneParams::default() };
//!     let outcome = tune(board, module, &params).await?;
//!     let tuned = outcome.channels.iter().filter(|c| c.status == ChannelStatus::Tuned);
//!     Ok(tuned.map(|c| c.channel.number()).collect())
//! }
//! ```
//!
//! The numerics stand on their own:
//!
//! ```
//! use num_complex::Complex64;
//! use twotone_algorithms::fit::{FitParams, SweepData, fit_nonlinear};
//!
//! let f: Vec<f64> = (0..61).map(|i| 1.2e9 + 5e3 * f64::from(i - 30)).collect();
//! let notch = |f: f64| 1.0 - 0.8 / Complex64::new(1.0, 2.0 * (f - 1.2e9) / 60e3);
//! let z: Vec<Complex64> = f.iter().map(|&f| 1e4 * notch(f)).collect();
//! let fit = fit_nonlinear(&SweepData::new(&f, &z), &FitParams::default());
//! assert!(fit.status.is_success());
//! assert!((fit.qr - 2e4).abs() < 1.0 && fit.a.abs() < 1e-6);
//!
//! let flat = vec![Complex64::new(1e4, 0.0); f.len()];
//! let fit = fit_nonlinear(&SweepData::new(&f, &flat), &FitParams::default());
//! assert_eq!(fit.status.as_str(), "no_resonance");
//! ```
//!
//! | algorithm over a board | what it does | numerics beneath |
//! |---|---|---|
//! | [`cable_delay()`] | the delay of a module's line | [`delay`] |
//! | [`network_analysis()`] | a sweep of a whole band | [`chunks`] |
//! | [`fine_sweep()`] | a sweep over every resonance at once | |
//! | [`place_tones()`] | tones on their resonances, calibrated | [`placement`], [`calibration`] |
//! | [`tune()`] | all of these in turn | [`finding`], [`fit`] |

pub mod band;
pub mod cable_delay;
pub mod calibration;
pub mod chunks;
pub mod delay;
pub mod finding;
pub mod fine_sweep;
pub mod fit;
pub mod network_analysis;
mod params;
pub mod place_tones;
pub mod placement;
pub mod progress;
mod projection;
mod reach;
pub mod resonator;
pub mod robust;
mod session;
mod tune;

pub use band::Band;
pub use cable_delay::{CableDelayOutcome, CableDelayParams, cable_delay};
pub use finding::{FindOutcome, FindParams, find_resonances};
pub use fine_sweep::{FineSweepOutcome, FineSweepParams, Sweep, SweepTarget, fine_sweep};
pub use network_analysis::{
    NetworkAnalysisOutcome, NetworkAnalysisParams, network_analysis, network_analysis_with_progress,
};
pub use place_tones::{PlaceOutcome, PlacedTone, ToneTarget, place_tones};
pub use progress::{Progress, Stage, Step};
pub use tune::{
    ChannelOutcome, ChannelStatus, NotToned, NotTonedReason, Reason, ReferenceTone, TuneOutcome,
    TuneParams, tune, tune_with_progress,
};
