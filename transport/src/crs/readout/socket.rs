//! Sockets of a multicast group, and reading of datagrams from them.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use twotone_hal::{Certainty, Error, ErrorKind, ReceiveOptions, Result};

use super::options;

/// Bytes of a slot of the receive buffer. The longest packet has 8240. Datagrams that are longer
/// than a slot are cut off, and treated as empty.
const STRIDE: usize = 8256;
/// Largest number of datagrams that one system call reads.
pub(super) const SLOTS: usize = 64;

/// Receive buffers of the kernel for the sockets of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelBuffers {
    /// Number of sockets.
    pub sockets: usize,
    /// Requested size of each buffer, in bytes.
    pub asked: usize,
    /// Size of the smallest buffer that was granted, in bytes.
    pub granted: usize,
}

impl KernelBuffers {
    /// Returns a message with the remedy if the kernel granted less than was asked for.
    pub fn shortfall(&self) -> Option<String> {
        let Self { asked, granted, .. } = self;
        (granted < asked).then(|| {
            format!(
                "the kernel grants {granted} of the {asked} bytes asked for as receive buffer, so that \
                 packets may be lost; as root: sysctl -w net.core.rmem_max={asked}"
            )
        })
    }
}

/// Socket that is bound to a multicast group and has joined it for some source addresses.
#[derive(Debug)]
pub(super) struct GroupSocket {
    socket: UdpSocket,
    /// Last count of dropped datagrams that the kernel reported for this socket. It wraps.
    dropped: u32,
}

impl GroupSocket {
    /// Registers a socket with the tokio runtime that the caller has entered.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, dropped: 0 })
    }
}

/// Opens sockets that receive from the addresses of all senders. An address may be given more than
/// once.
pub(super) fn open(
    senders: &[Ipv4Addr],
    port: u16,
    options: &ReceiveOptions,
) -> Result<(Vec<Socket>, KernelBuffers)> {
    let mut addresses = senders.to_vec();
    addresses.sort_unstable();
    addresses.dedup();
    let at = SocketAddrV4::new(options::group(options)?, port);
    let given = options::interface(options)?;
    let mut sockets: Vec<Socket> = Vec::new();
    let mut granted = usize::MAX;
    let (mut joined, most) = (0, options.boards_per_socket.max(1));
    for address in addresses {
        let loopback = address.is_loopback().then_some(Ipv4Addr::LOCALHOST);
        let interface = given.or(loopback);
        let interface = interface.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let join = |to: &Socket| to.join_ssm_v4(&address, at.ip(), &interface);
        if joined > 0 && joined < most {
            match sockets.last().map(join) {
                Some(Ok(())) => {
                    joined += 1;
                    continue;
                }
                // The kernel allows no more sources on this socket, so the next one is opened.
                Some(Err(error)) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
                Some(Err(error)) => return Err(not_joined(address, at, interface, error)),
                None => {}
            }
        }
        let (socket, size) =
            bind(at, options.buffer_bytes).map_err(|error| match error.raw_os_error() {
                Some(number) if number == Errno::EMFILE as i32 => {
                    let why = "no socket for a stream: the process may open no more files (raise \
                               their limit with `ulimit -n`)";
                    failed(why.to_owned(), error)
                }
                _ => failed(format!("no socket could be bound to {at}"), error),
            })?;
        granted = granted.min(size);
        join(&socket).map_err(|error| not_joined(address, at, interface, error))?;
        sockets.push(socket);
        joined = 1;
    }
    let buffers = KernelBuffers {
        sockets: sockets.len(),
        asked: options.buffer_bytes,
        granted,
    };
    Ok((sockets, buffers))
}

fn not_joined(source: Ipv4Addr, group: SocketAddrV4, on: Ipv4Addr, error: io::Error) -> Error {
    let on = if on.is_unspecified() {
        "the interface that the routes say; give the interface's address where that is wrong"
            .to_owned()
    } else {
        format!("the interface with the address {on}")
    };
    failed(
        format!("source {source} of {group} could not be joined on {on}"),
        error,
    )
}

fn failed(message: String, error: io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, message)
        .certainty_is(Certainty::NotExecuted)
        .caused_by(error)
}

