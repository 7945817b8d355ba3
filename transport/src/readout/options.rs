//! Which boards to listen to, and how.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use twotone_wire::crs;

use super::sequence::Patience;

/// A board whose packets are received: both must be right for a packet to be the board's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The address that its packets come from; only those of this address are asked for.
    pub address: Ipv4Addr,
    /// The serial number that its packets bear.
    pub serial: u16,
}

impl Source {
    /// The board at this address with this serial number.
    pub fn new(address: Ipv4Addr, serial: u16) -> Self {
        Self { address, serial }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serial {:04} at {}", self.serial, self.address)
    }
}

/// How to listen, and how patient to be with packets out of order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The multicast group. 239.192.0.2.
    pub group: Ipv4Addr,
    /// The UDP port. That of the stream where there is none.
    pub port: Option<u16>,
    /// The address of the interface to listen on. Where there is none, 127.0.0.1 for boards on
    /// loopback, and as the host's routes say for the others.
    pub interface: Option<Ipv4Addr>,
    /// A packet is lost when one of its module that is so many later has come. 32; at least 1,
    /// which means that nothing is put in order.
    pub window: u32,
    /// A packet is lost when one that comes after it has waited for it so long. 50 ms.
    pub hold: Duration,
    /// How large a buffer to ask of the kernel for each socket, in bytes. 32 MiB, which is the
    /// fifth part of a second of 10 boards.
    pub buffer_bytes: usize,
    /// How many boards share a socket and its buffer. 10, which is the most that kernels allow
    /// unless told otherwise; where one allows fewer, more sockets are opened.
    pub sources_per_socket: usize,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            group: crs::GROUP,
            port: None,
            interface: None,
            window: 32,
            hold: Duration::from_millis(50),
            buffer_bytes: 32 << 20,
            sources_per_socket: 10,
        }
    }
}

impl StreamOptions {
    /// The defaults, to change with the methods below.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`StreamOptions::group`].
    #[must_use]
    pub fn group(self, group: Ipv4Addr) -> Self {
        Self { group, ..self }
    }

    /// Sets [`StreamOptions::port`].
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        let port = Some(port);
        Self { port, ..self }
    }

    /// Sets [`StreamOptions::interface`].
    #[must_use]
    pub fn interface(self, interface: Ipv4Addr) -> Self {
        let interface = Some(interface);
        Self { interface, ..self }
    }

    /// Sets [`StreamOptions::window`] and [`StreamOptions::hold`].
    #[must_use]
    pub fn patience(self, window: u32, hold: Duration) -> Self {
        Self {
            window,
            hold,
            ..self
        }
    }

    /// Sets [`StreamOptions::buffer_bytes`].
    #[must_use]
    pub fn buffer_bytes(self, buffer_bytes: usize) -> Self {
        Self {
            buffer_bytes,
            ..self
        }
    }

    /// Sets [`StreamOptions::sources_per_socket`].
    #[must_use]
    pub fn sources_per_socket(self, sources_per_socket: usize) -> Self {
        Self {
            sources_per_socket,
            ..self
        }
    }

    pub(super) fn order(&self) -> Patience {
        Patience {
            window: self.window.clamp(1, 1 << 16),
            hold: self.hold,
        }
    }
}
