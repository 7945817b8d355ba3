//! True parameters of the simulated detectors, for tests and reports that score
//! a measurement. No client reads this.

use serde::{Deserialize, Serialize};
use twotone_physics::TruthDetector;

/// Every parameter that was drawn for the detectors of a farm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The seed that the farm was built from.
    pub seed: u64,
    /// The boards, in the order of the hardware map.
    pub boards: Vec<BoardTruth>,
}

/// The detectors of one board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardTruth {
    /// The board's name in the hardware map.
    pub name: String,
    /// The modules that have detectors, in order.
    pub modules: Vec<ModuleTruth>,
}

/// The detectors of one module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleTruth {
    /// The module's number, from 1.
    pub module: u8,
    /// The detectors, in order of frequency.
    pub detectors: Vec<TruthDetector>,
}
