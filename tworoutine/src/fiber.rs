//! Fibers. A fiber runs a [`Context`](crate::Context), which is a future, on a stack of its own. A
//! wait suspends the fiber, and a later poll resumes it.
//!
//! A fiber takes a stack at the start of a poll and gives it back at the end of the poll, unless a
//! wait has suspended the fiber. So between polls, only a suspended fiber occupies a stack. A fiber
//! never changes thread.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{self, Poll, Waker};

use corosensei::{Coroutine, CoroutineResult, Yielder};
use tokio::runtime::{Handle, Id};

use crate::stack::{self, Stack};
use crate::waiting::WaitError;
use crate::wakers::Wakers;
use crate::{prefetch, stats};

type Payload = Box<dyn Any + Send>;
type Running = Coroutine<Resume, (), Result<Poll<()>, Payload>, Stack>;

/// Instruction to a suspended fiber when it is resumed.
#[derive(Clone, Copy, PartialEq)]
enum Resume {
    /// The context is polled: poll the awaited future again.
    Poll,
    /// The context is dropped: unwind the stack.
    Cancel,
}

/// Payload of the panic that unwinds a cancelled fiber.
struct Cancelled;

/// The function that polls a context's future.
pub(crate) type Step = unsafe fn(NonNull<()>, &mut task::Context<'_>) -> Poll<()>;

/// The state that a context and the code on its stack share.
pub(crate) struct Fiber {
    /// The coroutine, while the fiber is suspended in a wait.
    suspended: Cell<Option<Running>>,
    /// Handle with which code on the stack suspends the fiber; valid while such code runs.
    yielder: Cell<*const Yielder<Resume, ()>>,
    wakers: Wakers,
    /// Number of times that the fiber was suspended. A wake-up of a suspended fiber resumes only
    /// the innermost wait, and outer futures miss the wake-up. So if this number has increased
    /// during the poll of a future, the future is polled again before its `Pending` is accepted.
    suspensions: Cell<u64>,
    cancelled: Cell<bool>,
    no_suspend: Cell<usize>,
    /// Tokio task that made the latest poll. Waits of other tasks or runtimes do not suspend this
    /// fiber.
    task: Cell<Option<tokio::task::Id>>,
    /// Runtime in which the latest poll was made.
    runtime: Cell<Option<Id>>,
    /// True if the thread was already unwinding when the fiber was last started or resumed.
    panicking: Cell<bool>,
    /// Position of the last suspension in the order of all suspensions on the thread, for
    /// [`prefetch`].
    place: Cell<usize>,
}

thread_local! {
    /// The fiber whose code the thread runs, or null.
    static CURRENT: Cell<*const Fiber> = const { Cell::new(ptr::null()) };
}

/// Returns the fiber on which the calling code runs.
#[inline]
pub(crate) fn current() -> Option<Current> {
    let current = CURRENT.get();
    (!current.is_null()).then_some(Current(current))
}

/// Makes [`current`] return `None` until the guard is dropped.
pub(crate) fn hide_current() -> RestoresCurrent {
    RestoresCurrent {
        before: CURRENT.replace(ptr::null()),
    }
}

/// Guard that restores the fiber that the thread ran before.
pub(crate) struct RestoresCurrent {
    before: *const Fiber,
}

impl Drop for RestoresCurrent {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

impl Fiber {
    pub(crate) fn new() -> Self {
        Self {
            suspended: Cell::new(None),
            yielder: Cell::new(ptr::null()),
            wakers: Wakers::new(),
            suspensions: Cell::new(0),
            cancelled: Cell::new(false),
            no_suspend: Cell::new(0),
            task: Cell::new(None),
            runtime: Cell::new(None),
            panicking: Cell::new(false),
            place: Cell::new(0),
        }
    }

    /// True if the fiber is suspended in a wait.
    pub(crate) fn is_suspended(&self) -> bool {
        let suspended = self.suspended.take();
        let is_suspended = suspended.is_some();
        self.suspended.set(suspended);
        is_suspended
    }

    /// Runs the fiber until `step` returns or a wait suspends the fiber. `Ready` means that the
    /// fiber has ended; its error is the payload of a panic.
    ///
    /// # Safety
    ///
    /// `step` must be sound to call with `data` until the fiber has ended, or is cancelled or
    /// leaked. `step` and `data` must be the same in each call. The fiber must not move while it is
    /// suspended.
    pub(crate) unsafe fn poll(
        &self,
        waker: &Waker,
        home: Id,
        step: Step,
        data: NonNull<()>,
    ) -> Poll<Result<(), Payload>> {
        self.task.set(tokio::task::try_id());
        self.runtime.set(Some(home));
        let running = match self.suspended.take() {
            Some(running) => {
                self.wakers.renew(waker);
                running
            }
            None => {
                // SAFETY: no code is on the fiber, so no frame on it uses a waker.
                unsafe { self.wakers.restart(waker) };
                let this = NonNull::from(self);
                Coroutine::with_stack(stack::take(), move |yielder, _| {
                    // SAFETY: the caller does not move the fiber while code runs on it.
                    let this = unsafe { this.as_ref() };
                    this.yielder.set(yielder);
                    // SAFETY: the caller promises that `step` is sound to call with `data`.
                    catch_unwind(AssertUnwindSafe(|| unsafe { this.run(step, data) }))
                })
            }
        };
        match self.resume(running, Resume::Poll) {
            None => Poll::Pending,
            Some(Ok(Poll::Pending)) => Poll::Pending,
            Some(Ok(Poll::Ready(()))) => Poll::Ready(Ok(())),
            Some(Err(payload)) => Poll::Ready(Err(payload)),
        }
    }

    /// Ends a suspended fiber by unwinding its stack. Returns the payload of a panic that code on
    /// the stack raised during the unwinding.
    pub(crate) fn cancel(&self) -> Option<Payload> {
        let running = self.suspended.take()?;
        self.cancelled.set(true);
        // No wait suspends a cancelled fiber, so the fiber runs to its end.
        match self.resume(running, Resume::Cancel)? {
            Err(payload) if !payload.is::<Cancelled>() => Some(payload),
            _ => None,
        }
    }

    /// Switches to the code on the fiber. Returns `None` if a wait has suspended the fiber again.
    fn resume(&self, mut running: Running, how: Resume) -> Option<Result<Poll<()>, Payload>> {
        self.panicking.set(std::thread::panicking());
        if running.started() {
            stats::count_suspended(-1);
            prefetch::resuming(self.place.get());
        }
        let restores = RestoresCurrent {
            before: CURRENT.replace(self),
        };
        let result = running.resume(how);
        drop(restores);
        match result {
            CoroutineResult::Yield(()) => {
                stats::count_suspended(1);
                self.suspended.set(Some(running));
                None
            }
            CoroutineResult::Return(end) => {
                stack::give_back(running.into_stack());
                Some(end)
            }
        }
    }

    /// Polls the context's future, on the fiber. Polls it again as long as it is pending and a wait
    /// has suspended the fiber during the latest poll.
    ///
    /// # Safety
    ///
    /// The same conditions as for [`poll`](Self::poll).
    unsafe fn run(&self, step: Step, data: NonNull<()>) -> Poll<()> {
        loop {
            let before = self.suspensions.get();
            let latest = self.wakers.latest();
            // SAFETY: the caller promises that `step` is sound to call with `data`.
            let polled = unsafe { step(data, &mut task::Context::from_waker(latest.get())) };
            drop(latest);
            if polled.is_ready() || self.suspensions.get() == before {
                return polled;
            }
        }
    }
}

/// Reason why a wait does not suspend the fiber.
pub(crate) enum Refusal {
    /// The code runs in another executor that was started inside the context. It waits as if it
    /// were outside of any context.
    OtherExecutor,
    /// A wait is not possible here.
    Impossible(WaitError),
}

/// The fiber on which the calling code runs.
#[derive(Clone, Copy)]
pub(crate) struct Current(*const Fiber);

impl Current {
    /// Polls the future until it is ready, suspending the fiber in between.
    #[inline]
    pub(crate) fn wait<F: Future>(self, mut future: Pin<&mut F>) -> Result<F::Output, Refusal> {
        let fiber = self.fiber();
        if fiber.cancelled.get() && !std::thread::panicking() {
            // The code has caught the unwinding and has continued. So the unwinding is started
            // again.
            resume_unwind(Box::new(Cancelled));
        }
        loop {
            let before = fiber.suspensions.get();
            {
                let latest = fiber.wakers.latest();
                let mut cx = task::Context::from_waker(latest.get());
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return Ok(output);
                }
            }
            if fiber.suspensions.get() == before {
                fiber.suspend()?;
            }
        }
    }

    /// Forbids suspension until the guard is dropped.
    pub(crate) fn no_suspend(self) -> NoSuspend {
        let count = &self.fiber().no_suspend;
        count.set(count.get() + 1);
        NoSuspend(self)
    }

    fn fiber(&self) -> &Fiber {
        // SAFETY: `CURRENT` points to the fiber on whose stack the calling code runs, which its
        // owner keeps in place until that code has returned. A `Current` is made from `CURRENT`
        // and kept only in frames of that code.
        unsafe { &*self.0 }
    }
}

/// Guard that forbids the suspension of the fiber.
pub(crate) struct NoSuspend(Current);

impl Drop for NoSuspend {
    fn drop(&mut self) {
        let count = &self.0.fiber().no_suspend;
        count.set(count.get() - 1);
    }
}

impl Fiber {
    /// Suspends the fiber until it is polled again or cancelled.
    #[inline(never)]
    fn suspend(&self) -> Result<(), Refusal> {
        let runtime = Handle::try_current().ok().map(|handle| handle.id());
        if tokio::task::try_id() != self.task.get() || runtime != self.runtime.get() {
            return Err(Refusal::OtherExecutor);
        }
        if self.cancelled.get() || std::thread::panicking() != self.panicking.get() {
            // If the fiber were suspended now, other tasks would run on a thread that counts as
            // panicking.
            return Err(Refusal::Impossible(WaitError::Dropping));
        }
        if self.no_suspend.get() > 0 {
            return Err(Refusal::Impossible(WaitError::NoSuspend));
        }
        stack::reserve().map_err(Refusal::Impossible)?;
        self.suspensions.set(self.suspensions.get() + 1);
        // The address of a local variable is close to the stack pointer.
        let local = 0_u8;
        let left_at = (&raw const local).addr();
        self.place.set(prefetch::suspending(self, left_at));
        // SAFETY: the yielder lives on the stack that this code runs on, for as long as it runs.
        let yielder = unsafe { &*self.yielder.get() };
        let how = yielder.suspend(());
        match how {
            Resume::Poll => Ok(()),
            Resume::Cancel => resume_unwind(Box::new(Cancelled)),
        }
    }
}
