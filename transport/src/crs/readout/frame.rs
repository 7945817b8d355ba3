//! Packets as a receiver returns them: in order, with their board and module.

use twotone_hal::ModuleId;
use twotone_wire::crs::ReadoutPacket;

use super::intake::{Packet, Packets};
use super::{NoTime, SampleTime, Source};

/// A packet with one sample of every channel of a module.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The board that sent the packet.
    pub source: Source,
    /// The module, numbered as in packets: from 1 within the analog bank (a group of four modules)
    /// in use.
    pub module: ModuleId,
    /// Number of packets of the module that were lost just before this one. It is also 0 after a
    /// restart of the board, whose sequence numbers begin anew.
    pub lost_before: u64,
    /// The packet.
    pub packet: ReadoutPacket<'a>,
}

impl<'a> Frame<'a> {
    pub(super) fn of(packet: &Packet<'a>) -> Option<Self> {
        Some(Self {
            source: packet.source,
            module: packet.module,
            lost_before: packet.lost_before,
            packet: ReadoutPacket::new(packet.bytes).ok()?,
        })
    }

    /// Time at which the sample was taken: the time of the packet's stamp less the delay of the
    /// filters. The stamp may be wrong although it is valid: [`Timeline`](super::Timeline) compares
    /// it with the stamps of other packets.
    ///
    /// # Errors
    /// If the stamp is not valid.
    pub fn time(&self) -> Result<SampleTime, NoTime> {
        SampleTime::of_readout(&self.packet.stamp(), self.packet.stage())
    }
}

/// The packets that have come, in order for each module.
///
/// The iterator borrows the packets from the memory of the receiver.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    packets: Packets<'a>,
    next: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn new(packets: Packets<'a>) -> Self {
        Self { packets, next: 0 }
    }

    /// True if there are no packets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let packet = self.packets.get(self.next)?;
        self.next += 1;
        Frame::of(&packet)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.packets.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Frames<'_> {}
