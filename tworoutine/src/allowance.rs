//! Time in which the process runs.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Elapsed;

/// Longest time between two looks at the clock.
const LOOK: Duration = Duration::from_millis(250);

/// Most that counts between two looks. A timer that is so late was not late by itself: the process
/// did not run.
const MOST: Duration = Duration::from_millis(750);

/// Longer times count as this one, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A limited time for something to be done, which passes only while the process runs.
///
/// A deadline is a moment. If the process is stopped for longer than is left until then (by a
/// signal, because the machine sleeps), the deadline has passed when it goes on, though nothing
/// could be done in the meantime. An allowance does not pass meanwhile: of each time that the
/// process did not run, at most 0.75 s count.
///
/// The time passes while [`within`](Self::within) is awaited, once if several futures are, and at
/// no other time.
#[derive(Debug)]
pub struct Allowance {
    time: Mutex<Time>,
}

#[derive(Debug)]
struct Time {
    left: Duration,
    /// Last look at the clock.
    since: Instant,
    /// Number of futures that it is used for now.
    uses: usize,
}

impl Time {
    /// Takes what has passed since the last look from what is left.
    fn count(&mut self) {
        let now = Instant::now();
        if self.uses > 0 {
            let passed = now.saturating_duration_since(self.since).min(MOST);
            self.left = self.left.saturating_sub(passed);
        }
        self.since = now;
    }
}

impl Allowance {
    /// An allowance of `time`.
    pub fn new(time: Duration) -> Self {
        Self {
            time: Mutex::new(Time {
                left: time.min(LONGEST),
                since: Instant::now(),
                uses: 0,
            }),
        }
    }

    /// Time that is left.
    pub fn left(&self) -> Duration {
        let mut time = self.locked();
        time.count();
        time.left
    }

    fn locked(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Awaits `future` however long it takes, and returns with its output the time that it took, as
    /// an allowance counts it: the least time that it can have taken on the other end of a wire.
    ///
    /// # Panics
    /// As [`within`](Self::within).
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
    /// Outside a tokio runtime with a timer, as tokio's own timers.
    ///
    /// **On cancel**, `future` is dropped, and the time until then counts.
    pub async fn within<F: Future>(&self, future: F) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let _use = Use::begin(self);
        loop {
            let left = self.left();
            let mut look = pin!(sleep(left.min(LOOK)));
            let ended = poll_fn(|context| {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(Some(output)));
                }
                if left.is_zero() {
                    return Poll::Ready(Err(Elapsed(())));
                }
                look.as_mut().poll(context).map(|()| Ok(None))
            });
            if let Some(output) = ended.await? {
                return Ok(output);
            }
        }
    }
}

/// A future that an allowance is used for.
struct Use<'a>(&'a Allowance);

impl<'a> Use<'a> {
    fn begin(allowance: &'a Allowance) -> Self {
        let mut time = allowance.locked();
        time.count();
        time.uses += 1;
        Self(allowance)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut time = self.0.locked();
        time.count();
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
    fn all_of_it_can_be_used_and_no_more() {
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
    fn what_is_left_is_for_the_next() {
        paused(async {
            let allowance = Allowance::new(3 * SECOND);
            assert!(allowance.within(sleep(SECOND)).await.is_ok());
            sleep(100 * SECOND).await;
            assert_eq!(allowance.left(), 2 * SECOND, "nobody awaited it");
            // A future that is given up has used its time.
            let given_up = tokio::time::timeout(SECOND, allowance.within(pending::<()>()));
            assert!(given_up.await.is_err());
            assert_eq!(allowance.left(), SECOND);
            let both = tokio::join!(
                allowance.within(sleep(SECOND / 2)),
                allowance.within(sleep(SECOND / 2))
            );
            assert_eq!(both, (Ok(()), Ok(())));
            assert_eq!(allowance.left(), SECOND / 2, "both at the same time");
        });
    }

    #[test]
    fn time_in_which_the_process_does_not_run_does_not_count() {
        paused(async {
            let allowance = Allowance::new(3 * SECOND);
            let suspended = async {
                sleep(SECOND / 10).await;
                // All at once, as for a process that was stopped.
                tokio::time::advance(100 * SECOND).await;
                sleep(SECOND).await;
            };
            assert!(allowance.within(suspended).await.is_ok());
            let left = allowance.left();
            assert!(left >= SECOND && left < 2 * SECOND, "{left:?}");
        });
    }
}
