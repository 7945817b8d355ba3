//! Doubles of boards, for tests of what uses boards. Simulated boards, behind real sockets, are the
//! main double. These two serve where a test needs a board in its own process.

mod memory_board;

use async_trait::async_trait;
use mockall::mock;

use crate::{Batch, Board, Replies, Result};

pub use memory_board::{Means, MemoryBoard};

mock! {
    /// A board that answers as told by `expect_run`, for error paths that no simulated board takes.
    pub Board {}

    #[async_trait]
    impl Board for Board {
        fn name(&self) -> &str;
        async fn run(&self, batch: &Batch) -> Result<Replies>;
    }
}
