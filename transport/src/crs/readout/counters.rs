//! Counters of a receiver. They are exact, so that lost packets can be distinguished from a board
//! that stopped sending and from packets that were reordered.

use twotone_hal::ModuleId;

use super::Source;

/// Counters of the packets of one module since the receiver was opened.
///
/// The positions of a stream are its sequence numbers, extended beyond 32 bits when they wrap. A
/// position is *settled* once its packet was handed over in order, or once the position was counted
/// as lost. A position counts as lost at the earlier of two limits of
/// [`ReceiveOptions`](twotone_hal::ReceiveOptions): when a packet comes that is `window` positions
/// later, or when a later packet has waited for the time `hold`. Settled positions are the
/// *expected* ones. So it always holds that
///
/// * `received + lost == expected`, and
/// * all well-formed packets of the module are `received + late + duplicate + stale + held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModuleCounters {
    /// Number of positions from the first that was received to the last that was settled.
    pub expected: u64,
    /// Number of positions whose packet was handed over in order.
    pub received: u64,
    /// Number of positions that were counted as lost. A packet that comes later does not change
    /// this.
    pub lost: u64,
    /// Number of runs of consecutive lost positions.
    pub gaps: u64,
    /// Number of packets that came after their position was counted as lost: `lost - late` packets
    /// never came.
    pub late: u64,
    /// Number of packets whose position already had a packet. The earlier packet was handed over,
    /// came late, or still waits to be handed over.
    pub duplicate: u64,
    /// Number of packets from before the first position, from more than [`ModuleCounters::MEMORY`]
    /// positions back, or from more than [`ModuleCounters::LONGEST_GAP`] positions ahead.
    pub stale: u64,
    /// Number of times that the sequence numbers began anew because the board restarted. A restart
    /// is assumed after [`ModuleCounters::PROBATION`] stale packets with consecutive numbers. If
    /// the board restarts with numbers from the last [`ModuleCounters::MEMORY`] positions, its
    /// packets look like duplicates at first. A restart is then assumed after more consecutive
    /// packets that are stale or duplicate: more than [`ModuleCounters::PROBATION`], and more than
    /// [`ReceiveOptions::window`](twotone_hal::ReceiveOptions::window). Positions that a restart
    /// skips are not expected.
    pub restarts: u64,
    /// Number of packets that wait for an earlier packet before they are handed over.
    pub held: u32,
}

impl ModuleCounters {
    /// Number of past positions within which a late packet can be distinguished from a duplicate.
    pub const MEMORY: u32 = 1024;
    /// Longest gap that is counted as lost packets. A packet after a longer one is stale, and may
    /// show a restart.
    pub const LONGEST_GAP: u32 = 1 << 24;
    /// Number of consecutive stale packets that show a restart.
    pub const PROBATION: u32 = 4;
}

/// Counters of the packets of one board since the receiver was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardCounters {
    /// The board.
    pub source: Source,
    /// Modules from which packets have come, in ascending order.
    pub modules: Vec<(ModuleId, ModuleCounters)>,
    /// Number of packets from the address of the board with a serial number that no listed board
    /// at this address has. Boards that share an address share this count.
    pub foreign: u64,
    /// Serial number of the last foreign packet, if there was one.
    pub last_foreign_serial: Option<u16>,
    /// Number of datagrams from the address of the board that are no packets of this stream.
    /// Boards that share an address share this count.
    pub malformed: u64,
}

impl BoardCounters {
    /// Counters of one module; zeros if no packet has come from it.
    pub fn module(&self, module: ModuleId) -> ModuleCounters {
        let mut modules = self.modules.iter();
        let found = modules.find(|(id, _)| *id == module);
        found.map_or_else(ModuleCounters::default, |(_, counters)| *counters)
    }
}

/// Counters of a receiver since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Counters of each board, in the order of the sources.
    pub boards: Vec<BoardCounters>,
    /// Number of packets from addresses without a listed board. The kernel usually filters them
    /// out.
    pub strangers: u64,
    /// Number of datagrams that the kernel dropped because its buffer was full, as reported with
    /// the last packet. Packets of a board that are among them are also counted as lost.
    pub kernel_drops: u64,
}

impl Counters {
    /// Counters of one board, if the receiver listens to it.
    pub fn board(&self, source: Source) -> Option<&BoardCounters> {
        self.boards.iter().find(|board| board.source == source)
    }
}
