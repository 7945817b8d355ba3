//! Kinds of boards: what each adds to the parts of every board, and the list of them.

use std::fmt;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use twotone_physics::{Band, Conditions, ProfileParams, TruthDetector};

use super::Board;
use super::stream::{Outbox, Pace};
use crate::crs;

/// Kinds that can be simulated. A new kind is a folder beside `crs`, which `lib.rs` declares, and a
/// line here.
static KINDS: &[&Kind] = &[
    &crs::KIND,
    #[cfg(test)]
    &super::tests::KIND,
];

/// Kind of boards if none is asked for.
pub(crate) static DEFAULT_KIND: &Kind = &crs::KIND;

/// Returns the kind of a name.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}

/// Names of all kinds, in the order of the list.
pub(crate) fn kind_names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// A kind of boards, as data.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Name in the hardware map. The names of boards begin with it.
    pub(crate) name: &'static str,
    /// Number of modules of a board.
    pub(crate) modules: usize,
    /// Number of modules, from the first on, that can have detectors.
    pub(crate) populated: usize,
    /// Most detectors of a module.
    pub(crate) channels: usize,
    /// Names of the methods whose calls are counted, in the order of their slots.
    pub(crate) methods: &'static [&'static str],
    /// Destination of the sample streams by default.
    pub(crate) destination: Destination,
    /// Creates a board from the parts of every board and from an origin for each module.
    pub(crate) create: fn(Board, Vec<Origin>) -> Arc<dyn Simulated>,
}

impl Kind {
    /// Name of the board of a serial number.
    pub(crate) fn board_name(&self, serial: u16) -> String {
        format!("{}{serial:04}", self.name)
    }
}

/// A board of some kind, as the farm uses it. Modules count from 1.
pub(crate) trait Simulated: fmt::Debug + Send + Sync {
    /// Parts that do not depend on the kind.
    fn board(&self) -> &Board;

    /// Serves one connection of the control protocol until either side ends it or the board
    /// reboots.
    fn serve(self: Arc<Self>, connection: Connection) -> Work;

    /// Sends the sample streams while they are wanted, until the farm is shut down.
    fn send(self: Arc<Self>, sending: Sending) -> Work;

    /// True parameters of a module's detectors. Empty if there is no such module.
    fn detectors(&self, module: u8) -> Vec<TruthDetector>;

    /// Changes the conditions of a module's detectors. Does nothing if there is no such module.
    fn set_conditions(&self, module: u8, conditions: Conditions);
}

/// The work of a task. Boxed, since a farm does not know the kinds of its boards.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection to a board: a socket, or a pipe in memory.
pub(crate) type Connection = Box<dyn ByteStream>;

/// A stream of bytes in both directions.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// Parameters from which a module's detectors and line are drawn.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) seed: u64,
    /// The board's index in the farm, from 0.
    pub(crate) board: u32,
    /// The module's number, from 1.
    pub(crate) module: u32,
    pub(crate) detectors: usize,
    pub(crate) band: Band,
    pub(crate) params: Arc<ProfileParams>,
    /// The number of the first packet of the module's stream.
    pub(crate) first_sequence: u32,
}

/// Means by which a board sends its sample streams.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) pace: Arc<Pace>,
    pub(crate) outbox: Outbox,
    pub(crate) to: Destination,
    /// True while the streams are to be sent. The sender of this channel is dropped with the farm.
    pub(crate) wanted: watch::Receiver<bool>,
}

/// Destination of the sample streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) group: Ipv4Addr,
    pub(crate) readout_port: u16,
    pub(crate) pfb_port: u16,
}
