//! The pinned pool, which runs the contexts (futures with stacks of their own) of
//! [`spawn`](crate::spawn()). It consists of threads that each run a single-threaded runtime. Tasks
//! never change thread.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::local;
use crate::starting::{FewestThreads, StartError, service};

/// Function that is sent to a thread and starts a task there.
pub(crate) type Start = Box<dyn FnOnce() + Send>;

/// A thread of the pool.
pub(crate) struct Thread {
    starts: UnboundedSender<Start>,
    tasks: AtomicUsize,
    runtime: Handle,
}

/// Sends `make` to the thread with the fewest tasks. That thread calls `make`, which returns a
/// future, and runs the future as a task.
///
/// # Panics
///
/// If no thread of the pool can be started.
#[track_caller]
pub(crate) fn run<T: Future<Output = ()> + 'static>(make: impl FnOnce() -> T + Send + 'static) {
    let pool = match service(FewestThreads::One).and_then(|service| service.pool()) {
        Ok(pool) => pool,
        Err(error) => panic!("tworoutine cannot start the threads of its pool: {error}"),
    };
    let least_busy = pool
        .iter()
        .min_by_key(|thread| thread.tasks.load(Ordering::Relaxed));
    // The pool has at least one thread, and its threads never end.
    let Some(thread) = least_busy else { return };
    let counted = Counted::new(thread);
    let start = Box::new(move || {
        let task = make();
        tokio::task::spawn_local(async move {
            let _counted = counted;
            task.await;
        });
    });
    let _ = thread.starts.send(start);
}

/// Guard that counts one task of a thread.
struct Counted(&'static Thread);

impl Counted {
    fn new(thread: &'static Thread) -> Self {
        thread.tasks.fetch_add(1, Ordering::Relaxed);
        Self(thread)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Thread {
    /// Makes the value for a thread from the sender of its functions and the handle of its runtime.
    pub(crate) fn new(starts: UnboundedSender<Start>, runtime: Handle) -> Self {
        Self {
            starts,
            tasks: AtomicUsize::new(0),
            runtime,
        }
    }

    /// Starts a thread with a runtime of its own.
    pub(crate) fn start(index: usize) -> Result<Self, StartError> {
        let (starts, mut inbox) = unbounded_channel::<Start>();
        let (started, ready) = mpsc::channel();
        let serve = move || {
            let built = local::try_build(Builder::new_current_thread().enable_all());
            let runtime = match built {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            // The receiver exists, because `start` waits for this message.
            let _ = started.send(Ok(runtime.handle().clone()));
            runtime.block_on(async {
                while let Some(start) = inbox.recv().await {
                    start();
                }
            });
        };
        std::thread::Builder::new()
            .name(format!("tworoutine-{index}"))
            .spawn(serve)
            .map_err(StartError::Threads)?;
        let ended = |_| StartError::Threads(std::io::ErrorKind::OutOfMemory.into());
        let runtime = ready.recv().map_err(ended)??;
        Ok(Self::new(starts, runtime))
    }

    /// Returns the handle of the thread's runtime.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
