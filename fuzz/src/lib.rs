//! Fuzzing of every reader of twotone. Whatever bytes a reader gets, it must not panic or hang, and
//! its use of memory must be in proportion to the number of bytes.
//!
//! A [`Target`] has a function that reads bytes. The function asserts properties that hold for any
//! bytes. For example, a value that was read has the same meaning after it is written and read
//! again, an error has a position within the input, and reading twice gives the same result.
//! [`attempt`] runs a target on an input and reports a failure. The allocation of too much memory
//! is also a failure.
//!
//! Each target has inputs in `corpus/` and may also name golden files, which real programs have
//! written. The test `tests/corpus.rs` runs each target on all of these inputs and on some hundred
//! mutated copies. `cargo xtask fuzz` runs for longer.

mod attempt;
mod corpus;
mod minimise;
mod mutate;
mod random;
mod search;
mod targets;

pub use attempt::{Failure, attempt, attempts};
pub use corpus::{Corpus, Input};
pub use minimise::minimise;
pub use mutate::{LONGEST, Mutator};
pub use random::Random;
pub use search::{Found, Search};
pub use targets::{Memory, TARGETS, Target};
