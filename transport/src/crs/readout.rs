//! Receiver of the readout stream of CRS boards: from UDP multicast to samples in order.
//!
//! * [`Receiver`]: the readout stream, whose packets each hold one decimated sample of every
//!   channel of a module. [`Receiver::recv`] returns the packets that have come. [`Receiver::take`]
//!   returns consecutive samples of some modules, and can leave out those from before a setting
//!   changed.
//! * The samples of the PFB stream, many of a few channels in each packet, come as blocks: see
//!   [`Streams::fast`](twotone_hal::Streams::fast).
//! * [`Timeline`]: the times of a module's samples, from a comparison of many time stamps. A single
//!   stamp cannot show that the clock stands still or was set.
//! * [`Counters`]: exact numbers of received, lost and late packets of each module, and of packets
//!   with a serial number that was not asked for.
//!
//! Joins are source-specific (IGMPv3): the network delivers only packets from the addresses of the
//! boards. Packets from such an address with another serial number are counted and never used.
//! Packets that come out of order are put in order. A missing packet counts as lost after a number
//! of packets or a time (see [`ReceiveOptions`](twotone_hal::ReceiveOptions)).
//!
//! Modules are numbered as in packets (see [`in_packets`]): from 1 within the analog bank in use,
//! which is one of the two groups of four modules.
//!
//! ```no_run
//! use std::{net::Ipv4Addr, time::Duration};
//! use twotone_hal::ModuleId;
//! use twotone_hal::ReceiveOptions;
//! use twotone_transport::readout::{Receiver, Source, Take};
//!
//! # async fn f() -> twotone_hal::Result<()> {
//! let board = Source::new(Ipv4Addr::new(192, 168, 2, 42), 42);
//! let mut receiver = Receiver::open(&[board], &ReceiveOptions::new())?;
//! let take = Take::new(100).of(board, ModuleId::new(1)?);
//! let block = receiver.take(&take, Duration::from_secs(1)).await?.remove(0);
//! println!("{} at {:?}", block.means()[0], block.times[0]);
//! # Ok(())
//! # }
//! ```

mod advance;
mod assembly;
mod blocks;
mod counters;
mod frame;
mod intake;
mod listen;
mod options;
mod packet;
mod receiver;
mod sequence;
mod shared;
mod socket;
mod spacing;
mod take;
mod time;
mod timeline;

pub(crate) use blocks::{BlockReceiver, Wanted};
pub use counters::{BoardCounters, Counters, ModuleCounters};
pub use frame::{Frame, Frames};
pub(crate) use listen::listen_for_serials;
pub use options::Source;
pub(crate) use packet::StreamKind;
pub use receiver::Receiver;
pub(crate) use shared::SharedReceiver;
pub use socket::KernelBuffers;
pub use spacing::Spacing;
pub use take::{Block, Take};
pub use time::{NoTime, SampleTime};
pub use timeline::{JudgedTime, Stamped, Timeline};
use twotone_hal::ModuleId;
pub use twotone_hal::{ClockStep, TimeFindings, TimeOrigin};
pub use twotone_wire::crs::StampSource;
pub use twotone_wire::crs::{MODULES_IN_BANK, STEPS_PER_COUNT};
pub use twotone_wire::crs::{group_delay_s, sample_rate_hz};

/// Number of a module in packets, from 1 within its analog bank. Modules 1 and 5 of the board are
/// both module 1.
///
/// ```
/// # use twotone_transport::readout::in_packets;
/// # use twotone_hal::ModuleId;
/// let numbers = (1..=8).map(|number| in_packets(ModuleId::new(number).unwrap()).number());
/// assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3, 4, 1, 2, 3, 4]);
/// ```
pub fn in_packets(module: ModuleId) -> ModuleId {
    let number = (module.number() - 1) % MODULES_IN_BANK + 1;
    ModuleId::new(number).unwrap_or(module)
}
