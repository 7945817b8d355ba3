//! Tests of contexts (futures with stacks of their own) on other threads, and of computations on
//! the CPU pool (the threads for long computations).
#![cfg_attr(
    not(feature = "fibers"),
    allow(unused, reason = "most of it needs fibers")
)]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "fibers")]
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tworoutine::prelude::*;
use tworoutine::{JoinHandle, offload, spawn, spawn_local, wait_all};

#[tworoutine]
async fn pause(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
}

fn assert_send<T: Send>(_: &T) {}

#[cfg(feature = "fibers")]
#[test]
fn a_spawned_context_stays_on_its_thread() {
    let task = spawn(async {
        // A value that lives during a wait need not be `Send`, because the context never changes
        // thread.
        let before = Rc::new(std::thread::current().id());
        pause(2).wait();
        assert_eq!(*before, std::thread::current().id());
        drop(before);
        let name = std::thread::current().name().map(str::to_owned);
        name.is_some_and(|name| name.starts_with("tworoutine-"))
    });
    assert_send(&task);
    assert!(task.wait().unwrap());
}

#[cfg(feature = "fibers")]
#[test]
fn waits_on_one_thread_do_not_wait_for_each_other() {
    let gate = Arc::new(tokio::sync::Barrier::new(1000));
    let arrive = |gate: Arc<tokio::sync::Barrier>| async move { gate.wait().wait().is_leader() };
    let tasks: Vec<_> = (0..1000).map(|_| spawn(arrive(gate.clone()))).collect();
    assert_eq!(
        tasks
            .into_iter()
            .filter_map(|task| task.wait().unwrap().then_some(()))
            .count(),
        1
    );
}

#[test]
fn a_panic_is_caught_and_has_its_message() {
    let number = std::hint::black_box(5);
    let error = spawn(async move { panic!("number {number}") })
        .wait()
        .map(|(): ()| ())
        .unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(error.message(), Some("number 5"));
    assert_eq!(error.to_string(), "the context panicked: number 5");
    let payload = error.try_into_panic().unwrap();
    assert_eq!(*payload.downcast::<String>().unwrap(), "number 5");
    // The thread still serves other contexts.
    assert_eq!(spawn(async { 1 }).wait().unwrap(), 1);
}

/// A value whose drop takes time and is recorded at its end.
struct SlowDrop(Arc<AtomicBool>);

impl Drop for SlowDrop {
    fn drop(&mut self) {
        std::thread::sleep(Duration::from_millis(20));
        self.0.store(true, Ordering::SeqCst);
    }
}

fn check_abort(start: impl FnOnce(SlowDrop, Arc<AtomicBool>) -> JoinHandle<()>) {
    let (dropped, started) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let task = start(SlowDrop(dropped.clone()), started.clone());
    while !started.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    assert!(!task.is_finished());
    task.abort();
    let error = task.wait().unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.to_string(), "the context was cancelled");
    assert!(
        dropped.load(Ordering::SeqCst),
        "the handle was ready before everything was dropped"
    );
}

#[test]
fn abort_ends_an_await() {
    check_abort(|held, started| {
        spawn(async move {
            let _held = held;
            started.store(true, Ordering::SeqCst);
            pending::<()>().await;
        })
    });
}

#[cfg(feature = "fibers")]
#[test]
fn abort_ends_a_wait() {
    check_abort(|held, started| {
        spawn(async move {
            let _held = held;
            started.store(true, Ordering::SeqCst);
            pending::<()>().wait();
        })
    });
}

#[test]
fn a_dropped_handle_lets_the_context_go_on() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    drop(spawn(async move {
        pause(5).await;
        sender.send(3).unwrap();
    }));
    assert_eq!(receiver.wait().unwrap(), 3);
}

#[test]
fn a_context_of_a_runtime_that_ended_is_cancelled() {
    let mut task = None;
    tworoutine::block_on(async { task = Some(spawn_local(pending::<()>())) });
    assert!(task.unwrap().wait().unwrap_err().is_cancelled());
}

