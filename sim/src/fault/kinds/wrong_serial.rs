//! Packets with another board's serial number.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnPacket, Packet, Rule};

/// Packets have the serial number of another board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongSerial {
    /// Serial number in the packets.
    pub serial: u16,
}

impl Rule for WrongSerial {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Serial(self.serial)
    }

    fn counts_packets(&self) -> bool {
        true
    }
}

impl Describe for WrongSerial {
    const NAME: &'static str = "wrong-serial";
    const KEYS: &'static str = "`serial`";
    const ABOUT: &'static str = "packets carry the serial number of another board";
}
