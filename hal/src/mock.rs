//! Test doubles of boards, for tests of code that uses boards. Most tests use simulated boards,
//! which are reached through real sockets. The two doubles in this module are for tests that need a
//! board without sockets.

mod memory_board;

use async_trait::async_trait;
use mockall::mock;

use crate::{Batch, Board, Replies, Result};

pub use memory_board::{Means, MemoryBoard};

mock! {
    /// A board whose answers the test sets with `expect_run`, for errors that no simulated board
    /// causes.
    pub Board {}

    #[async_trait]
    impl Board for Board {
        fn name(&self) -> &str;
        async fn run(&self, batch: &Batch) -> Result<Replies>;
    }
}
