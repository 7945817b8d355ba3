//! Connection of many boards at the same time.

use std::future::Future;

use futures::StreamExt;
use futures::stream;
use twotone_hal::{BoardHandle, Error, Result};

/// Boards that have connected, in the order of the request, and the errors of the other boards.
#[derive(Debug)]
pub struct Connected {
    /// The boards that answered.
    pub boards: Vec<BoardHandle>,
    /// Errors of the boards that did not connect, in the order of the request. The clients of this
    /// crate name the board in each error.
    pub failed: Vec<Error>,
}

/// Connects many boards of any kinds, at most `at_once` of them at the same time (0 counts as 1). A
/// board that does not answer fails at its own deadline, and the others do not fail with it. Until
/// then, only the next `at_once - 1` boards are connected.
///
/// ```no_run
/// use twotone_transport::{ConnectOptions, CrsBoard, connect_all};
/// # async fn connect() {
/// let connecting = ["0042", "0043"].map(|serial| async move {
///     let host = CrsBoard::host_of_serial(serial);
///     Ok(CrsBoard::connect(serial, host, ConnectOptions::new()).await?.handle())
/// });
/// let connected = connect_all(connecting, 64).await;
/// println!("{} connected, {} failed", connected.boards.len(), connected.failed.len());
/// # }
/// ```
pub async fn connect_all<F>(connecting: impl IntoIterator<Item = F>, at_once: usize) -> Connected
where
    F: Future<Output = Result<BoardHandle>>,
{
    let connecting: Vec<F> = connecting.into_iter().collect();
    let mut failed = Vec::new();
    let mut boards = Vec::with_capacity(connecting.len());
    let mut outcomes = stream::iter(connecting).buffered(at_once.max(1));
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(board) => boards.push(board),
            Err(error) => failed.push(error),
        }
    }
    Connected { boards, failed }
}
