//! Functions and methods that wait for a future. A context is a future with a stack of its own.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::time::Duration;

use crate::blocking;
#[cfg(not(panic = "abort"))]
use crate::context::Context;

/// Adds `.wait()` and `.wait_timeout(limit)` to every future: boxed futures, join handles, and
/// everything else that can be awaited.
pub trait Wait: IntoFuture + Sized {
    /// Blocks the caller until the future is ready. See [`wait`].
    ///
    /// # Panics
    ///
    /// In the same cases as [`wait`].
    #[inline]
    #[track_caller]
    fn wait(self) -> Self::Output {
        wait(self)
    }

    /// Does the same as [`wait`](Self::wait), for at most the time `limit`. See [`wait_timeout`].
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the future is not ready within the limit.
    #[track_caller]
    fn wait_timeout(self, limit: Duration) -> Result<Self::Output, Elapsed> {
        wait_timeout(limit, self)
    }
}

impl<F: IntoFuture> Wait for F {}

/// Runs a future, and blocks only the caller until the future is ready.
///
/// Inside a [context](crate::context()), only that context is suspended. On a plain thread the
/// process-wide runtime drives the future while the thread blocks. On a thread of a multi-thread
/// runtime, the runtime moves the thread's other tasks away, and the thread blocks.
///
/// Arguments are evaluated before the wait begins. On a plain thread, no runtime is entered when
/// they are evaluated, so write `wait(async { sleep(d).await })`. `wait(sleep(d))` makes the timer
/// outside a runtime and panics.
///
/// # Panics
///
/// If a wait is not possible. [`WaitError`] lists the reasons; [`try_wait`] returns the reason
/// instead.
#[inline]
#[track_caller]
pub fn wait<F: IntoFuture>(future: F) -> F::Output {
    match run(pin!(future.into_future()), blocking::block) {
        Ok(output) => output,
        Err(refusal) => refuse(refusal),
    }
}

/// Does the same as [`wait`], but returns an error if a wait is not possible. The future is polled
/// at least once.
///
/// Use this function in a `Drop`, which may run while the thread is unwinding.
///
/// On a single-threaded runtime outside a context, this function refuses every future that is not
/// ready at once. It also does so on the runtime's own blocking threads, although [`wait`] works
/// there.
///
/// # Errors
///
/// [`WaitError`]. The future is then dropped.
pub fn try_wait<F: IntoFuture>(future: F) -> Result<F::Output, WaitError> {
    run(pin!(future.into_future()), blocking::try_block)
}

/// Does the same as [`wait`], for at most the time `limit`. After that the future is cancelled and
/// dropped.
///
/// The limit also ends waits inside the future, since the future runs in a context of its own. A
/// `timeout` *inside* a context cannot do that: while the code that it limits waits, the whole
/// context is suspended, and the timer with it. In a program built with `panic = "abort"`, a
/// waiting context cannot be unwound, so the limit takes effect when such an inner wait has ended.
///
/// # Errors
///
/// [`Elapsed`] if the future is not ready within the limit.
///
/// # Panics
///
/// In the same cases as [`wait`].
#[track_caller]
pub fn wait_timeout<F: IntoFuture>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let future = future.into_future();
    // SAFETY: the context is pinned in the frame of `wait` below. It is dropped before anything
    // that it borrows, whether `wait` returns or unwinds.
    #[cfg(not(panic = "abort"))]
    let future = unsafe { Context::unbound(future) };
    wait(async move {
        tokio::time::timeout(limit, future)
            .await
            .map_err(|_| Elapsed(()))
    })
}

/// Runs code and forbids that a wait in it suspends the context.
///
/// Use this function around code that holds a scoped thread-local, an entered tracing span or a std
/// mutex guard. A wait inside panics if its future is not ready at once, so that no other code runs
/// in the middle of the scope. Outside contexts a wait blocks the whole thread, so this function
/// changes nothing there.
pub fn no_suspend<R>(code: impl FnOnce() -> R) -> R {
    #[cfg(fibers)]
    let _guard = crate::fiber::current().map(crate::fiber::Current::no_suspend);
    code()
}

