//! Fuzzing of every reader of twotone: no bytes may lead to a panic, a hang, or to more memory than
//! is in proportion to their number.
//!
//! A [`Target`] is a plain function of bytes. It reads them, and asserts properties that hold for
//! any bytes: a value that was read is written back and read again with the same meaning, an error
//! has its place, and reading twice gives the same result. [`attempt`] runs a target on an input
//! and reports its failure, too much memory included.
//!
//! Each target has inputs in `corpus/` and may name golden files. The test `tests/corpus.rs`
//! replays them, with some seconds of mutations. `cargo xtask fuzz` goes on for longer.

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
