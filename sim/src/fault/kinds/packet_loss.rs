//! Lost packets.

use serde::{Deserialize, Serialize};

use crate::fault::chance::{self, hit};
use crate::fault::{Describe, OnPacket, Packet, Rule};

/// Packets are lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketLoss {
    /// Share of the packets that are lost, 0 to 1.
    #[serde(deserialize_with = "chance::rate")]
    pub rate: f64,
    /// Seed of the choice of packets.
    #[serde(default)]
    pub seed: u64,
}

impl Rule for PacketLoss {
    fn on_packet(&self, packet: &Packet) -> OnPacket {
        if hit(self.seed, 1, self.rate, packet) {
            OnPacket::Lose
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

impl Describe for PacketLoss {
    const NAME: &'static str = "packet-loss";
    const KEYS: &'static str = "`rate`, `seed`";
    const ABOUT: &'static str = "a share of the packets, 0 to 1, is lost";
}
