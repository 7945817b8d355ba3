//! Control software for large arrays of FPGA readout boards on microwave telescopes.
//!
//! A tuning algorithm is written once, as an async function over a [`hal`]; the same function is
//! called with `.wait()` on one board, as at a prompt, and with `.await` over an array.
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
//! It works in an application with a multi-thread runtime, with a single-threaded one or with none,
//! and needs no runtime of its caller: boards are driven by the process-wide
//! [`tworoutine::runtime`](tworoutine::runtime()). The folder `examples/` has a program of each
//! kind. Code that writes `#[tworoutine]` depends on the crate `tworoutine` too, which the
//! attribute names.
//!
//! | module | what is in it |
//! |---|---|
//! | [`map`] | the hardware map: which boards there are, what they may put out |
//! | [`campaign`] | a map and parameters become a tune, a sweep, a switch-off or a capture |
//! | [`Array`], [`Connections`] | the boards of a map, connected, and connections that are kept |
//! | `capture` | sample streams, to disk (feature `arrow`) |
//! | [`firmware`] | releases of boards, and a new one for all of them |
//! | [`run`] | one algorithm over many boards, and the wrappers around a board |
//! | [`lock`] | one program a board, on this host |
//! | [`record`] | run directories: written whole or not at all |
//! | [`release`] | the version of this build, and its commit |
//! | [`input`] | files that are given to the program: read whole, up to a limit |
//! | `cli` | the program `twotone`, for programs with board kinds of their own (feature `cli`) |
//! | [`hal`], [`algorithms`], [`transport`], [`tworoutine`] | the crates beneath |
//! | `sim`, `score` | simulated farms, and how well a tune met their truth (feature `sim`) |

// The program in `cli` is written as any other that links this crate.
#[cfg(feature = "cli")]
extern crate self as twotone;

mod array;
pub mod campaign;
#[cfg(feature = "arrow")]
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
mod connections;
mod family;
pub mod firmware;
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
