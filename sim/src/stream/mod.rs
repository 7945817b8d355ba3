//! The sample streams: UDP multicast from each board's own address.
//!
//! | file | content |
//! |---|---|
//! | `joins` | listeners on this machine, as the kernel lists them |
//! | `sender` | a board's task: packets when their samples are due |
//! | `pace` | turns of the boards to send, and their share of the machine |
//! | `readout`, `pfb` | the two streams: rows of samples to packets |
//! | `fate` | packets that a fault loses, doubles, delays or corrupts |
//! | `outbox` | the socket, many packets a system call |
//! | `tally` | counts of the packets |

mod fate;
mod joins;
mod outbox;
mod pace;
mod pfb;
mod readout;
mod sender;
mod tally;

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use twotone_wire::crs;

pub(crate) use joins::watch;
pub(crate) use outbox::Outbox;
pub(crate) use pace::Pace;
pub(crate) use sender::send;
pub(crate) use tally::StreamTally;
pub use tally::{PacketCounters, StreamCounters};

/// Times at which a board sends its streams.
///
/// While a board sends, its time is real, whatever the farm's
/// [`TimeMode`](crate::TimeMode): the stream and the control protocol show the
/// same samples, so that an acquisition takes as long as its samples do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Streaming {
    /// While a receiver on this machine has joined the group for the board's
    /// address. A join or a leave is seen within a quarter of a second.
    #[default]
    WhenJoined,
    /// The same, and also while a receiver has joined the group for any source.
    /// Such a join is seen within half a second. It shows in that the group has
    /// more members than joined sources. It may therefore be overlooked if a
    /// member has joined several sources.
    ///
    /// One such receiver wakes every farm on the machine that sends in this
    /// mode to the same group, and slows it to real time. Use a group of your own
    /// ([`FarmBuilder::stream_group`](crate::FarmBuilder::stream_group)).
    WhenAnyJoined,
    /// From the start to the end.
    Always,
    /// Never.
    Never,
}

/// Destination of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) group: Ipv4Addr,
    pub(crate) readout_port: u16,
    pub(crate) pfb_port: u16,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            group: crs::GROUP,
            readout_port: crs::READOUT_PORT,
            pfb_port: crs::PFB_PORT,
        }
    }
}
