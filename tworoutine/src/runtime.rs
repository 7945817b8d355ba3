//! The process-wide runtime, and the runtimes that have a virtual clock.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::runtime::{Handle, Id};

use crate::starting::{Lowest, service};

/// Returns the process-wide multi-thread runtime, which starts on first use and never stops.
///
/// It drives every wait on a plain thread. It drives every socket and timer that is made inside
/// `runtime().enter()`, in a task of `runtime().spawn(..)`, or by a future that is waited for on a
/// plain thread. Such sockets and timers work from any thread and any other runtime, because this
/// runtime always runs. It has one worker for each core, or as many as the environment
/// variable `TOKIO_WORKER_THREADS` says. If the system does not grant so many threads, it is
/// single-threaded, as [`start`](crate::start()) says.
///
/// # Panics
///
/// In a test under virtual time (`#[tworoutine::test(start_paused = true)]`): this runtime follows
/// the real clock, so the test's clock would jump to its next deadline while work on this runtime
/// is under way. Also if the system grants no thread or no descriptors for it:
/// [`start`](crate::start()) returns that as an error, with the same text.
#[track_caller]
pub fn runtime() -> &'static Handle {
    assert!(
        !is_virtual(),
        "tworoutine::runtime() under a paused clock: the process-wide runtime lives by the real \
         clock, and the paused one would jump to its next deadline while work there is under way. \
         Virtual time means one runtime: use the test's own (tokio::runtime::Handle::current())"
    );
    process()
}

/// Returns the process-wide runtime, for waits outside virtual time.
#[track_caller]
pub(crate) fn process() -> &'static Handle {
    match service(Lowest::One) {
        Ok(service) => service.runtime(),
        Err(error) => panic!("tworoutine cannot start its process-wide runtime: {error}"),
    }
}

/// Ids of the runtimes with a paused clock. Their number is kept apart, so that a program without
/// such runtimes needs one load to find out.
static VIRTUAL: LazyLock<Mutex<HashSet<Id>>> = LazyLock::new(Default::default);
static VIRTUAL_COUNT: AtomicUsize = AtomicUsize::new(0);

/// True if the code runs under a paused clock: in a paused runtime or one of its blocking threads.
pub(crate) fn is_virtual() -> bool {
    VIRTUAL_COUNT.load(Ordering::Relaxed) != 0
        && Handle::try_current().is_ok_and(|handle| {
            VIRTUAL
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&handle.id())
        })
}

/// Guard that marks a runtime as virtual. It must be dropped before the runtime, since tokio may
/// reuse the id of a runtime that has ended.
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
