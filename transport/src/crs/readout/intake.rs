//! Reception of packets from sockets, in order and until a deadline.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{Certainty, Error, ErrorKind, ModuleId, ReceiveOptions, Result};

use super::assembly::{Assembler, Head, Ready};
use super::sequence::Place;
use super::socket::{self, Datagrams, GroupSocket, SLOTS};
use super::{BoardCounters, Counters, KernelBuffers, Source, options};
use crate::deadline;

/// Lower limit of the memory that the kernel needs for a packet of samples, in bytes: the length of
/// the shortest packet.
const SHORTEST: usize = 1024;

/// Receives the packets of some boards.
#[derive(Debug)]
pub(super) struct Intake {
    sources: Vec<Source>,
    buffers: KernelBuffers,
    sockets: Vec<GroupSocket>,
    /// Index of the socket that is read first. It changes, so that no socket is neglected.
    first: usize,
    datagrams: Datagrams,
    assembler: Assembler,
    runtime: Handle,
    opened: Instant,
}

/// A packet that is next in the order of its module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) source: Source,
    pub(super) module: ModuleId,
    pub(super) lost_before: u64,
    pub(super) bytes: &'a [u8],
}

/// Packets in order. Their bytes are in the memory of the intake.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packets<'a> {
    intake: &'a Intake,
    ready: &'a [Ready],
}

impl<'a> Packets<'a> {
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<Packet<'a>> {
        self.ready.get(at).map(|ready| self.intake.packet(ready))
    }
}

impl Intake {
    pub(super) fn open(
        sources: &[Source],
        port: u16,
        read_head: fn(&[u8]) -> Option<Head>,
        options: &ReceiveOptions,
        runtime: Handle,
    ) -> Result<Self> {
        check(sources)?;
        let port = options.port.unwrap_or(port);
        let senders: Vec<_> = sources.iter().map(|source| source.address).collect();
        let (sockets, buffers) = socket::open(&senders, port, options)?;
        if let Some(shortfall) = buffers.shortfall() {
            tracing::warn!(port, sockets = buffers.sockets, "{shortfall}");
        }
        let sockets = {
            let _runtime = runtime.enter();
            let watched: io::Result<_> = sockets.into_iter().map(GroupSocket::new).collect();
            watched.map_err(|error| broken("a socket could not be watched", error))?
        };
        Ok(Self {
            sources: sources.to_vec(),
            buffers,
            sockets,
            first: 0,
            datagrams: Datagrams::new(),
            assembler: Assembler::new(read_head, options::patience(options), sources),
            runtime,
            opened: Instant::now(),
        })
    }

    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(super) fn buffers(&self) -> KernelBuffers {
        self.buffers
    }

    pub(super) fn counters(&self) -> Counters {
        self.assembler.counters(self.datagrams.dropped)
    }

    /// Counters of the board at index `at` of the list of sources.
    pub(super) fn board(&self, at: usize) -> BoardCounters {
        self.assembler.board(at)
    }

    /// Number of datagrams that the kernel has dropped.
    pub(super) fn kernel_drops(&self) -> u64 {
        self.datagrams.dropped
    }

    /// Waits until packets are ready or the deadline has passed. Packets that the kernel holds are
    /// read first, even if the deadline has passed before.
    ///
    /// If this future is dropped, no packet is lost.
    pub(super) async fn fill(&mut self, deadline: Instant) -> Result<()> {
        loop {
            if !self.assembler.ready().is_empty() {
                return Ok(());
            }
            self.assembler.recycle();
            self.datagrams.clear();
            let due = self
                .assembler
                .due()
                .map(|due| deadline::after(self.opened, due));
            let until = due.map_or(deadline, |due| due.min(deadline));
            let passed = {
                let _runtime = self.runtime.enter();
                sleep_until(until)
            };
            let read = tokio::select! {
                biased;
                read = poll_fn(|context| self.poll_read(context)) => read,
                // The runtime may not have polled the sockets since the packets came, so they are
                // read here.
                () = passed => self.read_now(),
            };
            let now = Instant::now();
            let is_due = due.is_some_and(|due| now >= due);
            // Before a packet counts as lost, every socket is read: the packet may be in the
            // kernel.
            let read = if is_due {
                read.and_then(|()| self.read_now())
            } else {
                read
            };
            read.map_err(|error| broken("a socket failed", error))?;
            let since_opened = now.saturating_duration_since(self.opened);
            self.assemble(since_opened);
            if is_due && !self.datagrams.is_full() {
                self.assembler.expire(since_opened);
            }
            if now >= deadline {
                return Ok(());
            }
        }
    }

    /// True if the last read filled the buffer of this intake, so that the kernel may hold more
    /// packets.
    pub(super) fn is_behind(&self) -> bool {
        self.datagrams.is_full()
    }

