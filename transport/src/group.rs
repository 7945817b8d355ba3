//! Sockets of multicast groups.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use twotone_hal::{Error, ErrorKind, Result};

use crate::Interface;

/// A socket that receives the datagrams to a group on some interfaces, and sends to the group.
///
/// It is bound to the address of the group, so that no datagram to a single host is taken from
/// another program of this computer.
#[derive(Debug)]
pub(crate) struct GroupSocket {
    socket: UdpSocket,
    at: SocketAddrV4,
    interfaces: Vec<Interface>,
    /// Interfaces on which the group cannot be used, each with the reason.
    failed: BTreeMap<String, String>,
    bytes: Vec<u8>,
}

impl GroupSocket {
    /// Opens the socket on no interface yet. Of longer datagrams than `longest` bytes, the rest is
    /// lost. The socket is registered with the runtime that was entered.
    ///
    /// # Errors
    /// If the system grants no socket, or the address cannot be bound.
    pub(crate) fn open(at: SocketAddrV4, longest: usize) -> io::Result<Self> {
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
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            at,
            interfaces: Vec::new(),
            failed: BTreeMap::new(),
            bytes: vec![0; longest],
        })
    }

    /// Uses the group on these interfaces only. Earlier failures of interfaces are forgotten.
    pub(crate) fn join(&mut self, interfaces: &[Interface]) {
        self.interfaces.clear();
        self.failed.clear();
        for interface in interfaces {
            match self
                .socket
                .join_multicast_v4(*self.at.ip(), interface.address())
            {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    self.failed.insert(interface.to_string(), error.to_string());
                }
                // The socket has joined the group on this interface, now or earlier.
                _ => self.interfaces.push(interface.clone()),
            }
        }
    }

    /// True if the group was joined on an interface.
    pub(crate) fn has_joined(&self) -> bool {
        !self.interfaces.is_empty()
    }

    /// Interfaces on which the group could not be joined or sent to since the last
    /// [`join`](Self::join), each with the reason, as text. `None` if there is none.
    pub(crate) fn failed(&self) -> Option<String> {
        let failed = self.failed.iter();
        let failed: Vec<_> = failed.map(|(on, why)| format!("{on}: {why}")).collect();
        (!failed.is_empty()).then(|| failed.join(", "))
    }

    /// Checks that the group was joined on an interface, and could be used on all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] otherwise. The text begins with `what`.
    pub(crate) fn all_or(&self, what: &str) -> Result<()> {
        let why = match self.failed() {
            Some(failed) => format!("{what} on {failed}"),
            None if self.has_joined() => return Ok(()),
            None => format!("{what}: there is no interface"),
        };
        Err(Error::new(ErrorKind::Unreachable, why))
    }

    /// Sends datagrams on all interfaces.
    pub(crate) async fn send(&mut self, datagrams: &[Vec<u8>]) {
        for interface in &self.interfaces {
            if let Err(error) = self.send_on(interface, datagrams).await {
                self.failed.insert(interface.to_string(), error.to_string());
            }
        }
    }

    async fn send_on(&self, interface: &Interface, datagrams: &[Vec<u8>]) -> io::Result<()> {
        SockRef::from(&self.socket).set_multicast_if_v4(&interface.address())?;
        for datagram in datagrams {
            self.socket.send_to(datagram, self.at).await?;
        }
        Ok(())
    }

    /// Receives a datagram. Returns it with its sender.
    ///
    /// If this future is dropped, no datagram is lost.
    pub(crate) async fn receive(&mut self) -> io::Result<(&[u8], Ipv4Addr)> {
        let (length, from) = self.socket.recv_from(&mut self.bytes).await?;
        let from = match from.ip() {
            IpAddr::V4(from) => from,
            // A socket of IPv4 has no such senders.
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Ok((&self.bytes[..length], from))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_interface_that_is_gone_is_told_and_the_others_are_used() {
        let at = SocketAddrV4::new(Ipv4Addr::new(239, 192, 0, 78), 0);
        let mut socket = GroupSocket::open(at, 100).unwrap();
        let own = Interface::named("127.0.0.1").unwrap();
        let gone = Interface::of_test("gone0", Ipv4Addr::new(192, 0, 2, 1));
        socket.join(&[gone.clone(), own.clone()]);
        assert!(socket.has_joined());
        assert!(socket.failed().unwrap().starts_with("gone0 (192.0.2.1): "));
        // Interfaces that were joined before stay joined.
        socket.join(std::slice::from_ref(&own));
        assert!(socket.has_joined());
        assert_eq!(socket.failed(), None);

        socket
            .at
            .set_port(socket.socket.local_addr().unwrap().port());
        // The address has gone after the group was joined.
        socket.interfaces.insert(0, gone);
        socket.send(&[b"question".to_vec()]).await;
        assert!(socket.failed().unwrap().starts_with("gone0 (192.0.2.1): "));
        let received = timeout(Duration::from_secs(30), socket.receive()).await;
        let (bytes, _) = received.unwrap().unwrap();
        assert_eq!(bytes, b"question");
    }
}
