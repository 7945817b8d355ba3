//! Modes of a board's time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Mode in which a board's time advances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeMode {
    /// A module's own time advances by its acquisitions, and by 20 ms from one
    /// request to the next, which is the time of a round trip. No real time
    /// passes except for the computation.
    ///
    /// Within a request, time advances only by its acquisitions. Samples taken
    /// right after a setting still show the settling of the filters, as on a
    /// board.
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
    /// Time that a call takes that acquires for `acquired` seconds.
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
