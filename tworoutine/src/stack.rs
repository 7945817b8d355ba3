//! Stacks of fibers. A fiber runs a [context](crate::context()), which is a future with a stack of
//! its own. The stacks are counted and reused.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use corosensei::stack::{DefaultStack, StackPointer};

use crate::config::{self, lock};
use crate::prefetch;
use crate::waiting::WaitError;

/// Stack with a guard page below it. The stack and the page take two memory mappings.
///
/// Stacks begin at different distances from the top of their last page. If all began at the top,
/// the few cache lines that each blocked context uses would compete for the same sets of the
/// processor's caches. Each switch among thousands of contexts would then be a cache miss.
pub(crate) struct Stack {
    whole: DefaultStack,
    base: StackPointer,
}

/// Distance between two neighbouring places at which stacks can begin, in bytes.
const STAGGER: usize = 448;
/// Number of different places at which stacks can begin.
const STAGGERS: usize = 6;

impl Stack {
    fn new(size: usize, number: usize) -> std::io::Result<Self> {
        use corosensei::stack::Stack;
        let whole = DefaultStack::new(size + STAGGER * STAGGERS)?;
        // Windows stores the base of the stack in the thread environment block, so the base must
        // not be moved on Windows.
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

// SAFETY: the reasons are those of `DefaultStack`, because this stack only leaves out a multiple of
// 64 bytes at the top of its range. The range is mapped for as long as the stack lives, its base is
// aligned to 16 bytes as every target requires, and the guard page is at its limit.
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

/// Largest number of idle stacks that a thread keeps for itself.
const IDLE_PER_THREAD: usize = 64;

thread_local! {
    static LOCAL: RefCell<Local> = const { RefCell::new(Local(Vec::new())) };
}

/// Idle stacks of a thread. They are moved to [`DEPOT`] when the thread ends.
struct Local(Vec<Stack>);

impl Drop for Local {
    fn drop(&mut self) {
        store(&mut self.0, 0);
    }
}

/// Idle stacks for all threads.
static DEPOT: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// Number of stacks that exist, in use or idle.
static EXISTING: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn existing() -> usize {
    EXISTING.load(Ordering::Relaxed)
}

/// Number of stacks for which the kernel allows mappings, or `None` if it is not known. A sixteenth
/// of the mappings is left for everything else.
static LIMIT: LazyLock<Option<usize>> = LazyLock::new(|| {
    let setting = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?;
    let mappings: usize = setting.trim().parse().ok()?;
    Some((mappings - mappings / 16) / 2)
});

/// Takes a stack for a poll of a context.
///
/// # Panics
///
/// If the kernel has no mappings or memory for another stack. This does not happen on a thread that
/// calls [`reserve`] before each suspension, because such a thread always has a stack for the next
/// poll.
pub(crate) fn take() -> Stack {
    let taken = LOCAL.try_with(|local| {
        let mut local = local.borrow_mut();
        let stacks = local.restock();
        let taken = stacks.pop();
        if let Some(next) = stacks.last() {
            prefetch::fetch_beginning(next.base.get());
        }
        taken
    });
    match taken {
        Ok(Some(stack)) => stack,
        _ => make().unwrap_or_else(|refused| panic!("{refused}")),
    }
}

/// Makes sure that the thread has a stack for its next poll, so that the running context can keep
/// its own stack while it is suspended.
///
/// # Errors
///
/// If the kernel has no mappings or memory for another stack.
pub(crate) fn reserve() -> Result<(), WaitError> {
    let reserved = LOCAL.try_with(|local| {
        let mut local = local.borrow_mut();
        let stacks = local.restock();
        if stacks.is_empty() {
            stacks.push(make()?);
        }
        Ok(())
    });
    // An error means that the thread is exiting, and that its list of idle stacks is destroyed.
    // From then on each poll makes a new stack, so nothing is reserved.
    reserved.unwrap_or(Ok(()))
}

impl Local {
    /// Returns the idle stacks. If there are none, some are moved here from [`DEPOT`] first.
    fn restock(&mut self) -> &mut Vec<Stack> {
        if self.0.is_empty() {
            let mut depot = lock(&DEPOT);
            let rest = depot.len().saturating_sub(IDLE_PER_THREAD / 2);
            self.0.extend(depot.drain(rest..));
            drop(depot);
            prefetch::translate(self.0.iter().map(|stack| stack.base.get()));
        }
        &mut self.0
    }
}

/// Takes back a stack that is not in use any more.
pub(crate) fn give_back(stack: Stack) {
    let mut stack = Some(stack);
    let _ = LOCAL.try_with(|local| {
        let stacks = &mut local.borrow_mut().0;
        stacks.extend(stack.take());
        if stacks.len() > IDLE_PER_THREAD {
            store(stacks, IDLE_PER_THREAD / 2);
        }
    });
    if let Some(stack) = stack {
        // The thread is exiting and its list of idle stacks is destroyed.
        store(&mut vec![stack], 0);
    }
}

/// Moves all but `keep` stacks to [`DEPOT`]. Stacks for which [`DEPOT`] has no room are freed.
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
