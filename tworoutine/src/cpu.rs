//! The CPU pool: threads for long computations, so that these do not block an event loop.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex};

use tokio::sync::oneshot;

use crate::config::{self, lock};
use crate::{Tworoutine, runtime, spawn};

/// Runs a computation on the CPU pool. The result can be awaited or waited for.
///
/// The pool has one thread for each core, or fewer if the system does not grant so many. If the
/// pool has no thread, or if all its threads wait and the system grants no other, the computation
/// runs as a context of [`spawn`], which is a future with a stack of its own. The computation then
/// delays the other contexts of the same thread.
///
/// The computation is queued at the first poll. If the future is dropped before the computation has
/// begun, the computation is cancelled; if it has begun, it runs to its end. A panic of the
/// computation passes to the caller.
///
/// The computation may itself wait; another thread then takes its place in the pool. It may call
/// `offload` too; the inner computation runs on the same thread.
///
/// In a test under virtual time, the computation runs on the runtime's own blocking threads, so
/// that the clock does not advance while it runs. It is then not cancelled if the future is dropped
/// after its first poll.
pub fn offload<T, F>(computation: F) -> Tworoutine<impl Future<Output = T> + Send>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Tworoutine::new(async move {
        if ON_POOL.get() {
            return computation();
        }
        let outcome = if runtime::is_virtual() {
            match tokio::task::spawn_blocking(computation).await {
                Ok(value) => Ok(value),
                Err(error) => Err(error.into_panic()),
            }
        } else {
            let (sender, receiver) = oneshot::channel();
            let refused = POOL.push(Box::new(move || {
                if !sender.is_closed() {
                    // An error means that the caller has dropped the future.
                    let _ = sender.send(catch_unwind(AssertUnwindSafe(computation)));
                }
            }));
            if let Some(job) = refused {
                run_in_context(job);
            }
            // The pool never drops a job. A job drops itself only if its caller has dropped the
            // future.
            receiver.await.expect("the CPU pool runs what it is given")
        };
        outcome.unwrap_or_else(|payload| resume_unwind(payload))
    })
}

/// Runs code that blocks this thread. If this is a thread of the pool, another thread replaces it
/// while it is blocked.
pub(crate) fn while_blocked<R>(code: impl FnOnce() -> R) -> R {
    if !ON_POOL.get() || IS_REPLACED.get() {
        return code();
    }
    let _replaced = Replaced::begin();
    code()
}

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// True if this thread belongs to the pool.
    static ON_POOL: Cell<bool> = const { Cell::new(false) };
    /// True if another thread already replaces this one. Calls of [`while_blocked`] can be nested,
    /// because code that blocks may run other code that blocks.
    static IS_REPLACED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a job in a context, because no thread of the pool can take it. In a context, the job may
/// wait.
fn run_in_context(job: Job) {
    drop(spawn(async move { job() }));
}

struct Pool {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Number of threads that are not blocked in a wait, whether or not they have a job.
    unblocked: usize,
    /// Number of threads that have no job and wait for one.
    idle: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(State {
        jobs: VecDeque::new(),
        unblocked: 0,
        idle: 0,
    }),
    work: Condvar::new(),
};

impl Pool {
    /// Queues a job. Returns the job if the pool has no thread for it and can start none.
    fn push(&'static self, job: Job) -> Option<Job> {
        let mut state = lock(&self.state);
        state.jobs.push_back(job);
        self.provide_thread(&mut state);
        if state.unblocked == 0 {
            state.jobs.pop_back()
        } else {
            None
        }
    }

    /// Wakes a thread for a new job, or starts one if there are more jobs than idle threads.
    fn provide_thread(&'static self, state: &mut State) {
        if state.idle > 0 {
            self.work.notify_one();
        }
        if state.jobs.len() > state.idle && state.unblocked < config::offload_threads() {
            let started = std::thread::Builder::new()
                .name("tworoutine-cpu".into())
                .spawn(|| self.work());
            // If no thread can be started, the other threads or the callers run the job.
            state.unblocked += usize::from(started.is_ok());
        }
    }

    fn work(&'static self) {
        ON_POOL.set(true);
        let mut state = lock(&self.state);
        // A thread that replaced a blocked one ends some time after the wait of the blocked one has
        // ended.
        while state.unblocked <= config::offload_threads() {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = lock(&self.state);
            } else {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(|poison| poison.into_inner());
                state.idle -= 1;
            }
        }
        state.unblocked -= 1;
        // This thread ends. A wake-up for a job may have come to it, so another thread is woken.
        self.work.notify_one();
    }
}

/// Guard of a blocked thread of the pool, which another thread replaces.
struct Replaced(());

impl Replaced {
    fn begin() -> Self {
        let replaced = Self(());
        IS_REPLACED.set(true);
        let mut state = lock(&POOL.state);
        state.unblocked -= 1;
        POOL.provide_thread(&mut state);
        // If no other thread is left, the jobs in the queue would wait for this thread. This thread
        // may wait for one of these jobs, so they run in contexts instead.
        let left = match state.unblocked {
            0 => mem::take(&mut state.jobs),
            _ => VecDeque::new(),
        };
        drop(state);
        left.into_iter().for_each(run_in_context);
        replaced
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        IS_REPLACED.set(false);
        lock(&POOL.state).unblocked += 1;
    }
}
