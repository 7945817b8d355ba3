//! Any bytes for every reader of twotone: no panic, no hang, no memory that the bytes do not pay for.
//!
//! A [`Target`] is a plain function of bytes. It reads them, and asserts what must hold whatever they are: what
//! is read is written back and read again with the same meaning, an error has its place, and reading twice gives
//! the same. [`attempt`] runs a target on an input and says what went wrong, the memory that it took included.
//!
//! Each target has inputs in `corpus/` and may name golden files. The test `tests/corpus.rs` replays them, with
//! some seconds of mutations. `cargo xtask fuzz` goes on for longer.

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
