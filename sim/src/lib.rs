#![doc = include_str!("../README.md")]
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `farm` | builder, farm, boards as seen from outside, hardware map, true parameters |
//! | `board` | parts of every board (address, port, time, counters, faults), and the kinds |
//! | `crs` | CRS boards: state, methods, HTTP service, packets |
//! | `fault` | faults that a board can have |

mod board;
mod crs;
mod error;
mod farm;
pub mod fault;

pub use board::stream::{PacketCounters, Streaming};
pub use board::{Counters, TimeMode};
pub use error::StartError;
pub use farm::{BoardTruth, Farm, FarmBuilder, ModuleTruth, SimBoard, Truth};
pub use fault::Fault;
/// Nyquist zones of the converters, and the response of the DAC in each.
pub use twotone_physics::converter;
pub use twotone_physics::{
    ChannelFault, Conditions, DetectorFault, Geometry, Modulation, Profile, ProfileParams,
    TruthDetector,
};
/// An image of firmware for simulated boards, which report the release in it.
pub use twotone_wire::crs::boot::example_image;
