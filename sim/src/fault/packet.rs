//! Faults of the sample streams.
//!
//! Each fault decides from the packet's place in the stream of its module and
//! from a seed, so that it hits the same packets in every run.
//!
//! A rate is a share, 0 to 1. A script with another rate is refused. In Rust, a
//! rate above 1 hits all packets, and one below 0 or that is not a number hits
//! none.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use twotone_physics::hash::Key;

use super::{OnPacket, Packet, Rule};

/// True if the packet is in the share `rate` of all packets that a fault hits.
fn hit(seed: u64, fault: u64, rate: f64, packet: &Packet) -> bool {
    series(seed, fault, packet).uniform(packet.nth) < rate
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let rate = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&rate) {
        return Ok(rate);
    }
    let message = format_args!("`rate` is a share of the packets, 0 to 1, not {rate}");
    Err(D::Error::custom(message))
}

fn depth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        depth @ 1..=DEEPEST => Ok(depth),
        depth => Err(D::Error::custom(format_args!(
            "`depth` is how many packets overtake one, 1 to {DEEPEST}, not {depth}"
        ))),
    }
}

/// Most packets that overtake a late one. Late packets are kept in memory meanwhile.
const DEEPEST: u32 = 1000;

fn series(seed: u64, fault: u64, packet: &Packet) -> Key {
    Key::new(seed)
        .child(fault)
        .child(u64::from(packet.serial))
        .child(u64::from(packet.module))
}

/// Packets are lost on the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketLoss {
    /// Share of packets that is lost, 0 to 1.
    #[serde(deserialize_with = "share")]
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
}

/// Packets arrive twice, one right after the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketDuplicate {
    /// Share of packets that is sent twice, 0 to 1.
    #[serde(deserialize_with = "share")]
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
}

/// Packets arrive late, after some that were made later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketReorder {
    /// Share of packets that is late, 0 to 1.
    #[serde(deserialize_with = "share")]
    pub rate: f64,
    /// Most later packets of the same module that overtake a late one, 1 to
    /// 1000. The number of them is drawn for each packet, from 1 to this. A
    /// script with a number out of range is refused; in Rust, it counts as the
    /// nearest in range.
    #[serde(default = "one", deserialize_with = "depth")]
    pub depth: u32,
    /// Seed of the choice of packets.
    #[serde(default)]
    pub seed: u64,
}

fn one() -> u32 {
    1
}

impl Rule for PacketReorder {
    fn on_packet(&self, packet: &Packet) -> OnPacket {
        if !hit(self.seed, 3, self.rate, packet) {
            return OnPacket::Send;
        }
        let draw = series(self.seed, 4, packet).bits(packet.nth);
        OnPacket::Late(1 + (draw % u64::from(self.depth.clamp(1, DEEPEST))) as u32)
    }
}

/// Packets arrive corrupted in a way that their headers show: cut short, or
/// with another magic number or version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketCorrupt {
    /// Share of packets that is corrupted, 0 to 1.
    #[serde(deserialize_with = "share")]
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
            // The magic number and the version are the first six bytes.
            0 => OnPacket::Flip(draw / 3 % 6),
            1 => OnPacket::Cut(draw / 3 % 16),
            _ => OnPacket::Cut(16 + draw / 3 % 1000),
        }
    }
}

/// The time code is lost: stamps say that they are not recent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaleStamps {}

impl Rule for StaleStamps {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::NotRecent
    }
}

/// Packets carry the serial number of another board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongSerial {
    /// The serial number that they carry.
    pub serial: u16,
}

impl Rule for WrongSerial {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Serial(self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(nth: u64) -> Packet {
        Packet {
            serial: 7,
            module: 2,
            nth,
        }
    }

    #[test]
    fn a_rate_is_the_share_that_is_hit_and_a_seed_says_which() {
        let lost = |rate, seed| {
            let fault = PacketLoss { rate, seed };
            let hits = (0..100_000).filter(|nth| fault.on_packet(&packet(*nth)) == OnPacket::Lose);
            hits.collect::<Vec<u64>>()
        };
        assert!(lost(0.0, 1).is_empty());
        assert_eq!(lost(1.0, 1).len(), 100_000);
        let some = lost(0.02, 1);
        assert!((1800..2200).contains(&some.len()), "{}", some.len());
        assert_eq!(some, lost(0.02, 1));
        assert_ne!(some, lost(0.02, 2));
    }

    #[test]
    fn a_rate_beyond_its_range_hits_all_or_none() {
        for (rate, hits) in [(1.5, 100), (f64::INFINITY, 100), (-0.5, 0), (f64::NAN, 0)] {
            let lost = |rule: &dyn Rule| {
                let hit = |nth: &u64| rule.on_packet(&packet(*nth)) != OnPacket::Send;
                (0..100).filter(hit).count()
            };
            let (seed, depth) = (1, 0);
            assert_eq!(lost(&PacketLoss { rate, seed }), hits, "{rate}");
            assert_eq!(lost(&PacketDuplicate { rate, seed }), hits, "{rate}");
            assert_eq!(lost(&PacketReorder { rate, depth, seed }), hits, "{rate}");
            assert_eq!(lost(&PacketCorrupt { rate, seed }), hits, "{rate}");
        }
    }

    #[test]
    fn late_packets_are_late_by_one_to_the_depth() {
        let fault = PacketReorder {
            rate: 0.5,
            depth: 3,
            seed: 1,
        };
        let mut seen = [0; 4];
        for nth in 0..1000 {
            match fault.on_packet(&packet(nth)) {
                OnPacket::Late(by) => seen[by as usize] += 1,
                OnPacket::Send => seen[0] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
