//! Wakers that code on a fiber polls with.
//!
//! A poll frame on a suspended fiber outlives the executor's own `Context`, and the executor may
//! poll the context later with another waker. A frame keeps the waker that it began with; a new
//! frame gets the latest one. A wake that goes to an old waker and is lost does no harm: a future
//! is polled again if the fiber was suspended during its poll.

use std::cell::{RefCell, UnsafeCell};
use std::rc::Rc;
use std::task::Waker;

pub(crate) struct Wakers {
    /// Waker of the fiber's first poll since no code was on it. It does not change while code is
    /// on the fiber.
    first: UnsafeCell<Waker>,
    /// Latest waker, if the executor changed it while the fiber was suspended.
    changed: RefCell<Option<Rc<Waker>>>,
}

/// Waker for a poll frame to use and keep.
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

    /// Starts with a new first waker.
    ///
    /// # Safety
    ///
    /// No [`Latest`] that was returned before may be in use.
    pub(crate) unsafe fn restart(&self, waker: &Waker) {
        *self.changed.borrow_mut() = None;
        // SAFETY: only `Latest` holds references to it, and none is in use.
        let first = unsafe { &mut *self.first.get() };
        first.clone_from(waker);
    }

    /// Stores the waker of a further poll. Older frames keep theirs.
    pub(crate) fn renew(&self, waker: &Waker) {
        if !self.latest().get().will_wake(waker) {
            *self.changed.borrow_mut() = Some(Rc::new(waker.clone()));
        }
    }

    #[inline]
    pub(crate) fn latest(&self) -> Latest<'_> {
        match &*self.changed.borrow() {
            Some(waker) => Latest::Changed(Rc::clone(waker)),
            // SAFETY: only `restart` changes it, while no `Latest` is in use.
            None => Latest::First(unsafe { &*self.first.get() }),
        }
    }
}
