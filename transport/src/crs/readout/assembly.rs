//! Assignment of datagrams to boards and modules, and the order of the packets of each module.

use std::net::Ipv4Addr;
use std::time::Duration;

use twotone_hal::ModuleId;

use super::sequence::{Patience, Place, Sequencer, Sink};
use super::{BoardCounters, Counters, Source};

/// Largest number of modules of a board.
const MODULES: usize = 8;

/// Head of a packet: the fields that identify it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) serial: u16,
    /// The module, counted from 0.
    pub(super) module: u8,
    pub(super) sequence: u32,
}

/// A packet that is next in the order of its module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) source: Source,
    pub(super) module: ModuleId,
    pub(super) lost_before: u64,
    pub(super) place: Place,
}

/// Assigns datagrams to boards and modules, and puts the packets of each module in order.
///
/// A packet belongs to a board only if it comes from the address of the board and has its serial
/// number.
#[derive(Debug)]
pub(super) struct Assembler {
    read_head: fn(&[u8]) -> Option<Head>,
    patience: Patience,
    boards: Vec<Board>,
    /// Addresses of the boards, sorted.
    addresses: Vec<Address>,
    strangers: u64,
    copies: Copies,
    ready: Vec<Ready>,
    /// Number of packets in `ready` that have been handed over to the caller.
    taken: usize,
}

#[derive(Debug)]
struct Board {
    source: Source,
    modules: [Option<Box<Sequencer>>; MODULES],
}

#[derive(Debug)]
struct Address {
    address: Ipv4Addr,
    /// Serial numbers of the boards at this address, and their indices in [`Assembler::boards`].
    boards: Vec<(u16, usize)>,
    foreign: u64,
    /// Serial number of the last foreign packet. A packet is foreign if no board at this address
    /// has its serial number.
    last_foreign_serial: Option<u16>,
    malformed: u64,
}

impl Assembler {
    /// Creates an assembler. `read_head` reads the head of a packet, and returns `None` for bytes
    /// that are not a packet.
    pub(super) fn new(
        read_head: fn(&[u8]) -> Option<Head>,
        patience: Patience,
        sources: &[Source],
    ) -> Self {
        let mut addresses: Vec<Address> = Vec::new();
        for (board, source) in sources.iter().enumerate() {
            let place = addresses.binary_search_by_key(&source.address, |known| known.address);
            let at = place.unwrap_or_else(|at| {
                let new = Address {
                    address: source.address,
                    boards: Vec::new(),
                    foreign: 0,
                    last_foreign_serial: None,
                    malformed: 0,
                };
                addresses.insert(at, new);
                at
            });
            addresses[at].boards.push((source.serial, board));
        }
        let board = |source: &Source| Board {
            source: *source,
            modules: Default::default(),
        };
        Self {
            read_head,
            patience,
            boards: sources.iter().map(board).collect(),
            addresses,
            strangers: 0,
            copies: Copies::default(),
            ready: Vec::new(),
            taken: 0,
        }
    }

    /// Takes a datagram that came from the address `from` at the time `now`. The caller keeps its
    /// bytes in slot `given` of the receive buffer until the next [`Assembler::recycle`].
    pub(super) fn datagram(&mut self, from: Ipv4Addr, bytes: &[u8], given: u32, now: Duration) {
        let known = |known: &Address| known.address;
        let Ok(at) = self.addresses.binary_search_by_key(&from, known) else {
            self.strangers += 1;
            return;
        };
        let address = &mut self.addresses[at];
        let head = (self.read_head)(bytes).filter(|head| usize::from(head.module) < MODULES);
        let Some(head) = head else {
            address.malformed += 1;
            return;
        };
        let mut boards = address.boards.iter();
        let Some(&(_, board)) = boards.find(|(serial, _)| *serial == head.serial) else {
            address.foreign += 1;
            address.last_foreign_serial = Some(head.serial);
            return;
        };
        let board = &mut self.boards[board];
        let sequencer = board.modules[usize::from(head.module)]
            .get_or_insert_with(|| Box::new(Sequencer::new(self.patience)));
        let mut sink = ModuleSink {
            source: board.source,
            module: head.module,
            bytes,
            copies: &mut self.copies,
            ready: &mut self.ready,
        };
        sequencer.offer(head.sequence, given, now, &mut sink);
    }

