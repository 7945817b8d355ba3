//! Interface of a kind of boards, and the list of kinds.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use twotone_physics::{Band, Conditions, ProfileParams, TruthDetector};
use twotone_wire::mdns::Announced;

use super::Board;
use super::stream::{Outbox, Pace};
use crate::crs;

/// Kinds that can be simulated. A new kind is a folder beside `crs`, a `mod` line in `lib.rs`, and
/// a line here.
static KINDS: &[&Kind] = &[
    &crs::KIND,
    #[cfg(test)]
    &super::tests::KIND,
];

/// Default kind of boards.
pub(crate) static DEFAULT_KIND: &Kind = &crs::KIND;

/// Returns the kind with this name.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}

/// Names of all kinds, in the order of the list.
pub(crate) fn kind_names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// Constant properties of a kind of boards.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Name in hardware maps (lists of the boards of an array), and beginning of the names of
    /// boards.
    pub(crate) name: &'static str,
    /// Number of modules of a board.
    pub(crate) modules: usize,
    /// Largest number of modules that can have detectors, counted from module 1.
    pub(crate) populated: usize,
    /// Largest number of detectors of a module.
    pub(crate) channels: usize,
    /// Names of the methods whose calls are counted.
    pub(crate) methods: &'static [&'static str],
    /// Names of the sample streams that each module sends.
    pub(crate) streams: &'static [&'static str],
    /// Default destination of the sample streams.
    pub(crate) destination: Destination,
    /// Creates a board from its common state and from an [`Origin`] for each module.
    pub(crate) create: fn(Board, Vec<Origin>) -> Arc<dyn Simulated>,
    /// Names and service of a board in multicast DNS; `None` if boards of the kind have none.
    pub(crate) announced: fn(&Board) -> Option<Announced>,
}

impl Kind {
    /// Name of the board with this serial number.
    pub(crate) fn board_name(&self, serial: u16) -> String {
        format!("{}{serial:04}", self.name)
    }
}

/// A board of any kind, as the farm uses it. Modules are counted from 1.
pub(crate) trait Simulated: fmt::Debug + Send + Sync {
    /// State that does not depend on the kind.
    fn board(&self) -> &Board;

    /// Serves one connection of the control protocol, until either side closes it or the board
    /// reboots.
    fn serve(self: Arc<Self>, connection: Connection) -> Work;

    /// Sends the sample streams while [`Sending::wanted`] is true, until the farm is shut down.
    fn send(self: Arc<Self>, sending: Sending) -> Work;

    /// Starts the board with a boot window, in which it can be flashed. Starts it again after each
    /// restart, until the farm is shut down. The default is for boards without flash, whose port
    /// opens at once.
    fn boot(self: Arc<Self>, window: BootWindow) -> Work {
        let _ = window;
        self.board().end_boot();
        Box::pin(std::future::ready(()))
    }

    /// Switches the power of the board off for the time `down`. Settings and connections are lost.
    fn power_cycle(&self, down: Duration);

    /// True parameters of the detectors of a module. Empty if there is no such module.
    fn detectors(&self, module: u8) -> Vec<TruthDetector>;

    /// Changes the conditions of the detectors of a module. Does nothing if there is no such
    /// module.
    fn set_conditions(&self, module: u8, conditions: Conditions);
}

/// Future of a task. It is boxed, because its type differs between kinds of boards.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection to a board: a socket, or a pipe in memory.
pub(crate) type Connection = Box<dyn ByteStream>;

/// A stream of bytes in both directions.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// Parameters from which the detectors and the feedline of a module are drawn.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) seed: u64,
    /// Index of the board in the farm, from 0.
    pub(crate) board: u32,
    /// Number of the module, from 1.
    pub(crate) module: u32,
    pub(crate) detectors: usize,
    pub(crate) band: Band,
    pub(crate) params: Arc<ProfileParams>,
    /// Sequence number of the sample at the start of the farm, in the first stream of the module.
    pub(crate) first_sequence: u32,
}

/// Arguments of [`Simulated::send`].
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) pace: Arc<Pace>,
    pub(crate) outbox: Outbox,
    pub(crate) to: Destination,
    /// True while the streams must be sent. The sending end of this channel is dropped with the
    /// farm.
    pub(crate) wanted: watch::Receiver<bool>,
}

/// Time after a start in which a board can be flashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BootWindow {
    pub(crate) lasting: Duration,
    /// Address to which the board sends its beacons. Real boards broadcast them, but the loopback
    /// interface has no broadcasts.
    pub(crate) beacons_to: SocketAddr,
}

/// Destination of the sample streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) group: Ipv4Addr,
    /// Port of the first stream. The other streams have the next ports, in order.
    pub(crate) port: u16,
}
