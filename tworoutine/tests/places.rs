//! Tests of calls of `wait()` from every kind of place: contexts (futures with stacks of their
//! own), plain threads, and threads of runtimes.
#![cfg_attr(
    not(feature = "fibers"),
    allow(unused, reason = "most of it needs fibers")
)]

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::LocalSet;
use tokio::time::sleep;
use tworoutine::prelude::*;
use tworoutine::{WaitError, try_wait};
#[cfg(feature = "fibers")]
use tworoutine::{context, spawn_local};

const PAUSE: Duration = Duration::from_millis(5);

#[tworoutine]
async fn slow(x: u32) -> u32 {
    sleep(PAUSE).await;
    x + 1
}

/// Returns the message of the panic that `code` ends with.
fn panic_of<R>(code: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(code)).err().expect("a panic");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().expect("a message").to_string(),
    }
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn single_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn assert_single_threaded(message: &str) {
    for part in [
        "single-threaded runtime",
        ".await",
        "context(..)",
        "#[tworoutine::test]",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

// Inside a context.

#[cfg(feature = "fibers")]
#[tworoutine::test]
async fn in_a_context_everything_else_goes_on() {
    let turns = Rc::new(Cell::new(0));
    let counter = turns.clone();
    let beside = tokio::task::spawn_local(async move {
        loop {
            tokio::task::yield_now().await;
            counter.set(counter.get() + 1);
        }
    });
    assert_eq!(slow(1).wait(), 2);
    assert!(turns.get() > 0, "the other task did not run");
    beside.abort();
}

#[cfg(feature = "fibers")]
#[tworoutine::test]
async fn in_a_context_a_wait_returns_when_its_own_future_is_ready() {
    let start = Instant::now();
    let long = spawn_local(async { async { sleep(Duration::from_millis(400)).await }.wait() });
    tokio::task::yield_now().await;
    let short = spawn_local(async move {
        slow(1).wait();
        start.elapsed()
    });
    assert!(
        short.await.unwrap() < Duration::from_millis(200),
        "last in, first out"
    );
    long.await.unwrap();
}

#[cfg(feature = "fibers")]
#[tworoutine::test]
async fn contexts_nest() {
    let inner = context(async { slow(1).wait() + context(async { slow(2).wait() }).wait() });
    assert_eq!(inner.await, 5);
}

// Plain threads and foreign executors.

#[test]
fn on_a_plain_thread() {
    assert_eq!(slow(1).wait(), 2);
    let nested = async { slow(1).wait() + slow(1).await };
    assert_eq!(nested.wait(), 4);
    let boxed: std::pin::Pin<Box<dyn Future<Output = u32>>> = Box::pin(slow(3));
    assert_eq!(boxed.wait(), 4);
}

#[test]
fn on_a_plain_thread_background_tasks_go_on_between_waits() {
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = turns.clone();
    let beside = tworoutine::runtime().spawn(async move {
        loop {
            sleep(Duration::from_millis(1)).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    slow(1).wait();
    let before = turns.load(Ordering::Relaxed);
    while turns.load(Ordering::Relaxed) < before + 3 {
        std::thread::yield_now();
    }
    beside.abort();
}

#[test]
fn in_a_foreign_executor() {
    let inside = async { slow(1).wait() };
    assert_eq!(futures::executor::block_on(inside), 2);
}

#[cfg(feature = "fibers")]
#[test]
fn a_context_in_a_foreign_executor_has_the_process_wide_runtime() {
    let inside = context(async {
        sleep(PAUSE).await;
        slow(1).wait()
    });
    assert_eq!(futures::executor::block_on(inside), 2);
}

// Threads of a multi-thread runtime.

#[test]
fn on_a_worker() {
    let runtime = multi_thread();
    let task = runtime.spawn(async { slow(1).wait() + async { slow(1).wait() }.wait() });
    assert_eq!(runtime.block_on(task).unwrap(), 4);
}

#[test]
fn on_a_worker_the_runtime_goes_on() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // The only worker of the runtime must be free to run a task for which the waits wait.
    let task = runtime.spawn(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { sender.send(5).unwrap() });
        receiver.wait().unwrap()
    });
    assert_eq!(runtime.block_on(task).unwrap(), 5);
}

#[test]
fn in_block_on_of_a_multi_thread_runtime() {
    let runtime = multi_thread();
    assert_eq!(runtime.block_on(async { slow(1).wait() }), 2);
}

#[test]
fn in_block_on_a_wait_swallows_no_wake_of_another_branch() {
    let runtime = multi_thread();
    let ((), value) = runtime.block_on(async {
        let beside = async { tokio::task::yield_now().await };
        futures::join!(beside, async { slow(1).wait() })
    });
    assert_eq!(value, 2);
}

#[test]
fn on_a_blocking_thread() {
    for runtime in [multi_thread(), single_thread()] {
        let value = runtime.block_on(async {
            tokio::task::spawn_blocking(|| slow(1).wait())
                .await
                .unwrap()
        });
        assert_eq!(value, 2);
    }
}

#[test]
fn on_a_worker_too_many_waits_are_refused_before_the_pool_is_used_up() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .unwrap();
    tworoutine::set_max_blocked_waits(runtime.handle(), 6);
    runtime.block_on(async {
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let blocked = Arc::new(AtomicUsize::new(0));
        let task = |gate: Arc<tokio::sync::Semaphore>, blocked: Arc<AtomicUsize>| async move {
            blocked.fetch_add(1, Ordering::SeqCst);
            gate.acquire().wait().unwrap().forget();
        };
        let waits: Vec<_> = (0..6)
            .map(|_| tokio::spawn(task(gate.clone(), blocked.clone())))
            .collect();
        while blocked.load(Ordering::SeqCst) < 6 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(50)).await;
        let refused = tokio::spawn(task(gate.clone(), blocked)).await.unwrap_err();
        let message = *refused.into_panic().downcast::<String>().unwrap();
        assert!(message.contains("6 waits already block"), "{message}");
        assert!(message.contains("max_blocking_threads"), "{message}");
        gate.add_permits(6);
        for wait in waits {
            wait.await.unwrap();
        }
        // Waits that have ended do not count towards the limit any more.
        tokio::spawn(async { slow(1).wait() }).await.unwrap();
    });
}

