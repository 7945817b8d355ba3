//! A clock whose second advances late.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnClock, OnPacket, Packet, Rule};

/// In the time stamps of packets, the second advances late: at the start of a second, they show the
/// previous second with the sub-second of the new one. The method `get_timestamp` of the board is
/// not affected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockLateSecond {
    /// Time by which the second advances late, in milliseconds.
    #[serde(default)]
    pub late_ms: u32,
}

impl Rule for ClockLateSecond {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Clock(OnClock::LateSecond(f64::from(self.late_ms) * 1e-3))
    }

    fn counts_packets(&self) -> bool {
        true
    }
}

impl Describe for ClockLateSecond {
    const NAME: &'static str = "clock-late-second";
    const KEYS: &'static str = "`late_ms`";
    const ABOUT: &'static str =
        "stamps show the second before during the first `late_ms` of each second";
}
