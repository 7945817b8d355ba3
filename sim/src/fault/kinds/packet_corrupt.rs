//! Corrupted packets.

use serde::{Deserialize, Serialize};

use crate::fault::chance::{self, hit, series};
use crate::fault::{Describe, OnPacket, Packet, Rule};

/// Packets are corrupted in a way that a receiver can detect: they are cut short, or have a wrong
/// magic number or version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketCorrupt {
    /// Share of the packets that are corrupted, 0 to 1.
    #[serde(deserialize_with = "chance::rate")]
    pub rate: f64,
    /// Seed of the choice of packets.
    #[serde(default)]
    pub seed: u64,
}

impl Rule for PacketCorrupt {
    fn on_packet(&self, packet: &Packet) -> OnPacket {
        if !hit(self.seed, 5, self.rate, packet) {
            return OnPacket::Send;
        }
        let draw = series(self.seed, 6, packet).bits(packet.nth);
        match draw % 3 {
            // The first six bytes are the magic number and the version.
            0 => OnPacket::Flip(draw / 3 % 6),
            1 => OnPacket::Cut(draw / 3 % 16),
            _ => OnPacket::Cut(16 + draw / 3 % 1000),
        }
    }

    fn counts_packets(&self) -> bool {
        true
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }
}

impl Describe for PacketCorrupt {
    const NAME: &'static str = "packet-corrupt";
    const KEYS: &'static str = "`rate`, `seed`";
    const ABOUT: &'static str = "a share of the packets is cut short or has a damaged header";
}
