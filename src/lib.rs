//! Control software for large arrays of FPGA readout boards on microwave telescopes. A board drives
//! and reads detectors, which are microwave resonators, with one tone for each.
//!
//! A tuning algorithm is written once, as an async function over the hardware abstraction in
//! [`hal`]. The same function is called with `.wait()` on one board, for instance at a prompt, and
//! with `.await` on all boards of an array at once.
//!
//! ```
//! use twotone::prelude::*;
//!
//! /// The loudest channel of a module.
//! #[tworoutine]
//! async fn loudest(board: &BoardHandle, module: ModuleId) -> Result<f64> {
//!     let means = board.samples().mean(module, Acquire::new(10)).await?;
//!     Ok(means.mean.iter().map(|z| z.norm()).fold(0.0, f64::max))
//! }
//!
//! # #[cfg(feature = "sim")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let farm = Farm::builder().boards(2).detectors(8).start_blocking()?;
//! let array = Array::connect(&HardwareMap::try_from(&farm)?).wait();
//!
//! let alone = loudest(&array.board("crs0001").wait()?, ModuleId::FIRST).wait()?;
//! let everywhere = Runner::new()
//!     .run(array.targets(), |board, module| async move { loudest(&board, module).await })
//!     .wait();
//! assert_eq!(everywhere.len(), 2);
//! # assert!(alone.is_finite());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sim"))]
//! # fn main() {}
//! ```
//!
//! The crate works in an application with a multi-thread runtime, with a single-threaded runtime or
//! with none, because the process-wide [`tworoutine::runtime`](tworoutine::runtime()) drives the
//! boards. The folder `examples/` has a program for each of these cases. A crate that uses the
//! attribute `#[tworoutine]` must depend on the crate `tworoutine` too, because the attribute
//! expands to paths in it.
//!
//! | module | contents |
//! |---|---|
//! | [`map`] | the hardware map: the boards of an array, and the limits of their modules |
//! | [`campaign`] | tunes, sweeps, switch-offs and captures of an array |
//! | [`Array`], [`Connections`] | connected boards of a map, and connections that campaigns reuse |
//! | `capture` | sample streams, written to disk (feature `arrow`) |
//! | `exchange` | captures and tunes in the formats of other programs (feature `arrow`) |
//! | [`firmware`] | the firmware releases of boards, and the roll-out of a new one |
//! | [`run`] | one algorithm over the modules of many boards, and the wrappers around a board |
//! | [`fits`] | fits to sweeps that were measured earlier |
//! | [`find`] | the search for the boards of the local network |
//! | [`identity`] | the check that a board is the one in the map |
//! | [`lock`] | locks, so that one program of this host at a time sets a board |
//! | [`record`] | run directories, each written as a whole or not at all |
//! | [`release`] | the version of this build, and its commit |
//! | [`input`] | reading of input files, up to a size limit |
//! | [`prelude`] | the names that a tuning program imports |
//! | `cli` | the command line of `twotone`, for programs that add kinds of boards (feature `cli`) |
//! | [`hal`], [`algorithms`], [`transport`], [`tworoutine`] | the crates below this one |
//! | `sim`, `score` | farms of simulated boards, and the score of a tune on them (feature `sim`) |

// The module `cli` calls this crate by its name `twotone`, as an external program does.
#[cfg(feature = "cli")]
extern crate self as twotone;

mod array;
pub mod campaign;
#[cfg(feature = "arrow")]
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
mod connections;
#[cfg(feature = "arrow")]
pub mod exchange;
mod family;
pub mod find;
pub mod firmware;
pub mod fits;
#[cfg(all(doctest, feature = "sim"))]
mod how_to;
pub mod identity;
pub mod input;
pub mod lock;
pub mod map;
pub mod prelude;
pub mod record;
pub mod release;
pub mod run;
#[cfg(feature = "sim")]
pub mod score;
#[cfg(feature = "cli")]
mod serve;
mod settings_watch;

pub use array::{Array, ArrayBoard};
pub use connections::Connections;
pub use tworoutine;
pub use twotone_algorithms as algorithms;
pub use twotone_hal as hal;
#[cfg(feature = "sim")]
pub use twotone_sim as sim;
pub use twotone_transport as transport;
