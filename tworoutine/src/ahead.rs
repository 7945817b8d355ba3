//! Fetching ahead: in a crowd of contexts, what the next one needs is in no cache of the processor,
//! so it is asked for while the one before it still runs. Nothing here changes what a program does.

use std::cell::Cell;
use std::ptr;

use crate::fiber::Fiber;

/// Bytes at the beginning of a stack that a context typically touches until its first wait.
const BEGINNING: usize = 896;
/// Bytes that it touches when it goes on, above and below where it was suspended.
const ABOVE: usize = 640;
const BELOW: usize = 256;

thread_local! {
    /// The fiber that was suspended last, if it lives, or null.
    static LAST: Cell<*const Fiber> = const { Cell::new(ptr::null()) };
}

/// The fiber that was suspended next after this one. Timers, queues and barriers wake in the order
/// of arrival, so it is likely to be resumed next, too. Hints, which may be out of date.
pub(crate) struct Follower {
    fiber: Cell<*const Fiber>,
    /// Where its stack was in use.
    left_at: Cell<usize>,
}

impl Follower {
    pub(crate) const fn unknown() -> Self {
        Follower {
            fiber: Cell::new(ptr::null()),
            left_at: Cell::new(0),
        }
    }

    /// Begins to fetch what it needs to go on.
    #[inline]
    pub(crate) fn fetch(&self) {
        if !self.fiber.get().is_null() {
            fetch(self.fiber.get().addr(), size_of::<Fiber>() + 64);
            fetch(self.left_at.get() - BELOW, BELOW + ABOVE);
        }
    }
}

/// Takes note of a fiber that is about to be suspended, with its stack in use from `here` up.
#[inline]
pub(crate) fn suspending(fiber: &Fiber, here: usize) {
    let last = LAST.replace(fiber);
    if !last.is_null() {
        // SAFETY: it lives: a fiber never leaves its thread, nor moves once it was suspended, and
        // `forget` takes note of its end.
        let follower = unsafe { (*last).follower() };
        follower.fiber.set(fiber);
        follower.left_at.set(here);
    }
}

/// Takes note of the end of a fiber.
#[inline]
pub(crate) fn forget(fiber: &Fiber) {
    if ptr::eq(LAST.get(), fiber) {
        LAST.set(ptr::null());
    }
}

/// Begins to fetch the beginning of a stack that is going to be taken.
#[inline]
pub(crate) fn fetch_beginning(base: usize) {
    fetch(base - BEGINNING, BEGINNING);
}

#[inline]
fn fetch(from: usize, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (from..from + bytes).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: no address makes a prefetch fault, and nothing observes it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::without_provenance(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}
