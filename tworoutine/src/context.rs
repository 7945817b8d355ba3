//! Contexts: futures with stacks of their own, in which a wait suspends only the future itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

use tokio::runtime::Handle;

use crate::{runtime, stats};

/// Makes a context of a future: a wait inside it suspends only this future, and every other task of
/// the thread goes on.
///
/// A context is itself a future, and any executor can poll it. If the executor is not tokio, the
/// process-wide runtime drives the sockets and timers that the context makes.
///
/// Put a deadline, a cancel or a `select!` *around* a context. If a context is dropped while it
/// waits, its stack is unwound from the wait, so that everything on it is dropped. With
/// `panic = "abort"`, and while the thread exits, the context is leaked instead.
///
/// A context never changes thread, so it is not `Send`. [`spawn`](crate::spawn) takes a future that
/// is `Send`, moves it to a thread, and makes it a context there.
///
/// A context must own everything that it uses. If it could borrow, `mem::forget` in the middle of a
/// wait would skip the guards that protect the borrowed data. [`block_on`](crate::block_on),
/// [`wait_all`](crate::wait_all) and [`wait_timeout`](crate::wait_timeout) consume their futures
/// before they return, so these may borrow.
pub fn context<F: Future + 'static>(future: F) -> Context<F> {
    Context::new(future, imp::Borrows::Nothing)
}

/// Future that runs as a context. See [`context`].
#[must_use = "a context does nothing unless it is polled"]
pub struct Context<F: Future> {
    inner: imp::Inner<F>,
}

impl<F: Future> Context<F> {
    /// Makes a context whose future may borrow.
    ///
    /// # Safety
    ///
    /// The context must be dropped, and not forgotten, before the borrowed data is dropped. For a
    /// future that borrows nothing there is no condition.
    pub(crate) unsafe fn unbound(future: F) -> Self {
        Self::new(future, imp::Borrows::Something)
    }

    fn new(future: F, borrows: imp::Borrows) -> Self {
        stats::count_contexts(1);
        Self {
            inner: imp::Inner::new(future, borrows),
        }
    }
}

impl<F: Future> Future for Context<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let current = Handle::try_current();
        let home = current.as_ref().unwrap_or_else(|_| runtime::process());
        let _entered = current.is_err().then(|| home.enter());
        self.inner.poll(cx, home.id())
    }
}

impl<F: Future> Drop for Context<F> {
    fn drop(&mut self) {
        stats::count_contexts(-1);
    }
}

impl<F: Future> std::fmt::Debug for Context<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// Contexts on fibers.
#[cfg(fibers)]
mod imp {
    use std::cell::{Cell, UnsafeCell};
    use std::future::Future;
    use std::marker::PhantomData;
    use std::panic::resume_unwind;
    use std::pin::Pin;
    use std::ptr::NonNull;
    use std::task::{self, Poll};

    use tokio::runtime::Id;

    use crate::fiber::Fiber;
    use crate::thread_exit;

    /// Kind of a context by its future: the future borrows nothing, or it may borrow something. A
    /// context of the second kind must not be leaked.
    #[derive(Clone, Copy, PartialEq)]
    pub(super) enum Borrows {
        Nothing,
        Something,
    }

    /// Owns a [`Shared`] through a raw pointer. Code on the fiber holds pointers into the `Shared`
    /// while the context is polled, and the aliasing rules of `Box` would forbid these pointers.
    pub(super) struct Inner<F: Future> {
        shared: NonNull<Shared<F>>,
        /// Makes the type neither `Send` nor `Sync`, because the fiber may have stack frames of
        /// any kind.
        _owns: PhantomData<(Box<F>, *mut ())>,
    }

    struct Shared<F: Future> {
        fiber: Fiber,
        /// The future is pinned: it is never moved, and it is dropped in place.
        future: UnsafeCell<F>,
        output: Cell<Option<F::Output>>,
        ended: Cell<bool>,
        borrows: Borrows,
    }

    impl<F: Future> Inner<F> {
        pub(super) fn new(future: F, borrows: Borrows) -> Self {
            thread_exit::count_context();
            let shared = Box::new(Shared {
                fiber: Fiber::new(),
                future: UnsafeCell::new(future),
                output: Cell::new(None),
                ended: Cell::new(false),
                borrows,
            });
            Self {
                shared: NonNull::from(Box::leak(shared)),
                _owns: PhantomData,
            }
        }

