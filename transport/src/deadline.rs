//! Deadlines, and timers that fire late.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

/// Lateness above which a timer was not late by itself: the process did not run, or its thread
/// computed.
const LATE: Duration = Duration::from_millis(500);

/// Longest time after a late timer in which data that came meanwhile are still taken.
const GRACE: Duration = Duration::from_millis(500);

/// Returns the moment `within` after `from`; 30 years after it if `within` is longer.
pub(crate) fn after(from: Instant, within: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    from + within.min(NEVER)
}

/// Returns the moment `within` from now.
pub(crate) fn within(within: Duration) -> Instant {
    after(Instant::now(), within)
}

/// True if `deadline` passed more than 0.5 s ago. A timer for it would have fired before, so nobody
/// can have done anything about it then: the process was stopped, or something else kept the
/// thread, such as a computation in an event loop. Which of them it was is not known.
pub(crate) fn passed_unseen(deadline: Instant) -> bool {
    Instant::now() > deadline + LATE
}

/// Time in which data that came meanwhile are still taken, if a timer for `deadline` fires now: the
/// time that the timer is late, up to 0.5 s.
pub(crate) fn grace(deadline: Instant) -> Duration {
    Instant::now()
        .saturating_duration_since(deadline)
        .min(GRACE)
}

/// Time until `deadline`; zero if it has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Awaits a future until `deadline`. If the timer fires late ([`passed_unseen`]), the future has up
/// to 0.5 s more, to take the data that came meanwhile.
///
/// # Errors
/// [`Elapsed`] if the future is not ready by then.
pub(crate) async fn until<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match timeout_at(deadline, future.as_mut()).await {
        Err(_) if passed_unseen(deadline) => timeout(GRACE, future).await,
        ended => ended,
    }
}