    /// Largest number of reads that the packets in the kernel's buffers can fill. A receiver makes
    /// no more reads than this after a deadline, since packets may come without end.
    pub(super) fn most_reads(&self) -> usize {
        // The kernel uses twice the granted size, and counts more for each packet than its length.
        let bytes = 2 * self.buffers.granted * self.buffers.sockets;
        bytes / (SLOTS * SHORTEST) + 1
    }

    /// Number of packets that are ready.
    pub(super) fn ready(&self) -> usize {
        self.assembler.ready().len()
    }

    /// First packet that is ready.
    pub(super) fn peek(&self) -> Option<Packet<'_>> {
        self.assembler
            .ready()
            .first()
            .map(|ready| self.packet(ready))
    }

    /// Drops the first packet that is ready.
    pub(super) fn skip(&mut self) {
        self.assembler.hand_over(1);
    }

    /// Hands over all packets that are ready.
    pub(super) fn hand_over(&mut self) -> Packets<'_> {
        let count = self.ready();
        self.assembler.hand_over(count);
        let ready = self.assembler.handed_over(count);
        Packets {
            intake: self,
            ready,
        }
    }

    fn packet(&self, ready: &Ready) -> Packet<'_> {
        let bytes = match ready.place {
            Place::Given(at) => self.datagrams.get(at),
            Place::Kept(kept) => self.assembler.copy(kept),
        };
        Packet {
            source: ready.source,
            module: ready.module,
            lost_before: ready.lost_before,
            bytes,
        }
    }

    fn assemble(&mut self, now: Duration) {
        for (at, (from, bytes)) in self.datagrams.iter().enumerate() {
            self.assembler.datagram(from, bytes, at as u32, now);
        }
    }

    /// Reads the datagrams that the kernel holds, without asking the runtime if a socket is
    /// readable.
    fn read_now(&mut self) -> io::Result<()> {
        let mut failed = None;
        for socket in &mut self.sockets {
            failed = self.datagrams.fill_now(socket).err().or(failed);
        }
        match failed {
            // Datagrams of the other sockets are used first. The error comes again with the next
            // read.
            Some(error) if self.datagrams.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (sockets, mut failed) = (self.sockets.len(), None);
        for turn in 0..sockets {
            let at = (self.first + turn) % sockets;
            let socket = &mut self.sockets[at];
            if let Poll::Ready(Err(error)) = self.datagrams.poll_fill(socket, context) {
                failed = Some(error);
            }
            if self.datagrams.is_full() {
                // Next time the other sockets are read first.
                self.first = (at + 1) % sockets;
                break;
            }
        }
        match failed {
            _ if !self.datagrams.is_empty() => Poll::Ready(Ok(())),
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }
}

fn check(sources: &[Source]) -> Result<()> {
    let wrong = |why: String| Err(Error::new(ErrorKind::InvalidArgument, why));
    if sources.is_empty() {
        return wrong("no board to receive from was given".to_owned());
    }
    let mut sorted = sources.to_vec();
    sorted.sort_unstable();
    if let Some([twice, _]) = sorted.array_windows().find(|[one, other]| one == other) {
        return wrong(format!("{twice} was given twice"));
    }
    Ok(())
}

fn broken(message: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::ConnectionLost, message)
        .certainty_is(Certainty::NotExecuted)
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn head(bytes: &[u8]) -> Option<Head> {
        let serial = u16::from(*bytes.first()?);
        let (module, sequence) = (0, 0);
        Some(Head {
            serial,
            module,
            sequence,
        })
    }

    #[tokio::test]
    async fn a_socket_that_fails_takes_nothing_from_the_others() {
        let address = Ipv4Addr::new(127, 0, 0, 2);
        let group = Ipv4Addr::new(239, 251, 3, 7);
        let options = ReceiveOptions::new().group(group);
        let sources = [Source::new(address, 1)];
        for is_first in [true, false] {
            let mut intake =
                Intake::open(&sources, 29_790, head, &options, Handle::current()).unwrap();
            // A stream socket that is not connected. Every read of it fails.
            let broken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            broken.set_nonblocking(true).unwrap();
            let broken = GroupSocket::new(broken).unwrap();
            let at = if is_first { 0 } else { 1 };
            intake.sockets.insert(at, broken);
            let sender = UdpSocket::bind((address, 0)).unwrap();
            sender.send_to(&[1], (group, 29_790)).unwrap();
            if is_first {
                intake
                    .fill(Instant::now() + Duration::from_secs(5))
                    .await
                    .unwrap();
            } else {
                intake.read_now().unwrap();
                intake.assemble(Duration::ZERO);
            }
            assert_eq!(intake.ready(), 1);
            intake.skip();
            let failed = intake.fill(Instant::now()).await.unwrap_err();
            assert_eq!(failed.kind(), ErrorKind::ConnectionLost);
        }
    }
}
