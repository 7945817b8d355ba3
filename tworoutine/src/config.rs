//! Settings of this crate for the whole process. A context is a future with a stack of its own.

use std::fmt;
use std::sync::{OnceLock, PoisonError};

use tokio::runtime::Handle;

use crate::blocked;
use crate::starting::Threads;

/// Settings of this crate for the whole process. Apply them before the first use of the crate.
///
/// ```
/// tworoutine::Config::new().stack_size(4 << 20).apply()?;
/// # Ok::<(), tworoutine::AlreadyRunning>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    stack_size: usize,
    idle_stacks: usize,
    max_blocked_waits: usize,
    spawn_threads: usize,
    offload_threads: usize,
    threads: Threads,
}

impl Config {
    /// Returns the defaults. The documentation of each setter names its default.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            stack_size: 1 << 20,
            idle_stacks: 16 * 1024,
            max_blocked_waits: 480,
            spawn_threads: cores,
            offload_threads: cores,
            threads: Threads::All,
        }
    }

    /// Sets the size of the stack of a [context](crate::context()), in bytes of address space. The
    /// default is 1 MiB, the minimum 64 KiB.
    ///
    /// Every poll of a context runs on a stack of this size. So code with large arrays or deep
    /// recursion needs more, especially in a debug build. Only pages that are touched take memory.
    /// A guard page lies beyond the end of the stack: an overflow ends the process and never writes
    /// elsewhere.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes.max(64 * 1024);
        self
    }

    /// Sets the largest number of unused stacks that the process keeps for later contexts. Each
    /// thread keeps up to 64 more. The default is 16,384.
    #[must_use]
    pub fn idle_stacks(mut self, stacks: usize) -> Self {
        self.idle_stacks = stacks;
        self
    }

    /// Sets the largest number of waits outside contexts that may block threads of the same
    /// multi-thread runtime at once. The default is 480, which is a little below the 512 additional
    /// threads that tokio starts by default. With more waits than threads, a runtime deadlocks.
    /// [`set_max_blocked_waits`] sets the number for one runtime.
    #[must_use]
    pub fn max_blocked_waits(mut self, waits: usize) -> Self {
        self.max_blocked_waits = waits;
        self
    }

    /// Sets the number of threads that serve [`spawn`](crate::spawn). The default is one thread for
    /// each core, and the minimum is one thread. If [`threads`](Self::threads) is set to
    /// [`Threads::One`] or [`Threads::None`], there is at most one.
    #[must_use]
    pub fn spawn_threads(mut self, threads: usize) -> Self {
        self.spawn_threads = threads.max(1);
        self
    }

    /// Sets the number of threads that serve [`offload`](crate::offload). The default is one thread
    /// for each core, and the minimum is one thread. If [`threads`](Self::threads) is set to
    /// [`Threads::One`] or [`Threads::None`], there is none.
    #[must_use]
    pub fn offload_threads(mut self, threads: usize) -> Self {
        self.offload_threads = threads.max(1);
        self
    }

    /// Sets a limit on the number of threads that this crate starts. The default is
    /// [`Threads::All`].
    ///
    /// With [`Threads::One`] and [`Threads::None`], computations of [`offload`](crate::offload) run
    /// on the thread of the contexts of [`spawn`](crate::spawn), and delay these contexts. The
    /// limit does not include threads that tokio starts for `spawn_blocking`.
    ///
    /// Each thread takes some 70 MiB of address space, so fewer threads help if the address space
    /// is limited (`ulimit -v`). With [`Threads::None`], call [`start`](crate::start()) before
    /// anything else, on the thread that will wait.
    #[must_use]
    pub fn threads(mut self, at_most: Threads) -> Self {
        self.threads = at_most;
        self
    }

    /// Makes these settings the settings of the process.
    ///
    /// # Errors
    ///
    /// [`AlreadyRunning`] if settings were applied before, or if the crate was used before and so
    /// took the defaults.
    pub fn apply(self) -> Result<(), AlreadyRunning> {
        CONFIG.set(self).map_err(|_| AlreadyRunning)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// Error of settings that are applied too late: the crate was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyRunning;

impl fmt::Display for AlreadyRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the settings of tworoutine are already fixed, by an earlier call of `apply` or by the \
             first use of the crate; call `Config::apply` before anything else of the crate",
        )
    }
}

impl std::error::Error for AlreadyRunning {}

/// Sets the largest number of waits outside contexts that may block threads of this runtime at
/// once.
///
/// The number must be less than the runtime's `max_blocking_threads`. The difference must be at
/// least the number of threads that its other blocking work takes. A runtime deadlocks if all of
/// its threads wait and none is left to replace them.
pub fn set_max_blocked_waits(runtime: &Handle, waits: usize) {
    blocked::waits_of(runtime).set_limit(waits);
}

static CONFIG: OnceLock<Config> = OnceLock::new();

fn config() -> &'static Config {
    CONFIG.get_or_init(Config::new)
}

#[cfg(fibers)]
pub(crate) fn stack_size() -> usize {
    config().stack_size
}

#[cfg(fibers)]
pub(crate) fn idle_stacks() -> usize {
    config().idle_stacks
}

pub(crate) fn max_blocked_waits() -> usize {
    config().max_blocked_waits
}

pub(crate) fn spawn_threads() -> usize {
    config().spawn_threads
}

pub(crate) fn offload_threads() -> usize {
    match config().threads {
        Threads::All => config().offload_threads,
        Threads::One | Threads::None => 0,
    }
}

pub(crate) fn threads() -> Threads {
    config().threads
}

/// Locks a mutex of the crate. A panic never leaves the data of the mutex half changed.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
