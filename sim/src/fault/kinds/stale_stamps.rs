//! Time stamps without a recent time code.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnPacket, Packet, Rule};

/// The time stamps of packets say that the board has received no time code recently. The method
/// `get_timestamp` of the board is not affected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaleStamps {}

impl Rule for StaleStamps {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::NotRecent
    }

    fn counts_packets(&self) -> bool {
        true
    }
}

impl Describe for StaleStamps {
    const NAME: &'static str = "stale-stamps";
    const KEYS: &'static str = "";
    const ABOUT: &'static str = "the time code is lost: stamps say that they are not recent";
}
