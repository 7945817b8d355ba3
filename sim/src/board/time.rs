//! Modes in which the time of a simulated board advances.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Mode in which the time of a board advances. While a board sends its streams, its time is real in
/// every mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeMode {
    /// Each module has a time that advances by its acquisitions, and by 20 ms for each request that
    /// uses the module, as for a round trip. Only the computation takes real time.
    ///
    /// Within a request, time advances only by its acquisitions. Samples right after a setting show
    /// the settling of the filters, as on a real board.
    #[default]
    Accelerated,
    /// An acquisition of n samples takes n sample periods, and each call takes some additional
    /// time.
    RealTime {
        /// Time of each call, us.
        call_us: u64,
    },
}

impl TimeMode {
    /// Real time of a call that acquires for `acquired` seconds.
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
