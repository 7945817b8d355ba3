//! Boards in their boot window, whose beacons are heard.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout_at};
use twotone_hal::{Error, ErrorKind, Result};
use twotone_wire::crs::boot::{BEACON_PORT, Beacon};

use super::Signs;
use crate::find::{FindOptions, Searched, Sighting, Way};

/// Size of the largest beacon, in bytes.
const MOST_DATAGRAM: usize = 2048;

/// Listens to beacons, and gives the serial numbers in them to `hint`. No beacon is answered, so
/// that the boards start as if nobody had listened.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the port cannot be bound or read.
pub(super) async fn listen(
    options: Arc<FindOptions>,
    hint: UnboundedSender<String>,
    deadline: Instant,
) -> Result<Searched> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, BEACON_PORT));
    let at = options.beacons.unwrap_or(any);
    let failed = |error: io::Error| {
        let is_taken = error.kind() == io::ErrorKind::AddrInUse;
        let why = format!("the beacons of boards cannot be received on {at}");
        let failed = Error::new(ErrorKind::Unreachable, why).caused_by(error);
        match is_taken {
            true => failed.advise("wait for the other program that flashes or finds boards to end"),
            false => failed,
        }
    };
    let interface = options.interface.as_ref().map(|one| one.name());
    let socket = bind(at, interface).map_err(failed)?;
    let mut signs = Signs::new(Way::Beacon, hint);
    let mut bytes = vec![0; MOST_DATAGRAM];
    while Instant::now() < deadline
        && let Ok(received) = timeout_at(deadline, socket.recv_from(&mut bytes)).await
    {
        let (length, from) = received.map_err(failed)?;
        let (Ok(beacon), IpAddr::V4(from)) = (Beacon::parse(&bytes[..length]), from.ip()) else {
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
    Ok(signs.searched)
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
