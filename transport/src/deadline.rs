//! Deadlines, and their extension if a timer fires late.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

/// Lateness of a timer above which something held the timer up: the process did not run, or its
/// thread was computing.
const LATE: Duration = Duration::from_millis(500);

/// Longest time after a late timer in which data that arrived before are still processed.
const GRACE: Duration = Duration::from_millis(500);

/// Returns the time `within` after `from`, and at most 30 years after it.
pub(crate) fn after(from: Instant, within: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    from + within.min(NEVER)
}

/// Returns the time `within` from now.
pub(crate) fn within(within: Duration) -> Instant {
    after(Instant::now(), within)
}

/// True if `deadline` passed more than 0.5 s ago. The timer for it would have fired before, so this
/// process or thread did not run at that time: the process was stopped, or a computation in an
/// event loop blocked the thread. These two cases cannot be distinguished.
pub(crate) fn passed_unseen(deadline: Instant) -> bool {
    Instant::now() > deadline + LATE
}

/// Time for processing data that arrived before, if a timer for `deadline` fires now: the lateness
/// of the timer, up to 0.5 s.
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
/// to 0.5 s more to process the data that arrived before.
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
