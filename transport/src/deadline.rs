//! Moments by which something is to have happened.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

/// A timer that is so late was not late by itself: the process did not run, or its thread computed.
const LATE: Duration = Duration::from_millis(500);

/// Time after that for what has come meanwhile.
const GRACE: Duration = Duration::from_millis(500);

/// So long after `from`; practically never where that cannot be told.
pub(crate) fn after(from: Instant, within: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    from + within.min(NEVER)
}

/// So long from now.
pub(crate) fn within(within: Duration) -> Instant {
    after(Instant::now(), within)
}

/// True if `deadline` passed more than 0.5 s ago. A timer for it would have fired before, so nobody
/// can have done anything about it then: the process was stopped, or something else kept the thread,
/// such as a computation in an event loop. Which of them it was is not known.
pub(crate) fn passed_unseen(deadline: Instant) -> bool {
    Instant::now() > deadline + LATE
}

/// Time for what has come meanwhile, if a timer for `deadline` fires now: as long as it is late, up to
/// 0.5 s.
pub(crate) fn grace(deadline: Instant) -> Duration {
    Instant::now()
        .saturating_duration_since(deadline)
        .min(GRACE)
}

/// How long it is until then.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Awaits a future until `deadline`. If the timer fires late ([`passed_unseen`]), what has come in
/// the meantime is still to be looked at, so the future has a little longer.
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
