//! A clock that has stopped.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnClock, OnPacket, Packet, Rule};

/// The clock has stopped, but its stamps are still marked as recent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStop {}

impl Rule for ClockStop {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Clock(OnClock::Stopped)
    }

    fn counts_packets(&self) -> bool {
        true
    }
}

impl Describe for ClockStop {
    const NAME: &'static str = "clock-stop";
    const KEYS: &'static str = "";
    const ABOUT: &'static str = "stamps stay as they were, and still say that they are recent";
}
