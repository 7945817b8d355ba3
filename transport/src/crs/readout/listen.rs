//! Serial numbers in the packets that come from an address.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use twotone_hal::{Error, ErrorKind, ReceiveOptions, Result};
use twotone_wire::crs::{READOUT_PORT, ReadoutPacket};

use super::socket;

/// Number of packets after which the wait for the wanted serial number ends: four packets of each
/// of four modules.
const ENOUGH: usize = 16;
/// Bytes of the longest packet plus one, so that a longer datagram is not mistaken for a packet.
const LONGEST: usize = 8241;
/// Size of the buffer of the kernel, in bytes. Packets that do not fit are dropped, which does not
/// matter here.
const BUFFER_BYTES: usize = 1 << 18;

/// Listens to the readout stream from `address`, and returns the serial numbers in its packets, in
/// the order of their first packets. The list is empty if no packet came.
///
/// Listening ends with the first packet that has the `wanted` serial number, after [`ENOUGH`]
/// packets, or when `within` has passed. The socket then leaves the multicast group, to keep the
/// load of the network low. The process-wide runtime drives the socket. If this future is dropped,
/// the group is left after the time `within` at the latest.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the stream cannot be joined or read,
/// [`ErrorKind::InvalidArgument`] if the group or the interface in `options` is not valid.
pub(crate) async fn listen_for_serials(
    address: Ipv4Addr,
    wanted: Option<u16>,
    options: &ReceiveOptions,
    within: Duration,
) -> Result<Vec<u16>> {
    let options = options.clone().buffer_bytes(BUFFER_BYTES);
    let listening = tworoutine::runtime().spawn(async move {
        let port = options.port.unwrap_or(READOUT_PORT);
        let (sockets, _) = socket::open(&[address], port, &options)?;
        let mut serials = Vec::new();
        for socket in sockets {
            let socket = UdpSocket::from_std(socket.into()).map_err(failed)?;
            let listening = timeout(within, read_serials(&socket, address, wanted, &mut serials));
            // After a timeout, the serial numbers of the packets that came before are kept.
            if let Ok(Err(error)) = listening.await {
                return Err(failed(error));
            }
        }
        Ok(serials)
    });
    listening
        .await
        .unwrap_or_else(|ended| Err(failed(ended.into())))
}

/// Adds the serial numbers of packets from `address` to `serials`, until the `wanted` one or
/// [`ENOUGH`] packets have come.
async fn read_serials(
    socket: &UdpSocket,
    address: Ipv4Addr,
    wanted: Option<u16>,
    serials: &mut Vec<u16>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; LONGEST];
    for _ in 0..ENOUGH {
        let serial = loop {
            let (length, from) = socket.recv_from(&mut bytes).await?;
            match ReadoutPacket::new(&bytes[..length]) {
                Ok(packet) if from.ip() == IpAddr::V4(address) => break packet.serial(),
                _ => {}
            }
        };
        if !serials.contains(&serial) {
            serials.push(serial);
        }
        if Some(serial) == wanted {
            break;
        }
    }
    Ok(())
}

fn failed(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unreachable,
        "the stream could not be listened to",
    )
    .caused_by(error)
}
