//! Receivers of the sample streams of CRS boards: UDP multicast in, samples in order out.
//!
//! * [`Receiver`]: the readout stream, a decimated sample of every channel of a module in each
//!   packet. [`Receiver::recv`] gives the packets that have come. [`Receiver::take`] gives
//!   consecutive samples of some modules, and can leave out those taken before a setting changed.
//! * [`PfbReceiver`]: the PFB stream, a few channels before the decimation.
//! * [`Timeline`]: the times of a module's samples, with their stamps compared with each other. The
//!   stamp of a single packet cannot say that its clock stands still or was set.
//! * [`Counters`]: exact numbers of packets received, lost, late, or of others, for each board and
//!   module.
//!
//! Joins are source-specific: only packets from the boards' own addresses are asked for. Packets
//! from such an address with another serial number are counted and never used. Packets that come
//! out of order are put in order; one is given up for lost when its window has passed (see
//! [`ReceiveOptions`]).
//!
//! Modules are numbered as packets number them, see [`in_packets`]: from 1 within the analog bank
//! in use.
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
mod receiver;
mod sequence;
mod shared;
mod socket;
mod take;
mod time;
mod timeline;

pub(crate) use blocks::{BlockReceiver, Wanted};
pub use counters::{BoardCounters, Counters, ModuleCounters};
pub use frame::{Frame, Frames, PfbFrame, PfbFrames};
pub(crate) use listen::listen_for_serials;
pub use options::Source;
pub use receiver::{PfbReceiver, Receiver};
pub(crate) use shared::SharedReceiver;
pub use socket::KernelBuffers;
pub use take::{Block, Take};
pub use time::{NoTime, SampleTime};
pub use timeline::{JudgedTime, Stamped, Timeline};
use twotone_hal::ModuleId;
pub use twotone_hal::{ClockStep, TimeFindings, TimeOrigin};
/// Source of a stamp's time.
pub use twotone_wire::crs::StampSource;
/// Rate of the samples at a decimation stage (0 to 7), in Hz.
pub use twotone_wire::crs::sample_rate_hz;
pub use twotone_wire::crs::{MODULES_IN_BANK, STEPS_PER_COUNT};

/// The module as packets number it, from 1 within its analog bank: board modules 1 and 5 are both
/// module 1 there.
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