// Single-threaded runtimes, outside contexts.

#[tokio::test]
async fn on_a_single_threaded_runtime() {
    assert_single_threaded(&panic_of(|| slow(1).wait()));
    assert_single_threaded(&panic_of(|| ready(1).wait()));
    assert_eq!(try_wait(slow(1)), Err(WaitError::SingleThreaded));
    assert_eq!(try_wait(ready(1)), Ok(1));
    assert_eq!(slow(1).await, 2);
}

#[test]
fn in_a_local_set() {
    for runtime in [multi_thread(), single_thread()] {
        let message = LocalSet::new().block_on(&runtime, async {
            tokio::task::spawn_local(async { panic_of(|| slow(1).wait()) })
                .await
                .unwrap()
        });
        assert_single_threaded(&message);
    }
}

#[cfg(feature = "fibers")]
#[test]
fn a_context_in_a_local_set() {
    for runtime in [multi_thread(), single_thread()] {
        let value = LocalSet::new().block_on(&runtime, async {
            spawn_local(async { slow(1).wait() }).await.unwrap() + context(slow(1)).await
        });
        assert_eq!(value, 4);
    }
}

// Nested executors inside a context.

#[cfg(feature = "fibers")]
#[tworoutine::test]
async fn another_task_inside_a_context_is_outside_it() {
    let set = LocalSet::new();
    let inner = set.spawn_local(async { panic_of(|| slow(1).wait()) });
    let inner = async { set.run_until(inner).await.unwrap() };
    assert_single_threaded(&inner.await);
}

#[cfg(feature = "fibers")]
#[test]
fn another_runtime_inside_a_context_is_outside_it() {
    let (outer, inner) = (multi_thread(), multi_thread());
    let others = Arc::new(AtomicBool::new(false));
    let seen = others.clone();
    outer.block_on(async move {
        let nested = context(async move {
            let value = tokio::task::block_in_place(|| inner.block_on(async { slow(1).wait() }));
            (value, others.load(Ordering::SeqCst), inner)
        });
        // If the wait had suspended the context, this task would have run during the wait.
        let beside = async { seen.store(true, Ordering::SeqCst) };
        let ((value, others_ran, inner), ()) = futures::join!(nested, beside);
        assert_eq!((value, others_ran), (2, false));
        inner.shutdown_background();
    });
}

// Waits while the thread unwinds. The cases that end the process are in tests/endings.rs.

/// A value that tries to wait when it is dropped, and records the result.
struct TriesInDrop<'a>(&'a Cell<Option<Result<u32, WaitError>>>, bool);

impl Drop for TriesInDrop<'_> {
    fn drop(&mut self) {
        let outcome = if self.1 {
            try_wait(ready(7))
        } else {
            try_wait(pending())
        };
        self.0.set(Some(outcome));
    }
}

fn tries_while_unwinding(is_ready: bool) -> Option<Result<u32, WaitError>> {
    let noted = Cell::new(None);
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _tries = TriesInDrop(&noted, is_ready);
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    noted.get()
}

#[test]
fn while_unwinding() {
    let check = || {
        assert_eq!(tries_while_unwinding(true), Some(Ok(7)));
        assert_eq!(tries_while_unwinding(false), Some(Err(WaitError::Dropping)));
    };
    check();
    single_thread().block_on(async { check() });
    let runtime = multi_thread();
    runtime.block_on(async { check() });
    let handle: Handle = runtime.handle().clone();
    runtime
        .block_on(handle.spawn(async move { check() }))
        .unwrap();
    tworoutine::block_on(async { check() });
}

#[cfg(not(feature = "fibers"))]
#[tworoutine::test]
async fn without_fibers_a_context_cannot_be_suspended_and_is_explained() {
    let message = panic_of(|| slow(1).wait());
    assert_single_threaded(&message);
    assert!(message.contains("no fibers"), "{message}");
}

#[cfg(feature = "fibers")]
#[test]
fn while_cancelled() {
    for is_ready in [true, false] {
        let noted = Rc::new(Cell::new(None));
        let note = noted.clone();
        tworoutine::block_on(async move {
            let waiting = spawn_local(async move {
                let _tries = TriesInDrop(&note, is_ready);
                pending::<()>().wait();
            });
            tokio::task::yield_now().await;
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
        });
        let expected = if is_ready {
            Ok(7)
        } else {
            Err(WaitError::Dropping)
        };
        assert_eq!(noted.get(), Some(expected));
    }
}
