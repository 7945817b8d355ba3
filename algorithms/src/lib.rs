#![doc = include_str!("../README.md")]

pub mod band;
pub mod cable_delay;
pub mod calibration;
pub mod chunks;
pub mod delay;
pub mod finding;
pub mod fine_sweep;
pub mod fit;
mod geometry;
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
mod status;
mod tune;

pub use band::Band;
pub use cable_delay::{CableDelayOutcome, CableDelayParams, cable_delay, cable_delay_of};
pub use finding::{FindOutcome, FindParams, find_resonances};
pub use fine_sweep::{FineSweepOutcome, FineSweepParams, Sweep, SweepTarget, fine_sweep};
pub use geometry::Geometry;
pub use network_analysis::{
    NetworkAnalysisOutcome, NetworkAnalysisParams, network_analysis, network_analysis_with_progress,
};
pub use place_tones::{PlaceOutcome, PlacedTone, ToneTarget, place_tones};
pub use progress::{Progress, Stage, Step};
pub use tune::{
    ChannelOutcome, ChannelStatus, NotToned, NotTonedReason, Reason, ReferenceTone, RefitLine,
    RefitOutcome, RefitParams, TuneOutcome, TuneParams, refit, tune, tune_with_progress,
};
