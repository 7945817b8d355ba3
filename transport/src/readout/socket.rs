//! Sockets of a multicast group, and the datagrams that are read from them.

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

/// Bytes kept for each datagram. Longer datagrams are cut off, and count as empty.
const STRIDE: usize = 8256;
/// Datagrams in one call of the kernel.
pub(super) const SLOTS: usize = 64;

/// The kernel's buffers of a receiver's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelBuffers {
    /// Number of sockets.
    pub sockets: usize,
    /// Size that was asked for each, in bytes.
    pub asked: usize,
    /// Size of the smallest buffer that was granted, in bytes.
    pub granted: usize,
}

impl KernelBuffers {
    /// Returns the remedy in words if the kernel granted less than was asked for.
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

/// A socket that is bound to a group and has joined some of its sources.
#[derive(Debug)]
pub(super) struct GroupSocket {
    socket: UdpSocket,
    /// Number of datagrams that the kernel has dropped, as it said last; it wraps.
    dropped: u32,
}

impl GroupSocket {
    /// Lets the runtime that was entered watch a socket.
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, dropped: 0 })
    }
}

/// Opens the sockets for the addresses of all senders. An address may be given more than once.
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
                // This kernel allows fewer sources on a socket.
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

/// A socket bound to a group, and the size of its buffer.
fn bind(at: SocketAddrV4, buffer_bytes: usize) -> io::Result<(Socket, usize)> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Other receivers on this host may listen too; each gets a packet of its own.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Only the sources that this socket has joined, not those that others on this host have.
    socket.set_multicast_all_v4(false)?;
    socket.set_nonblocking(true)?;
    let asked = buffer_bytes.min(i32::MAX as usize / 2);
    socket.set_recv_buffer_size(asked)?;
    // The kernel doubles what it is asked for, for its own book-keeping, and says the double.
    let granted = |socket: &Socket| socket.recv_buffer_size().map(|size| size / 2);
    if granted(&socket)? < asked {
        // Root is not bound by the limit; for others this is refused and the limit stands.
        let _refused = setsockopt(&socket, sockopt::RcvBufForce, &asked);
    }
    let granted = granted(&socket)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    socket.bind(&at.into())?;
    Ok((socket, granted))
}

/// A batch of datagrams.
#[derive(Debug)]
pub(super) struct Datagrams {
    bytes: Box<[u8]>,
    arrivals: Vec<Arrival>,
    /// Number of datagrams that the kernel has dropped of all sockets, as far as it has said.
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

    /// The sender of each datagram, and its bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ipv4Addr, &[u8])> {
        let bytes = self.bytes.chunks_exact(STRIDE);
        let arrivals = self.arrivals.iter().zip(bytes);
        arrivals.map(|(arrival, bytes)| (arrival.from, &bytes[..arrival.length]))
    }

    /// The bytes of one datagram.
    pub(super) fn get(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let length = self.arrivals.get(at).map_or(0, |arrival| arrival.length);
        &self.bytes[at * STRIDE..][..length]
    }

    /// Takes the datagrams that have come to a socket, as many as there is room for. Waits if none
    /// has.
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
                // Said although something came, so that the runtime waits for more before the
                // kernel is asked again.
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

    /// Takes the datagrams that have come to a socket, as many as there is room for, without
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

    /// Takes the datagrams that there are. Returns true if these were all.
    fn fill(&mut self, socket: RawFd, dropped: &mut u32) -> nix::Result<bool> {
        let used = self.arrivals.len();
        let room = SLOTS - used;
        let unused = self.bytes[used * STRIDE..].chunks_exact_mut(STRIDE);
        let mut slots: Vec<_> = unused.map(|bytes| [IoSliceMut::new(bytes)]).collect();
        // New ones each time: they are bound to a thread. If they were used again, those that had
        // no count of dropped packets at first would have no room for it.
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
            // One that was cut off must not pass for one that just fits.
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
        let told = buffers.shortfall().unwrap();
        assert!(told.contains("212992 of the 33554432 bytes"), "{told}");
        assert!(
            told.ends_with("sysctl -w net.core.rmem_max=33554432"),
            "{told}"
        );
    }
}
