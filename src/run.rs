//! The runner, which runs an algorithm on the modules of many boards, and the wrappers that it puts
//! around a board. A *batch* is a list of operations that a board executes in order, as one
//! request.
//!
//! A [`Target`] is a module of a board, with its limits and the state in which it is to be left.
//! The [`Runner`] runs the algorithm for each target independently of the others, and returns every
//! failure as a value. Afterwards it brings the module to the [`SafeState`] of its target, even if
//! the algorithm failed, panicked, was cancelled or exceeded its deadline. If the algorithm
//! succeeds, its settings can be kept instead. [`Runner::off`] switches tones off and reads back
//! that they are off.
//!
//! ```no_run
//! use std::time::Duration;
//! use twotone::run::{Runner, Target};
//! use twotone_hal::{BoardHandle, ModuleId};
//!
//! # fn boards() -> Vec<BoardHandle> { Vec::new() }
//! let module = ModuleId::new(1).unwrap();
//! let targets = boards().into_iter().map(|board| Target::new(board, module)).collect();
//! let outcomes = Runner::new()
//!     .deadline(Duration::from_secs(60))
//!     .run(targets, |board, module| async move { board.nco().read(module).await })
//!     .wait();
//! for outcome in outcomes {
//!     println!("{} module {}: {:?}", outcome.board, outcome.module, outcome.result);
//! }
//! ```
//!
//! # Wrappers
//! Each wrapper is a [`Board`](twotone_hal::Board), and all but [`DryRun`] are around another
//! board. A wrapper changes one method, [`run`](twotone_hal::Board::run), and wrappers compose by
//! nesting. The runner's own stack is, from the algorithm to the board: [`Leased`], [`Limits`],
//! [`Journal`], [`Deadline`], [`Trace`], [`CatchPanic`]. Callers may put any wrapper around a board
//! before the board becomes a target.
//!
//! | wrapper | purpose |
//! |---|---|
//! | [`Leased`] | lets batches through while the algorithm runs, but no writes to other modules |
//! | [`Limits`] | refuses a batch that would break a limit after any of its writes |
//! | [`Journal`] | records the settings that each channel has, or may have |
//! | [`Deadline`] | ends a batch that takes too long |
//! | [`Trace`] | a tracing span for each batch |
//! | [`CatchPanic`] | converts a panic in the board's code into an error |
//! | [`DryRun`] | replaces a board: keeps settings in memory, and counts requests |

mod cleanup;
mod deadline;
mod deviation;
mod dry_run;
mod ending;
mod journal;
mod lease;
mod limits;
mod off;
mod outcome;
mod panics;
mod piecewise;
mod runner;
mod supervise;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod trace;

pub use deadline::Deadline;
pub use dry_run::{DryRun, Traffic};
pub use ending::{ENDINGS, Ending};
pub use journal::{Journal, Snapshot};
pub use lease::Leased;
pub use limits::Limits;
pub use outcome::{Channels, HardwareState, Outcome};
pub use panics::CatchPanic;
pub use runner::Runner;
pub(crate) use tally::Count;
#[cfg(feature = "arrow")]
pub(crate) use tally::{Counted, Tally, locked};
pub use target::{SafeState, Target};
pub use trace::Trace;
pub use twotone_hal::ModuleLimits;
