//! True parameters of the simulated detectors, for tests and for reports that score a measurement.
//! Clients have no access to them.

use serde::{Deserialize, Serialize};
use twotone_physics::TruthDetector;

/// All parameters that a random draw gave the detectors of a farm (a group of simulated boards).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Seed from which the farm was built.
    pub seed: u64,
    /// Boards, in the order of the farm's hardware map (its list of boards).
    pub boards: Vec<BoardTruth>,
}

/// Detectors of one board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardTruth {
    /// Name of the board in the hardware map.
    pub name: String,
    /// Modules that have detectors, in ascending order. Module 1 is always included.
    pub modules: Vec<ModuleTruth>,
}

/// Detectors of one module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleTruth {
    /// Number of the module, from 1.
    pub module: u8,
    /// Detectors, in the order of frequency.
    pub detectors: Vec<TruthDetector>,
}
