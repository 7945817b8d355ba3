//! Running boards for tests and programs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use twotone_physics::Conditions;

use super::truth::{BoardTruth, ModuleTruth};
use crate::board::stream::PacketCounters;
use crate::board::{Board, Counters, Simulated, ignore};
use crate::fault::{OnConnect, Scheduled};

/// A running board. Its settings and samples can only be accessed over its protocol.
#[derive(Debug, Clone)]
pub struct SimBoard {
    simulated: Arc<dyn Simulated>,
    handle: Handle,
}

impl SimBoard {
    pub(super) fn new(simulated: Arc<dyn Simulated>, handle: Handle) -> Self {
        Self { simulated, handle }
    }

    fn board(&self) -> &Board {
        self.simulated.board()
    }

    /// Kind of the board, by its name in hardware maps (lists of the boards of an array).
    pub fn kind(&self) -> &'static str {
        self.board().kind().name
    }

    /// Name of the board in the hardware map.
    pub fn name(&self) -> &str {
        self.board().name()
    }

    /// Address of the control protocol.
    pub fn address(&self) -> SocketAddr {
        self.board().address()
    }

    /// Loopback address of the board, from which its packets come. No other simulated board on the
    /// machine has it.
    pub fn ip(&self) -> Ipv4Addr {
        match self.board().address() {
            SocketAddr::V4(address) => *address.ip(),
            SocketAddr::V6(_) => Ipv4Addr::LOCALHOST,
        }
    }

    /// Serial number with at least four digits, as printed on a board.
    pub fn serial(&self) -> String {
        format!("{:04}", self.board().serial())
    }

    /// Serial number of the board's crate, and the number of its slot, from 1; `None` if the board
    /// is in no crate.
    pub fn slot(&self) -> Option<(&str, usize)> {
        let slot = self.board().slot()?;
        Some((&slot.crate_serial, slot.number))
    }

    /// Counters of the control traffic. Clients get the same counters from the method `counters` of
    /// `Sim`, an object that only simulated boards have.
    pub fn counters(&self) -> Counters {
        self.board().counters()
    }

    /// Counters of the packets of the sample stream with this name (`readout` or `pfb` of a CRS
    /// board), one for each module in order. Empty if boards of the kind have no such stream.
    pub fn stream_counters(&self, stream: &str) -> Vec<PacketCounters> {
        let names = self.board().kind().streams;
        let stream = names.iter().position(|name| *name == stream);
        stream.map_or_else(Vec::new, |stream| self.board().streamed().read(stream))
    }

    /// Opens a connection to the board without a socket, for tests under virtual time. The
    /// connection is a pipe of `capacity` bytes in each direction, served on the runtime of the
    /// farm. If a fault refuses connections, the returned connection is closed. A reboot or a boot
    /// window closes the port of the board, but not these pipes.
    pub fn open_stream(&self, capacity: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(capacity);
        let board = self.board();
        let simulated = Arc::clone(&self.simulated);
        match board.on_connect() {
            OnConnect::Serve => {
                let served = simulated.serve(Box::new(ours));
                board.tasks().spawn_on(served, &self.handle);
            }
            OnConnect::Refuse => drop(ours),
            OnConnect::Ignore => {
                let hold = async move { ignore(simulated.board(), Box::new(ours)).await };
                board.tasks().spawn_on(hold, &self.handle);
            }
        }
        theirs
    }

    /// Changes the conditions of the detectors of a module (counted from 1): optical load, bath
    /// temperature, shifts, modulation, faults of single detectors. The new conditions apply from
    /// the next sample on. Does nothing if the board has no such module.
    pub fn set_conditions(&self, module: u8, conditions: Conditions) {
        self.simulated.set_conditions(module, conditions);
    }

    /// Switches the power of the board off for the time `down`. The board loses its settings and
    /// its connections, and an unfinished write of its flash stays unfinished.
    pub fn power_cycle(&self, down: Duration) {
        self.simulated.power_cycle(down);
    }

    /// Adds a fault. The calls in its schedule are counted from the start of the farm. For a fault
    /// of the sample streams, packets are counted from the first packet of each stream.
    pub fn inject(&self, fault: impl Into<Scheduled>) {
        self.board().inject(fault.into());
    }

    /// Removes all faults. Effects that have already occurred remain. A fault of a script that
    /// begins later is still added at its time.
    pub fn clear_faults(&self) {
        self.board().clear_faults();
    }

    /// True parameters of the detectors.
    pub fn truth(&self) -> BoardTruth {
        let modules = self.module_numbers().iter().map(|number| ModuleTruth {
            module: *number,
            detectors: self.simulated.detectors(*number),
        });
        BoardTruth {
            name: self.name().to_owned(),
            modules: modules.collect(),
        }
    }

    pub(super) fn simulated(&self) -> &Arc<dyn Simulated> {
        &self.simulated
    }

    /// Numbers (from 1) of the modules that have detectors. Module 1 is always included.
    pub(super) fn module_numbers(&self) -> &[u8] {
        self.board().populated()
    }
}
