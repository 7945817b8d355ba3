//! The sample streams: UDP multicast from each board's own address.
//!
//! | file | what is there |
//! |---|---|
//! | `joins` | who on this machine listens, as the kernel says |
//! | `sender` | a board's task: packets as time brings their samples |
//! | `pace` | whose turn it is to send, and what it may take |
//! | `readout`, `pfb` | the two streams: rows of samples to packets |
//! | `fate` | packets that a fault loses, doubles, delays or spoils |
//! | `outbox` | the socket, many packets a system call |
//! | `tally` | what is counted of all that |

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

/// When a board sends its streams.
///
/// While a board sends, its time is real, whatever the farm's
/// [`TimeMode`](crate::TimeMode): the stream and the control protocol show the
/// same samples, so that an acquisition takes as long as its samples do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Streaming {
    /// While somebody on this machine has joined the group for the board's
    /// address. A join is seen, and a leave, within a quarter of a second.
    #[default]
    WhenJoined,
    /// The same, and while somebody has joined the group for any source: that
    /// is seen within half a second. Such joins are told from the others by
    /// there being more members of the group than joined sources; where a
    /// member has joined several sources, one for any may be overlooked.
    ///
    /// One such listener wakes every farm on the machine that sends so, and
    /// slows it to real time: use a group of your own
    /// ([`FarmBuilder::stream_group`](crate::FarmBuilder::stream_group)).
    WhenAnyJoined,
    /// From the start to the end.
    Always,
    /// Never.
    Never,
}

/// Where the streams go.
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
