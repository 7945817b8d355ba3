//! Wrapper that collects what the client of a board reports beside its replies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twotone_hal::{Batch, Board, BoardHandle, Replies, Result, async_trait};

/// Largest number of different warnings of a board that are kept in a count. A board that counts
/// something in its warnings sends a new one with every answer.
const MOST_WARNINGS: usize = 20;

/// Remark in place of the warnings beyond [`MOST_WARNINGS`].
const MORE: &str = "further warnings are not shown";

/// Number of repetitions and warnings of a board, collected over several requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    /// Number of requests that were repeated.
    pub(crate) repeats: u32,
    /// Different warnings, in the order in which they first came. A remark stands in place of
    /// those beyond the first 20.
    pub(crate) warnings: Vec<String>,
}

impl Count {
    /// Adds what the client of the board reports with an answer.
    pub(crate) fn note(&mut self, answer: &Result<Replies>) {
        match answer {
            Ok(replies) => self.add(replies.repeats(), replies.warnings()),
            Err(error) => self.add(error.repeats(), error.warnings()),
        }
    }

    pub(super) fn add(&mut self, repeats: u32, warnings: &[String]) {
        self.repeats = self.repeats.saturating_add(repeats);
        for warning in warnings {
            if self.warnings.contains(warning) || self.warnings.len() > MOST_WARNINGS {
                continue;
            }
            self.warnings.push(match self.warnings.len() {
                MOST_WARNINGS => MORE.to_owned(),
                _ => warning.clone(),
            });
        }
    }
}

/// Count that a [`Tally`] shares with whoever made it.
pub(crate) type Counted = Arc<Mutex<Count>>;

/// Returns the count, even if a thread has panicked while it had it.
pub(crate) fn locked(count: &Counted) -> MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Board that counts repetitions of operations and collects the warnings of the board.
#[derive(Debug)]
pub(crate) struct Tally {
    board: BoardHandle,
    count: Counted,
}

impl Tally {
    pub(crate) fn new(board: BoardHandle, count: &Counted) -> Self {
        Self {
            board,
            count: Arc::clone(count),
        }
    }
}

#[async_trait]
impl Board for Tally {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let answer = self.board.run(batch).await;
        locked(&self.count).note(&answer);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_warnings_are_kept_once_and_up_to_a_limit() {
        let mut count = Count::default();
        let text = |number: usize| format!("warning {number}");
        for number in (0..3).chain(0..3) {
            count.add(1, &[text(number)]);
        }
        assert_eq!(count.warnings, [text(0), text(1), text(2)]);
        assert_eq!(count.repeats, 6);
        count.add(0, &(0..100).map(text).collect::<Vec<_>>());
        assert_eq!(count.warnings.len(), MOST_WARNINGS + 1);
        assert_eq!(count.warnings.last().unwrap(), MORE);
    }
}