    /// Time at which [`Assembler::expire`] must be called next; `None` if no packet waits for an
    /// earlier one.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.copies.in_use == 0 {
            return None;
        }
        let modules = self.boards.iter().flat_map(|board| &board.modules);
        modules.flatten().filter_map(|module| module.due()).min()
    }

    /// Counts a missing packet as lost if a later packet has waited for it too long at the time
    /// `now`.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.copies.in_use == 0 {
            return;
        }
        for board in &mut self.boards {
            for (module, sequencer) in board.modules.iter_mut().enumerate() {
                let Some(sequencer) = sequencer else {
                    continue;
                };
                let mut sink = ModuleSink {
                    source: board.source,
                    module: module as u8,
                    bytes: &[],
                    copies: &mut self.copies,
                    ready: &mut self.ready,
                };
                sequencer.expire(now, &mut sink);
            }
        }
    }

    /// Packets that are next in order and have not been handed over. The packets of one module are
    /// in their order.
    pub(super) fn ready(&self) -> &[Ready] {
        &self.ready[self.taken..]
    }

    /// Hands over the first `count` ready packets. Their bytes stay valid until the next
    /// [`Assembler::recycle`].
    pub(super) fn hand_over(&mut self, count: usize) {
        self.taken = self.ready.len().min(self.taken + count);
    }

    /// Last `count` packets that were handed over.
    pub(super) fn handed_over(&self, count: usize) -> &[Ready] {
        &self.ready[self.taken.saturating_sub(count)..self.taken]
    }

    /// Bytes of the copied packet with the number `kept`; see [`Place::Kept`].
    pub(super) fn copy(&self, kept: u32) -> &[u8] {
        let copy = self.copies.all.get(kept as usize);
        copy.map_or(&[], Vec::as_slice)
    }

    /// Frees the ready packets and their bytes if all of them were handed over.
    pub(super) fn recycle(&mut self) {
        if self.taken < self.ready.len() {
            return;
        }
        for ready in self.ready.drain(..) {
            if let Place::Kept(kept) = ready.place {
                self.copies.free(kept);
            }
        }
        self.taken = 0;
    }

    /// Counters of the board at index `at` of the list of sources.
    pub(super) fn board(&self, at: usize) -> BoardCounters {
        let board = &self.boards[at];
        let address = board.source.address;
        let known = |known: &Address| known.address;
        let address = self.addresses.binary_search_by_key(&address, known);
        let address = address.ok().map(|at| &self.addresses[at]);
        let modules = board.modules.iter().enumerate();
        BoardCounters {
            source: board.source,
            modules: modules
                .filter_map(|(at, module)| Some((number(at)?, module.as_ref()?.counters())))
                .collect(),
            foreign: address.map_or(0, |address| address.foreign),
            last_foreign_serial: address.and_then(|address| address.last_foreign_serial),
            malformed: address.map_or(0, |address| address.malformed),
        }
    }

    pub(super) fn counters(&self, kernel_drops: u64) -> Counters {
        Counters {
            boards: (0..self.boards.len()).map(|at| self.board(at)).collect(),
            strangers: self.strangers,
            kernel_drops,
        }
    }
}

fn number(index: usize) -> Option<ModuleId> {
    ModuleId::new(u8::try_from(index + 1).ok()?).ok()
}

/// Copies of packets that wait for earlier ones. The memory of copies that were freed is reused.
#[derive(Debug, Default)]
struct Copies {
    all: Vec<Vec<u8>>,
    unused: Vec<u32>,
    in_use: usize,
}

impl Copies {
    fn keep(&mut self, bytes: &[u8]) -> u32 {
        let kept = self.unused.pop().unwrap_or_else(|| {
            self.all.push(Vec::new());
            self.all.len() as u32 - 1
        });
        let copy = &mut self.all[kept as usize];
        copy.clear();
        copy.extend_from_slice(bytes);
        self.in_use += 1;
        kept
    }

    fn free(&mut self, kept: u32) {
        self.unused.push(kept);
        self.in_use -= 1;
    }
}

/// Sink (receiver) of the packets of one module, to which the [`Sequencer`] of the module gives
/// them.
struct ModuleSink<'a> {
    source: Source,
    module: u8,
    /// Bytes of the present packet.
    bytes: &'a [u8],
    copies: &'a mut Copies,
    ready: &'a mut Vec<Ready>,
}

