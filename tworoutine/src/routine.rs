//! The return type of a function under `#[tworoutine]`: a future that can be awaited, and that
//! blocking code can wait for. A context is a future with a stack of its own.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::waiting::{self, Elapsed};

/// A call that has not begun. `.await` or `.wait()` runs the call.
///
/// A function under [`#[tworoutine]`](macro@crate::tworoutine) returns this type. It wraps the
/// future of the function, and is itself a [`Future`] of the same size. So it can be used wherever
/// a future can: in `join!`, `select!`, `spawn`, or with a bound of `AsyncFn`. It is `Send` if the
/// wrapped future is.
///
/// If the value is dropped without being used, the function does not run. The compiler warns if a
/// statement ignores the value.
#[must_use = "a tworoutine does nothing unless you `.await` it or `.wait()` for it"]
#[derive(Clone, Debug)]
#[repr(transparent)]
pub struct Tworoutine<F> {
    future: F,
}

impl<F: Future> Tworoutine<F> {
    /// Wraps a future. The macro calls this function. A function that makes its future without the
    /// macro can call it too.
    #[inline]
    pub const fn new(future: F) -> Self {
        Self { future }
    }

    /// Runs the call, and blocks only the caller until the call is done.
    ///
    /// Inside a [context](crate::context()), only that context is suspended. On a plain thread the
    /// thread blocks. The documentation of the crate lists the effect for each kind of place from
    /// which it can be called.
    ///
    /// # Panics
    ///
    /// If a wait is not possible. The message names the reason and the remedy. Examples are a wait
    /// on a single-threaded runtime outside a context, in a `Drop` while unwinding, or inside
    /// [`no_suspend`](crate::no_suspend). [`WaitError`](crate::WaitError) lists all reasons. A
    /// panic of the call itself passes to the caller.
    #[inline]
    #[track_caller]
    pub fn wait(self) -> F::Output {
        waiting::wait(self.future)
    }

    /// Does the same as [`wait`](Self::wait), for at most the time `limit`. After that the call is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] if the call has not ended within the limit. See
    /// [`wait_timeout`](crate::wait_timeout).
    #[track_caller]
    pub fn wait_timeout(self, limit: Duration) -> Result<F::Output, Elapsed> {
        waiting::wait_timeout(limit, self.future)
    }

    /// Returns the wrapped future.
    #[inline]
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Tworoutine<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is structurally pinned: it is never moved out of a pinned `Tworoutine`
        // (`into_inner` takes `self` by value), the type has no `Drop`, and it is `Unpin` only
        // when `F` is, by the automatic implementation.
        unsafe { self.map_unchecked_mut(|this| &mut this.future) }.poll(cx)
    }
}

/// Boxed [`Tworoutine`] that can be sent to another thread. Functions under `#[tworoutine(dyn,
/// Send)]` return this type.
pub type BoxTworoutine<'a, T> = Tworoutine<Pin<Box<dyn Future<Output = T> + Send + 'a>>>;

/// Boxed [`Tworoutine`] that stays on its thread. Functions under `#[tworoutine(dyn)]` return this
/// type.
pub type LocalBoxTworoutine<'a, T> = Tworoutine<Pin<Box<dyn Future<Output = T> + 'a>>>;

/// Boxes a future. The return type determines if the result is a [`BoxTworoutine`] or a
/// [`LocalBoxTworoutine`].
#[doc(hidden)]
pub fn boxed<F: Future, B: BoxedForm<F>>(future: F) -> B {
    B::boxed(future)
}

/// The two boxed forms: [`BoxTworoutine`] and [`LocalBoxTworoutine`].
#[doc(hidden)]
pub trait BoxedForm<F> {
    /// Boxes `future`.
    fn boxed(future: F) -> Self;
}

impl<'a, F: Future + Send + 'a> BoxedForm<F> for BoxTworoutine<'a, F::Output> {
    fn boxed(future: F) -> Self {
        Tworoutine::new(Box::pin(future))
    }
}

impl<'a, F: Future + 'a> BoxedForm<F> for LocalBoxTworoutine<'a, F::Output> {
    fn boxed(future: F) -> Self {
        Tworoutine::new(Box::pin(future))
    }
}
