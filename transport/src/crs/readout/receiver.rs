//! Receiver of the readout stream, the multicast packets in which CRS boards send their samples.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{ReceiveOptions, Result};
use twotone_wire::crs::READOUT_PORT;

use super::intake::Intake;
use super::packet::readout_head;
use super::take::Collection;
use super::{Block, Counters, Frames, KernelBuffers, Source, Take};
use crate::deadline;

/// Receiver of the readout streams of any number of boards. Each packet holds a sample of every
/// channel of a module.
///
/// It reads its sockets only while [`Receiver::recv`] or [`Receiver::take`] is awaited. At other
/// times the kernel buffers the packets. If the buffer is full, the kernel drops new packets, which
/// are counted as lost.
#[derive(Debug)]
pub struct Receiver {
    pub(super) intake: Intake,
}

impl Receiver {
    /// Opens a receiver of these boards. The process-wide runtime ([`tworoutine::runtime()`])
    /// drives the sockets, so that the receiver can be used from any thread and under any runtime.
    ///
    /// If the kernel grants smaller buffers than asked for, a warning is logged, and
    /// [`Self::buffers`] returns the sizes.
    ///
    /// # Errors
    /// If `sources` is empty or has a board twice, if the group or the interface in `options` is
    /// not valid, or if the stream of a source cannot be joined.
    pub fn open(sources: &[Source], options: &ReceiveOptions) -> Result<Self> {
        Self::on(sources, options, tworoutine::runtime().clone())
    }

    /// As [`Self::open`], on the tokio runtime of the caller. The receiver can be used while that
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
        let intake = Intake::open(sources, READOUT_PORT, readout_head, options, runtime)
            .map_err(|error| error.during("open a receiver"))?;
        Ok(Self { intake })
    }

    /// Returns packets in order as soon as there are any, or none after the time `within`. Packets
    /// that the kernel holds are read first, so that a `within` of zero returns these.
    ///
    /// Each packet is returned once. If this future is dropped, no packet is lost.
    ///
    /// # Errors
    /// If a socket fails.
    pub async fn recv(&mut self, within: Duration) -> Result<Frames<'_>> {
        self.intake.fill(deadline::within(within)).await?;
        Ok(Frames::new(self.intake.hand_over()))
    }

    /// True if the last read filled the buffer of this receiver, so that the kernel may hold more
    /// packets.
    pub fn is_behind(&self) -> bool {
        self.intake.is_behind()
    }

    /// Counters of received, lost and unusable packets since the receiver was opened.
    pub fn counters(&self) -> Counters {
        self.intake.counters()
    }

    /// Boards of the receiver, in the order in which they were given.
    pub fn sources(&self) -> &[Source] {
        self.intake.sources()
    }

    /// Receive buffers of the kernel, with the sizes that were asked for and granted.
    pub fn buffers(&self) -> KernelBuffers {
        self.intake.buffers()
    }

    /// Returns consecutive samples of some modules, one block for each in the order of `take`. The
    /// blocks may begin at different times; [`Take::after`] sets a time after which all of them
    /// begin.
    ///
    /// If a packet of a module is lost, or if the decimation stage or the length of its packets
    /// changes, the block of the module begins again. Samples of other modules that come meanwhile
    /// are counted and discarded. Samples that come after all blocks are full are left for the next
    /// call, so that the blocks of successive calls for a single module are contiguous.
    ///
    /// Samples that the kernel holds at the deadline are used, too. So a process that was stopped
    /// past its deadline loses none of them.
    ///
    /// If this future is dropped, the samples collected so far are lost. The receiver can still be
    /// used.
    ///
    /// # Errors
    /// * [`Timeout`](twotone_hal::ErrorKind::Timeout): not all samples came in the time `within`.
    ///   The message names a module, with the number of its samples that came, and the number of
    ///   its packets that were lost since the receiver was opened.
    /// * [`InvalidArgument`](twotone_hal::ErrorKind::InvalidArgument): no samples, modules or
    ///   channels were asked for, a channel does not exist, a module was named twice, or the
    ///   receiver was not opened for its board.
    /// * [`Unsupported`](twotone_hal::ErrorKind::Unsupported): the packets of the module are short
    ///   and lack the channels. Or samples after a time were asked for, and the stamps of the
    ///   module are not valid, stand still or jump forward.
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
                // The packet is removed even if it is refused, so that the next call does not get
                // it again.
                self.intake.skip();
                offered.map_err(failed)?;
                if collection.is_complete() {
                    return Ok(collection.finish());
                }
            }
            // This is checked after each read: packets of other modules may come without end.
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
