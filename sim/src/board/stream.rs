//! Sample streams of any board: UDP multicast from its own address.
//!
//! | file | content |
//! |---|---|
//! | `joins` | listeners on this machine, as the kernel lists them |
//! | `pace`, `room` | turns of the boards to send, and their share of the machine |
//! | `outbox` | the socket, many packets a system call |
//! | `tally` | counts of the packets |

mod joins;
mod outbox;
mod pace;
mod room;
mod tally;

use serde::{Deserialize, Serialize};

pub(crate) use joins::watch;
pub(crate) use outbox::{LaneId, Outbox};
pub(crate) use pace::Pace;
pub(crate) use room::Room;
pub(crate) use tally::{Count, StreamKind, StreamTally};
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
    /// As [`Streaming::WhenJoined`], and also while a receiver has joined the group for any source.
    /// Such a join is seen within half a second. The group then has more
    /// members than joined sources. Such a join may be overlooked if a member has
    /// joined several sources.
    ///
    /// One such receiver wakes every farm on the machine that sends in this
    /// mode to the same group, and slows it to real time. Use a group of your own
    /// ([`FarmBuilder::stream_group`](crate::FarmBuilder::stream_group)).
    WhenAnyJoined,
    /// Always, from the start of the farm to its end.
    Always,
    /// Never.
    Never,
}