impl Sink for ModuleSink<'_> {
    fn keep(&mut self) -> u32 {
        self.copies.keep(self.bytes)
    }

    fn deliver(&mut self, place: Place, lost_before: u64) {
        if let Some(module) = number(usize::from(self.module)) {
            self.ready.push(Ready {
                source: self.source,
                module,
                lost_before,
                place,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
    const SHARED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

    /// Head of a test packet. The packet has three bytes: the serial number, the module counted
    /// from 0, and the sequence number.
    fn head(bytes: &[u8]) -> Option<Head> {
        let &[serial, module, sequence] = bytes else {
            return None;
        };
        Some(Head {
            serial: serial.into(),
            module,
            sequence: sequence.into(),
        })
    }

    fn source(address: Ipv4Addr, serial: u16) -> Source {
        Source { address, serial }
    }

    fn assembler() -> Assembler {
        let patience = Patience {
            window: 4,
            hold: Duration::from_millis(50),
        };
        let sources = [
            source(SHARED, 7),
            source(B, 2),
            source(A, 1),
            source(SHARED, 8),
        ];
        Assembler::new(head, patience, &sources)
    }

    #[test]
    fn only_a_boards_own_packets_are_its_data() {
        let mut assembler = assembler();
        for (from, bytes) in [
            (A, &[1, 0, 10][..]),
            (A, &[1, 3, 10]),
            (B, &[2, 0, 10]),
            (SHARED, &[8, 7, 10]),
            // Serial numbers that no board at the address has, a module that does not exist, a
            // malformed packet, and an address without a board.
            (A, &[2, 0, 11]),
            (B, &[1, 0, 11]),
            (B, &[7, 0, 11]),
            (SHARED, &[9, 0, 11]),
            (A, &[1, 8, 11]),
            (A, &[1, 0]),
            (Ipv4Addr::LOCALHOST, &[1, 0, 11]),
        ] {
            assembler.datagram(from, bytes, 0, Duration::ZERO);
        }
        let found: Vec<_> = assembler
            .ready()
            .iter()
            .map(|r| (r.source, r.module.number()))
            .collect();
        let (a, b, shared) = (source(A, 1), source(B, 2), source(SHARED, 8));
        assert_eq!(found, [(a, 1), (a, 4), (b, 1), (shared, 8)]);
        let counters = assembler.counters(0);
        assert_eq!(counters.strangers, 1);
        for (source, received, foreign, malformed) in [
            (a, 2, 1, 2),
            (b, 1, 2, 0),
            (shared, 1, 1, 0),
            (source(SHARED, 7), 0, 1, 0),
        ] {
            let board = counters.board(source).unwrap();
            let sum: u64 = board
                .modules
                .iter()
                .map(|(_, module)| module.received)
                .sum();
            let found = (sum, board.foreign, board.malformed);
            assert_eq!(found, (received, foreign, malformed), "{source:?}");
        }
    }

    #[test]
    fn held_packets_keep_their_bytes_and_give_back_their_memory() {
        let mut assembler = assembler();
        let at = Duration::from_millis;
        for (now, sequence) in [(0, 10), (1, 12), (2, 13)] {
            assembler.datagram(A, &[1, 0, sequence], 0, at(now));
        }
        assembler.datagram(B, &[2, 0, 10], 0, at(3));
        assert_eq!(assembler.ready().len(), 2);
        assembler.hand_over(9);
        assert_eq!(assembler.handed_over(1)[0].source.address, B);
        assembler.recycle();
        assert!(assembler.ready().is_empty());
        assert_eq!(assembler.due(), Some(at(51)));
        assembler.expire(at(50));
        assert!(assembler.ready().is_empty());
        assembler.expire(at(51));
        let found: Vec<_> = assembler
            .ready()
            .iter()
            .map(|ready| match ready.place {
                Place::Kept(kept) => (assembler.copy(kept)[2], ready.lost_before),
                Place::Given(_) => panic!("{ready:?}"),
            })
            .collect();
        assert_eq!(found, [(12, 1), (13, 0)]);
        // If packets are handed over in parts, their memory is kept until all are handed over.
        assembler.hand_over(1);
        assembler.recycle();
        assert_eq!((assembler.ready().len(), assembler.copies.in_use), (1, 2));
        assembler.hand_over(1);
        assembler.recycle();
        assert_eq!(
            (assembler.copies.in_use, assembler.copies.unused.len()),
            (0, 2)
        );
        assert_eq!(assembler.due(), None);
    }
}
