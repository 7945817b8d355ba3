//! Counts of the waits that block threads of each runtime.
//!
//! A wait on a worker of a multi-thread runtime hands the worker's tasks to another thread of the
//! runtime's pool. If the pool has no thread left, the tasks that the waits need do not run, and
//! the runtime deadlocks. Tokio does not tell the size of the pool, so the waits are counted up to
//! a limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use tokio::runtime::{Handle, Id};

use crate::config::{self, lock};

/// Count of the waits that block threads of one runtime.
pub(crate) struct Count {
    blocked: AtomicUsize,
    limit: AtomicUsize,
}

impl Count {
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Counts one more wait until the guard is dropped.
    ///
    /// # Errors
    ///
    /// The limit, if it is reached.
    pub(crate) fn enter(self: Arc<Self>) -> Result<Blocked, usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        if self.blocked.fetch_add(1, Ordering::Relaxed) >= limit {
            self.blocked.fetch_sub(1, Ordering::Relaxed);
            return Err(limit);
        }
        Ok(Blocked(self))
    }
}

/// One counted wait.
pub(crate) struct Blocked(Arc<Count>);

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.blocked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the count of a runtime.
///
/// Tokio may reuse the id of a runtime that has ended. A new runtime then inherits the limit of the
/// old one, which `set_max_blocked_waits` overrides, and a count of zero.
pub(crate) fn count_of(runtime: &Handle) -> Arc<Count> {
    static COUNTS: LazyLock<Mutex<HashMap<Id, Arc<Count>>>> = LazyLock::new(Default::default);
    let fresh = || {
        Arc::new(Count {
            blocked: AtomicUsize::new(0),
            limit: AtomicUsize::new(config::max_blocked_waits()),
        })
    };
    lock(&COUNTS)
        .entry(runtime.id())
        .or_insert_with(fresh)
        .clone()
}
