//! Waits outside contexts: the way to block depends on the runtime that the thread belongs to.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::waiting::WaitError;
use crate::{alone, blocked, cpu, runtime};

/// Blocks this thread until the future is ready.
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

/// As [`block`], but if blocking is not in order, returns an error and causes no panic.
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

/// A thread that belongs to no runtime.
fn block_plain<F: Future>(future: Pin<&mut F>) -> Result<F::Output, WaitError> {
    let process = runtime::process();
    if std::thread::panicking() {
        let _entered = process.enter();
        return poll_once(future).ok_or(WaitError::Dropping);
    }
    Ok(cpu::while_blocked(|| {
        outside_contexts(|| match alone::here() {
            Some(alone) => alone.block_on(future),
            None => process.block_on(future),
        })
    }))
}

/// A thread of a multi-thread runtime: a worker, a blocking thread, or one inside `block_on`.
fn block_on_pool<F: Future>(
    handle: &Handle,
    mut future: Pin<&mut F>,
) -> Result<F::Output, WaitError> {
    if let Some(output) = outside_contexts(|| poll_once(future.as_mut())) {
        return Ok(output);
    }
    // Tasks have ids, and run on threads of the pool; the root of a `block_on` has none, and its
    // thread is the caller's own.
    let _blocked = match tokio::task::try_id() {
        Some(_) => match blocked::count_of(handle).enter() {
            Ok(blocked) => Some(blocked),
            Err(limit) => return Err(WaitError::TooManyBlocked { limit }),
        },
        None => None,
    };
    block_in_place(handle, future)
}

/// Tokio's `block_in_place` knows all places where blocking is in order and makes it so. On the
/// thread of a single-threaded runtime or of a `LocalSet` it is not in order: `block_in_place`
/// panics before it calls the closure, and there is no other way to ask.
fn block_in_place<F: Future>(handle: &Handle, future: Pin<&mut F>) -> Result<F::Output, WaitError> {
    let in_order = Cell::new(false);
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        tokio::task::block_in_place(|| {
            in_order.set(true);
            let wait = || handle.block_on(NestedBlockOn(future));
            cpu::while_blocked(|| outside_contexts(wait))
        })
    }));
    match attempt {
        Ok(output) => Ok(output),
        Err(payload) if !in_order.get() && is_of_no_thread(&*payload) => Err(WaitError::NoThread),
        Err(_) if !in_order.get() => Err(WaitError::SingleThreaded),
        Err(payload) => resume_unwind(payload),
    }
}

/// True if tokio panicked because it could not start a thread. Only the text of the panic tells.
fn is_of_no_thread(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>();
    text.is_some_and(|text| text.starts_with("OS can't spawn worker thread"))
}

/// A future for a `block_on` that may be inside another one of the same thread.
///
/// Tokio parks the thread of every `block_on` with the same token, so that the inner one swallows
/// wakes of the outer. When the inner one is done it sets the token once more, and the outer one
/// looks again.
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

/// Runs code that blocks the thread outside any context that the thread may be in.
fn outside_contexts<R>(code: impl FnOnce() -> R) -> R {
    #[cfg(fibers)]
    let _guard = crate::fiber::outside();
    code()
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
