//! Random selection of the packets that a fault changes, delays or drops.
//!
//! The choice depends on a seed and on the number of the packet in the stream of its module. So a
//! fault hits the same packets in every run.
//!
//! A rate is a share of the packets, 0 to 1. A script (a file of faults) with any other rate is
//! refused. In Rust, a rate above 1 hits all packets, and a negative rate or NaN hits none.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use twotone_physics::hash::Key;

use super::Packet;

/// Returns true if a fault with this rate hits the packet. Each kind of fault has a different
/// `branch`, so that faults of two kinds with the same seed hit different packets.
pub(super) fn hit(seed: u64, branch: u64, rate: f64, packet: &Packet) -> bool {
    series(seed, branch, packet).uniform(packet.nth) < rate
}

/// Returns the random numbers that one kind of fault uses for the packets of a module.
pub(super) fn series(seed: u64, branch: u64, packet: &Packet) -> Key {
    Key::new(seed)
        .child(branch)
        .child(u64::from(packet.serial))
        .child(u64::from(packet.module))
}

/// Deserializes a rate, for `#[serde(deserialize_with)]`.
pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let rate = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&rate) {
        return Ok(rate);
    }
    let message = format_args!("`rate` is a share of the packets, 0 to 1, not {rate}");
    Err(D::Error::custom(message))
}

#[cfg(test)]
mod tests {
    use crate::fault::{
        OnPacket, Packet, PacketCorrupt, PacketDuplicate, PacketLoss, PacketReorder, Rule,
    };

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
