//! Numbers of waits that block threads, counted separately for each runtime.
//!
//! A wait on a worker of a multi-thread runtime blocks the worker's thread and hands its tasks to
//! another thread of the runtime's pool. If the pool has no thread left, tasks do not run. If the
//! waits depend on these tasks, the runtime deadlocks. Tokio does not report the size of the pool,
//! so the number of waits is limited.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use tokio::runtime::{Handle, Id};

use crate::config::{self, lock};

/// Number of waits that block threads of one runtime, with its limit.
pub(crate) struct BlockedWaits {
    blocked: AtomicUsize,
    limit: AtomicUsize,
}

impl BlockedWaits {
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Counts one more wait until the guard is dropped.
    ///
    /// # Errors
    ///
    /// Returns the limit, if it is reached.
    pub(crate) fn enter(self: Arc<Self>) -> Result<CountedWait, usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        if self.blocked.fetch_add(1, Ordering::Relaxed) >= limit {
            self.blocked.fetch_sub(1, Ordering::Relaxed);
            return Err(limit);
        }
        Ok(CountedWait(self))
    }
}

/// Guard of one wait that is counted.
pub(crate) struct CountedWait(Arc<BlockedWaits>);

impl Drop for CountedWait {
    fn drop(&mut self) {
        self.0.blocked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the counter of a runtime: the number of its threads that waits block.
///
/// Tokio may reuse the id of a runtime that has ended. The new runtime then starts with the limit
/// of the old one and with no blocked waits. `set_max_blocked_waits` can change the limit.
pub(crate) fn waits_of(runtime: &Handle) -> Arc<BlockedWaits> {
    static WAITS: LazyLock<Mutex<HashMap<Id, Arc<BlockedWaits>>>> = LazyLock::new(Default::default);
    let none = || {
        Arc::new(BlockedWaits {
            blocked: AtomicUsize::new(0),
            limit: AtomicUsize::new(config::max_blocked_waits()),
        })
    };
    lock(&WAITS)
        .entry(runtime.id())
        .or_insert_with(none)
        .clone()
}
