//! Calendar time, for run records and for the comparison of boards' clocks with this computer's.

use std::fmt;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// A time in UTC, to the millisecond, displayed as in RFC 3339: `2026-11-22T12:37:27.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(Timestamp);

impl UtcTime {
    /// Returns the present time of this computer's calendar clock. No other code of this crate
    /// reads this clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "a run record says on what date it was made"
    )]
    pub fn now() -> Self {
        let now = Timestamp::now();
        // Rounding fails only if the result is beyond the last representable time. The unrounded
        // time is good enough then.
        Self(now.round(Unit::Millisecond).unwrap_or(now))
    }

    /// Seconds since the start of 1970.
    pub fn unix_seconds(self) -> f64 {
        self.0.as_millisecond() as f64 / 1e3
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        let text = "\"2026-11-22T12:37:27.123Z\"";
        let moment: UtcTime = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&moment).unwrap(), text);
        let later: UtcTime = serde_json::from_str("\"2026-11-22T13:37:28.623+01:00\"").unwrap();
        assert_eq!(later.to_string(), "2026-11-22T12:37:28.623Z");
        let now = serde_json::to_string(&UtcTime::now()).unwrap();
        assert!(now.ends_with("Z\"") && now.len() <= text.len(), "{now}");
    }
}
