//! The runtimes of the crate: the process-wide runtime, and the pinned pool, which runs the
//! contexts (futures with stacks of their own) of [`spawn`](crate::spawn()). They are started with
//! all threads that the settings ask for, with one thread or with none, as the system grants them.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::{Mutex, OnceLock};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::config::{self, lock};
use crate::headroom;
use crate::only_thread;
use crate::pool::Thread;
use crate::try_out;

/// Number of threads that serve the crate. See [`start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Threads {
    /// All threads that the settings ask for.
    All,
    /// One thread, because the system does not grant all threads and descriptors that the settings
    /// ask for, or because the settings ask for at most one. This thread drives the process-wide
    /// runtime and every context of [`spawn`](crate::spawn). If the settings ask for at most one
    /// thread, the thread also runs the computations of [`offload`](crate::offload); otherwise
    /// these run on the threads that the system grants.
    One,
    /// No thread, because the system grants none or the settings ask for none. The thread that
    /// called [`start`] drives all tasks while it waits; at other times no task runs.
    None,
}

/// Starts the threads and runtimes of the crate, so that a limit of the system causes an error now
/// and not later. If they run already, the function only returns the number of threads with which
/// they were started.
///
/// Call this function at the beginning of `main`, on the thread that will wait. If the system does
/// not grant all threads and descriptors that the settings ask for, the crate starts with one
/// thread, or with none, as [`Threads`] describes. All functions of the crate still work then, with
/// three differences:
/// * a wait in a task of [`runtime()`](crate::runtime()) that is not in a context panics with
///   [`WaitError::SingleThreaded`](crate::WaitError::SingleThreaded);
/// * if [`offload`](crate::offload) has no thread of its own, its computations run on the thread of
///   the contexts of [`spawn`](crate::spawn) and delay these contexts;
/// * with [`Threads::None`], waits on other threads can end only while the thread that called this
///   function waits.
///
/// If this function is not called, the first use of the crate that needs these runtimes starts
/// them, with at least one thread.
///
/// # Errors
///
/// [`StartError`] if the system does not grant the resources for a single event loop, or if
/// `TOKIO_WORKER_THREADS` is not a valid number of threads. The function may then be called again.
pub fn start() -> Result<Threads, StartError> {
    let service = service(FewestThreads::None)?;
    service.pool()?;
    Ok(match service {
        Service::All { .. } => Threads::All,
        Service::Shared { threads, .. } => *threads,
    })
}

/// Reason why the crate cannot be started: the system does not grant a resource, or a setting is
/// not valid.
///
/// The text of the error names the limit or the setting and the way to change it.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The system grants no thread, or no memory for its stack.
    Threads(io::Error),
    /// The system grants no descriptors, or no memory for the objects behind them.
    Descriptors(io::Error),
    /// The environment variable `TOKIO_WORKER_THREADS` is not a number of threads from 1 to 8192.
    Workers(OsString),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(error) => write!(
                f,
                "the system grants this process no more threads, or no memory for their stacks \
                 ({error}): raise the limit of the user's threads (`ulimit -u`), that of the service \
                 (`TasksMax=` and `LimitNPROC=` of systemd), or that of the memory (`ulimit -v`)"
            ),
            Self::Descriptors(error) => write!(
                f,
                "the system grants this process no more open files ({error}): raise their limit \
                 (`ulimit -n`, or `LimitNOFILE=` of systemd) by {FEWEST_DESCRIPTORS} at least"
            ),
            Self::Workers(set) => write!(
                f,
                "the environment variable {WORKERS} is set to {set:?}, which is not a number of \
                 threads: set it to a whole number from 1 to {MOST_WORKERS}, or remove it"
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Threads(error) | Self::Descriptors(error) => Some(error),
            Self::Workers(_) => None,
        }
    }
}

/// Environment variable that sets the number of workers of tokio's runtimes.
const WORKERS: &str = "TOKIO_WORKER_THREADS";
/// Largest number of workers that is accepted. Linux supports no more processors than that.
const MOST_WORKERS: usize = 8192;
/// Number of file descriptors that a runtime needs: its epoll instance and a copy of it, its
/// wake-up, and its receiver of signals.
const PER_RUNTIME: usize = 4;
/// Number of file descriptors with which tokio receives signals. Tokio panics if the system does
/// not grant them.
const SIGNALS: usize = 2;
/// Number of file descriptors that must be left for the program if all threads are started.
const LEFT_FOR_PROGRAM: usize = 32;
/// Smallest number of file descriptors with which the crate can be started.
const FEWEST_DESCRIPTORS: usize = PER_RUNTIME + SIGNALS;

/// The runtimes that serve the crate.
pub(crate) enum Service {
    /// The process-wide runtime, and the pinned pool, which starts when it is first needed.
    All {
        runtime: Runtime,
        pool: OnceLock<Vec<Thread>>,
    },
    /// One event loop that serves as the process-wide runtime and as the pool.
    Shared { thread: Thread, threads: Threads },
}

/// Smallest number of threads with which the crate may start.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum FewestThreads {
    One,
    None,
}

