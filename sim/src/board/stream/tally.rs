//! Counts of the packets of a board's streams. Tests compare them with the packets that arrive.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Packets of one module's streams since the board started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StreamCounters {
    /// The module, from 1.
    pub module: u8,
    /// Packets of the readout stream.
    pub readout: PacketCounters,
    /// Packets of the stream before the decimation.
    pub pfb: PacketCounters,
}

/// Packets of one stream of one module since the board started.
///
/// The number of datagrams sent is `made - lost - unsent + doubled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PacketCounters {
    /// Packets made, including those that were not sent.
    pub made: u64,
    /// Packets that a fault lost.
    pub lost: u64,
    /// Packets that a fault sent twice.
    pub doubled: u64,
    /// Packets that a fault sent after later ones.
    pub late: u64,
    /// Packets that a fault corrupted.
    pub spoilt: u64,
    /// Packets whose stamp a fault marked as not recent.
    pub stale: u64,
    /// Packets with the stamp of a clock that a fault made wrong.
    pub misdated: u64,
    /// Packets to which a fault gave another board's serial number.
    pub foreign: u64,
    /// Packets that the system did not accept.
    pub unsent: u64,
    /// Sequence numbers left out because the machine was too slow.
    pub skipped: u64,
}

/// Kinds of counts of a stream.
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

/// The live counts of one stream.
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

/// Kinds of streams of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    Readout,
    Pfb,
}

/// The live counts of a board.
#[derive(Debug)]
pub(crate) struct StreamTally(Box<[[PacketTally; 2]]>);

impl StreamTally {
    pub(crate) fn new(modules: usize) -> Self {
        Self((0..modules).map(|_| Default::default()).collect())
    }

    /// The counts of a stream of a module, by its index from 0. An index out of
    /// range gives those of the last module.
    pub(crate) fn of(&self, module: usize, kind: StreamKind) -> &PacketTally {
        &self.0[module.min(self.0.len() - 1)][kind as usize]
    }

    pub(crate) fn read(&self) -> Vec<StreamCounters> {
        let counters = self
            .0
            .iter()
            .zip(1..)
            .map(|(tally, module)| StreamCounters {
                module,
                readout: tally[StreamKind::Readout as usize].read(),
                pfb: tally[StreamKind::Pfb as usize].read(),
            });
        counters.collect()
    }
}