/// Waits on the fiber (the stack) of this context. If there is no context, blocks the thread by
/// `block`.
#[inline]
#[cfg_attr(
    not(fibers),
    allow(unused_mut, reason = "only a fiber polls the future by reference")
)]
fn run<F: Future>(
    mut future: Pin<&mut F>,
    block: fn(Pin<&mut F>) -> Result<F::Output, WaitError>,
) -> Result<F::Output, WaitError> {
    #[cfg(fibers)]
    if let Some(fiber) = crate::fiber::current() {
        match fiber.wait(future.as_mut()) {
            Ok(output) => return Ok(output),
            Err(crate::fiber::Refusal::OtherExecutor) => {}
            Err(crate::fiber::Refusal::Impossible(refusal)) => return Err(refusal),
        }
    }
    block(future)
}

#[cold]
#[track_caller]
fn refuse(refusal: WaitError) -> ! {
    panic!("{refusal}")
}

/// Error if a future is not ready within the limit of [`wait_timeout`] or within an
/// [`Allowance`](crate::Allowance).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(pub(crate) ());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit passed before the future was ready")
    }
}

impl std::error::Error for Elapsed {}

/// Reason why a wait is not possible. The message of a panic of [`wait`] is the text of this
/// reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The thread runs a single-threaded runtime or a `LocalSet`, and the wait is outside a
    /// context. Blocking the thread would block the tasks that the future may need.
    SingleThreaded,
    /// The thread is unwinding, from a panic or because a context is cancelled, and the future is
    /// not ready at once.
    Dropping,
    /// The wait is inside [`no_suspend`], and the future is not ready at once.
    NoSuspend,
    /// So many contexts are suspended that the kernel allows no memory mappings for another stack.
    TooManySuspended {
        /// Number of stacks that exist.
        stacks: usize,
    },
    /// The system grants no memory for the stack of another context.
    NoMemory {
        /// Number of stacks that exist.
        stacks: usize,
    },
    /// The thread is a worker of a multi-thread runtime, outside contexts, and the system grants no
    /// other thread to which the worker's other tasks could move. The runtime has one worker fewer
    /// afterwards.
    NoThread,
    /// The number of waits that block threads of this runtime has reached its limit.
    TooManyBlocked {
        /// The limit that was reached; see
        /// [`set_max_blocked_waits`](crate::set_max_blocked_waits).
        limit: usize,
    },
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SingleThreaded => f.write_str(
                "cannot wait here: this thread runs a single-threaded runtime, and a wait outside \
                 a context would block the runtime that the future needs. Ways out: `.await` it; \
                 run the caller inside `tworoutine::context(..)`; or use `#[tworoutine::test]`, \
                 `#[tworoutine::main]` or `tworoutine::block_on`, whose body is a context",
            )?,
            Self::Dropping => f.write_str(
                "do not wait in a Drop: the thread is unwinding, and the future is not ready. \
                 `tworoutine::try_wait` returns an error here instead",
            )?,
            Self::NoSuspend => f.write_str(
                "cannot wait here: the code is inside `tworoutine::no_suspend`, and the future is \
                 not ready",
            )?,
            Self::TooManySuspended { stacks } => write!(
                f,
                "cannot wait here: {stacks} stacks of contexts exist, and each takes two of the \
                 memory mappings that the kernel allows a process. Raise the limit with `sysctl \
                 vm.max_map_count=...`, or let fewer contexts wait at once"
            )?,
            Self::NoMemory { stacks } => write!(
                f,
                "cannot wait here: {stacks} stacks of contexts exist, and the system grants no memory \
                 for another. Raise the limit of the memory (`ulimit -v`, or `LimitAS=` of systemd), \
                 or let fewer contexts wait at once"
            )?,
            Self::NoThread => f.write_str(
                "cannot wait here: the system grants no thread to take over the other tasks of this \
                 thread. Raise the limit of threads (`ulimit -u`, or `TasksMax=` of systemd), or use \
                 `.await`",
            )?,
            Self::TooManyBlocked { limit } => write!(
                f,
                "cannot wait here: {limit} waits already block threads of this runtime, and when \
                 its pool is used up it deadlocks. Ways out: `.await`; `tworoutine::spawn`, whose \
                 contexts need no thread each; or raise `max_blocking_threads` of the runtime and \
                 with it `tworoutine::set_max_blocked_waits`"
            )?,
        }
        if cfg!(not(fibers)) {
            f.write_str(" (this build has no fibers: no context can be suspended)")?;
        }
        Ok(())
    }
}

impl std::error::Error for WaitError {}
