//! The process-wide runtime, and the runtimes that have a virtual clock for tests.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::runtime::{Handle, Id};

use crate::starting::{FewestThreads, service};

/// Returns the process-wide multi-thread runtime, which starts on first use and never stops.
///
/// The process-wide runtime drives every wait on a plain thread. It drives every socket and timer
/// that is made inside `runtime().enter()`, in a task of `runtime().spawn(..)`, or by a future that
/// is waited for on a plain thread. Such sockets and timers work from any thread and any other
/// runtime, because this runtime always runs. It has one worker for each core, or the number of
/// workers in the environment variable `TOKIO_WORKER_THREADS`. If the system does not grant so many
/// threads, the runtime is single-threaded, as [`start`](crate::start()) describes.
///
/// # Panics
///
/// In a test under virtual time (`#[tworoutine::test(start_paused = true)]`). The process-wide
/// runtime uses the real clock, so while it works, the test's clock would jump to its next
/// deadline. Also if the system grants no thread or no descriptors for this runtime, or if
/// `TOKIO_WORKER_THREADS` is not a valid number. [`start`](crate::start()) returns these problems
/// of the system and of the variable as an error, with the same text.
#[track_caller]
pub fn runtime() -> &'static Handle {
    assert!(
        !is_virtual(),
        "tworoutine::runtime() cannot be used under a paused clock: the process-wide runtime uses \
         the real clock, and the paused clock would jump to its next deadline while that runtime \
         works. Use the runtime of the test instead (tokio::runtime::Handle::current())"
    );
    process()
}

/// Returns the process-wide runtime, for waits outside virtual time.
#[track_caller]
pub(crate) fn process() -> &'static Handle {
    match service(FewestThreads::One) {
        Ok(service) => service.runtime(),
        Err(error) => panic!("tworoutine cannot start its process-wide runtime: {error}"),
    }
}

/// Ids of the runtimes with a paused clock.
static VIRTUAL: LazyLock<Mutex<HashSet<Id>>> = LazyLock::new(Default::default);
/// Number of runtimes with a paused clock. A program without these runtimes only loads this number,
/// and takes no lock.
static VIRTUAL_COUNT: AtomicUsize = AtomicUsize::new(0);

/// True if the calling code runs under a paused clock: in a paused runtime or on one of its
/// blocking threads.
pub(crate) fn is_virtual() -> bool {
    VIRTUAL_COUNT.load(Ordering::Relaxed) != 0
        && Handle::try_current().is_ok_and(|handle| {
            VIRTUAL
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&handle.id())
        })
}

/// Guard that marks a runtime as having a paused clock. It must be dropped before the runtime,
/// because tokio may reuse the id of a runtime that has ended.
#[cfg(feature = "test-util")]
pub(crate) struct Virtual(Id);

#[cfg(feature = "test-util")]
impl Virtual {
    pub(crate) fn mark(handle: &Handle) -> Self {
        VIRTUAL
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(handle.id());
        VIRTUAL_COUNT.fetch_add(1, Ordering::Relaxed);
        Self(handle.id())
    }
}

#[cfg(feature = "test-util")]
impl Drop for Virtual {
    fn drop(&mut self) {
        VIRTUAL
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
        VIRTUAL_COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
