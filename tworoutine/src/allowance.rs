//! Time limits that count only while the process runs.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Elapsed;

/// Longest time between two readings of the clock.
const READING_INTERVAL: Duration = Duration::from_millis(250);

/// Longest time between two readings of the clock that is counted in full. Of a longer time only
/// this much counts, because the process must have been stopped in between.
const MOST_BETWEEN_READINGS: Duration = Duration::from_millis(750);

/// Longest allowance. Longer ones are shortened to this length, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Limited time for some work, which passes only while the process runs.
///
/// A deadline passes even while the process is stopped, by a signal or because the machine sleeps,
/// although no work can be done during that time. An allowance is different: of each period in
/// which the process does not run, at most 0.75 s count.
///
/// The time passes only while [`within`](Self::within) is awaited. It passes once, not several
/// times, if several futures are awaited at the same time.
#[derive(Debug)]
pub struct Allowance {
    time: Mutex<Time>,
}

#[derive(Debug)]
struct Time {
    left: Duration,
    /// Time of the last reading of the clock.
    since: Instant,
    /// Number of futures that use the allowance now.
    uses: usize,
}

impl Time {
    /// Subtracts the time since the last reading from the time that is left.
    fn update(&mut self) {
        let now = Instant::now();
        if self.uses > 0 {
            let passed = now
                .saturating_duration_since(self.since)
                .min(MOST_BETWEEN_READINGS);
            self.left = self.left.saturating_sub(passed);
        }
        self.since = now;
    }
}

impl Allowance {
    /// Returns an allowance of `time`.
    pub fn new(time: Duration) -> Self {
        Self {
            time: Mutex::new(Time {
                left: time.min(LONGEST),
                since: Instant::now(),
                uses: 0,
            }),
        }
    }

    /// Returns the time that is left.
    pub fn left(&self) -> Duration {
        let mut time = self.locked();
        time.update();
        time.left
    }

    fn locked(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Awaits `future` without a limit. Returns its output, and the time that it took without the
    /// periods in which the process did not run.
    ///
    /// The real time is at least as long as the returned one. If `future` waits for another
    /// computer, that computer may have had all of the real time.
    ///
    /// In the same cases as [`within`](Self::within).
    pub async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
        let mut future = pin!(future);
        let allowance = Self::new(LONGEST);
        loop {
            if let Ok(output) = allowance.within(future.as_mut()).await {
                return (output, LONGEST - allowance.left());
            }
        }
    }

    /// Awaits `future` until the allowance is used up. A future that is ready is never too late.
    ///
    /// # Errors
    /// [`Elapsed`] if the allowance is used up before `future` is ready; `future` is then dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime with a timer, like tokio's own timers.
    ///
    /// **On cancel**, `future` is dropped; the time until then counts as used.
    pub async fn within<F: Future>(&self, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let _use = Use::begin(self);
        loop {
            let left = self.left();
            let mut next_reading = pin!(sleep(left.min(READING_INTERVAL)));
            let ended = poll_fn(|context| {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(Some(output)));
                }
                if left.is_zero() {
                    return Poll::Ready(Err(Elapsed(())));
                }
                next_reading.as_mut().poll(context).map(|()| Ok(None))
            });
            if let Some(output) = ended.await? {
                return Ok(output);
            }
        }
    }
}

/// Use of an allowance by one future.
struct Use<'a>(&'a Allowance);

impl<'a> Use<'a> {
    fn begin(allowance: &'a Allowance) -> Self {
        let mut time = allowance.locked();
        time.update();
        time.uses += 1;
        Self(allowance)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut time = self.0.locked();
        time.update();
        time.uses -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn paused<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn an_allowance_can_be_used_up_exactly() {
        paused(async {
            for time in [0, 1, 249, 250, 251, 1000, 12_345] {
                let (began, time) = (Instant::now(), Duration::from_millis(time));
                let allowance = Allowance::new(time);
                assert!(allowance.within(pending::<()>()).await.is_err());
                assert_eq!(began.elapsed(), time);
                assert_eq!(allowance.left(), Duration::ZERO);
                assert_eq!(allowance.within(async { 1 }).await, Ok(1), "ready at once");
            }
        });
    }

    #[test]
    fn later_futures_have_the_time_that_is_left() {
        paused(async {
            let allowance = Allowance::new(3 * SECOND);
            assert!(allowance.within(sleep(SECOND)).await.is_ok());
            sleep(100 * SECOND).await;
            assert_eq!(
                allowance.left(),
                2 * SECOND,
                "it counted while it was not used"
            );
            // The time that a future takes until it is dropped counts too.
            let dropped = tokio::time::timeout(SECOND, allowance.within(pending::<()>()));
            assert!(dropped.await.is_err());
            assert_eq!(allowance.left(), SECOND);
            let both = tokio::join!(
                allowance.within(sleep(SECOND / 2)),
                allowance.within(sleep(SECOND / 2))
            );
            assert_eq!(both, (Ok(()), Ok(())));
            assert_eq!(allowance.left(), SECOND / 2, "the same time counted twice");
        });
    }

    #[test]
    fn time_in_which_the_process_does_not_run_does_not_count() {
        paused(async {
            let allowance = Allowance::new(3 * SECOND);
            let suspended = async {
                sleep(SECOND / 10).await;
                // The clock jumps, as it does for a process that was stopped.
                tokio::time::advance(100 * SECOND).await;
                sleep(SECOND).await;
            };
            assert!(allowance.within(suspended).await.is_ok());
            let left = allowance.left();
            assert!(left >= SECOND && left < 2 * SECOND, "{left:?}");
        });
    }
}
