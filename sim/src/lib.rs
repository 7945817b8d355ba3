//! Simulated readout boards and farms, served over the real wire.
//!
//! A [`Farm`] is any number of boards, each listening on a loopback address of
//! its own and speaking the control protocol of a CRS board. A client reaches a
//! simulated board over this protocol alone, and sees the same as of a real
//! board.
//!
//! ```
//! use twotone_sim::{Farm, Profile};
//!
//! # fn main() -> Result<(), twotone_sim::StartError> {
//! let farm = Farm::builder().boards(2).detectors(20).seed(7).profile(Profile::Clean).start_blocking()?;
//! for board in farm.boards() {
//!     println!("{} listens on {}", board.name(), board.address());
//! }
//! assert_eq!(farm.truth().boards[0].modules[0].detectors.len(), 20);
//! # Ok(())
//! # }
//! ```
//!
//! A [`fault`] makes a board misbehave. The [`Truth`] holds the true parameters
//! of the detectors, for tests and for reports that score a measurement.
//!
//! | file | content |
//! |---|---|
//! | `farm` | builder, farm, boards as seen from outside |
//! | `board`, `module`, `settings` | state of a board |
//! | `crs` | its methods and properties |
//! | `service` | its HTTP service: sockets, no protocol |
//! | `stream` | its sample streams: UDP multicast |
//! | `fault` | its possible faults |
//! | `map`, `truth`, `counters` | its hardware map, detectors and traffic |
//! | `address`, `limits` | loopback addresses, descriptors |
//! | `time`, `clock` | modes of time, and the board's clock |

mod address;
mod board;
mod clock;
mod counters;
mod crs;
mod error;
mod farm;
pub mod fault;
mod limits;
mod map;
mod module;
mod service;
mod settings;
mod stream;
mod threads;
mod time;
mod truth;

pub use counters::Counters;
pub use error::StartError;
pub use farm::{Farm, FarmBuilder, SimBoard};
pub use fault::Fault;
pub use stream::{PacketCounters, StreamCounters, Streaming};
pub use time::TimeMode;
pub use truth::{BoardTruth, ModuleTruth, Truth};
pub use twotone_physics::{
    ChannelFault, Conditions, DetectorFault, Modulation, Profile, ProfileParams, TruthDetector,
};
