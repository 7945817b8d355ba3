//! Wakers with which the code on a fiber polls futures. A fiber is the stack of a context, which is
//! a future with a stack of its own.
//!
//! A stack frame in a suspended fiber holds a waker for longer than the poll for which the executor
//! passed it. The executor may poll the fiber later with another waker. A frame keeps the waker
//! that it began with, and a new frame gets the latest waker. A wake-up that goes to an old waker
//! may be lost. That does no harm, because a future is polled again if the fiber was suspended
//! during its poll.

use std::cell::{RefCell, UnsafeCell};
use std::rc::Rc;
use std::task::Waker;

pub(crate) struct Wakers {
    /// Waker of the poll that started the code on the fiber. It does not change while code is on
    /// the fiber.
    first: UnsafeCell<Waker>,
    /// Latest waker, if the executor changed it while the fiber was suspended.
    changed: RefCell<Option<Rc<Waker>>>,
}

/// Waker that a frame uses and keeps.
pub(crate) enum Latest<'a> {
    First(&'a Waker),
    Changed(Rc<Waker>),
}

impl Latest<'_> {
    #[inline]
    pub(crate) fn get(&self) -> &Waker {
        match self {
            Latest::First(waker) => waker,
            Latest::Changed(waker) => waker,
        }
    }
}

impl Wakers {
    pub(crate) fn new() -> Self {
        Self {
            first: UnsafeCell::new(Waker::noop().clone()),
            changed: RefCell::new(None),
        }
    }

    /// Sets a new first waker.
    ///
    /// # Safety
    ///
    /// No [`Latest`] that was returned before may be in use.
    pub(crate) unsafe fn restart(&self, waker: &Waker) {
        *self.changed.borrow_mut() = None;
        // SAFETY: only a `Latest` holds references to `first`, and none is in use.
        let first = unsafe { &mut *self.first.get() };
        first.clone_from(waker);
    }

    /// Stores the waker of a further poll. Older frames keep their wakers.
    pub(crate) fn renew(&self, waker: &Waker) {
        if !self.latest().get().will_wake(waker) {
            *self.changed.borrow_mut() = Some(Rc::new(waker.clone()));
        }
    }

    #[inline]
    pub(crate) fn latest(&self) -> Latest<'_> {
        match &*self.changed.borrow() {
            Some(waker) => Latest::Changed(Rc::clone(waker)),
            // SAFETY: only `restart` changes `first`, and only while no `Latest` is in use.
            None => Latest::First(unsafe { &*self.first.get() }),
        }
    }
}
