//! Boards whose readout streams are heard.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use twotone_hal::{Error, ErrorKind, Result};
use twotone_wire::crs::{GROUP, READOUT_PORT, ReadoutPacket};

use super::Signs;
use crate::deadline;
use crate::find::{FindOptions, Sighting, Way};
use crate::group::GroupSocket;

/// Longest time of listening. A board that streams sends a packet every few milliseconds, and the
/// streams of all boards may be more than the link of this computer can carry for long.
const LONGEST: Duration = Duration::from_secs(1);
/// Bytes of the longest packet plus one, so that a longer datagram is not mistaken for a packet.
const LONGEST_PACKET: usize = 8241;

/// Listens to the streams of all boards.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the group of the streams cannot be joined on every interface, or
/// the socket cannot be opened or read.
pub(super) async fn listen(
    options: &FindOptions,
    signs: &mut Signs<(Ipv4Addr, u16)>,
    deadline: Instant,
) -> Result<()> {
    let deadline = deadline.min(deadline::within(LONGEST));
    let usual = SocketAddrV4::new(GROUP, READOUT_PORT);
    let at = options.stream.unwrap_or(usual);
    let why = format!("the streams to {at} cannot be listened to");
    let failed = |error| Error::new(ErrorKind::Unreachable, &*why).caused_by(error);
    let mut socket = GroupSocket::open(at, LONGEST_PACKET).map_err(failed)?;
    socket.join(&options.interfaces()?);
    while socket.has_joined()
        && Instant::now() < deadline
        && let Ok(received) = timeout_at(deadline, socket.receive()).await
    {
        let (bytes, from) = received.map_err(failed)?;
        let Ok(packet) = ReadoutPacket::new(bytes) else {
            signs.searched.refused += 1;
            continue;
        };
        let serial = packet.serial();
        signs.add((from, serial), || Sighting {
            serial: Some(format!("{serial:04}")),
            ..Sighting::new(Way::Stream, vec![from])
        });
    }
    socket.all_or(&why)
}
