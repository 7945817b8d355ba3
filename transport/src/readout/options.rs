//! Boards to listen to, and options of the listening.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use twotone_hal::{Error, ErrorKind, ReceiveOptions};
use twotone_wire::crs;

use super::sequence::Patience;

/// A board whose packets are received. A packet is the board's if its address and its serial number
/// are both right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The address that its packets come from. The multicast group is joined for this source
    /// address only.
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

/// Options of a receiver: its sockets, and its patience with packets out of order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The multicast group. Default: 239.192.0.2.
    pub group: Ipv4Addr,
    /// The UDP port; `None` for the usual port of the stream.
    pub port: Option<u16>,
    /// The address of the interface to listen on. If there is none, 127.0.0.1 for boards on
    /// loopback, and the interface that the host's routes give for the others.
    pub interface: Option<Ipv4Addr>,
    /// A missing packet counts as lost when a packet of its module this many positions later has
    /// come. Default: 32. Values are limited to 1 to 65,536; with 1, packets are not reordered.
    pub window: u32,
    /// A missing packet counts as lost when a later one has waited for it this long. Default: 50
    /// ms.
    pub hold: Duration,
    /// Size of the buffer that the kernel is asked for, for each socket, in bytes. Default: 32
    /// MiB, which holds a fifth of a second of the streams of 10 boards.
    pub buffer_bytes: usize,
    /// Number of boards that share a socket and its buffer. Default: 10, which is the most that
    /// kernels allow by default; if a kernel allows fewer, more sockets are opened.
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

impl TryFrom<&ReceiveOptions> for StreamOptions {
    type Error = Error;

    /// The options of a receiver of any family, as CRS boards have them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if an address is no IPv4 address.
    fn try_from(options: &ReceiveOptions) -> Result<Self, Error> {
        let address = |text: &String| {
            text.parse::<Ipv4Addr>().map_err(|error| {
                let why = format!("`{text}` is no IPv4 address");
                Error::new(ErrorKind::InvalidArgument, why).caused_by(error)
            })
        };
        let defaults = Self::default();
        let group = options.group.as_ref().map(address).transpose()?;
        Ok(Self {
            group: group.unwrap_or(defaults.group),
            port: options.port,
            interface: options.interface.as_ref().map(address).transpose()?,
            window: options.window,
            hold: options.hold,
            buffer_bytes: options.buffer_bytes,
            ..defaults
        })
    }
}
