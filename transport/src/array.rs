//! Connection of many boards at the same time.

use std::future::Future;

use futures::StreamExt;
use futures::stream;
use twotone_hal::{BoardHandle, Error, Result};

/// Boards that have connected, and the errors of the other boards.
#[derive(Debug)]
pub struct Connected {
    /// The boards that connected, in the order in which [`connect_all`] was given them.
    pub boards: Vec<BoardHandle>,
    /// Errors of the boards that did not connect, in the same order. The clients of this crate
    /// name the board in each error.
    pub failed: Vec<Error>,
}

/// Connects many boards of any kinds, at most `at_once` of them at the same time (0 counts as 1). A
/// board that does not answer fails when its own time limit has passed. Until then it takes one of
/// the `at_once` places, while other boards are connected in the remaining places.
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
    let connecting = connecting.into_iter().enumerate();
    let connecting: Vec<_> = connecting
        .map(|(index, one)| numbered(index, one))
        .collect();
    // Outcomes are taken in the order in which they come, so a slow board delays no other board.
    let outcomes = stream::iter(connecting).buffer_unordered(at_once.max(1));
    let mut outcomes: Vec<_> = outcomes.collect().await;
    outcomes.sort_by_key(|(index, _)| *index);
    let mut failed = Vec::new();
    let mut boards = Vec::with_capacity(outcomes.len());
    for (_, outcome) in outcomes {
        match outcome {
            Ok(board) => boards.push(board),
            Err(error) => failed.push(error),
        }
    }
    Connected { boards, failed }
}

/// Awaits a future, and returns its output with its number.
async fn numbered<F: Future>(number: usize, future: F) -> (usize, F::Output) {
    (number, future.await)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::time::{Instant, sleep};
    use twotone_hal::ErrorKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_board_that_does_not_answer_holds_back_no_other() {
        let begin = Instant::now();
        let last = AtomicU64::new(0);
        let connecting = (0..6).map(|index| {
            let last = &last;
            async move {
                sleep(Duration::from_secs(if index == 0 { 10 } else { 1 })).await;
                last.fetch_max(
                    begin.elapsed().as_secs() * u64::from(index > 0),
                    Ordering::Relaxed,
                );
                Err(Error::new(ErrorKind::Timeout, format!("board {index}")))
            }
        });
        let connected = connect_all(connecting, 2).await;
        assert_eq!(last.into_inner(), 5, "the others wait for the first");
        let names: Vec<_> = connected.failed.iter().map(Error::message).collect();
        assert_eq!(names[0], "board 0");
        assert_eq!(names[5], "board 5");
    }
}
