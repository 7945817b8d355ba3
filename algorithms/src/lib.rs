//! Measurements, searches, fits and tuning of microwave detectors, each written once.

pub mod fit;
mod projection;
pub mod resonator;
pub mod robust;
