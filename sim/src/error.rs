//! Reasons that a farm cannot be started.

use std::io;
use std::net::SocketAddr;

/// Reason that a farm was not started. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The process may not hold as many sockets open as the farm needs.
    #[error(
        "the farm needs {needed} file descriptors and the limit is {limit}: \
         raise it with `ulimit -n {needed}`"
    )]
    Descriptors {
        /// Descriptors needed.
        needed: u64,
        /// Descriptors that the process may have.
        limit: u64,
    },
    /// More detectors than the modules can hold.
    #[error("{detectors} detectors do not fit on {modules} module(s) of {capacity}")]
    TooManyDetectors {
        /// Detectors asked for, a board.
        detectors: usize,
        /// Modules asked for, a board.
        modules: usize,
        /// Detectors that a module can hold.
        capacity: usize,
    },
    /// A number of modules that a board does not have.
    #[error("{modules} modules asked for: a board has 1 to {most} that can be populated")]
    Modules {
        /// Modules asked for, a board.
        modules: usize,
        /// Modules of a board that can have detectors.
        most: usize,
    },
    /// A kind of boards that cannot be simulated.
    #[error("boards of the kind {kind} cannot be simulated: the kinds are {known}")]
    UnknownKind {
        /// Name of the kind.
        kind: String,
        /// Names of the kinds that can be simulated.
        known: String,
    },
    /// More boards than there are serial numbers, which have 16 bits.
    #[error("{0} boards asked for: there are serial numbers for 65535")]
    TooManyBoards(usize),
    /// A fault given to a board that the farm does not have.
    #[error("a fault is given to board {index}, and the last board is {last}")]
    NoSuchBoard {
        /// Index of the board, from 0.
        index: usize,
        /// Highest index there is.
        last: usize,
    },
    /// A fault script names a board that the farm does not have.
    #[error("a fault script names the board {name}, and the farm has {first} to {last}")]
    UnknownBoard {
        /// The name.
        name: String,
        /// The farm's first board.
        first: String,
        /// The farm's last board.
        last: String,
    },
    /// A board's port could not be opened.
    #[error("{board}: cannot listen on {address}: {source}")]
    Listen {
        /// The board.
        board: String,
        /// The address wanted; port 0 means any.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The runtime of a farm with threads of its own could not be started.
    #[error("cannot start the farm's threads: {0}")]
    Runtime(io::Error),
}
