//! Many boards at once.

use futures::StreamExt;
use futures::stream;
use twotone_hal::{BoardHandle, ErrorTree};

use crate::{ConnectOptions, CrsBoard, Host};

/// What connected, in the order asked for, and what did not.
#[derive(Debug)]
pub struct Connected {
    /// The boards that answered.
    pub boards: Vec<BoardHandle>,
    /// Why the others did not.
    pub failed: ErrorTree,
}

/// Connects to many CRS boards, named as in the hardware map, at most `at_once` at a time. A board
/// that is not there costs its own deadline, not the others' boards.
pub async fn connect_all(
    boards: impl IntoIterator<Item = (String, Host)>,
    options: &ConnectOptions,
    at_once: usize,
) -> Connected {
    let connecting = boards.into_iter().map(|(name, host)| {
        let options = options.clone();
        async move { CrsBoard::connect(&name, host, options).await }
    });
    let outcomes: Vec<_> = stream::iter(connecting)
        .buffered(at_once.max(1))
        .collect()
        .await;
    let mut failed = ErrorTree::new(format!("connect {} boards", outcomes.len()));
    let mut boards = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        match outcome {
            Ok(board) => boards.push(board.handle()),
            Err(error) => failed.push(error),
        }
    }
    Connected { boards, failed }
}
