//! Boards whose readout streams are heard.

use std::io;
use std::net::{IpAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout_at};
use twotone_hal::{Error, ErrorKind, Result};
use twotone_wire::crs::{GROUP, READOUT_PORT, ReadoutPacket};

use super::Signs;
use crate::deadline;
use crate::find::{FindOptions, Searched, Sighting, Way};

/// Longest time of listening. A board that streams sends a packet every few milliseconds, and the
/// streams of all boards may be more than the link of this computer can carry for long.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes of the longest packet plus one, so that a longer datagram is not mistaken for a packet.
const LONGEST_PACKET: usize = 8241;

/// Listens to the streams of all boards, and gives the serial numbers in them to `hint`.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the group of the streams can be joined on no interface.
pub(super) async fn listen(
    options: Arc<FindOptions>,
    hint: UnboundedSender<String>,
    deadline: Instant,
) -> Result<Searched> {
    let deadline = deadline.min(deadline::within(LONGEST));
    let at = options.stream;
    let at = at.unwrap_or(SocketAddrV4::new(GROUP, READOUT_PORT));
    let failed = |error| {
        let why = format!("the streams to {at} cannot be listened to");
        Error::new(ErrorKind::Unreachable, why).caused_by(error)
    };
    let socket = bind(at).map_err(failed)?;
    let mut not_joined = None;
    let interfaces = options.interfaces()?;
    let mut joined = 0;
    for interface in &interfaces {
        match socket.join_multicast_v4(at.ip(), &interface.address()) {
            Ok(()) => joined += 1,
            Err(error) => {
                let why = format!("the streams to {at} cannot be joined on {interface}");
                let error = Error::new(ErrorKind::Unreachable, why).caused_by(error);
                not_joined.get_or_insert(error);
            }
        }
    }
    let mut signs = Signs::new(Way::Stream, hint);
    signs.searched.error = not_joined;
    if joined == 0 {
        return Ok(signs.searched);
    }
    let socket = UdpSocket::from_std(socket.into()).map_err(failed)?;
    let mut bytes = vec![0; LONGEST_PACKET];
    while Instant::now() < deadline
        && let Ok(received) = timeout_at(deadline, socket.recv_from(&mut bytes)).await
    {
        let (length, from) = received.map_err(failed)?;
        let (Ok(packet), IpAddr::V4(from)) = (ReadoutPacket::new(&bytes[..length]), from.ip())
        else {
            signs.searched.refused += 1;
            continue;
        };
        let serial = packet.serial();
        signs.add((from, serial), || Sighting {
            serial: Some(format!("{serial:04}")),
            ..Sighting::new(Way::Stream, vec![from])
        });
    }
    Ok(signs.searched)
}

fn bind(at: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Receivers on this computer may listen at the same time.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}
