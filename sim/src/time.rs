//! How a board's time advances.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long the board's work takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeMode {
    /// A module's own time advances by its acquisitions alone, and none of
    /// them takes longer than it takes to compute.
    #[default]
    Accelerated,
    /// An acquisition of n samples takes n sample periods, and each call some
    /// time of its own.
    RealTime {
        /// Time of each call, us.
        call_us: u64,
    },
}

impl TimeMode {
    /// How long a call takes that acquires for `acquired` seconds.
    pub(crate) fn cost(self, acquired: f64) -> Duration {
        match self {
            Self::Accelerated => Duration::ZERO,
            Self::RealTime { call_us } => {
                let acquired = Duration::try_from_secs_f64(acquired).unwrap_or_default();
                Duration::from_micros(call_us).saturating_add(acquired)
            }
        }
    }
}
