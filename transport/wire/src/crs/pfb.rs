//! Packets of the PFB stream of a CRS board. Each has many samples of a few channels, from the
//! polyphase filter bank (PFB) before the decimation. The modules of a board are in two analog
//! banks, groups of four, of which one is in use.

use super::stamp::Stamp;
use super::{PacketError, pairs, put_pairs, u16_at, u32_at};

mod field {
    use std::ops::Range;

    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 4;
    pub(super) const MODE: usize = 5;
    pub(super) const SERIAL: usize = 6;
    pub(super) const SLOTS: usize = 8;
    pub(super) const PAIRS: usize = 16;
    pub(super) const MODULE: usize = 18;
    pub(super) const SEQUENCE: usize = 20;
    pub(super) const HEADER: Range<usize> = 0..24;
}

const MAGIC: u32 = 0x736e_6962;
const VERSION: u8 = 1;

/// Number of channels that a PFB stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PfbMode {
    /// One channel.
    #[default]
    One = 0,
    /// Two channels.
    Two = 1,
    /// Four channels.
    Four = 2,
}

impl PfbMode {
    /// The number of channels.
    pub const fn slots(self) -> usize {
        1 << self as usize
    }
}

/// Packet of the PFB stream. Its length, magic number, version, mode and number of I/Q pairs have
/// been checked.
#[derive(Debug, Clone, Copy)]
pub struct PfbPacket<'a> {
    bytes: &'a [u8],
    mode: PfbMode,
}

impl<'a> PfbPacket<'a> {
    /// Largest number of I/Q pairs in a packet, over all its channels.
    pub const MAX_PAIRS: usize = 1000;

    /// Checks that the bytes are exactly one packet.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let found = bytes.len();
        if found < field::HEADER.end + Stamp::BYTES {
            let expected = field::HEADER.end + Stamp::BYTES;
            return Err(PacketError::Length { expected, found });
        }
        let magic = u32_at(bytes, field::MAGIC);
        if magic != MAGIC {
            return Err(PacketError::Magic(magic));
        }
        if bytes[field::VERSION] != VERSION {
            return Err(PacketError::Version(u16::from(bytes[field::VERSION])));
        }
        let mode = match bytes[field::MODE] {
            0 => PfbMode::One,
            1 => PfbMode::Two,
            2 => PfbMode::Four,
            other => {
                return Err(PacketError::Field {
                    field: "mode",
                    value: u32::from(other),
                });
            }
        };
        let pairs = usize::from(u16_at(bytes, field::PAIRS));
        if pairs > PfbPacket::MAX_PAIRS {
            let value = u32::from(u16_at(bytes, field::PAIRS));
            return Err(PacketError::Field {
                field: "number of pairs",
                value,
            });
        }
        let expected = packet_bytes(pairs);
        if found != expected {
            return Err(PacketError::Length { expected, found });
        }
        Ok(PfbPacket { bytes, mode })
    }

    /// Number of channels in the packet.
    pub fn mode(&self) -> PfbMode {
        self.mode
    }

    /// Serial number of the board that sent the packet.
    pub fn serial(&self) -> u16 {
        u16_at(self.bytes, field::SERIAL)
    }

    /// Channels in the packet, counted from 0. Only the first [`PfbMode::slots`] entries are used.
    pub fn slots(&self) -> [u16; 4] {
        [0, 1, 2, 3].map(|slot| u16_at(self.bytes, field::SLOTS + 2 * slot))
    }

    /// The module, counted from 0 within its analog bank.
    pub fn module(&self) -> u8 {
        self.bytes[field::MODULE]
    }

    /// Sequence number, counted for each module. It wraps at 32 bits.
    pub fn sequence(&self) -> u32 {
        u32_at(self.bytes, field::SEQUENCE)
    }

    /// Time at which the first sample was taken.
    pub fn stamp(&self) -> Stamp {
        Stamp::parse(&self.bytes[self.bytes.len() - Stamp::BYTES..])
    }

    /// I and Q in steps, in a flat list: all channels of the first sample, then all channels of the
    /// second, and so on. [`STEPS_PER_COUNT`](super::STEPS_PER_COUNT) steps are one readout count.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (i32, i32)> + Clone + 'a {
        pairs(&self.bytes[field::HEADER.end..self.bytes.len() - Stamp::BYTES])
    }

    /// I and Q of one channel. `slot` is the position of the channel in [`PfbPacket::slots`], from
    /// 0. Empty if the packet has fewer channels.
    pub fn slot_samples(
        &self,
        slot: usize,
    ) -> impl ExactSizeIterator<Item = (i32, i32)> + Clone + 'a {
        let slots = self.mode.slots();
        let skipped = if slot < slots { slot } else { usize::MAX };
        self.samples().skip(skipped).step_by(slots)
    }
}

