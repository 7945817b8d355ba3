//! Functions that start [contexts](crate::context()), which are futures with stacks of their own.

use std::future::Future;

use crate::context::context;
use crate::join::{self, JoinHandle};
use crate::{pool, runtime};

/// Starts a context on the runtime of this thread.
///
/// The context first runs at the caller's next await or wait. It need not be `Send`, and never
/// leaves the thread. A panic in it is caught and becomes the error of the handle.
///
/// # Panics
///
/// Outside a local runtime: call it inside [`block_on`](crate::block_on), `#[tworoutine::main]`,
/// `#[tworoutine::test]`, a context of [`spawn`], or tokio's `LocalSet` or `LocalRuntime`.
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    join::local(tokio::task::spawn_local(context(future)))
}

/// Starts a context on a pool of threads, one for each core. Each thread runs a single-threaded
/// runtime, and contexts never change thread.
///
/// The context goes to the thread with the fewest contexts, and stays there. As many contexts can
/// wait at once as the system grants stacks for. The function can be called from anywhere, with or
/// without a runtime. Sockets and timers that the context makes belong to the runtime of its
/// thread, which lives as long as the process. A panic in the context is caught and becomes the
/// error of the handle.
///
/// In a test under virtual time this function is the same as [`spawn_local`].
///
/// If the system does not grant all threads, the pool has fewer, as [`start`](crate::start())
/// describes.
///
/// # Panics
///
/// If the system grants no thread, or no descriptors for its runtime, or if the environment
/// variable `TOKIO_WORKER_THREADS` is not a valid number: [`start`](crate::start()) returns these
/// problems as an error, with the same text.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    if runtime::is_virtual() {
        return spawn_local(future);
    }
    let (handle, make_task) = join::handle_and_task();
    pool::run(move || make_task(context(future)));
    handle
}
