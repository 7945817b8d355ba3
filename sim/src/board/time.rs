//! Modes in which the time of a simulated board advances.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Mode in which the time of a board advances. While a board sends its streams, its time is real
/// time in every mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeMode {
    /// The time of a module is simulated. It advances by the duration of each acquisition, and by
    /// 20 ms (the time of a round trip) for each request that uses the module. In real time, a
    /// request takes only as long as its computation.
    ///
    /// Within a request, only acquisitions advance the time. Samples right after a setting show the
    /// settling of the filters, as on a real board.
    #[default]
    Accelerated,
    /// An acquisition of n samples takes n sample periods in real time, and each call of a method
    /// takes some additional time.
    RealTime {
        /// Time of each call, us.
        call_us: u64,
    },
}

impl TimeMode {
    /// Real time of a call that acquires samples over `acquired` seconds.
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
