//! Boards in their boot window, whose beacons are heard.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};
use twotone_hal::Result;
use twotone_wire::crs::boot::{Beacon, MOST_DATAGRAM};

use super::Signs;
use crate::crs::firmware::beacons::{USUAL, failed};
use crate::find::{FindOptions, Sighting, Way};

/// Address and serial numbers in a beacon.
type Key = (Ipv4Addr, String, Option<String>);

/// Listens to beacons. No beacon is answered, so that the boards start as if nobody had listened.
///
/// # Errors
/// [`Unreachable`](twotone_hal::ErrorKind::Unreachable) if the port cannot be bound or read.
pub(super) async fn listen(
    options: &FindOptions,
    signs: &mut Signs<Key>,
    deadline: Instant,
) -> Result<()> {
    let at = options.beacons.unwrap_or(USUAL);
    let interface = options.interface.as_ref().map(|one| one.name());
    let socket = bind(at, interface).map_err(|error| failed(at, error))?;
    let mut bytes = vec![0; MOST_DATAGRAM];
    while Instant::now() < deadline
        && let Ok(received) = timeout_at(deadline, socket.recv_from(&mut bytes)).await
    {
        let (length, from) = received.map_err(|error| failed(at, error))?;
        // A socket of IPv6 receives from addresses of IPv4 too.
        let from = from.ip().to_canonical();
        let (Ok(beacon), IpAddr::V4(from)) = (Beacon::parse(&bytes[..length]), from) else {
            signs.searched.refused += 1;
            continue;
        };
        let Beacon {
            serial,
            crate_serial,
            ..
        } = beacon;
        let key = (from, serial.clone(), crate_serial.clone());
        signs.add(key, || Sighting {
            serial: Some(serial),
            crate_serial,
            ..Sighting::new(Way::Beacon, vec![from])
        });
    }
    Ok(())
}

/// Opens a socket that receives from one interface or from all. The port is not shared: each beacon
/// would be given to one of its sockets only, and a program that flashes boards would miss it.
fn bind(at: SocketAddr, interface: Option<&str>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(interface.map(str::as_bytes))?;
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}
