//! A packet as its receiver gives it: with its board and module, in order, in the receiver's own
//! memory.

use twotone_hal::ModuleId;
use twotone_wire::crs::{PfbPacket, ReadoutPacket};

use super::intake::{Packet, Packets};
use super::{NoTime, SampleTime, Source};

/// One sample of every channel of a module.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The board.
    pub source: Source,
    /// The module, as packets count them: from 1 within the analog bank in use.
    pub module: ModuleId,
    /// Number of packets of the module that were lost just before this one. It is 0 if the stream
    /// began anew; then the sequence number does not follow on the one before.
    pub lost_before: u64,
    /// The packet itself.
    pub packet: ReadoutPacket<'a>,
}

impl Frame<'_> {
    /// Time at which the sample was taken: the packet's stamp, less the delay of the filters.
    /// Others may contradict it: see [`Timeline`](super::Timeline).
    ///
    /// # Errors
    /// If the stamp has no meaning.
    pub fn time(&self) -> Result<SampleTime, NoTime> {
        SampleTime::of_readout(&self.packet.stamp(), self.packet.stage())
    }
}

/// Consecutive samples of a few channels of a module, before the decimation.
#[derive(Debug, Clone, Copy)]
pub struct PfbFrame<'a> {
    /// The board.
    pub source: Source,
    /// The module, as packets count them: from 1 within the analog bank in use.
    pub module: ModuleId,
    /// Number of packets of the module that were lost just before this one. It is 0 if the stream
    /// began anew; then the sequence number does not follow on the one before.
    pub lost_before: u64,
    /// The packet itself.
    pub packet: PfbPacket<'a>,
}

impl PfbFrame<'_> {
    /// Time at which the first sample was taken.
    ///
    /// # Errors
    /// If the stamp has no meaning.
    pub fn time(&self) -> Result<SampleTime, NoTime> {
        SampleTime::of_stamp(&self.packet.stamp())
    }
}

macro_rules! frames {
    ($(#[$doc:meta])* $frames:ident of $frame:ident of $packet:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $frames<'a> {
            packets: Packets<'a>,
            next: usize,
        }

        impl<'a> $frames<'a> {
            pub(super) fn new(packets: Packets<'a>) -> Self {
                Self { packets, next: 0 }
            }

            /// True if there is none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl<'a> $frame<'a> {
            pub(super) fn of(packet: &Packet<'a>) -> Option<Self> {
                Some(Self {
                    source: packet.source,
                    module: packet.module,
                    lost_before: packet.lost_before,
                    packet: $packet::new(packet.bytes).ok()?,
                })
            }
        }

        impl<'a> Iterator for $frames<'a> {
            type Item = $frame<'a>;

            fn next(&mut self) -> Option<$frame<'a>> {
                let packet = self.packets.get(self.next)?;
                self.next += 1;
                $frame::of(&packet)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                let left = self.packets.len() - self.next;
                (left, Some(left))
            }
        }

        impl ExactSizeIterator for $frames<'_> {}
    };
}

frames! {
    /// The samples that have come, each module's in order: an iterator over the receiver's own
    /// memory.
    Frames of Frame of ReadoutPacket
}
frames! {
    /// The packets of a PFB stream that have come, each module's in order: an iterator over the
    /// receiver's own memory.
    PfbFrames of PfbFrame of PfbPacket
}
