//! A board as it is seen from outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, MutexGuard};

use tokio::io::DuplexStream;
use tokio::runtime::Handle;
use twotone_physics::Conditions;

use crate::board::{Board, MODULES};
use crate::counters::Counters;
use crate::fault::{OnConnect, Scheduled};
use crate::module::Module;
use crate::service;
use crate::stream::StreamCounters;
use crate::truth::{BoardTruth, ModuleTruth};

/// A running board, seen from outside. Its settings and samples are accessible
/// over its protocol alone.
#[derive(Debug, Clone)]
pub struct SimBoard {
    board: Arc<Board>,
    handle: Handle,
}

impl SimBoard {
    pub(super) fn new(board: Arc<Board>, handle: Handle) -> Self {
        Self { board, handle }
    }

    /// Name of the board in the hardware map.
    #[must_use]
    pub fn name(&self) -> &str {
        self.board.name()
    }

    /// Address at which the board listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.board.address()
    }

    /// Loopback address of this board alone, from which its packets come.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        match self.board.address() {
            SocketAddr::V4(address) => *address.ip(),
            SocketAddr::V6(_) => Ipv4Addr::LOCALHOST,
        }
    }

    /// Serial number, as printed on the board: four digits.
    #[must_use]
    pub fn serial(&self) -> String {
        format!("{:04}", self.board.serial())
    }

    /// Counts of the board's traffic. Clients get the same from the method
    /// `counters` of the object `Sim`.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.board.counters()
    }

    /// Counts of the packets of its sample streams, module by module.
    #[must_use]
    pub fn stream_counters(&self) -> Vec<StreamCounters> {
        self.board.stream_counters()
    }

    /// Opens a connection to the board without a socket, for tests under virtual
    /// time. It is served on the farm's runtime, through a pipe of `capacity`
    /// bytes each way. If a fault refuses connections, it is already closed.
    #[must_use]
    pub fn open_stream(&self, capacity: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(capacity);
        let board = Arc::clone(&self.board);
        match board.on_connect() {
            OnConnect::Serve => {
                let connection = service::serve(Arc::clone(&board), ours);
                board.tasks().spawn_on(connection, &self.handle);
            }
            OnConnect::Refuse => drop(ours),
            OnConnect::Ignore => {
                let ignored = service::ignore(Arc::clone(&board), ours);
                board.tasks().spawn_on(ignored, &self.handle);
            }
        }
        theirs
    }

    /// Changes the conditions of the detectors of a module (counted from 1):
    /// optical load, bath, shifts, modulation, faults of single detectors.
    /// They apply from the next sample on. Does nothing if the board has no
    /// such module.
    pub fn set_conditions(&self, module: u8, conditions: Conditions) {
        if let Some(mut module) = self.board.module(usize::from(module).wrapping_sub(1)) {
            module.set_conditions(conditions);
        }
    }

    /// Gives the board a fault from now on. Calls count from the board's start.
    pub fn inject(&self, fault: impl Into<Scheduled>) {
        self.board.inject(fault.into());
    }

    /// Removes all faults. Their effects so far remain.
    pub fn clear_faults(&self) {
        self.board.clear_faults();
    }

    /// True parameters of its detectors.
    #[must_use]
    pub fn truth(&self) -> BoardTruth {
        let modules = self.populated().map(|module| ModuleTruth {
            module: module.number(),
            detectors: module.truth(),
        });
        BoardTruth {
            name: self.name().to_owned(),
            modules: modules.collect(),
        }
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The numbers of its modules that have detectors.
    pub(crate) fn module_numbers(&self) -> Vec<u8> {
        self.populated().map(|module| module.number()).collect()
    }

    /// The first module, and the others that have detectors.
    fn populated(&self) -> impl Iterator<Item = MutexGuard<'_, Module>> {
        (0..MODULES)
            .filter_map(|index| self.board.module(index))
            .filter(|module| module.detectors() > 0 || module.number() == 1)
    }
}
