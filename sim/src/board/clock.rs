//! Clock of a simulated board. Either acquisitions of samples advance it, or it runs in real time.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Clock of a board. Times are seconds since the [`Farm`](crate::Farm) started. A reboot does not
/// reset the clock.
#[derive(Debug)]
pub(crate) struct Clock {
    state: Mutex<State>,
    /// True if the clock runs. This copy can be read without the lock, because many calls need
    /// only this flag.
    running: AtomicBool,
    stopped: Notify,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The clock is stopped at this time.
    Stopped(f64),
    /// The clock showed this time, s, at this instant, and has run since.
    Running(f64, Instant),
}

impl Clock {
    /// Creates a clock at 0. If `running` is false, the clock is stopped, and only
    /// [`Clock::advance_to`] advances it.
    pub(crate) fn new(running: bool) -> Self {
        let state = if running {
            State::Running(0.0, Instant::now())
        } else {
            State::Stopped(0.0)
        };
        Self {
            state: Mutex::new(state),
            running: AtomicBool::new(running),
            stopped: Notify::new(),
        }
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True if the clock runs by itself.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Returns the present time, s.
    pub(crate) fn now_s(&self) -> f64 {
        self.with_state(|state| state.now_s())
    }

    /// Returns the present time, s, if the clock runs.
    pub(crate) fn running_s(&self) -> Option<f64> {
        if !self.is_running() {
            return None;
        }
        self.with_state(|state| match state {
            State::Stopped(_) => None,
            running @ State::Running(..) => Some(running.now_s()),
        })
    }

    /// Advances a stopped clock to a time, s, unless it shows a later time. Does nothing if the
    /// clock runs.
    pub(crate) fn advance_to(&self, seconds: f64) {
        self.with_state(|state| {
            if let State::Stopped(at) = state {
                *at = at.max(seconds);
            }
        });
    }

    /// Starts the clock from its present time.
    pub(crate) fn start(&self) {
        self.with_state(|state| *state = State::Running(state.now_s(), Instant::now()));
        self.running.store(true, Ordering::Release);
    }

    /// Stops the clock at its present time.
    pub(crate) fn stop(&self) {
        self.running.store(false, Ordering::Release);
        self.with_state(|state| *state = State::Stopped(state.now_s()));
        self.stopped.notify_waiters();
    }

    /// Waits until the clock shows a time, s. Returns early if the clock stops, and immediately if
    /// it is stopped already.
    pub(crate) async fn wait_until(&self, seconds: f64) {
        let mut stopped = pin!(self.stopped.notified());
        // From here on, a stop of the clock wakes this task.
        stopped.as_mut().enable();
        let Some(now) = self.running_s() else {
            return;
        };
        let left = Duration::try_from_secs_f64(seconds - now).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = stopped => {}
        }
    }
}

impl State {
    fn now_s(&self) -> f64 {
        match *self {
            Self::Stopped(seconds) => seconds,
            Self::Running(seconds, since) => seconds + since.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_goes_on_from_its_last_time() {
        let clock = Clock::new(false);
        clock.advance_to(3.0);
        clock.advance_to(2.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((clock.now_s(), clock.running_s()), (3.0, None));
        clock.start();
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.advance_to(100.0);
        assert_eq!((clock.now_s(), clock.running_s()), (8.0, Some(8.0)));
        clock.start();
        assert_eq!(clock.now_s(), 8.0);
        clock.stop();
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.advance_to(9.5);
        assert_eq!((clock.now_s(), clock.is_running()), (9.5, false));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_when_the_clock_stops() {
        let clock = Clock::new(true);
        let begun = Instant::now();
        clock.wait_until(2.0).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.stop();
        };
        tokio::join!(clock.wait_until(100.0), stop);
        clock.wait_until(100.0).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
