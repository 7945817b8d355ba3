//! Errors of starting a farm.

use std::io;
use std::net::SocketAddr;

/// Reason why a farm was not started. No part of the farm is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The limit of open files is lower than the number of sockets that the farm needs.
    #[error(
        "the farm needs {needed} file descriptors and the limit is {limit}: \
         raise it with `ulimit -n {needed}`"
    )]
    Descriptors {
        /// Number of descriptors that the farm needs.
        needed: u64,
        /// Number of descriptors that the process may have.
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
    /// The kind of boards is unknown.
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
        /// Highest index of a board.
        last: usize,
    },
    /// A fault script names a board that the farm does not have.
    #[error("a fault script names the board {name}, and the farm has {first} to {last}")]
    UnknownBoard {
        /// Name in the script.
        name: String,
        /// Name of the first board of the farm.
        first: String,
        /// Name of the last board of the farm.
        last: String,
    },
    /// The port of a board could not be opened.
    #[error("{board}: cannot listen on {address}: {source}")]
    Listen {
        /// Name of the board.
        board: String,
        /// Address that was requested. Port 0 means any port.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The runtime of a farm that has its own threads could not be started.
    #[error("cannot start the farm's threads: {0}")]
    Runtime(io::Error),
}
