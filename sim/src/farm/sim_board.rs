//! A running board, as tests and programs use it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use twotone_physics::Conditions;

use super::truth::{BoardTruth, ModuleTruth};
use crate::board::stream::StreamCounters;
use crate::board::{Board, Counters, Simulated, ignore};
use crate::fault::{OnConnect, Scheduled};

/// A running board. Its settings and samples are accessible over its protocol
/// alone.
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

    /// Kind of the board, by its name in hardware maps.
    pub fn kind(&self) -> &'static str {
        self.board().kind().name
    }

    /// Name of the board in the hardware map.
    pub fn name(&self) -> &str {
        self.board().name()
    }

    /// Address at which the board listens.
    pub fn address(&self) -> SocketAddr {
        self.board().address()
    }

    /// Loopback address of this board alone, from which its packets come.
    pub fn ip(&self) -> Ipv4Addr {
        match self.board().address() {
            SocketAddr::V4(address) => *address.ip(),
            SocketAddr::V6(_) => Ipv4Addr::LOCALHOST,
        }
    }

    /// Serial number, as printed on the board: four digits.
    pub fn serial(&self) -> String {
        format!("{:04}", self.board().serial())
    }

    /// Counts of the board's traffic. Clients get the same from the method
    /// `counters` of the object `Sim`.
    pub fn counters(&self) -> Counters {
        self.board().counters()
    }

    /// Counts of the packets of the sample streams, module by module.
    pub fn stream_counters(&self) -> Vec<StreamCounters> {
        self.board().streamed().read()
    }

    /// Opens a connection to the board without a socket, for tests under virtual
    /// time. It is served on the farm's runtime, through a pipe of `capacity`
    /// bytes each way. If a fault refuses connections, it is already closed.
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

    /// Changes the conditions of the detectors of a module (counted from 1):
    /// optical load, bath, shifts, modulation, faults of single detectors.
    /// They apply from the next sample on. Does nothing if the board has no
    /// such module.
    pub fn set_conditions(&self, module: u8, conditions: Conditions) {
        self.simulated.set_conditions(module, conditions);
    }

    /// Gives the board a fault from now on. Calls count from the board's start.
    pub fn inject(&self, fault: impl Into<Scheduled>) {
        self.board().inject(fault.into());
    }

    /// Removes all faults. Their effects so far remain.
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

    /// Numbers of its modules that have detectors, and of the first.
    pub(super) fn module_numbers(&self) -> &[u8] {
        self.board().populated()
    }
}