#[tworoutine::test]
async fn spawn_works_from_everywhere() {
    assert_eq!(
        spawn(async { spawn(async { 1 }).await.unwrap() + 1 })
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        tworoutine::runtime()
            .spawn(async { spawn(async { 3 }).await })
            .await
            .unwrap()
            .unwrap(),
        3
    );
    let thread = std::thread::spawn(|| spawn(async { 4 }).wait().unwrap());
    assert_eq!(thread.join().unwrap(), 4);
}

// The CPU pool.

#[test]
fn more_computations_than_threads() {
    let all: Vec<u64> = wait_all((0..50).map(|n| offload(move || n * n)));
    assert_eq!(all.iter().sum::<u64>(), (0..50).map(|n| n * n).sum());
}

#[test]
fn a_panic_of_a_computation_passes_to_the_caller() {
    let caught = catch_unwind(|| offload(|| panic!("numerics")).wait());
    assert_eq!(
        *caught
            .map(|(): ()| ())
            .unwrap_err()
            .downcast::<&str>()
            .unwrap(),
        "numerics"
    );
    assert_eq!(offload(|| 1).wait(), 1);
}

#[test]
fn computations_may_wait_and_offload() {
    // Each thread of the pool waits for a context that needs the pool too, so other threads must
    // take over.
    let cores = std::thread::available_parallelism().unwrap().get();
    let nested = |n: usize| {
        offload(move || {
            let inner = spawn(async move { offload(move || n + 1).await });
            inner.wait().unwrap() + offload(|| 1).wait()
        })
    };
    let all = wait_all((0..4 * cores).map(nested));
    assert_eq!(all, (2..4 * cores + 2).collect::<Vec<_>>());
}

#[test]
fn computations_may_run_event_loops_and_offload() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let inside = |n: usize| async move { spawn(offload(move || n + 1)).await.unwrap() };
    let nested = |n: usize| {
        offload(move || match n % 2 {
            0 => tworoutine::block_on(inside(n)),
            // In this case, the computation makes another runtime, and waits in it.
            _ => {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(async { inside(n).wait() })
            }
        })
    };
    let all = wait_all((0..4 * cores).map(nested));
    assert_eq!(all, (1..=4 * cores).collect::<Vec<_>>());
}

#[test]
fn a_computation_that_is_dropped_in_the_queue_does_not_run() {
    let runs = Arc::new(AtomicUsize::new(0));
    let cores = std::thread::available_parallelism().unwrap().get();
    let gate = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..cores)
        .map(|_| {
            let gate = gate.clone();
            spawn(offload(move || {
                while !gate.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }))
        })
        .collect();
    pause(20).wait();
    let count = runs.clone();
    let dropped = offload(move || count.fetch_add(1, Ordering::SeqCst));
    assert!(dropped.wait_timeout(Duration::from_millis(20)).is_err());
    gate.store(true, Ordering::SeqCst);
    for task in busy {
        task.wait().unwrap();
    }
    offload(|| ()).wait();
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

// wait_all.

#[test]
fn wait_all_borrows_and_keeps_the_order() {
    let words = ["a", "bb", "ccc"].map(String::from);
    let check = || {
        let lengths = wait_all(words.iter().map(|word| async move {
            pause(3 - word.len() as u64).wait();
            word.len()
        }));
        assert_eq!(lengths, [1, 2, 3]);
        assert!(wait_all(std::iter::empty::<std::future::Ready<()>>()).is_empty());
    };
    check();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { check() });
    #[cfg(feature = "fibers")]
    tworoutine::block_on(async { check() });
}

#[cfg(feature = "fibers")]
#[test]
fn wait_all_cancels_the_rest_when_one_panics() {
    let check = || {
        let dropped = Arc::new(AtomicBool::new(false));
        let held = SlowDrop(dropped.clone());
        let rest = async {
            let _held = held;
            pending::<()>().wait();
        };
        let panics = async {
            pause(5).wait();
            panic!("one of them");
        };
        let futures: [std::pin::Pin<Box<dyn Future<Output = ()>>>; 2] =
            [Box::pin(rest), Box::pin(panics)];
        let caught = catch_unwind(AssertUnwindSafe(|| wait_all(futures))).unwrap_err();
        assert_eq!(*caught.downcast::<&str>().unwrap(), "one of them");
        assert!(dropped.load(Ordering::SeqCst));
    };
    check();
    tworoutine::block_on(async { check() });
}
