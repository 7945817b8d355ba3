//! Packets of the sample streams of CRS boards: UDP multicast, all fields little-endian.
//!
//! A board sends two streams. A packet of the readout stream ([`ReadoutPacket`]) holds one
//! decimated sample of every channel of a module. A packet of the PFB stream ([`PfbPacket`]) holds
//! many samples of a few channels, from the polyphase filter bank before the decimation. Each
//! packet has a sequence number and ends with a time stamp ([`Stamp`]). The sequence number counts
//! the packets of a module and stream, so that a receiver can count lost packets.
//!
//! [`ReadoutPacket`] and [`PfbPacket`] are checked views of bytes: the length, the magic number and
//! the version are right, and so are the mode and the number of samples of a PFB packet. Other
//! fields are not checked. [`ReadoutHeader`] and [`PfbHeader`] are plain structs with the same
//! fields without the samples, and their methods `emit` write packets.
//!
//! Boards share a multicast group, so a receiver also gets packets of other boards and modules. It
//! must check the serial number of the board and the module in a packet before it uses the samples.

pub mod boot;
mod pfb;
mod readout;
mod stamp;

pub use pfb::{PfbHeader, PfbMode, PfbPacket};
pub use readout::{PacketLength, ReadoutHeader, ReadoutPacket, group_delay_s, sample_rate_hz};
pub use stamp::{Stamp, StampSource};

use std::net::Ipv4Addr;

/// The multicast group of both streams.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 0, 2);

/// UDP port of the readout stream.
pub const READOUT_PORT: u16 = 9876;

/// UDP port of the PFB stream.
pub const PFB_PORT: u16 = 9877;

/// Sample rate of each channel of the PFB stream, in Hz.
pub const PFB_SAMPLE_RATE_HZ: f64 = 625e6 / 256.0;

/// Number of modules of an analog bank, which is a group of modules of a board. Packets number a
/// module within its bank.
pub const MODULES_IN_BANK: u8 = 4;

/// Number of steps in one readout count. The integers in packets are in steps.
pub const STEPS_PER_COUNT: f64 = 256.0;

/// Reason why bytes are not a packet of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The length differs from the one that follows from the header, or is too short for a header.
    /// When a packet is written: the buffer is too short.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// Expected number of bytes of the packet. If there are too few bytes to know it: the
        /// length of a header of the readout stream, or of a header and a stamp of the PFB stream.
        expected: usize,
        /// Number of bytes found.
        found: usize,
    },
    /// The magic number differs: these are not bytes of the stream.
    #[error("magic number {0:#010x}")]
    Magic(u32),
    /// The version is not known.
    #[error("version {0} is not known")]
    Version(u16),
    /// A field holds a value out of its range.
    #[error("{field} is {value}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Value of the field.
        value: u32,
    },
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// I and Q integers of consecutive samples.
fn pairs(bytes: &[u8]) -> impl ExactSizeIterator<Item = (i32, i32)> + Clone {
    bytes.as_chunks::<8>().0.iter().map(|pair| {
        let [a, b, c, d, e, f, g, h] = *pair;
        (
            i32::from_le_bytes([a, b, c, d]),
            i32::from_le_bytes([e, f, g, h]),
        )
    })
}

fn put_pairs(to: &mut [u8], samples: &[(i32, i32)]) {
    for (to, (i, q)) in to.as_chunks_mut::<8>().0.iter_mut().zip(samples) {
        to[..4].copy_from_slice(&i.to_le_bytes());
        to[4..].copy_from_slice(&q.to_le_bytes());
    }
}
