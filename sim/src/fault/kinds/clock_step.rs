//! A clock that is set to another time.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnClock, OnPacket, Packet, Rule};

/// The time stamps of packets are those of a clock that was set to another time. The method
/// `get_timestamp` of the board is not affected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// Step of the clock in seconds, positive if it is set forward.
    #[serde(default)]
    pub seconds: f64,
}

impl Rule for ClockStep {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Clock(OnClock::Ahead(self.seconds))
    }

    fn counts_packets(&self) -> bool {
        true
    }
}

impl Describe for ClockStep {
    const NAME: &'static str = "clock-step";
    const KEYS: &'static str = "`seconds`: forward, negative for backward";
    const ABOUT: &'static str = "stamps are those of a clock that was set to another time";
}
