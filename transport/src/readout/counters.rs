//! Counters of a receiver. They are exact, so that a loss can be told from an outage and from a
//! fault of the network.

use twotone_hal::ModuleId;

use super::Source;

/// Counters of one module's packets, since the receiver was opened.
///
/// The positions of a stream are its sequence numbers, counted on when the 32 bits wrap. A position
/// is *expected* once it has been settled: its packet was received in its turn, or it was given up
/// because the window passed it. So it always holds that
///
/// * `received + lost == expected`, and
/// * all well-formed packets of the module are `received + late + duplicate + stale + held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModuleCounters {
    /// Positions from the first that was received to the last that was settled.
    pub expected: u64,
    /// Positions whose packet was handed over, in order.
    pub received: u64,
    /// Positions that were given up. A packet that comes later does not change this.
    pub lost: u64,
    /// Runs of consecutive lost positions.
    pub gaps: u64,
    /// Packets whose position had been given up: `lost - late` packets never came.
    pub late: u64,
    /// Packets whose position had been received, or came late, or is held already.
    pub duplicate: u64,
    /// Packets from before the first position, from more than [`ModuleCounters::MEMORY`] positions
    /// back, or from more than [`ModuleCounters::LONGEST_GAP`] ahead.
    pub stale: u64,
    /// Number of times that the stream began anew, because the board restarted. This is concluded
    /// from [`ModuleCounters::PROBATION`] stale packets that follow on each other, or, among the
    /// last [`ModuleCounters::MEMORY`] positions, from more stale packets and duplicates than the
    /// window holds. The positions between are not expected.
    pub restarts: u64,
    /// Packets that wait for one before them.
    pub held: u32,
}

impl ModuleCounters {
    /// Number of positions back for which a packet is known to be late or a duplicate.
    pub const MEMORY: u32 = 1024;
    /// The longest gap that is counted as lost, in packets; a longer one is a restart.
    pub const LONGEST_GAP: u32 = 1 << 24;
    /// Number of stale packets in a row that show that the stream began anew.
    pub const PROBATION: u32 = 4;
}

/// Counters of one board's packets, since the receiver was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardCounters {
    /// The board.
    pub source: Source,
    /// Its modules that have sent anything, in order.
    pub modules: Vec<(ModuleId, ModuleCounters)>,
    /// Packets from the board's address with a serial number that no board there has. Boards that
    /// share an address share this count.
    pub foreign: u64,
    /// The serial number of the last of these, if there are any.
    pub last_foreign_serial: Option<u16>,
    /// Datagrams from the board's address that are no packets of this stream. Boards that share an
    /// address share this count.
    pub malformed: u64,
}

impl BoardCounters {
    /// The counters of one module; zeros if nothing has come from it.
    pub fn module(&self, module: ModuleId) -> ModuleCounters {
        let mut modules = self.modules.iter();
        let found = modules.find(|(id, _)| *id == module);
        found.map_or_else(ModuleCounters::default, |(_, counters)| *counters)
    }
}

/// Counters of a receiver since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Each board, in the order in which they were given.
    pub boards: Vec<BoardCounters>,
    /// Packets from addresses that no board has. The kernel keeps them away, as a rule.
    pub strangers: u64,
    /// Datagrams that the kernel dropped because nobody took them from its buffer in time, as far
    /// as the last packet tells. Those that were packets of a board are among the lost.
    pub kernel_drops: u64,
}

impl Counters {
    /// The counters of one board, if the receiver has it.
    pub fn board(&self, source: Source) -> Option<&BoardCounters> {
        self.boards.iter().find(|board| board.source == source)
    }
}
