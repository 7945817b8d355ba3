//! The sample streams of CRS boards: UDP multicast, everything little-endian.
//!
//! A board sends two streams. The readout stream ([`ReadoutPacket`]) carries every channel of a
//! module, decimated: one packet per module and sample. The PFB stream ([`PfbPacket`]) carries a
//! few channels before the decimation, many samples a packet. Each packet ends with the board's
//! stamp ([`Stamp`]) and has a sequence number that counts up per module and stream, so that a
//! receiver knows its losses.
//!
//! A packet type is a checked view of its bytes: its length, magic number and version are right,
//! and no field of it can be read out of bounds. A header type is a plain struct of the same
//! fields, which its `emit` writes.
//!
//! Boards share a group, so that packets of other boards and modules arrive too: compare serial
//! number and module before any data are used.

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

/// Sample rate of the PFB stream, a channel, in Hz.
pub const PFB_SAMPLE_RATE_HZ: f64 = 625e6 / 256.0;

/// Modules of an analog bank. Packets number a module within its bank.
pub const MODULES_IN_BANK: u8 = 4;

/// Factor from readout counts to the integers of samples.
pub const STEPS_PER_COUNT: f64 = 256.0;

/// Reason that bytes are not a packet of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The length is not that of the header, or too short for a header.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// Expected number of bytes, or the length of a header if there are fewer.
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

/// The I and Q integers of a row of samples.
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