        pub(super) fn poll(&mut self, cx: &mut task::Context<'_>, home: Id) -> Poll<F::Output> {
            // SAFETY: the allocation lives until `drop`, and is only ever reached through shared
            // references.
            let shared = unsafe { self.shared.as_ref() };
            assert!(
                !shared.ended.get(),
                "a context was polled after it had ended"
            );
            // SAFETY: `step::<F>` takes this pointer, which is valid until `drop`; and `drop` ends
            // the fiber first, or leaks the allocation.
            let polled = unsafe {
                shared
                    .fiber
                    .poll(cx.waker(), home, step::<F>, self.shared.cast())
            };
            match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(end) => {
                    shared.ended.set(true);
                    match (end, shared.output.take()) {
                        (Ok(()), Some(output)) => Poll::Ready(output),
                        (Ok(()), None) => unreachable!("a context that ends has an output"),
                        (Err(payload), _) => resume_unwind(payload),
                    }
                }
            }
        }
    }

    /// Polls the future of a context, on its fiber.
    ///
    /// # Safety
    ///
    /// `shared` is a live `Shared<F>`, and no other call of this function for it is running.
    unsafe fn step<F: Future>(shared: NonNull<()>, cx: &mut task::Context<'_>) -> Poll<()> {
        // SAFETY: the caller promises that `shared` is live.
        let shared = unsafe { shared.cast::<Shared<F>>().as_ref() };
        // SAFETY: the future is reached only here and in `drop`, which does not happen while this
        // function runs. The future is not moved until it is dropped.
        let future = unsafe { Pin::new_unchecked(&mut *shared.future.get()) };
        future
            .poll(cx)
            .map(|output| shared.output.set(Some(output)))
    }

    impl<F: Future> Drop for Inner<F> {
        fn drop(&mut self) {
            // SAFETY: the allocation lives until the end of `drop`, as in `poll`.
            let shared = unsafe { self.shared.as_ref() };
            if shared.fiber.is_suspended() && (cfg!(panic = "abort") || thread_exit::in_progress())
            {
                match shared.borrows {
                    // The stack and the future are leaked, because the stack cannot be unwound.
                    Borrows::Nothing => return,
                    // The future borrows from its caller, so the stack must be unwound and not
                    // leaked. With `panic = "abort"` that is not possible. The crate never drops
                    // such a context while it is suspended, so the abort is only a safeguard.
                    Borrows::Something if cfg!(panic = "abort") => std::process::abort(),
                    Borrows::Something => {}
                }
            }
            let _free = Free(self.shared);
            if let Some(payload) = shared.fiber.cancel()
                && !std::thread::panicking()
            {
                resume_unwind(payload);
            }
        }
    }

    /// Frees a [`Shared`] when dropped, even if a cancel ends in a panic.
    struct Free<F: Future>(NonNull<Shared<F>>);

    impl<F: Future> Drop for Free<F> {
        fn drop(&mut self) {
            // SAFETY: the pointer came from `Box::leak`, the owner is being dropped, and the fiber
            // has ended, so that nothing else points here.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// Contexts without fibers, which are plain futures. A wait inside one acts as it does outside of
/// contexts.
#[cfg(not(fibers))]
mod imp {
    use std::future::Future;
    use std::marker::PhantomData;
    use std::pin::Pin;
    use std::task::{self, Poll};

    use tokio::runtime::Id;

    pub(super) enum Borrows {
        Nothing,
        Something,
    }

    pub(super) struct Inner<F> {
        future: Pin<Box<F>>,
        _not_send: PhantomData<*mut ()>,
    }

    impl<F: Future> Inner<F> {
        pub(super) fn new(future: F, _: Borrows) -> Self {
            Self {
                future: Box::pin(future),
                _not_send: PhantomData,
            }
        }

        pub(super) fn poll(&mut self, cx: &mut task::Context<'_>, _: Id) -> Poll<F::Output> {
            self.future.as_mut().poll(cx)
        }
    }
}
