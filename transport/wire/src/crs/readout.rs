//! Packets of the readout stream of a CRS board. Each has a decimated sample of every channel of
//! one module. The modules of a board are in two analog banks, groups of four, of which one is in
//! use.

use super::stamp::Stamp;
use super::{PFB_SAMPLE_RATE_HZ, PacketError, pairs, put_pairs, u16_at, u32_at};

mod field {
    use std::ops::Range;

    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 4;
    pub(super) const SERIAL: usize = 6;
    pub(super) const MODULES: usize = 8;
    pub(super) const FLAGS: usize = 9;
    pub(super) const STAGE: usize = 10;
    pub(super) const MODULE: usize = 11;
    pub(super) const SEQUENCE: usize = 12;
    pub(super) const HEADER: Range<usize> = 0..16;
}

const MAGIC: u32 = 0x5344_494b;
const OVERRANGE: u8 = 1;
const OVERVOLTAGE: u8 = 1 << 1;
const STAGE_MASK: u8 = 0b111;
const SHORT: u8 = 1 << 3;

/// The two lengths of readout packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PacketLength {
    /// All 1024 channels; needs decimation stage 3 or above.
    #[default]
    Long,
    /// The first 128 channels.
    Short,
}

impl PacketLength {
    /// Channels in a packet.
    pub const fn channels(self) -> usize {
        match self {
            Self::Long => 1024,
            Self::Short => 128,
        }
    }

    /// Length of a packet, in bytes.
    pub const fn bytes(self) -> usize {
        field::HEADER.end + 8 * self.channels() + Stamp::BYTES
    }

    /// Version number of packets of this length.
    pub const fn version(self) -> u16 {
        match self {
            Self::Long => 5,
            Self::Short => 6,
        }
    }
}

/// Decimation factor of the first filter. The decimation stage sets that of the second filter.
const FIRST_DECIMATION: f64 = 64.0;

/// Sample rate of the readout stream at a decimation stage (0 to 7), in Hz.
pub fn sample_rate_hz(stage: u8) -> f64 {
    PFB_SAMPLE_RATE_HZ / FIRST_DECIMATION / 2_f64.powi(i32::from(stage))
}

/// Time in seconds by which the stamp of a sample of the readout stream is later than the sample.
/// It is the group delay of the decimation filters, which the board does not subtract.
pub fn group_delay_s(stage: u8) -> f64 {
    let first = 1.5 * (FIRST_DECIMATION - 1.0) / PFB_SAMPLE_RATE_HZ;
    let cascade = 3.0 * (2_f64.powi(i32::from(stage)) - 1.0) / sample_rate_hz(0);
    first + cascade
}

/// Packet of the readout stream. Its length, magic number and version have been checked.
#[derive(Debug, Clone, Copy)]
pub struct ReadoutPacket<'a> {
    bytes: &'a [u8],
    length: PacketLength,
}

impl<'a> ReadoutPacket<'a> {
    /// Checks that the bytes are exactly one packet.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let found = bytes.len();
        if found < field::HEADER.end {
            return Err(PacketError::Length {
                expected: field::HEADER.end,
                found,
            });
        }
        let magic = u32_at(bytes, field::MAGIC);
        if magic != MAGIC {
            return Err(PacketError::Magic(magic));
        }
        let version = u16_at(bytes, field::VERSION);
        let length = [PacketLength::Long, PacketLength::Short]
            .into_iter()
            .find(|length| length.version() == version)
            .ok_or(PacketError::Version(version))?;
        if found != length.bytes() {
            return Err(PacketError::Length {
                expected: length.bytes(),
                found,
            });
        }
        Ok(ReadoutPacket { bytes, length })
    }

    /// Length of the packet: long or short.
    pub fn length(&self) -> PacketLength {
        self.length
    }

    /// Serial number of the board that sent the packet.
    pub fn serial(&self) -> u16 {
        u16_at(self.bytes, field::SERIAL)
    }

    /// Number of modules that the board streams.
    pub fn modules(&self) -> u8 {
        self.bytes[field::MODULES]
    }

    /// True if an input was beyond the converter's range in this sample.
    ///
    /// The flag belongs to one sample only. An acquisition must combine the flags of all its
    /// packets.
    pub fn overrange(&self) -> bool {
        self.bytes[field::FLAGS] & OVERRANGE != 0
    }

    /// True if an input was beyond the converter's safe voltage in this sample.
    pub fn overvoltage(&self) -> bool {
        self.bytes[field::FLAGS] & OVERVOLTAGE != 0
    }

    /// Decimation stage, from 0.
    pub fn stage(&self) -> u8 {
        self.bytes[field::STAGE] & STAGE_MASK
    }

    /// The module, counted from 0 within its analog bank.
    pub fn module(&self) -> u8 {
        self.bytes[field::MODULE]
    }

    /// Sequence number, counted for each module. It wraps at 32 bits.
    pub fn sequence(&self) -> u32 {
        u32_at(self.bytes, field::SEQUENCE)
    }

    /// Time stamp: the time at which the sample was taken, plus [`group_delay_s`].
    pub fn stamp(&self) -> Stamp {
        Stamp::parse(&self.bytes[self.bytes.len() - Stamp::BYTES..])
    }

    /// I and Q of each channel in order, in steps. [`STEPS_PER_COUNT`](super::STEPS_PER_COUNT)
    /// steps are one readout count.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (i32, i32)> + Clone + 'a {
        pairs(&self.bytes[field::HEADER.end..self.bytes.len() - Stamp::BYTES])
    }
}

