//! Progress of a long algorithm.

use serde::{Deserialize, Serialize};
use twotone_hal::ModuleId;

/// Stage of an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Measuring the delay of the feedline and its cables.
    CableDelay,
    /// Sweeping the whole band.
    NetworkAnalysis,
    /// Searching the sweep for resonances.
    Finding,
    /// Sweeping over each resonance.
    FineSweep,
    /// Fitting the resonances.
    Fitting,
    /// Setting the tones on their resonances.
    Placing,
    /// Measuring at the tones.
    Calibrating,
}

impl Stage {
    /// Name in files and tables, which stays the same in all versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CableDelay => "cable_delay",
            Self::NetworkAnalysis => "network_analysis",
            Self::Finding => "finding",
            Self::FineSweep => "fine_sweep",
            Self::Fitting => "fitting",
            Self::Placing => "placing",
            Self::Calibrating => "calibrating",
        }
    }
}

/// One report: `done` of `total` parts of `stage` on `module`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The module.
    pub module: ModuleId,
    /// The stage that is running.
    pub stage: Stage,
    /// Number of parts of the stage that are done.
    pub done: usize,
    /// Number of parts of the stage in all, at least 1.
    pub total: usize,
}

/// Receiver of reports of an algorithm's progress: a closure `Fn(&Step)`, or `()` to ignore them.
///
/// The receiver is called between operations of the board, from the thread that runs the algorithm,
/// and must not block. It cannot influence the algorithm.
pub trait Progress: Send + Sync {
    /// Receives one report.
    fn report(&self, step: &Step);
}

impl Progress for () {
    fn report(&self, _: &Step) {}
}

impl<F: Fn(&Step) + Send + Sync> Progress for F {
    fn report(&self, step: &Step) {
        self(step);
    }
}
