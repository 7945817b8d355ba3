//! Multicast DNS of the boards of a farm, on the loopback interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use twotone_wire::mdns::{Announced, GROUP, LONGEST_MESSAGE, Message};

use crate::board::Simulated;

/// Opens the socket that receives the questions of all programs on this machine.
pub(super) fn open(port: u16) -> io::Result<UdpSocket> {
    let socket = socket(SocketAddrV4::new(GROUP, port))?;
    socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)?;
    UdpSocket::from_std(socket.into())
}

/// Answers questions about the boards, each from the address of its board. A board without power,
/// or in its boot window, does not answer. Never returns.
pub(super) async fn answer(
    socket: UdpSocket,
    port: u16,
    boards: Vec<(Arc<dyn Simulated>, Announced)>,
) {
    let mut bytes = vec![0; LONGEST_MESSAGE];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut bytes).await else {
            // An error of an earlier packet, which the system reports here.
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(query) = Message::parse(&bytes[..length]) else {
            continue;
        };
        let to_one = from.port() != port;
        let to = match to_one {
            true => from,
            false => SocketAddr::from((GROUP, port)),
        };
        for (simulated, announced) in &boards {
            if !simulated.board().is_up() {
                continue;
            }
            if let Some(answer) = announced.answer(&query, to_one)
                && let Ok(answer) = answer.emit()
                && let Err(error) = send(&answer, announced.address, port, to)
            {
                let board = simulated.board().name();
                tracing::warn!(board, %error, "an answer of multicast DNS cannot be sent");
            }
        }
    }
}

/// Sends an answer from the address of a board. The socket lasts for one answer, so that a large
/// farm needs no descriptors for it.
fn send(answer: &[u8], from: Ipv4Addr, port: u16, to: SocketAddr) -> io::Result<()> {
    let socket = socket(SocketAddrV4::new(from, port))?;
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.send_to(answer, &to.into()).map(drop)
}

fn socket(at: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Other farms and programs use the port too.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_multicast_all_v4(false)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}
