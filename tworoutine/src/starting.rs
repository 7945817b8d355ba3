//! The runtimes of the crate: the process-wide runtime and the pinned pool, started with as many
//! threads as the system grants.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::sync::{Mutex, OnceLock};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::alone;
use crate::config::{self, lock};
use crate::headroom;
use crate::pool::Thread;
use crate::room;

/// Threads that serve the crate. See [`start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Threads {
    /// All that the settings name.
    All,
    /// One, because the system does not grant all or the settings want no more: it drives the
    /// process-wide runtime and every context of [`spawn`](crate::spawn). If the settings want no
    /// more, it also computes what is given to [`offload`](crate::offload), which otherwise takes
    /// the threads that it gets.
    One,
    /// None, because the system grants no thread or the settings want none: the thread that called
    /// [`start`] drives everything while it waits, and nothing goes on while it does not.
    None,
}

/// Starts the threads and runtimes of the crate, so that a limit of the system shows now and not in
/// the middle of the work. Later calls return the result of the first one.
///
/// Call it at the beginning of `main`, on the thread that is going to wait. If the system does not
/// grant all threads and descriptors that the settings ask for, it starts with one thread, or with
/// none, as [`Threads`] says. All functions of the crate work then too, with three differences:
/// * a wait in a task of [`runtime()`](crate::runtime()) that is not in a context panics with
///   [`WaitError::SingleThreaded`](crate::WaitError::SingleThreaded);
/// * [`offload`](crate::offload) computes among the contexts of [`spawn`](crate::spawn) if it has
///   no thread of its own, and holds them up;
/// * with no thread, waits on other threads end only while the thread that called this waits.
///
/// Without a call of this function the first use of the crate starts it, with one thread at least.
///
/// # Errors
///
/// [`StartError`], if the system grants too little for that too, or `TOKIO_WORKER_THREADS` is no
/// number of threads. It may be called again.
pub fn start() -> Result<Threads, StartError> {
    let service = service(Lowest::None)?;
    service.pool()?;
    Ok(match service {
        Service::All { .. } => Threads::All,
        Service::Shared { threads, .. } => *threads,
    })
}

/// A resource that the system does not grant the process, or a setting that cannot be followed, so
/// that the crate cannot be started.
///
/// The text names the limit or the setting, and the place where it is set.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Threads, or memory for their stacks.
    Threads(io::Error),
    /// Descriptors, or memory for what they stand for.
    Descriptors(io::Error),
    /// The environment variable `TOKIO_WORKER_THREADS`, which is set to something else than a
    /// number of threads from 1 to 8192.
    Workers(OsString),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Threads(error) => write!(
                f,
                "the system grants this process no more threads, or no memory for their stacks \
                 ({error}): raise the limit of the user's threads (`ulimit -u`), that of the service \
                 (`TasksMax=` and `LimitNPROC=` of systemd), or that of the memory (`ulimit -v`)"
            ),
            StartError::Descriptors(error) => write!(
                f,
                "the system grants this process no more open files ({error}): raise their limit \
                 (`ulimit -n`, or `LimitNOFILE=` of systemd) by {FEWEST_DESCRIPTORS} at least"
            ),
            StartError::Workers(set) => write!(
                f,
                "the environment variable {WORKERS} is set to {set:?}, which is no number of threads: \
                 set it to a whole number from 1 to {MOST_WORKERS}, or not at all"
            ),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Threads(error) | StartError::Descriptors(error) => Some(error),
            StartError::Workers(_) => None,
        }
    }
}

/// Environment variable that sets the workers of tokio's runtimes.
const WORKERS: &str = "TOKIO_WORKER_THREADS";
/// Largest number of workers that are tried: more than Linux has processors.
const MOST_WORKERS: usize = 8192;
/// Descriptors of a runtime: its poll and a copy, its wake-up, its end of the signals.
const PER_RUNTIME: usize = 4;
/// Descriptors by which tokio is told of signals. It panics if it does not get them.
const SIGNALS: usize = 2;
/// Descriptors that are left to the program if all threads are started.
const LEFT: usize = 32;
/// Descriptors without which nothing can be started.
const FEWEST_DESCRIPTORS: usize = PER_RUNTIME + SIGNALS;

