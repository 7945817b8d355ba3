//! Socket of multicast DNS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use twotone_wire::mdns;

use crate::Interface;

/// Bytes of the longest message (RFC 6762, section 17).
const LONGEST: usize = 9000;

/// A socket that receives the messages of all hosts on some interfaces, and sends to all of them.
///
/// It is bound to the address of the group, so that no message to a single host is taken from
/// another program that answers for this computer.
#[derive(Debug)]
pub(super) struct GroupSocket {
    socket: UdpSocket,
    at: SocketAddrV4,
    interfaces: Vec<Interface>,
    bytes: Vec<u8>,
}

impl GroupSocket {
    /// Opens the socket on the interfaces that it can be opened on. Returns it with the errors of
    /// the others. It is registered with the runtime that was entered.
    ///
    /// # Errors
    /// If it can be opened on no interface.
    pub(super) fn open(
        interfaces: &[Interface],
        port: u16,
    ) -> io::Result<(Self, Vec<(Interface, io::Error)>)> {
        let at = SocketAddrV4::new(mdns::GROUP, port);
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Other programs on this computer use the same port.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_multicast_all_v4(false)?;
        // RFC 6762, section 11.
        socket.set_multicast_ttl_v4(255)?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        let (mut joined, mut failed) = (Vec::new(), Vec::new());
        for interface in interfaces {
            match socket.join_multicast_v4(at.ip(), &interface.address()) {
                Ok(()) => joined.push(interface.clone()),
                Err(error) => failed.push((interface.clone(), error)),
            }
        }
        if joined.is_empty() {
            let error = failed.pop().map(|(_, error)| error);
            return Err(error.unwrap_or_else(|| io::Error::other("there is no interface")));
        }
        let socket = Self {
            socket: UdpSocket::from_std(socket.into())?,
            at,
            interfaces: joined,
            bytes: vec![0; LONGEST],
        };
        Ok((socket, failed))
    }

    /// Sends datagrams on all interfaces.
    ///
    /// # Errors
    /// If no interface accepts them. The error is that of the last one.
    pub(super) async fn send(&self, datagrams: &[Vec<u8>]) -> io::Result<()> {
        let (mut sent, mut failed) = (datagrams.is_empty(), None);
        for interface in &self.interfaces {
            SockRef::from(&self.socket).set_multicast_if_v4(&interface.address())?;
            for datagram in datagrams {
                match self.socket.send_to(datagram, self.at).await {
                    Ok(_) => sent = true,
                    Err(error) => failed = Some(error),
                }
            }
        }
        match failed {
            Some(error) if !sent => Err(error),
            _ => Ok(()),
        }
    }

    /// Receives a datagram. Returns it with its sender.
    ///
    /// If this future is dropped, no datagram is lost.
    pub(super) async fn receive(&mut self) -> io::Result<(&[u8], Ipv4Addr)> {
        let (length, from) = self.socket.recv_from(&mut self.bytes).await?;
        let from = match from.ip() {
            IpAddr::V4(from) => from,
            // A socket of IPv4 has no such senders.
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Ok((&self.bytes[..length], from))
    }
}
