//! Stacks of fibers: kept for reuse, and counted.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use corosensei::stack::{DefaultStack, StackPointer};

use crate::ahead;
use crate::config::{self, lock};
use crate::waiting::WaitError;

/// A stack with a guard page below it: two mappings.
///
/// Not every stack begins at the top of its last page. If they did, the few lines of each that a
/// blocked context uses would all compete for the same sets of the processor's caches, and
/// switching among thousands of contexts would be a cache miss at every step.
pub(crate) struct Stack {
    whole: DefaultStack,
    base: StackPointer,
}

/// Distance of the beginnings of stacks from each other, in bytes, and number of them.
const STAGGER: usize = 448;
const STAGGERS: usize = 6;

impl Stack {
    fn new(size: usize, number: usize) -> std::io::Result<Self> {
        use corosensei::stack::Stack;
        let whole = DefaultStack::new(size + STAGGER * STAGGERS)?;
        // Windows keeps the base of the stack in the thread's block, so there it stays where it is.
        let offset = if cfg!(windows) {
            0
        } else {
            number % STAGGERS * STAGGER
        };
        let base = StackPointer::new(whole.base().get() - offset)
            .ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { whole, base })
    }
}

// SAFETY: as of `DefaultStack`, from whose range a multiple of 64 bytes at the top is left out: the
// range is mapped for as long as the stack lives, its base is aligned to 16 bytes as every target
// asks, and the guard page is at its limit.
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.whole.limit()
    }

    #[cfg(windows)]
    fn teb_fields(&self) -> corosensei::stack::StackTebFields {
        self.whole.teb_fields()
    }

    #[cfg(windows)]
    fn update_teb_fields(&mut self, stack_limit: usize, guaranteed_stack_bytes: usize) {
        self.whole
            .update_teb_fields(stack_limit, guaranteed_stack_bytes);
    }
}

/// Stacks that a thread keeps at hand.
const AT_HAND: usize = 64;

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local(Vec::new())) };
}

/// The stacks of a thread; at its end they go to the depot.
struct Local(Vec<Stack>);

impl Drop for Local {
    fn drop(&mut self) {
        store(&mut self.0, 0);
    }
}

/// Idle stacks of all threads.
static DEPOT: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// Stacks that exist, in use or idle.
static EXISTING: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn existing() -> usize {
    EXISTING.load(Ordering::Relaxed)
}

/// As many stacks as the kernel has mappings for, with a sixteenth left for everything else.
static LIMIT: LazyLock<Option<usize>> = LazyLock::new(|| {
    let setting = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?;
    let mappings: usize = setting.trim().parse().ok()?;
    Some((mappings - mappings / 16) / 2)
});

/// A stack for a poll.
///
/// # Panics
///
/// When the kernel has no more mappings or memory for one. [`reserve`] sees to it that this does
/// not happen to a thread that lets no more contexts hold a stack than it has stacks for.
pub(crate) fn take() -> Stack {
    let taken = LOCAL.try_with(|local| {
        let mut local = local.borrow_mut();
        let stacks = local.restock();
        let taken = stacks.pop();
        if let Some(next) = stacks.last() {
            ahead::fetch_beginning(next.base.get());
        }
        taken
    });
    match taken {
        Ok(Some(stack)) => stack,
        _ => make().unwrap_or_else(|refused| panic!("{refused}")),
    }
}

/// Has a stack at hand for the thread's next poll, so that the running one may be held on to.
///
/// # Errors
///
/// When the kernel has no more mappings or memory for one.
pub(crate) fn reserve() -> Result<(), WaitError> {
    let reserved = LOCAL.try_with(|local| {
        let mut local = local.borrow_mut();
        let stacks = local.restock();
        if stacks.is_empty() {
            stacks.push(make()?);
        }
        Ok(())
    });
    // The thread is exiting, its own store gone: each poll makes its own.
    reserved.unwrap_or(Ok(()))
}

impl Local {
    /// The stacks at hand, some fetched from the depot if there were none.
    fn restock(&mut self) -> &mut Vec<Stack> {
        if self.0.is_empty() {
            let mut depot = lock(&DEPOT);
            let rest = depot.len().saturating_sub(AT_HAND / 2);
            self.0.extend(depot.drain(rest..));
            drop(depot);
            ahead::translate(self.0.iter().map(|stack| stack.base.get()));
        }
        &mut self.0
    }
}

/// Takes back a stack on which nothing runs any more.
pub(crate) fn give_back(stack: Stack) {
    let mut stack = Some(stack);
    let _ = LOCAL.try_with(|local| {
        let stacks = &mut local.borrow_mut().0;
        stacks.extend(stack.take());
        if stacks.len() > AT_HAND {
            store(stacks, AT_HAND / 2);
        }
    });
    if let Some(stack) = stack {
        // The thread is exiting, its own store gone.
        store(&mut vec![stack], 0);
    }
}

/// Moves all but some stacks to the depot, or frees them when that is full.
fn store(stacks: &mut Vec<Stack>, keep: usize) {
    let mut depot = lock(&DEPOT);
    let room = config::idle_stacks().saturating_sub(depot.len());
    let moved = stacks.len().saturating_sub(keep).min(room);
    let rest = stacks.len() - moved;
    depot.extend(stacks.drain(rest..));
    drop(depot);
    let surplus = stacks.len().saturating_sub(keep);
    stacks.truncate(keep);
    EXISTING.fetch_sub(surplus, Ordering::Relaxed);
}

#[cold]
fn make() -> Result<Stack, WaitError> {
    let existing = EXISTING.fetch_add(1, Ordering::Relaxed);
    let made = if LIMIT.is_none_or(|limit| existing < limit) {
        Stack::new(config::stack_size(), existing)
            .map_err(|_| WaitError::NoMemory { stacks: existing })
    } else {
        Err(WaitError::TooManySuspended { stacks: existing })
    };
    made.inspect_err(|_| {
        EXISTING.fetch_sub(1, Ordering::Relaxed);
    })
}
