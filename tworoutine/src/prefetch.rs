//! Prefetching of the memory of [contexts](crate::context()), which are futures with stacks of
//! their own.
//!
//! With thousands of contexts, the memory of the next context is in no cache of the processor. So
//! it is prefetched while earlier contexts run. This affects only the speed of a program.
//!
//! The first access to a stack is the slowest, because the processor must translate its address. It
//! translates several addresses at the same time if they are requested together, so the requests
//! for several stacks are made together.

use std::cell::RefCell;
use std::ptr;

/// Number of bytes at the beginning of a stack that a context typically touches until its first
/// wait.
const BEGINNING: usize = 896;
/// Number of bytes that a context typically touches when it is resumed, above the stack pointer at
/// which it was suspended.
const ABOVE: usize = 640;
/// Number of bytes below that stack pointer that a context typically touches when it is resumed.
const BELOW: usize = 256;
/// Number of bytes of a fiber (the state of a context's stack) and of the context's future, which
/// follows it in memory.
const STATE: usize = 256;

/// Number of addresses that are translated together.
const BATCH: usize = 16;
/// Largest number of suspended fibers whose addresses a thread remembers.
const REMEMBERED: usize = 16 * 1024;

thread_local! {
    static ORDER: RefCell<Order> = const { RefCell::new(Order::new()) };
}

/// Order in which the fibers of a thread were suspended. They are likely to be resumed in the same
/// order, because timers, queues and barriers wake tasks in the order in which the tasks began to
/// wait.
struct Order {
    fibers: Vec<Suspended>,
    /// Position for the fiber that is suspended next.
    next: usize,
    suspended: usize,
}

/// Addresses of the memory of a fiber, as they were when it was suspended.
#[derive(Clone, Copy)]
struct Suspended {
    state: usize,
    left_at: usize,
}

impl Order {
    const fn new() -> Self {
        Self {
            fibers: Vec::new(),
            next: 0,
            suspended: 0,
        }
    }

    fn enter(&mut self, fiber: Suspended) -> usize {
        if self.suspended == 0 {
            // If few fibers are suspended at a time, the positions are counted from zero again,
            // which keeps the list short.
            self.next = 0;
        }
        self.suspended += 1;
        let place = self.next;
        self.next += 1;
        match self.fibers.get_mut(place % REMEMBERED) {
            Some(oldest) => *oldest = fiber,
            None => self.fibers.push(fiber),
        }
        place
    }

    fn at(&self, place: usize) -> Option<&Suspended> {
        let known = place < self.next && self.next - place <= REMEMBERED;
        known.then(|| &self.fibers[place % REMEMBERED])
    }

    fn leave(&mut self, place: usize) {
        self.suspended = self.suspended.saturating_sub(1);
        if place.is_multiple_of(BATCH) {
            let batch = place + BATCH..place + 2 * BATCH;
            for fiber in batch.map_while(|place| self.at(place)) {
                fetch(fiber.left_at, 1);
            }
        }
        if let Some(next) = self.at(place + 1) {
            fetch(next.state, STATE);
            fetch(next.left_at - BELOW, BELOW + ABOVE);
        }
    }
}

/// Records a fiber that is about to be suspended. The part of its stack from `left_at` upward is in
/// use. Returns the position of the fiber in the order.
#[inline]
pub(crate) fn suspending<T>(fiber: &T, left_at: usize) -> usize {
    let state = ptr::from_ref(fiber).addr();
    ORDER
        .try_with(|order| order.borrow_mut().enter(Suspended { state, left_at }))
        .unwrap_or(0)
}

/// Begins to fetch the memory that the next fibers need when they are resumed.
#[inline]
pub(crate) fn resuming(place: usize) {
    let _ = ORDER.try_with(|order| order.borrow_mut().leave(place));
}

/// Begins to fetch the beginning of the stack that will be taken next.
#[inline]
pub(crate) fn fetch_beginning(base: usize) {
    fetch(base - BEGINNING, BEGINNING);
}

/// Makes the processor translate the addresses of the stacks that will be taken next.
pub(crate) fn translate(bases: impl Iterator<Item = usize>) {
    bases.for_each(|base| fetch(base - 64, 1));
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
