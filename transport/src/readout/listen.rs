//! Serial numbers of the boards that send from an address.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use twotone_hal::{Error, ErrorKind, ReceiveOptions, Result};
use twotone_wire::crs::{READOUT_PORT, ReadoutPacket};

use super::socket;

/// Packets of others after which the board that was meant is not waited for any longer: four
/// samples of each of four modules.
const ENOUGH: usize = 16;
/// Bytes of the longest packet, and one more.
const LONGEST: usize = 8241;
/// Bytes of the kernel's buffer. Packets that do not fit are dropped, which costs next to nothing.
const BUFFER_BYTES: usize = 1 << 18;

/// Listens to the readout stream from `address`, and returns the serial numbers that its packets
/// bear, in the order in which they came; none if nothing came.
///
/// It ends with the first packet of the serial number that is `wanted`, after some packets of
/// others alone, or when `within` has passed. Then the stream is left, so that no more packets are
/// received than needed. The socket is driven by the process-wide runtime. If this is dropped while
/// it listens, the stream is still left, at the latest when `within` has passed.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the stream cannot be joined.
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
        let mut heard = Vec::new();
        for socket in sockets {
            let socket = UdpSocket::from_std(socket.into()).map_err(failed)?;
            let listening = timeout(within, read_serials(&socket, address, wanted, &mut heard));
            // If the time is over, the packets that were heard until then count.
            if let Ok(Err(error)) = listening.await {
                return Err(failed(error));
            }
        }
        Ok(heard)
    });
    listening
        .await
        .unwrap_or_else(|ended| Err(failed(ended.into())))
}

/// Adds the serial numbers of packets from `address`, until the one that is `wanted` has come, or
/// [`ENOUGH`] packets have.
async fn read_serials(
    socket: &UdpSocket,
    address: Ipv4Addr,
    wanted: Option<u16>,
    heard: &mut Vec<u16>,
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
        if !heard.contains(&serial) {
            heard.push(serial);
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
