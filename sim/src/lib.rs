//! Simulated readout boards and farms, served over the real wire.
//!
//! A [`Farm`] is any number of boards, each listening on a loopback address of
//! its own and speaking the control protocol of a CRS board. Nothing reaches a
//! simulated board but its protocol: what a client sees of it is what it would
//! see of a real one.
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
//! What befalls a board beside that is a [`fault`]. What its detectors really
//! are is the [`Truth`], for tests and for reports that score a measurement.
//!
//! | file | what is there |
//! |---|---|
//! | `farm` | builder, farm, boards as seen from outside |
//! | `board`, `module`, `settings` | what a board is set to |
//! | `crs` | its methods and properties |
//! | `service` | its HTTP service: sockets, no protocol |
//! | `stream` | its sample streams: UDP multicast |
//! | `fault` | what can go wrong with it |
//! | `map`, `truth`, `counters` | what is written down about it |
//! | `address`, `limits` | loopback addresses, descriptors |
//! | `time`, `clock` | how time passes |

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
