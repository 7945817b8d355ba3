//! Board kinds that a map can name.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{BoardEntry, Host};

/// A kind of board. A new kind is one line in [`BoardKind::ALL`].
#[derive(Clone, Copy)]
pub struct BoardKind(&'static Known);

struct Known {
    name: &'static str,
    port: u16,
    modules: u8,
    host: fn(&BoardEntry) -> Option<Host>,
}

static CRS: Known = Known {
    name: "crs",
    port: Host::DEFAULT_PORT,
    modules: 8,
    host: crs_host,
};

impl BoardKind {
    /// The CRS board, reached by Tuber over HTTP.
    pub const CRS: Self = Self(&CRS);

    /// Every kind.
    pub const ALL: &[Self] = &[Self::CRS];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The name, as maps and descriptions have it.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The port of its control protocol, if an address names none.
    pub fn default_port(self) -> u16 {
        self.0.port
    }

    /// The highest number that a module of this kind can have.
    pub fn highest_module(self) -> u8 {
        self.0.modules
    }

    /// The host of a board that has no address in the map, from its place or serial number.
    pub(super) fn host(self, board: &BoardEntry) -> Option<Host> {
        (self.0.host)(board)
    }
}

/// The names that CRS boards announce by multicast DNS.
fn crs_host(board: &BoardEntry) -> Option<Host> {
    match (&board.serial, &board.crate_serial, board.slot) {
        (_, Some(crate_serial), Some(slot)) => Some(Host::of_slot(slot, crate_serial)),
        (Some(serial), ..) => Some(Host::of_serial(serial)),
        _ => None,
    }
}

impl PartialEq for BoardKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
impl Eq for BoardKind {}

impl fmt::Debug for BoardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoardKind({})", self.name())
    }
}
impl fmt::Display for BoardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl Serialize for BoardKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
