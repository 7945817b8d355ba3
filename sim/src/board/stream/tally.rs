//! Counters of the packets of a simulated board. Tests compare them with the packets that arrive.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters of the packets of one stream of a module, since the [`Farm`](crate::Farm) started. A
/// reboot does not reset them.
///
/// The number of datagrams sent is `made - lost - unsent + doubled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PacketCounters {
    /// Number of packets that were made, including those that were not sent.
    pub made: u64,
    /// Number of packets that a fault dropped.
    pub lost: u64,
    /// Number of packets that a fault sent twice.
    pub doubled: u64,
    /// Number of packets that a fault sent after later ones.
    pub late: u64,
    /// Number of packets that a fault corrupted.
    pub spoilt: u64,
    /// Number of packets whose time stamp a fault changed to say that the board has received no
    /// time code recently.
    pub stale: u64,
    /// Number of packets to which a fault gave the time stamp of a wrong clock.
    pub misdated: u64,
    /// Number of packets to which a fault gave the serial number of another board.
    pub foreign: u64,
    /// Number of packets that the system did not accept.
    pub unsent: u64,
    /// Number of sequence numbers that were skipped because the machine was too slow.
    pub skipped: u64,
}

/// Counters of a stream. The discriminant of a variant is its index in [`PacketTally`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Made,
    Lost,
    Doubled,
    Late,
    Spoilt,
    Stale,
    Misdated,
    Foreign,
    Unsent,
    Skipped,
}

const COUNTS: usize = Count::Skipped as usize + 1;

/// Atomic counters of one stream.
#[derive(Debug, Default)]
pub(crate) struct PacketTally([AtomicU64; COUNTS]);

impl PacketTally {
    pub(crate) fn add(&self, count: Count, n: u64) {
        self.0[count as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }

    fn read(&self) -> PacketCounters {
        PacketCounters {
            made: self.get(Count::Made),
            lost: self.get(Count::Lost),
            doubled: self.get(Count::Doubled),
            late: self.get(Count::Late),
            spoilt: self.get(Count::Spoilt),
            stale: self.get(Count::Stale),
            misdated: self.get(Count::Misdated),
            foreign: self.get(Count::Foreign),
            unsent: self.get(Count::Unsent),
            skipped: self.get(Count::Skipped),
        }
    }
}

/// Atomic counters of each stream of each module of a board.
#[derive(Debug)]
pub(crate) struct StreamTally(Box<[Box<[PacketTally]>]>);

impl StreamTally {
    pub(crate) fn new(modules: usize, streams: usize) -> Self {
        let module = |_| (0..streams).map(|_| PacketTally::default()).collect();
        Self((0..modules).map(module).collect())
    }

    /// Counters of a stream of the module with this index, from 0. An index out of range selects
    /// the last module.
    pub(crate) fn of(&self, module: usize, stream: usize) -> &PacketTally {
        &self.0[module.min(self.0.len() - 1)][stream]
    }

    /// Counters of a stream of each module.
    pub(crate) fn read(&self, stream: usize) -> Vec<PacketCounters> {
        self.0.iter().map(|tally| tally[stream].read()).collect()
    }
}
