//! A mock board, for failures that no simulated board can show.

use async_trait::async_trait;
use mockall::mock;

use crate::{Batch, Board, Replies, Result};

mock! {
    /// A board that answers as told by `expect_run`. Simulated boards are the main double; this
    /// one is for error paths that they cannot take.
    pub Board {}

    #[async_trait]
    impl Board for Board {
        fn name(&self) -> &str;
        async fn run(&self, batch: &Batch) -> Result<Replies>;
    }
}
