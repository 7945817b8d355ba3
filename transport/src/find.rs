//! Search for the boards of the local network.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use twotone_hal::{Error, Result};
use twotone_wire::mdns;

use crate::Interface;

/// Options of a search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FindOptions {
    /// Duration of the search. The default is 3 s.
    pub within: Duration,
    /// The only interface that is used. The default is every interface that is up and can receive
    /// multicast, the loopback interface included.
    pub interface: Option<Interface>,
    /// True to listen to the sample streams of all boards too, for 1 s at most. The network then
    /// sends the streams of all boards to this computer for this time, which may be more than its
    /// link can carry. The default is true.
    pub streams: bool,
    /// UDP port of multicast DNS. The default is 5353.
    pub mdns_port: u16,
    /// Multicast group and port of the sample streams. `None` is the usual one of the kind of
    /// boards.
    pub stream: Option<SocketAddrV4>,
    /// Local address that receives the beacons of boards in their boot window. `None` is the usual
    /// port of the kind of boards, on all interfaces.
    pub beacons: Option<SocketAddr>,
}

impl Default for FindOptions {
    fn default() -> Self {
        Self {
            within: Duration::from_secs(3),
            interface: None,
            streams: true,
            mdns_port: mdns::PORT,
            stream: None,
            beacons: None,
        }
    }
}

impl FindOptions {
    /// The interfaces to use.
    ///
    /// # Errors
    /// As [`Interface::all`].
    pub(crate) fn interfaces(&self) -> Result<Vec<Interface>> {
        match &self.interface {
            Some(interface) => Ok(vec![interface.clone()]),
            None => Interface::all(),
        }
    }
}

/// Way in which a board is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Way {
    /// Its answers to questions of multicast DNS.
    Mdns,
    /// Packets of its sample stream.
    Stream,
    /// Beacons that it sends in its boot window, before its firmware runs.
    Beacon,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mdns => "mdns",
            Self::Stream => "stream",
            Self::Beacon => "beacon",
        })
    }
}

/// A service that a board announces by multicast DNS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Service {
    /// Name of the service, which ends in its type: `rfmux0042._http._tcp.local`. Bytes that are
    /// no text are escaped as in zone files (`\027`).
    pub name: String,
    /// TCP or UDP port.
    pub port: u16,
    /// Keys and values that describe the service.
    pub texts: BTreeMap<String, String>,
}

/// One sign of a board. Texts are as the sender wrote them: show them by
/// [`legible`](twotone_hal::legible).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Way in which the board was found.
    pub way: Way,
    /// Serial number, if the sign has it.
    pub serial: Option<String>,
    /// Serial number of the crate, if the sign has it.
    pub crate_serial: Option<String>,
    /// Slot in the crate, if the sign has it.
    pub slot: Option<u8>,
    /// Name of the board in multicast DNS.
    pub host: Option<String>,
    /// Addresses of the board, the one that the sign came from first if it is one of them. Several
    /// addresses in one sign are those of one board.
    pub addresses: Vec<Ipv4Addr>,
    /// TCP port of the control protocol, if the sign has it.
    pub port: Option<u16>,
    /// Services of the board.
    pub services: Vec<Service>,
}

impl Sighting {
    /// A sign that has nothing but its way and an address.
    pub fn new(way: Way, addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            way,
            serial: None,
            crate_serial: None,
            slot: None,
            host: None,
            addresses,
            port: None,
            services: Vec::new(),
        }
    }
}

/// Result of a search in one way.
#[derive(Debug)]
pub struct Searched {
    /// The way.
    pub way: Way,
    /// Signs of boards, without repetitions.
    pub sightings: Vec<Sighting>,
    /// Number of datagrams that were refused, because they are not what boards send.
    pub refused: u64,
    /// Number of signs that were left out, because there were too many.
    pub left_out: u64,
    /// Reason why the search was not made, not on every interface, or not to its end. What was
    /// found nevertheless is in `sightings`.
    pub error: Option<Error>,
}

impl Searched {
    /// A search that found nothing yet.
    pub fn new(way: Way) -> Self {
        Self {
            way,
            sightings: Vec::new(),
            refused: 0,
            left_out: 0,
            error: None,
        }
    }
}

/// A search that is under way. Dropping it ends it.
pub type Finding = Pin<Box<dyn Future<Output = Vec<Searched>> + Send>>;

/// Search for the boards of one kind on the local network, in every way that the kind has. It sends
/// nothing to boards but questions of multicast DNS. The process-wide runtime drives its sockets.
pub type FindOf = fn(&FindOptions) -> Finding;
