//! Waits outside [contexts](crate::context()) (futures with stacks of their own). They block the
//! thread. The runtime that a thread belongs to determines how the thread can block.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::waiting::WaitError;
use crate::{blocked, cpu, only_thread, runtime};

/// Blocks this thread until the future is ready. If the thread is unwinding, the future is polled
/// only once, and an error is returned if it is not ready.
pub(crate) fn block<F: Future>(future: Pin<&mut F>) -> Result<F::Output, WaitError> {
    let Ok(handle) = Handle::try_current() else {
        return block_plain(future);
    };
    if std::thread::panicking() {
        return poll_once(future).ok_or(WaitError::Dropping);
    }
    match handle.runtime_flavor() {
        RuntimeFlavor::CurrentThread => block_in_place(&handle, future),
        _ => block_on_pool(&handle, future),
    }
}

/// Does the same as [`block`], except that in a single-threaded runtime the future is polled only
/// once. If blocking is not allowed there, an attempt to block would make tokio panic, and so print
/// a message.
pub(crate) fn try_block<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, WaitError> {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::CurrentThread => {
            poll_once(future.as_mut()).ok_or(if std::thread::panicking() {
                WaitError::Dropping
            } else {
                WaitError::SingleThreaded
            })
        }
        _ => block(future),
    }
}

/// Blocks a thread that belongs to no runtime.
fn block_plain<F: Future>(future: Pin<&mut F>) -> Result<F::Output, WaitError> {
    let process = runtime::process();
    if std::thread::panicking() {
        let _entered = process.enter();
        return poll_once(future).ok_or(WaitError::Dropping);
    }
    Ok(cpu::while_blocked(|| {
        outside_contexts(|| match only_thread::current() {
            Some(only) => only.block_on(future),
            None => process.block_on(future),
        })
    }))
}

/// Blocks a thread of a multi-thread runtime: a worker, a blocking thread, or a thread inside
/// `block_on`.
fn block_on_pool<F: Future>(
    handle: &Handle,
    mut future: Pin<&mut F>,
) -> Result<F::Output, WaitError> {
    if let Some(output) = outside_contexts(|| poll_once(future.as_mut())) {
        return Ok(output);
    }
    // A task has an id and runs on a thread of the pool, so its waits are counted. The future that
    // is passed to `block_on` has no id and runs on the caller's own thread, so its waits are not
    // counted.
    let _blocked = match tokio::task::try_id() {
        Some(_) => match blocked::waits_of(handle).enter() {
            Ok(blocked) => Some(blocked),
            Err(limit) => return Err(WaitError::TooManyBlocked { limit }),
        },
        None => None,
    };
    block_in_place(handle, future)
}

/// Blocks this thread by tokio's `block_in_place`, which moves the thread's other tasks away.
///
/// On the thread of a single-threaded runtime or of a `LocalSet`, blocking is not allowed, and
/// `block_in_place` panics before it calls the closure. Tokio offers no other way to find out if
/// blocking is allowed, so the panic is caught.
fn block_in_place<F: Future>(handle: &Handle, future: Pin<&mut F>) -> Result<F::Output, WaitError> {
    let allowed = Cell::new(false);
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        tokio::task::block_in_place(|| {
            allowed.set(true);
            let wait = || handle.block_on(NestedBlockOn(future));
            cpu::while_blocked(|| outside_contexts(wait))
        })
    }));
    match attempt {
        Ok(output) => Ok(output),
        Err(payload) if !allowed.get() && means_no_thread(&*payload) => Err(WaitError::NoThread),
        Err(_) if !allowed.get() => Err(WaitError::SingleThreaded),
        Err(payload) => resume_unwind(payload),
    }
}

/// True if a panic of tokio means that it could not start a thread. Only the text of the panic
/// distinguishes this case from others.
fn means_no_thread(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>();
    text.is_some_and(|text| text.starts_with("OS can't spawn worker thread"))
}

/// Future for a `block_on` that may run inside another `block_on` of the same thread.
///
/// Tokio parks a thread with one token for all calls of `block_on` on it. So the inner `block_on`
/// can consume a wake-up that was meant for the outer one. When this future is ready, it sets the
/// token again, so that the outer `block_on` polls its own future again.
struct NestedBlockOn<'a, F>(Pin<&'a mut F>);

impl<F: Future> Future for NestedBlockOn<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.0.as_mut().poll(cx);
        if polled.is_ready() {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

/// Runs code that blocks the thread as if the thread were in no context.
fn outside_contexts<R>(code: impl FnOnce() -> R) -> R {
    #[cfg(fibers)]
    let _guard = crate::fiber::hide_current();
    code()
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
