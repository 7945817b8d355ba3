//! Moments by which something is to have happened.

use std::time::Duration;

use tokio::time::Instant;

/// So long after `from`; practically never where that cannot be told.
pub(crate) fn after(from: Instant, within: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    from + within.min(NEVER)
}

/// So long from now.
pub(crate) fn within(within: Duration) -> Instant {
    after(Instant::now(), within)
}

/// How long it is until then.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
