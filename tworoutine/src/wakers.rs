//! The wakers that code on a fiber polls with.
//!
//! A poll frame on a suspended fiber outlives the executor's own `Context`, and the executor may
//! come back with another waker. A frame keeps the waker that it began with, unchanged; a new frame
//! gets the latest. (Wakes that a stale waker misses do no harm: a poll during which the fiber was
//! suspended is done again before its outcome counts.)

use std::cell::{RefCell, UnsafeCell};
use std::rc::Rc;
use std::task::Waker;

pub(crate) struct Wakers {
    /// The waker of the fiber's first poll since no code was on it. Unchanged while code is.
    first: UnsafeCell<Waker>,
    /// The latest, when the executor changed it while the fiber was suspended.
    changed: RefCell<Option<Rc<Waker>>>,
}

/// The waker for a poll frame to use and hold.
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
        Wakers {
            first: UnsafeCell::new(Waker::noop().clone()),
            changed: RefCell::new(None),
        }
    }

    /// Begins anew.
    ///
    /// # Safety
    ///
    /// No [`Latest`] of before may be in use.
    pub(crate) unsafe fn restart(&self, waker: &Waker) {
        *self.changed.borrow_mut() = None;
        // SAFETY: references to it are handed out in `Latest` only, and none is in use.
        let first = unsafe { &mut *self.first.get() };
        first.clone_from(waker);
    }

    /// Takes note of the waker of a further poll. Frames of before keep theirs.
    pub(crate) fn renew(&self, waker: &Waker) {
        if !self.latest().get().will_wake(waker) {
            *self.changed.borrow_mut() = Some(Rc::new(waker.clone()));
        }
    }

    #[inline]
    pub(crate) fn latest(&self) -> Latest<'_> {
        match &*self.changed.borrow() {
            Some(waker) => Latest::Changed(Rc::clone(waker)),
            // SAFETY: it changes in `restart` only, when no `Latest` is in use.
            None => Latest::First(unsafe { &*self.first.get() }),
        }
    }
}
