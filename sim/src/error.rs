//! Errors at the start of a farm of simulated boards.

use std::io;
use std::net::SocketAddr;

/// Reason why a farm was not started. No part of the farm is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The hard limit of open files is lower than the number that the farm needs.
    #[error(
        "the farm needs {needed} file descriptors and the limit is {limit}: \
         raise it with `ulimit -n {needed}`"
    )]
    Descriptors {
        /// Smallest number of descriptors with which the farm can be started.
        needed: u64,
        /// Hard limit of the process.
        limit: u64,
    },
    /// There are more detectors than the modules can have.
    #[error("{detectors} detectors do not fit on {modules} module(s) of {capacity}")]
    TooManyDetectors {
        /// Number of detectors that were requested, for each board.
        detectors: usize,
        /// Number of modules that were requested, for each board.
        modules: usize,
        /// Largest number of detectors of a module.
        capacity: usize,
    },
    /// The number of modules is out of range.
    #[error("{modules} modules asked for: a board has 1 to {most} that can be populated")]
    Modules {
        /// Number of modules that were requested, for each board.
        modules: usize,
        /// Largest number of modules of a board that can have detectors.
        most: usize,
    },
    /// No kind of boards with this name can be simulated.
    #[error("boards of the kind {kind} cannot be simulated: the kinds are {known}")]
    UnknownKind {
        /// Name of the kind.
        kind: String,
        /// Names of the kinds that can be simulated.
        known: String,
    },
    /// There are more boards than serial numbers, which have 16 bits.
    #[error("{0} boards asked for: there are serial numbers for 65535")]
    TooManyBoards(usize),
    /// A fault is for a board that the farm does not have.
    #[error("a fault is given to board {index}, and the last board is {last}")]
    NoSuchBoard {
        /// Index of the board, from 0.
        index: usize,
        /// Highest index of a board; 0 also if the farm has no boards.
        last: usize,
    },
    /// A fault script names a board that the farm does not have.
    #[error("a fault script names the board {name}, and the farm has {first} to {last}")]
    UnknownBoard {
        /// Name in the script.
        name: String,
        /// Name of the first board of the farm; `none` if it has no boards.
        first: String,
        /// Name of the last board of the farm; `none` if it has no boards.
        last: String,
    },
    /// A board could not get its address or open its port.
    #[error("{board}: cannot listen on {address}: {source}")]
    Listen {
        /// Name of the board.
        board: String,
        /// Address and port that could not be opened. Port 0 means any port. If no loopback
        /// address could be reserved for the board, the address is 127.0.0.1.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The socket of multicast DNS could not be opened.
    #[error("cannot answer questions of multicast DNS: {0}")]
    Mdns(io::Error),
    /// The runtime with the farm's own threads could not be started. This error is returned only by
    /// [`FarmBuilder::start_blocking`](crate::FarmBuilder::start_blocking).
    #[error("cannot start the farm's threads: {0}")]
    Runtime(io::Error),
}
