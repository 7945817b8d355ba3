//! A clock that has stopped.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnClock, OnPacket, Packet, Rule};

/// All packets of a stream have the time stamp of the first one on which the fault acts, as if the
/// clock had stopped. The stamps still say that the board has received a time code recently. The
/// method `get_timestamp` of the board is not affected.
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
