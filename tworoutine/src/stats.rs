//! Numbers of [contexts](crate::context()) (futures with stacks of their own) and of stacks.

use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// Numbers of contexts and stacks of the process at one time. See [`stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Number of contexts that were made and are not dropped yet.
    pub contexts: usize,
    /// Number of contexts that are suspended in a wait. Each of them occupies a stack.
    pub suspended: usize,
    /// Number of stacks that exist, occupied or idle.
    pub stacks: usize,
}

/// Returns the numbers of contexts and stacks of the process, to monitor a program or to find a
/// leak.
///
/// While other threads work, the numbers may belong to slightly different moments.
pub fn stats() -> Stats {
    let sum = |count: fn(&Shard) -> &AtomicIsize| {
        let total: isize = SHARDS
            .iter()
            .map(|shard| count(shard).load(Ordering::Relaxed))
            .sum();
        usize::try_from(total).unwrap_or(0)
    };
    Stats {
        contexts: sum(|shard| &shard.contexts),
        suspended: sum(|shard| &shard.suspended),
        #[cfg(fibers)]
        stacks: crate::stack::existing(),
        #[cfg(not(fibers))]
        stacks: 0,
    }
}

/// Counters of some of the threads. There are several shards, so that cores do not compete for one
/// cache line.
#[repr(align(128))]
struct Shard {
    contexts: AtomicIsize,
    suspended: AtomicIsize,
}

static SHARDS: [Shard; 16] = [const {
    Shard {
        contexts: AtomicIsize::new(0),
        suspended: AtomicIsize::new(0),
    }
}; 16];

thread_local! {
    static SHARD: Cell<Option<&'static Shard>> = const { Cell::new(None) };
}

fn shard() -> &'static Shard {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.get().unwrap_or_else(|| {
        let shard = &SHARDS[NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS.len()];
        SHARD.set(Some(shard));
        shard
    })
}

pub(crate) fn count_contexts(change: isize) {
    shard().contexts.fetch_add(change, Ordering::Relaxed);
}

#[cfg(fibers)]
pub(crate) fn count_suspended(change: isize) {
    shard().suspended.fetch_add(change, Ordering::Relaxed);
}