/// Returns the runtimes that serve the crate, and starts them if they do not run yet.
pub(crate) fn service(fewest: FewestThreads) -> Result<&'static Service, StartError> {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(service) = SERVICE.get() {
        return Ok(service);
    }
    let _starting = lock(&STARTING);
    if let Some(service) = SERVICE.get() {
        return Ok(service);
    }
    let at_most = config::threads();
    let all = match at_most {
        Threads::All => all(workers()?),
        _ => None,
    };
    let started = match all {
        Some(service) => service,
        None => shared(fewest, at_most)?,
    };
    Ok(SERVICE.get_or_init(|| started))
}

impl Service {
    /// Returns the handle of the process-wide runtime.
    pub(crate) fn runtime(&self) -> &Handle {
        match self {
            Self::All { runtime, .. } => runtime.handle(),
            Self::Shared { thread, .. } => thread.runtime(),
        }
    }

    /// Returns the threads of the pinned pool, and starts them if they do not run yet.
    pub(crate) fn pool(&self) -> Result<&[Thread], StartError> {
        static STARTING: Mutex<()> = Mutex::new(());
        let pool = match self {
            Self::Shared { thread, .. } => return Ok(std::slice::from_ref(thread)),
            Self::All { pool, .. } => pool,
        };
        if let Some(pool) = pool.get() {
            return Ok(pool);
        }
        let _starting = lock(&STARTING);
        if let Some(pool) = pool.get() {
            return Ok(pool);
        }
        let mut threads = vec![Thread::start(0)?];
        // If a further thread cannot be started, the threads that were started are enough.
        threads.extend((1..config::spawn_threads()).map_while(|index| Thread::start(index).ok()));
        Ok(pool.get_or_init(|| threads))
    }
}

/// Returns the number of workers of the process-wide runtime. Tokio determines it in the same way.
fn workers() -> Result<usize, StartError> {
    match std::env::var_os(WORKERS) {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(set) => {
            let number = set.to_str().and_then(|number| number.parse().ok());
            let number = number.filter(|number| (1..=MOST_WORKERS).contains(number));
            number.ok_or(StartError::Workers(set))
        }
    }
}

/// Starts the process-wide runtime. Returns `None` if the system does not grant all threads and
/// descriptors that the settings ask for.
fn all(workers: usize) -> Option<Service> {
    let (spawn, offload) = (config::spawn_threads(), config::offload_threads());
    try_out::descriptors(PER_RUNTIME * (spawn + 1) + SIGNALS + LEFT_FOR_PROGRAM).ok()?;
    let threads = workers + spawn + offload + 1;
    // To start threads on trial takes some 0.1 ms for each thread, so it is done only if a limit is
    // near.
    if !headroom::is_ample(threads) {
        try_out::threads(threads).ok()?;
    }
    Some(Service::All {
        runtime: build(workers)?,
        pool: OnceLock::new(),
    })
}

/// Builds a runtime with this many workers.
///
/// If tokio cannot start a worker, it panics, and while it unwinds it waits forever for the workers
/// that it has started. The trial has shown that the threads can be started, but another process
/// may have taken them since. Inside another runtime, tokio does not wait while it unwinds. So this
/// function builds the runtime inside another one, on a new thread.
fn build(workers: usize) -> Option<Runtime> {
    let build = move || {
        Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("tworoutine")
            // The pool of blocking threads needs a thread for each blocked wait that is allowed,
            // and some for other blocking work.
            .max_blocking_threads(config::max_blocked_waits() + 128)
            .enable_all()
            .build()
            .ok()
    };
    let inside = move || {
        let around = Builder::new_current_thread().build().ok()?;
        around.block_on(async { build() })
    };
    let thread = std::thread::Builder::new().spawn(inside).ok()?;
    // An error means that tokio panicked.
    thread.join().ok()?
}

/// Starts one event loop for the process-wide runtime and the pool, on a thread of its own, or on
/// this thread if that is allowed.
fn shared(fewest: FewestThreads, at_most: Threads) -> Result<Service, StartError> {
    try_out::descriptors(FEWEST_DESCRIPTORS).map_err(StartError::Descriptors)?;
    let may_use_this_thread = fewest == FewestThreads::None;
    let on_this_thread = || Ok((only_thread::start()?, Threads::None));
    let (thread, threads) = if may_use_this_thread && at_most == Threads::None {
        on_this_thread()?
    } else {
        match Thread::start(0) {
            Err(StartError::Threads(_)) if may_use_this_thread => on_this_thread()?,
            started => (started?, Threads::One),
        }
    };
    Ok(Service::Shared { thread, threads })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn threads_are_started_on_trial_only_if_a_limit_is_near() {
        let threads = 3 * std::thread::available_parallelism().map_or(1, usize::from) + 1;
        let is_ample = headroom::is_ample(threads);
        assert_eq!(start().unwrap(), Threads::All);
        let expected = if is_ample { 0 } else { threads };
        assert_eq!(try_out::TRIED.load(Ordering::Relaxed), expected);
    }
}