/// Fields of a readout packet without its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadoutHeader {
    /// Long or short.
    pub length: PacketLength,
    /// Serial number of the board.
    pub serial: u16,
    /// Number of modules that the board streams.
    pub modules: u8,
    /// True if an input was beyond the converter's range.
    pub overrange: bool,
    /// True if an input was beyond the converter's safe voltage.
    pub overvoltage: bool,
    /// Decimation stage, 0 to 7.
    pub stage: u8,
    /// The module, counted from 0 within its analog bank.
    pub module: u8,
    /// Sequence number of the packet.
    pub sequence: u32,
    /// Time stamp: the time at which the sample was taken, plus [`group_delay_s`].
    pub stamp: Stamp,
}

impl ReadoutHeader {
    /// The header of a packet.
    pub fn parse(packet: &ReadoutPacket<'_>) -> Self {
        Self {
            length: packet.length(),
            serial: packet.serial(),
            modules: packet.modules(),
            overrange: packet.overrange(),
            overvoltage: packet.overvoltage(),
            stage: packet.stage(),
            module: packet.module(),
            sequence: packet.sequence(),
            stamp: packet.stamp(),
        }
    }

    /// Length of the packet, in bytes.
    pub fn buffer_len(&self) -> usize {
        self.length.bytes()
    }

    /// Writes a packet with these samples: I and Q of each channel, from the first one on. Channels
    /// without a sample get zeros, and samples beyond the last channel are left out.
    ///
    /// The buffer must hold [`ReadoutHeader::buffer_len`] bytes. Further bytes stay as they are.
    /// Nothing is written if the buffer is shorter.
    pub fn emit(&self, samples: &[(i32, i32)], buffer: &mut [u8]) -> Result<(), PacketError> {
        let (expected, found) = (self.buffer_len(), buffer.len());
        let Some(buffer) = buffer.get_mut(..expected) else {
            return Err(PacketError::Length { expected, found });
        };
        buffer.fill(0);
        buffer[field::MAGIC..][..4].copy_from_slice(&MAGIC.to_le_bytes());
        buffer[field::VERSION..][..2].copy_from_slice(&self.length.version().to_le_bytes());
        buffer[field::SERIAL..][..2].copy_from_slice(&self.serial.to_le_bytes());
        buffer[field::MODULES] = self.modules;
        let overrange = if self.overrange { OVERRANGE } else { 0 };
        let overvoltage = if self.overvoltage { OVERVOLTAGE } else { 0 };
        buffer[field::FLAGS] = overrange | overvoltage;
        let short = if self.length == PacketLength::Short {
            SHORT
        } else {
            0
        };
        buffer[field::STAGE] = self.stage & STAGE_MASK | short;
        buffer[field::MODULE] = self.module;
        buffer[field::SEQUENCE..][..4].copy_from_slice(&self.sequence.to_le_bytes());
        let stamp_at = expected - Stamp::BYTES;
        put_pairs(&mut buffer[field::HEADER.end..stamp_at], samples);
        buffer[stamp_at..].copy_from_slice(&self.stamp.emit());
        Ok(())
    }
}
