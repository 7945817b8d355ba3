//! Faults of the clock that stamps a board's packets. All packets of a board
//! have one clock; the answers to calls are not changed.

use serde::{Deserialize, Serialize};

use super::{OnClock, OnPacket, Packet, Rule};

/// Parts of a second that a stamp counts.
const PARTS_PER_SECOND: f64 = 156_250_000.0;

/// The clock is set to another time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// Seconds that it is set forward; negative for backward.
    #[serde(default)]
    pub seconds: f64,
}

impl Rule for ClockStep {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Clock(OnClock::Ahead((self.seconds * PARTS_PER_SECOND) as i64))
    }
}

/// The clock stands still, and its stamps still say that they are recent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStop {}

impl Rule for ClockStop {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Clock(OnClock::Stopped)
    }
}

/// The clock shows each second late: at the start of a second, it shows the
/// second before with the sub-second of the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockLateSecond {
    /// Time that it is late in each second, in milliseconds.
    #[serde(default)]
    pub late_ms: u32,
}

impl Rule for ClockLateSecond {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        let late = f64::from(self.late_ms) * 1e-3 * PARTS_PER_SECOND;
        OnPacket::Clock(OnClock::LateSecond(late as i64))
    }
}

/// The clock shows another date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockDate {
    /// Year of the century, if it is wrong.
    #[serde(default)]
    pub year: Option<u32>,
    /// Day of the year, if it is wrong. It need not exist in the year.
    #[serde(default)]
    pub day: Option<u32>,
}

impl Rule for ClockDate {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        let (year, day) = (self.year, self.day);
        OnPacket::Clock(OnClock::Date { year, day })
    }
}
