//! A bare loop of `recvmmsg` as a reference: no attribution to boards, no order, no counters.

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};
use twotone_wire::crs::PacketLength;

const PACKETS: usize = 64;

pub(crate) struct Loop {
    socket: Socket,
    headers: MultiHeaders<SockaddrIn>,
    bytes: Vec<u8>,
}

impl Loop {
    pub(crate) fn open() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        let options = super::options();
        let buffer = options.buffer_bytes;
        socket.set_recv_buffer_size(buffer).expect("an option");
        let _not_root = setsockopt(&socket, sockopt::RcvBufForce, &buffer);
        socket
            .set_read_timeout(Some(super::PATIENT))
            .expect("an option");
        let group = SocketAddrV4::new(super::group(), super::PORT);
        socket.bind(&group.into()).expect("an address");
        for source in super::sources() {
            let joined = socket.join_ssm_v4(&source.address, group.ip(), &Ipv4Addr::LOCALHOST);
            joined.expect("a source");
        }
        Self {
            socket,
            headers: MultiHeaders::preallocate(PACKETS, None),
            bytes: vec![0; PACKETS * PacketLength::Long.bytes()],
        }
    }

    /// Waits for packets, and returns their number.
    pub(crate) fn receive(&mut self) -> usize {
        let packets = self.bytes.chunks_exact_mut(PacketLength::Long.bytes());
        let mut slots: Vec<_> = packets.map(|bytes| [IoSliceMut::new(bytes)]).collect();
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_WAITFORONE);
        let received = recvmmsg(socket, &mut self.headers, slots.iter_mut(), flags, None);
        received.expect("packets: were they lost?").count()
    }
}
