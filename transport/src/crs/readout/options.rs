//! Boards to receive from, and options of a receiver.

use std::fmt;
use std::net::{AddrParseError, Ipv4Addr};

use twotone_hal::{Error, ErrorKind, ReceiveOptions, Result};
use twotone_wire::crs;

use super::sequence::Patience;

/// A board whose packets are received. A packet belongs to the board if it has the address and the
/// serial number of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Address from which its packets come. The multicast group is joined for this source address
    /// only.
    pub address: Ipv4Addr,
    /// Serial number in its packets.
    pub serial: u16,
}

impl Source {
    /// Source with this address and this serial number.
    pub fn new(address: Ipv4Addr, serial: u16) -> Self {
        Self { address, serial }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "serial {:04} at {}", self.serial, self.address)
    }
}

/// The multicast group of the packets: the group of CRS boards, unless `options` has another one.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if the group in `options` is no IPv4 address, or no multicast
/// group.
pub(super) fn group(options: &ReceiveOptions) -> Result<Ipv4Addr> {
    let group = options.group.as_deref().map(ipv4).transpose()?;
    let group = group.unwrap_or(crs::GROUP);
    if group.is_multicast() {
        return Ok(group);
    }
    let why = format!("{group} is no multicast group");
    Err(Error::new(ErrorKind::InvalidArgument, why))
}

/// The address of the interface to listen on, if `options` has one. Without an address, the
/// interface is 127.0.0.1 for boards on loopback, and follows from the host's routes for other
/// boards.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if the address in `options` is no IPv4 address.
pub(super) fn interface(options: &ReceiveOptions) -> Result<Option<Ipv4Addr>> {
    options.interface.as_deref().map(ipv4).transpose()
}

/// Limits of the wait for missing packets. The window is at least 1 and at most 65,536 packets.
pub(super) fn patience(options: &ReceiveOptions) -> Patience {
    Patience {
        window: options.window.clamp(1, 1 << 16),
        hold: options.hold,
    }
}

fn ipv4(text: &str) -> Result<Ipv4Addr> {
    text.parse().map_err(|error: AddrParseError| {
        let why = format!("`{text}` is no IPv4 address");
        Error::new(ErrorKind::InvalidArgument, why).caused_by(error)
    })
}
