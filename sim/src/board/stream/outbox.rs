//! Packets that a simulated board sends, and the socket that sends many of them in each system
//! call.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use rustix::io::Errno;
use rustix::net::sockopt::{
    set_ip_multicast_if, set_ip_multicast_loop, set_ip_multicast_ttl, set_socket_send_buffer_size,
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use super::tally::{Count, StreamTally};

/// Largest number of packets in a system call.
const TOGETHER: usize = 64;

/// Largest size, in bytes, of a buffer that is not freed after its packets were sent.
const KEEP: usize = 1 << 18;

/// Send buffer of the socket, bytes. The packets of one system call fit into it.
const SEND_BUFFER: usize = 1 << 20;

/// Packets of a board that have not been sent yet, and the socket.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: UdpSocket,
    bytes: Vec<u8>,
    packets: Vec<Ready>,
}

/// A packet in the outbox.
#[derive(Debug, Clone, Copy)]
struct Ready {
    start: usize,
    end: usize,
    lane: LaneId,
}

/// Stream to which a packet belongs. It determines the destination of the packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneId {
    /// Index of the module, from 0.
    pub(crate) module: usize,
    /// Index of the stream among the streams of the [`Kind`](crate::board::Kind).
    pub(crate) stream: usize,
    pub(crate) to: SocketAddrV4,
}

impl Outbox {
    /// Configures the socket so that multicast packets stay on this machine.
    pub(crate) fn new(socket: UdpSocket) -> std::io::Result<Self> {
        set_ip_multicast_if(&socket, &Ipv4Addr::LOCALHOST)?;
        set_ip_multicast_ttl(&socket, 0)?;
        set_ip_multicast_loop(&socket, true)?;
        socket.set_nonblocking(true)?;
        // The system may grant a smaller buffer.
        let _ = set_socket_send_buffer_size(&socket, SEND_BUFFER);
        Ok(Self {
            socket,
            bytes: Vec::new(),
            packets: Vec::new(),
        })
    }

    /// Adds a packet of `length` bytes. The closure `write` fills these bytes.
    pub(crate) fn add(&mut self, lane: LaneId, length: usize, write: impl FnOnce(&mut [u8])) {
        let start = self.bytes.len();
        self.bytes.resize(start + length, 0);
        write(&mut self.bytes[start..]);
        let end = self.bytes.len();
        self.packets.push(Ready { start, end, lane });
    }

    /// Bytes of the packet that was added last; empty if there is none.
    pub(crate) fn last(&mut self) -> &mut [u8] {
        let range = self
            .packets
            .last()
            .map_or(0..0, |last| last.start..last.end);
        &mut self.bytes[range]
    }

    /// Adds a copy of the packet that was added last.
    pub(crate) fn double_last(&mut self) {
        self.packets.extend(self.packets.last().copied());
    }

    /// Shortens the packet that was added last to `length` bytes.
    pub(crate) fn cut_last(&mut self, length: usize) {
        if let Some(last) = self.packets.last_mut() {
            last.end = last.end.min(last.start + length);
        }
    }

    /// Removes the packet that was added last, and returns its bytes.
    pub(crate) fn take_last(&mut self) -> Vec<u8> {
        let Some(last) = self.packets.pop() else {
            return Vec::new();
        };
        let bytes = self.bytes[last.start..last.end].to_vec();
        self.bytes.truncate(last.start);
        bytes
    }

    /// Sends all packets. Packets that the system does not accept are counted and dropped.
    pub(crate) fn flush(&mut self, tally: &StreamTally) {
        for together in self.packets.chunks(TOGETHER) {
            let sent = send(&self.socket, &self.bytes, together);
            for packet in together.get(sent..).unwrap_or_default() {
                let lane = packet.lane;
                tally.of(lane.module, lane.stream).add(Count::Unsent, 1);
            }
        }
        self.bytes.clear();
        self.packets.clear();
        self.bytes.shrink_to(KEEP);
        self.packets.shrink_to(KEEP / size_of::<Ready>());
    }

    /// True if there are enough packets for an efficient system call.
    pub(crate) fn is_full(&self) -> bool {
        self.packets.len() >= TOGETHER / 4
    }

    /// Frees all buffers. Packets that were not sent are lost.
    pub(crate) fn free(&mut self) {
        self.bytes = Vec::new();
        self.packets = Vec::new();
    }
}

/// Sends packets, usually in one system call. Returns the number that the system accepted.
fn send(socket: &UdpSocket, bytes: &[u8], packets: &[Ready]) -> usize {
    let slices: Vec<[IoSlice<'_>; 1]> = packets
        .iter()
        .map(|packet| [IoSlice::new(&bytes[packet.start..packet.end])])
        .collect();
    let addresses: Vec<SocketAddrAny> = packets
        .iter()
        .map(|packet| SocketAddrAny::from(packet.lane.to))
        .collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = packets
        .iter()
        .map(|_| SendAncillaryBuffer::default())
        .collect();
    let mut messages: Vec<MMsgHdr<'_>> = slices
        .iter()
        .zip(&addresses)
        .zip(&mut controls)
        .map(|((slice, address), control)| MMsgHdr::new_with_addr(address, slice, control))
        .collect();
    let mut sent = 0;
    while let Some(left) = messages.get_mut(sent..).filter(|left| !left.is_empty()) {
        match sendmmsg(socket, left, SendFlags::empty()) {
            Ok(0) => break,
            Ok(some) => sent += some,
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::debug!(%error, packets = left.len(), "the system does not take packets");
                break;
            }
        }
    }
    sent
}