/// The runtimes that serve the crate.
pub(crate) enum Service {
    /// The process-wide runtime, and the pinned pool, once it is needed.
    All {
        runtime: Runtime,
        pool: OnceLock<Vec<Thread>>,
    },
    /// One event loop for both.
    Shared { thread: Thread, threads: Threads },
}

/// Fewest threads with which to start.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Lowest {
    One,
    None,
}

/// The runtimes that serve the crate, started if none is yet.
pub(crate) fn service(lowest: Lowest) -> Result<&'static Service, StartError> {
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
        None => shared(lowest, at_most)?,
    };
    Ok(SERVICE.get_or_init(|| started))
}

impl Service {
    /// Handle of the process-wide runtime.
    pub(crate) fn runtime(&self) -> &Handle {
        match self {
            Service::All { runtime, .. } => runtime.handle(),
            Service::Shared { thread, .. } => thread.runtime(),
        }
    }

    /// Threads for contexts, started if none is yet.
    pub(crate) fn pool(&self) -> Result<&[Thread], StartError> {
        static STARTING: Mutex<()> = Mutex::new(());
        let pool = match self {
            Service::Shared { thread, .. } => return Ok(std::slice::from_ref(thread)),
            Service::All { pool, .. } => pool,
        };
        if let Some(pool) = pool.get() {
            return Ok(pool);
        }
        let _starting = lock(&STARTING);
        if let Some(pool) = pool.get() {
            return Ok(pool);
        }
        let mut threads = vec![Thread::start(0)?];
        // Fewer do as well.
        threads.extend((1..config::spawn_threads()).map_while(|index| Thread::start(index).ok()));
        Ok(pool.get_or_init(|| threads))
    }
}

/// Number of workers of the process-wide runtime: as tokio counts those of any runtime.
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

/// Starts the process-wide runtime, if the system grants all threads of the settings.
fn all(workers: usize) -> Option<Service> {
    let (spawn, offload) = (config::spawn_threads(), config::offload_threads());
    room::descriptors(PER_RUNTIME * (spawn + 1) + SIGNALS + LEFT).ok()?;
    let threads = workers + spawn + offload + 1;
    // To try them takes time: some 0.1 ms for each.
    if !headroom::is_ample(threads) {
        room::threads(threads).ok()?;
    }
    Some(Service::All {
        runtime: build(workers)?,
        pool: OnceLock::new(),
    })
}

/// A runtime with this many workers.
///
/// Tokio panics if it cannot start a worker, and while it unwinds, it waits without end for the
/// workers that it did start. There is room for all by now, unless another process has taken it
/// just then. Inside a runtime tokio does not wait while it unwinds, so it is called inside one, on
/// a thread that is in no other.
fn build(workers: usize) -> Option<Runtime> {
    let build = move || {
        Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("tworoutine")
            // Room for as many blocked waits as are let in, and for other blocking work.
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
    // An error is a panic.
    thread.join().ok()?
}

/// Starts one event loop, on a thread of its own, or on this one if that is allowed.
fn shared(lowest: Lowest, at_most: Threads) -> Result<Service, StartError> {
    room::descriptors(FEWEST_DESCRIPTORS).map_err(StartError::Descriptors)?;
    let may_be_alone = lowest == Lowest::None;
    let alone = || Ok((alone::start()?, Threads::None));
    let (thread, threads) = if may_be_alone && at_most == Threads::None {
        alone()?
    } else {
        match Thread::start(0) {
            Err(StartError::Threads(_)) if may_be_alone => alone()?,
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
    fn threads_are_tried_only_if_a_limit_is_near() {
        let threads = 3 * std::thread::available_parallelism().map_or(1, usize::from) + 1;
        let is_ample = headroom::is_ample(threads);
        assert_eq!(start().unwrap(), Threads::All);
        let expected = if is_ample { 0 } else { threads };
        assert_eq!(room::TRIED.load(Ordering::Relaxed), expected);
    }
}
