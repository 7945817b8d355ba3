//! A board's time: stepped by its acquisitions, or running in real time.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Time of one board, s since it started.
#[derive(Debug)]
pub(crate) struct Clock {
    hand: Mutex<Hand>,
    /// True if the clock runs. A copy outside the lock, since many calls need only this.
    running: AtomicBool,
    stopped: Notify,
}

#[derive(Debug, Clone, Copy)]
enum Hand {
    /// Stands at this time, at which the last acquisition ended.
    At(f64),
    /// Has run from this time on, since this moment.
    From(f64, Instant),
}

impl Clock {
    /// Creates a clock at 0 that runs, or that stands until something moves it.
    pub(crate) fn new(running: bool) -> Self {
        let hand = if running {
            Hand::From(0.0, Instant::now())
        } else {
            Hand::At(0.0)
        };
        Self {
            hand: Mutex::new(hand),
            running: AtomicBool::new(running),
            stopped: Notify::new(),
        }
    }

    fn hand<T>(&self, with: impl FnOnce(&mut Hand) -> T) -> T {
        with(&mut self.hand.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True if it runs by itself.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Time that it shows, s.
    pub(crate) fn now_s(&self) -> f64 {
        self.hand(|hand| hand.shows())
    }

    /// Time that it shows, s, if it runs.
    pub(crate) fn running_s(&self) -> Option<f64> {
        if !self.is_running() {
            return None;
        }
        self.hand(|hand| match hand {
            Hand::At(_) => None,
            running @ Hand::From(..) => Some(running.shows()),
        })
    }

    /// Moves a standing clock on to a time, s, unless it is there already. A
    /// running clock is left alone.
    pub(crate) fn reach(&self, seconds: f64) {
        self.hand(|hand| {
            if let Hand::At(at) = hand {
                *at = at.max(seconds);
            }
        });
    }

    /// Lets it run from where it stands.
    pub(crate) fn start(&self) {
        self.hand(|hand| *hand = Hand::From(hand.shows(), Instant::now()));
        self.running.store(true, Ordering::Release);
    }

    /// Lets it stand where it is.
    pub(crate) fn stop(&self) {
        self.running.store(false, Ordering::Release);
        self.hand(|hand| *hand = Hand::At(hand.shows()));
        self.stopped.notify_waiters();
    }

    /// Waits until it shows a time, s. Returns at once if the clock stands, and
    /// as soon as it stops.
    pub(crate) async fn wait_until(&self, seconds: f64) {
        let mut stopped = pin!(self.stopped.notified());
        // From here on a stop is not missed.
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

impl Hand {
    fn shows(&self) -> f64 {
        match *self {
            Self::At(seconds) => seconds,
            Self::From(seconds, since) => seconds + since.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_goes_on_from_where_it_was() {
        let clock = Clock::new(false);
        clock.reach(3.0);
        clock.reach(2.0);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((clock.now_s(), clock.running_s()), (3.0, None));
        clock.start();
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.reach(100.0);
        assert_eq!((clock.now_s(), clock.running_s()), (8.0, Some(8.0)));
        clock.start();
        assert_eq!(clock.now_s(), 8.0);
        clock.stop();
        tokio::time::advance(Duration::from_secs(5)).await;
        clock.reach(9.5);
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
