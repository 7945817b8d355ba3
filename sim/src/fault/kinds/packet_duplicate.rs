//! Packets that arrive twice.

use serde::{Deserialize, Serialize};

use crate::fault::chance::{self, hit};
use crate::fault::{Describe, OnPacket, Packet, Rule};

/// Packets are sent twice, one right after the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketDuplicate {
    /// Share of the packets that are sent twice, 0 to 1.
    #[serde(deserialize_with = "chance::rate")]
    pub rate: f64,
    /// Seed of the choice of packets.
    #[serde(default)]
    pub seed: u64,
}

impl Rule for PacketDuplicate {
    fn on_packet(&self, packet: &Packet) -> OnPacket {
        if hit(self.seed, 2, self.rate, packet) {
            OnPacket::Twice
        } else {
            OnPacket::Send
        }
    }

    fn counts_packets(&self) -> bool {
        true
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }
}

impl Describe for PacketDuplicate {
    const NAME: &'static str = "packet-duplicate";
    const KEYS: &'static str = "`rate`, `seed`";
    const ABOUT: &'static str = "a share of the packets arrives twice";
}
