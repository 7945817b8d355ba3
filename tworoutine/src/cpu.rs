//! The CPU pool: threads for heavy numerics, so that no event loop computes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex};

use tokio::sync::oneshot;

use crate::config::{self, lock};
use crate::{Tworoutine, runtime, spawn};

/// Runs a computation on the CPU pool, to be awaited or waited for.
///
/// The pool has one thread for each core, or fewer if the system does not grant so many. If it
/// has none, or all of them wait, the computation is a context of [`spawn`], which holds up the
/// others. The computation is queued at the first poll. Dropping the future before the computation
/// has begun cancels it; one that has begun runs to its end, unwatched. A panic of the computation
/// passes to the caller.
///
/// The computation may itself wait (other threads take over meanwhile) and offload (what it
/// offloads runs in its own thread).
///
/// In a test under virtual time it runs on the runtime's own blocking threads, which hold its
/// clock.
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
                    // An error means that the caller has gone.
                    let _ = sender.send(catch_unwind(AssertUnwindSafe(computation)));
                }
            }));
            if let Some(job) = refused {
                run_in_context(job);
            }
            // The pool never drops a job, and a job that is dropped by its own check has no caller.
            receiver.await.expect("the CPU pool runs what it is given")
        };
        outcome.unwrap_or_else(|payload| resume_unwind(payload))
    })
}

/// Runs code that blocks this thread. When it is one of the pool's, another may work meanwhile.
pub(crate) fn while_blocked<R>(code: impl FnOnce() -> R) -> R {
    if !ON_POOL.get() || LENT.get() {
        return code();
    }
    let _spare = Spare::lend();
    code()
}

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// True if this thread is one of the pool's.
    static ON_POOL: Cell<bool> = const { Cell::new(false) };
    /// True if its place is lent already: code that blocks it may run other code that does.
    static LENT: Cell<bool> = const { Cell::new(false) };
}

/// Runs a job that no thread of the pool can take. In a context it may wait.
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
    /// Threads, working or not, that are not blocked in a wait.
    able: usize,
    /// Threads that wait for a job.
    idle: usize,
}

static POOL: Pool = Pool {
    state: Mutex::new(State {
        jobs: VecDeque::new(),
        able: 0,
        idle: 0,
    }),
    work: Condvar::new(),
};

impl Pool {
    /// Queues a job, or returns it if the pool has no thread for it and can start none.
    fn push(&'static self, job: Job) -> Option<Job> {
        let mut state = lock(&self.state);
        state.jobs.push_back(job);
        self.staff(&mut state);
        if state.able == 0 {
            state.jobs.pop_back()
        } else {
            None
        }
    }

    /// Wakes or starts a thread when there is more work than threads at it.
    fn staff(&'static self, state: &mut State) {
        if state.idle > 0 {
            self.work.notify_one();
        }
        if state.jobs.len() > state.idle && state.able < config::offload_threads() {
            let started = std::thread::Builder::new()
                .name("tworoutine-cpu".into())
                .spawn(|| self.work());
            // Without it the other threads do the work, or the callers.
            state.able += usize::from(started.is_ok());
        }
    }

    fn work(&'static self) {
        ON_POOL.set(true);
        let mut state = lock(&self.state);
        // A surplus thread, left over from a wait that has ended, ends.
        while state.able <= config::offload_threads() {
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
        state.able -= 1;
        // The wake-up after which it ended may have been for a job.
        self.work.notify_one();
    }
}

/// A thread of the pool that is blocked, its place lent to another.
struct Spare(());

impl Spare {
    fn lend() -> Self {
        let spare = Spare(());
        LENT.set(true);
        let mut state = lock(&POOL.state);
        state.able -= 1;
        POOL.staff(&mut state);
        // With no thread left the queue would wait for this one, which may wait for the queue.
        let left = match state.able {
            0 => mem::take(&mut state.jobs),
            _ => VecDeque::new(),
        };
        drop(state);
        left.into_iter().for_each(run_in_context);
        spare
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        LENT.set(false);
        lock(&POOL.state).able += 1;
    }
}