/// Returns a socket that is bound to a group, and the size of its buffer.
fn bind(at: SocketAddrV4, buffer_bytes: usize) -> io::Result<(Socket, usize)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Several receivers on this host may listen; each gets a copy of every packet.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // By default the socket would also get packets from sources that other sockets of this host
    // have joined.
    socket.set_multicast_all_v4(false)?;
    socket.set_nonblocking(true)?;
    let asked = buffer_bytes.min(i32::MAX as usize / 2);
    socket.set_recv_buffer_size(asked)?;
    // Linux doubles the size for its own bookkeeping, and reports the doubled size.
    let granted = |socket: &Socket| socket.recv_buffer_size().map(|size| size / 2);
    if granted(&socket)? < asked {
        // Root may exceed the limit of the system. Other users get an error, and keep the size that
        // was granted before.
        let _refused = setsockopt(&socket, sockopt::RcvBufForce, &asked);
    }
    let granted = granted(&socket)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    socket.bind(&at.into())?;
    Ok((socket, granted))
}

/// Receive buffer for up to [`SLOTS`] datagrams.
#[derive(Debug)]
pub(super) struct Datagrams {
    bytes: Box<[u8]>,
    arrivals: Vec<Arrival>,
    /// Number of datagrams of all sockets that the kernel has reported as dropped.
    pub(super) dropped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    from: Ipv4Addr,
    length: usize,
}

impl Datagrams {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; SLOTS * STRIDE].into_boxed_slice(),
            arrivals: Vec::with_capacity(SLOTS),
            dropped: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.arrivals.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.arrivals.len() >= SLOTS
    }

    /// Sender and bytes of each datagram.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ipv4Addr, &[u8])> {
        let bytes = self.bytes.chunks_exact(STRIDE);
        let arrivals = self.arrivals.iter().zip(bytes);
        arrivals.map(|(arrival, bytes)| (arrival.from, &bytes[..arrival.length]))
    }

    /// Bytes of one datagram.
    pub(super) fn get(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let length = self.arrivals.get(at).map_or(0, |arrival| arrival.length);
        &self.bytes[at * STRIDE..][..length]
    }

    /// Reads datagrams from a socket until the buffer is full or the socket is empty. Waits if
    /// there is none.
    pub(super) fn poll_fill(
        &mut self,
        socket: &mut GroupSocket,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let GroupSocket { socket, dropped } = socket;
        loop {
            ready!(socket.poll_recv_ready(context))?;
            let before = self.arrivals.len();
            let read = socket.try_io(Interest::READABLE, || {
                let was_all = self.fill(socket.as_raw_fd(), dropped)?;
                // This error also makes the runtime wait for new datagrams before the socket is
                // read again. It is returned even if datagrams were read, since the socket has no
                // more of them.
                if was_all {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match read {
                _ if self.arrivals.len() > before => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Reads datagrams from a socket until the buffer is full or the socket is empty, without
    /// waiting.
    pub(super) fn fill_now(&mut self, socket: &mut GroupSocket) -> io::Result<()> {
        let GroupSocket { socket, dropped } = socket;
        if self.is_full() {
            return Ok(());
        }
        match self.fill(socket.as_raw_fd(), dropped) {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the datagrams that the socket has. Returns true if the socket has no more.
    fn fill(&mut self, socket: RawFd, dropped: &mut u32) -> nix::Result<bool> {
        let used = self.arrivals.len();
        let room = SLOTS - used;
        let unused = self.bytes[used * STRIDE..].chunks_exact_mut(STRIDE);
        let mut slots: Vec<_> = unused.map(|bytes| [IoSliceMut::new(bytes)]).collect();
        // The headers are made for each call: they are not `Send`, and a reused header has no room
        // for the count of dropped datagrams if its first datagram came without one.
        let mut headers =
            MultiHeaders::<SockaddrIn>::preallocate(room, Some(nix::cmsg_space!(u32)));
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = recvmmsg(socket, &mut headers, slots.iter_mut(), flags, None)?;
        for message in received {
            for control in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::RxqOvfl(now) = control {
                    self.dropped += u64::from(now.wrapping_sub(*dropped));
                    *dropped = now;
                }
            }
            let from = message
                .address
                .map_or(Ipv4Addr::UNSPECIFIED, |from| from.ip());
            // A datagram that was cut off must not be mistaken for a complete one.
            let is_whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
            let length = if is_whole {
                message.bytes.min(STRIDE)
            } else {
                0
            };
            self.arrivals.push(Arrival { from, length });
        }
        Ok(self.arrivals.len() < SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_too_small_is_told_with_what_to_do() {
        let mut buffers = KernelBuffers {
            sockets: 1,
            asked: 33_554_432,
            granted: 33_554_432,
        };
        assert_eq!(buffers.shortfall(), None);
        buffers.granted = 212_992;
        let message = buffers.shortfall().unwrap();
        assert!(
            message.contains("212992 of the 33554432 bytes"),
            "{message}"
        );
        assert!(
            message.ends_with("sysctl -w net.core.rmem_max=33554432"),
            "{message}"
        );
    }
}
