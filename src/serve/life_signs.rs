//! Sign of life of the daemon, which keeps boards connected. Every few seconds, each board has a
//! turn: the daemon asks the board a question, connects it, or leaves it to the job that uses it.
//! See `Boards::keep_connected`. As long as there are turns, the daemon is alive.

use std::time::Duration;

use tokio::time::Instant;

/// Longest time without a turn of any board. If it is exceeded, the daemon counts as hanging.
pub(crate) const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// Number of turns of the boards at the last call of [`LifeSigns::is_alive`] (`turns`), and the
/// time of the last call at which this number had changed (`moved`).
#[derive(Debug)]
pub(crate) struct LifeSigns {
    turns: u64,
    moved: Instant,
}

impl LifeSigns {
    /// Returns the life signs of a daemon that has just started.
    pub(crate) fn new() -> Self {
        Self {
            turns: 0,
            moved: Instant::now(),
        }
    }

    /// True if the number of turns has changed within [`LONGEST_SILENCE`], or if the daemon has
    /// started within this time. `turns` is the number of turns of all boards until now.
    pub(crate) fn is_alive(&mut self, turns: u64) -> bool {
        if turns != self.turns {
            (self.turns, self.moved) = (turns, Instant::now());
        }
        self.moved.elapsed() < LONGEST_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tworoutine::test(start_paused = true)]
    async fn a_daemon_whose_boards_have_no_turns_is_not_alive() {
        const MOMENT: Duration = Duration::from_secs(1);
        let mut signs = LifeSigns::new();
        // A daemon that has just started is alive, even without a turn.
        sleep(LONGEST_SILENCE - MOMENT).await;
        assert!(signs.is_alive(0));
        for turns in 1..100 {
            sleep(MOMENT).await;
            assert!(signs.is_alive(turns));
        }
        sleep(LONGEST_SILENCE - MOMENT).await;
        assert!(signs.is_alive(99));
        sleep(MOMENT).await;
        assert!(!signs.is_alive(99));
        assert!(signs.is_alive(100), "it is alive again");
    }
}
