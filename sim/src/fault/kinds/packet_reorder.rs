//! Packets that are sent late.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::fault::chance::{self, hit, series};
use crate::fault::{Describe, OnPacket, Packet, Rule};

/// Packets are sent after later packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketReorder {
    /// Share of the packets that are late, 0 to 1.
    #[serde(deserialize_with = "chance::rate")]
    pub rate: f64,
    /// Largest number of packets of the same stream that overtake a late packet, 1 to 1000. For
    /// each late packet, a number from 1 to this value is drawn. A script (a file of faults) with a
    /// value out of range is refused. In Rust, the value is clamped to the range.
    #[serde(default = "one", deserialize_with = "depth")]
    pub depth: u32,
    /// Seed of the choice of packets.
    #[serde(default)]
    pub seed: u64,
}

/// Upper limit of `depth`. It bounds the memory for late packets.
const DEEPEST: u32 = 1000;

fn one() -> u32 {
    1
}

fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        depth @ 1..=DEEPEST => Ok(depth),
        depth => Err(D::Error::custom(format_args!(
            "`depth` is how many packets overtake one, 1 to {DEEPEST}, not {depth}"
        ))),
    }
}

impl Rule for PacketReorder {
    fn on_packet(&self, packet: &Packet) -> OnPacket {
        if !hit(self.seed, 3, self.rate, packet) {
            return OnPacket::Send;
        }
        let draw = series(self.seed, 4, packet).bits(packet.nth);
        OnPacket::Late(1 + (draw % u64::from(self.depth.clamp(1, DEEPEST))) as u32)
    }

    fn counts_packets(&self) -> bool {
        true
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }
}

impl Describe for PacketReorder {
    const NAME: &'static str = "packet-reorder";
    const KEYS: &'static str = "`rate`; `depth`: 1 to 1000, 1 by default; `seed`";
    const ABOUT: &'static str = "a share of the packets is overtaken by up to `depth` later ones";
}
