//! Receivers of the two streams.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{ReceiveOptions, Result};
use twotone_wire::crs::{PFB_PORT, PfbPacket, READOUT_PORT, ReadoutPacket};

use super::assembly::Head;
use super::intake::Intake;
use super::take::Collection;
use super::{Block, Counters, Frames, KernelBuffers, PfbFrames, Source, Take};
use crate::deadline;

/// Receives the readout streams of any number of boards: a sample of every channel of a module in
/// each packet.
///
/// It reads its sockets only while [`Receiver::recv`] or [`Receiver::take`] is awaited. At other
/// times the kernel buffers the packets that come. If its buffer is full, it drops the newest,
/// which are counted as lost.
#[derive(Debug)]
pub struct Receiver {
    pub(super) intake: Intake,
}

/// Receives the PFB streams of any number of boards: a few channels, before the decimation.
///
/// As [`Receiver`] in all else; the stamps are those of the first sample of each packet and need no
/// correction.
#[derive(Debug)]
pub struct PfbReceiver {
    intake: Intake,
}

macro_rules! receiver {
    ($receiver:ident, $port:expr, $head:expr, $frames:ident) => {
        impl $receiver {
            /// Listens to these boards. The sockets are driven by the process-wide runtime, so that
            /// the receiver works from any thread and runtime.
            ///
            /// If the kernel grants smaller buffers than asked for, the log has a warning, and
            /// [`Self::buffers`] tells it.
            ///
            /// # Errors
            /// If no board or one twice is given, or a source cannot be joined.
            pub fn open(sources: &[Source], options: &ReceiveOptions) -> Result<Self> {
                Self::on(sources, options, tworoutine::runtime().clone())
            }

            /// As [`Self::open`], on the tokio runtime of the caller: the receiver works while that
            /// runtime runs.
            ///
            /// # Errors
            /// As [`Self::open`].
            ///
            /// # Panics
            /// Outside a tokio runtime.
            pub fn open_here(sources: &[Source], options: &ReceiveOptions) -> Result<Self> {
                Self::on(sources, options, Handle::current())
            }

            pub(crate) fn on(
                sources: &[Source],
                options: &ReceiveOptions,
                runtime: Handle,
            ) -> Result<Self> {
                let intake = Intake::open(sources, $port, $head, options, runtime)
                    .map_err(|error| error.during("open a receiver"))?;
                Ok(Self { intake })
            }

            /// Returns packets in order, as soon as there are any, or none once `within` has
            /// passed. Packets that have come before are looked at first, so that a `within` of
            /// zero is enough for them.
            ///
            /// Each packet is given once. If this is dropped while it waits, it has taken nothing.
            ///
            /// # Errors
            /// If a socket fails.
            pub async fn recv(&mut self, within: Duration) -> Result<$frames<'_>> {
                self.intake.fill(deadline::within(within)).await?;
                Ok($frames::new(self.intake.hand_over()))
            }

            /// True if the last read brought as much as one read can: the kernel may hold more
            /// packets that have come already.
            pub fn is_behind(&self) -> bool {
                self.intake.is_behind()
            }

            /// Counters of received, lost and refused packets since the receiver was opened.
            pub fn counters(&self) -> Counters {
                self.intake.counters()
            }

            /// The boards, in the order in which they were given.
            pub fn sources(&self) -> &[Source] {
                self.intake.sources()
            }

            /// The kernel's buffers, with the size that was asked for and the size that was
            /// granted.
            pub fn buffers(&self) -> KernelBuffers {
                self.intake.buffers()
            }
        }
    };
}

receiver!(Receiver, READOUT_PORT, readout_head, Frames);
receiver!(PfbReceiver, PFB_PORT, pfb_head, PfbFrames);

impl Receiver {
    /// Returns consecutive samples of some modules, one block each in the order asked for. The
    /// blocks need not be of the same times; for that, ask for samples after a time.
    ///
    /// If a packet is lost, or the decimation changes, a block is begun anew. Samples of other
    /// modules that come meanwhile are counted and thrown away. Samples that have come after the
    /// last one taken are there for the next call, so that blocks of one module follow on each
    /// other.
    ///
    /// Samples that the kernel holds when the time is over are taken too: a process that was
    /// stopped beyond its deadline loses none of them.
    ///
    /// If this is dropped while it waits, the samples taken so far are gone. The receiver can be
    /// used on.
    ///
    /// # Errors
    /// * [`Timeout`](twotone_hal::ErrorKind::Timeout): not all samples came `within` that time. The
    ///   error names a module, with its number of samples that came and of those that were lost.
    /// * [`InvalidArgument`](twotone_hal::ErrorKind::InvalidArgument): no samples, modules or
    ///   channels were asked for, a module was named twice, or the receiver does not have a board.
    /// * [`Unsupported`](twotone_hal::ErrorKind::Unsupported): the module's packets are short and
    ///   lack the channels, or samples after a time were asked for and its stamps have no meaning,
    ///   stand still or are set forward.
    /// * [`ConnectionLost`](twotone_hal::ErrorKind::ConnectionLost): a socket failed.
    pub async fn take(&mut self, take: &Take, within: Duration) -> Result<Vec<Block>> {
        let failed = |error: twotone_hal::Error| error.during(take.to_string());
        let mut collection = Collection::begin(take, self.sources()).map_err(failed)?;
        let deadline = deadline::within(within);
        let mut has_looked = false;
        let mut reads = self.intake.most_reads();
        loop {
            while let Some(packet) = self.intake.peek() {
                let offered = collection.offer(&packet);
                // Also if it is refused: the next call shall not meet it again.
                self.intake.skip();
                offered.map_err(failed)?;
                if collection.is_complete() {
                    return Ok(collection.finish());
                }
            }
            // Packets of others may come without end.
            if has_looked && Instant::now() >= deadline {
                if self.intake.is_behind() && reads > 0 {
                    reads -= 1;
                } else {
                    let late = collection.late(within, Some(&self.counters()));
                    return Err(failed(late));
                }
            }
            self.intake.fill(deadline).await.map_err(failed)?;
            has_looked = true;
        }
    }
}

fn readout_head(bytes: &[u8]) -> Option<Head> {
    let packet = ReadoutPacket::new(bytes).ok()?;
    Some(Head {
        serial: packet.serial(),
        module: packet.module(),
        sequence: packet.sequence(),
    })
}

fn pfb_head(bytes: &[u8]) -> Option<Head> {
    let packet = PfbPacket::new(bytes).ok()?;
    Some(Head {
        serial: packet.serial(),
        module: packet.module(),
        sequence: packet.sequence(),
    })
}
