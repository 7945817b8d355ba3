//! A plain receiver of multicast packets on the loopback interface.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt::{
    set_ip_add_source_membership, set_ip_drop_source_membership, set_socket_recv_buffer_size,
};

/// Longest wait for a packet, which no test should reach.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Listener {
    socket: UdpSocket,
    group: Ipv4Addr,
    buffer: Vec<u8>,
}

impl Listener {
    /// Listens on a new port. Only the simulated boards of the test send to it.
    pub(crate) fn new(group: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // If the system allows a smaller buffer, packets may be lost, which the tests would notice.
        let _ = set_socket_recv_buffer_size(&socket, 4 << 20);
        Self {
            socket,
            group,
            buffer: vec![0; 65_536],
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    pub(crate) fn join(&self, source: Ipv4Addr) {
        set_ip_add_source_membership(&self.socket, &self.group, &Ipv4Addr::LOCALHOST, &source)
            .unwrap();
    }

    pub(crate) fn leave(&self, source: Ipv4Addr) {
        set_ip_drop_source_membership(&self.socket, &self.group, &Ipv4Addr::LOCALHOST, &source)
            .unwrap();
    }

    /// Joins a group without naming a source.
    pub(crate) fn join_any(&self) {
        self.socket
            .join_multicast_v4(&self.group, &Ipv4Addr::LOCALHOST)
            .unwrap();
    }

    /// Returns the next packet and its source.
    pub(crate) fn receive(&mut self) -> (Ipv4Addr, Vec<u8>) {
        self.receive_within(PATIENCE)
            .unwrap_or_else(|| panic!("no packet came within {PATIENCE:?}"))
    }

    /// Returns the next packet and its source, or `None` if no packet arrives in time.
    pub(crate) fn receive_within(&mut self, patience: Duration) -> Option<(Ipv4Addr, Vec<u8>)> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        match self.socket.recv_from(&mut self.buffer) {
            Ok((length, from)) => {
                let std::net::IpAddr::V4(source) = from.ip() else {
                    panic!("{from}");
                };
                Some((source, self.buffer[..length].to_vec()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}