const fn packet_bytes(pairs: usize) -> usize {
    field::HEADER.end + 8 * pairs + Stamp::BYTES
}

/// Fields of a PFB packet without its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PfbHeader {
    /// Number of channels in the packet.
    pub mode: PfbMode,
    /// Serial number of the board.
    pub serial: u16,
    /// The channels, counted from 0. Only the first [`PfbMode::slots`] entries are used.
    pub slots: [u16; 4],
    /// The module, counted from 0 within its analog bank.
    pub module: u8,
    /// Sequence number of the packet.
    pub sequence: u32,
    /// Time at which the first sample was taken.
    pub stamp: Stamp,
}

impl PfbHeader {
    /// The header of a packet.
    pub fn parse(packet: &PfbPacket<'_>) -> Self {
        Self {
            mode: packet.mode(),
            serial: packet.serial(),
            slots: packet.slots(),
            module: packet.module(),
            sequence: packet.sequence(),
            stamp: packet.stamp(),
        }
    }

    /// Length of a packet with this many I/Q pairs, in bytes.
    pub fn buffer_len(&self, pairs: usize) -> usize {
        packet_bytes(pairs)
    }

    /// Writes a packet with these samples: I and Q of all channels of the first sample, then of all
    /// channels of the second, and so on.
    ///
    /// The buffer must hold [`PfbHeader::buffer_len`] bytes. Further bytes stay as they are.
    /// Nothing is written if the buffer is shorter, or if there are more than
    /// [`PfbPacket::MAX_PAIRS`] pairs.
    pub fn emit(&self, samples: &[(i32, i32)], buffer: &mut [u8]) -> Result<(), PacketError> {
        if samples.len() > PfbPacket::MAX_PAIRS {
            let value = u32::try_from(samples.len()).unwrap_or(u32::MAX);
            return Err(PacketError::Field {
                field: "number of pairs",
                value,
            });
        }
        let (expected, found) = (packet_bytes(samples.len()), buffer.len());
        let Some(buffer) = buffer.get_mut(..expected) else {
            return Err(PacketError::Length { expected, found });
        };
        buffer[field::HEADER].fill(0);
        buffer[field::MAGIC..][..4].copy_from_slice(&MAGIC.to_le_bytes());
        buffer[field::VERSION] = VERSION;
        buffer[field::MODE] = self.mode as u8;
        buffer[field::SERIAL..][..2].copy_from_slice(&self.serial.to_le_bytes());
        for (slot, channel) in self.slots.iter().enumerate() {
            buffer[field::SLOTS + 2 * slot..][..2].copy_from_slice(&channel.to_le_bytes());
        }
        buffer[field::PAIRS..][..2].copy_from_slice(&(samples.len() as u16).to_le_bytes());
        buffer[field::MODULE] = self.module;
        buffer[field::SEQUENCE..][..4].copy_from_slice(&self.sequence.to_le_bytes());
        let stamp_at = expected - Stamp::BYTES;
        put_pairs(&mut buffer[field::HEADER.end..stamp_at], samples);
        buffer[stamp_at..].copy_from_slice(&self.stamp.emit());
        Ok(())
    }
}
