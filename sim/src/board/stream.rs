//! Sample streams of simulated boards of any kind: UDP multicast from the address of the board. A
//! farm is a group of simulated boards.
//!
//! | file | content |
//! |---|---|
//! | `joins` | receivers on this machine, from the lists of the kernel |
//! | `pace`, `room` | order in which boards send, and limits on the resources that they use |
//! | `outbox` | the socket, with many packets in each system call |
//! | `tally` | counters of packets |

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
pub use tally::PacketCounters;
pub(crate) use tally::{Count, StreamTally};

/// Times at which a board sends its streams.
///
/// While a board sends, its time is real time in every [`TimeMode`](crate::TimeMode) of the
/// [`Farm`](crate::Farm). The stream and the control protocol return the same decimated samples, so
/// an acquisition of such samples takes as long as the time that the samples cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Streaming {
    /// While a receiver on this machine has joined the multicast group, with the address of the
    /// board as the source. The board notices a change within a quarter of a second.
    #[default]
    WhenJoined,
    /// As [`Streaming::WhenJoined`], and also while a receiver has joined the group without naming
    /// a source. The board notices this kind of join within half a second, because the group then
    /// has more members than joined sources. It may miss the join if a member has joined several
    /// sources.
    ///
    /// One receiver of this kind makes all farms on the machine send that have this mode and the
    /// same group. It thereby slows these farms to real time. A separate group avoids this
    /// ([`FarmBuilder::stream_group`](crate::FarmBuilder::stream_group)).
    WhenAnyJoined,
    /// Always, from the start of the farm to its end.
    Always,
    /// Never.
    Never,
}
