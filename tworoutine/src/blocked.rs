//! Number of waits that block the threads of each runtime.
//!
//! A wait on a worker of a multi-thread runtime hands the worker's tasks to another thread of the
//! runtime's pool. When the pool has no more, nothing runs the tasks that the waits wait for, and
//! the runtime deadlocks. The pool's size cannot be asked for, so waits are counted up to a limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use tokio::runtime::{Handle, Id};

use crate::config::{self, lock};

/// The waits that block threads of one runtime.
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
    /// The limit, when it is reached.
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

/// The count of a runtime. Ids are given again after a runtime is gone: no wait blocks it then, but
/// its limit would be inherited, which a later `set_max_blocked_waits` overrides.
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
