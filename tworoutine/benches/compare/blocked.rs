//! Measurements of tasks that wait in many ways. A *context* is a future with a stack of its own.
//! It waits with `wait()`, which does not block its thread. The measured values are the time until
//! many waiting tasks pass a barrier, the memory of a waiting task, and the time of a short wait
//! while another task waits longer.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Barrier, Notify};
use tokio::task::{block_in_place, spawn_local, yield_now};
use tokio::time::sleep;
use tworoutine::prelude::*;

use crate::children;
use crate::crowds::{BARE, IN_PLACE, PYTHON, STACKFUL, local, multi_thread};
use crate::table::{Row, median};

pub(crate) fn rows(rows: &mut Vec<Row>, python: &dyn Fn(&str) -> Option<f64>) {
    let name = "10,000 waits at a barrier, 2 threads";
    let here = Some(median(5, || barrier(COUNT)) * 1e3);
    rows.push(Row::new(name, "ms", here).limit(5000.0));
    rows.push(Row::new(name, "ms", here).peer(IN_PLACE, children::number("barrier", 5)));
    rows.push(Row::new(name, "ms", here).peer(STACKFUL, children::number("barrier_stackful", 20)));
    rows.push(Row::new(name, "ms", here).peer(BARE, children::number("barrier_bare", 20)));

    let name = "memory of a blocked context";
    let here = children::number("memory", 20);
    rows.push(Row::new(name, "KiB", here).limit(8.0));
    for (peer, child) in [
        (IN_PLACE, "memory_in_place"),
        (STACKFUL, "memory_stackful"),
        (BARE, "memory_bare"),
    ] {
        rows.push(Row::new(name, "KiB", here).peer(peer, children::number(child, 20)));
    }

    let name = "convoy: a 10 ms wait beside a 1 s wait is back after";
    let mut tries = [(); 3].map(|()| convoy(Way::Context));
    tries.sort_by(f64::total_cmp);
    let here = Some(tries[1]);
    rows.push(Row::new(name, "ms", here).limit(15.0));
    rows.push(Row::new(name, "ms", here).peer(PYTHON, python("convoy")));
    rows.push(Row::new(name, "ms", here).peer(IN_PLACE, Some(convoy_in_place())));
    rows.push(Row::new(name, "ms", here).peer(STACKFUL, Some(convoy(Way::Stackful))));
    rows.push(Row::new(name, "ms", here).peer(BARE, Some(convoy(Way::Await))));
}

const COUNT: usize = 10_000;

/// A way to wait for a future in a task of a single-threaded runtime.
#[derive(Clone, Copy)]
enum Way {
    Context,
    Stackful,
    Await,
}

impl Way {
    /// Returns a task that waits in this way.
    fn task(self, future: impl Future<Output = ()> + 'static) -> Pin<Box<dyn Future<Output = ()>>> {
        match self {
            Self::Context => Box::pin(tworoutine::context(async { future.wait() })),
            Self::Stackful => Box::pin(stackful::stackful(|| stackful::wait(future))),
            Self::Await => Box::pin(future),
        }
    }
}

/// Returns the time in which `count` contexts start on the threads of `spawn`, wait at a barrier
/// until all have reached it, and end.
fn barrier(count: usize) -> Duration {
    let barrier = Arc::new(Barrier::new(count));
    let start = Instant::now();
    let task = || {
        let barrier = barrier.clone();
        tworoutine::spawn(async move { barrier.wait().wait().is_leader() })
    };
    let tasks: Vec<_> = (0..count).map(|_| task()).collect();
    let leads = |task: tworoutine::JoinHandle<bool>| task.wait().expect("no panic");
    assert_eq!(
        tasks.into_iter().map(leads).filter(|leads| *leads).count(),
        1
    );
    start.elapsed()
}

/// Returns the same time as [`barrier`], but each of the `count` tasks blocks a thread. The tasks
/// deadlock if the runtime has too few threads.
fn barrier_in_place(count: usize) -> Duration {
    let runtime = Runtime::new().expect("a runtime");
    let start = Instant::now();
    runtime.block_on(async {
        let barrier = Arc::new(Barrier::new(count));
        let task = || {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                block_in_place(|| Handle::current().block_on(async { barrier.wait().await }));
            })
        };
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

/// Returns the same time as [`barrier`], but for tasks that all run on one thread and wait in this
/// way.
fn barrier_on_one_thread(count: usize, way: Way) -> Duration {
    let runtime = local();
    let start = Instant::now();
    runtime.block_on(async {
        let barrier = Arc::new(Barrier::new(count));
        let task = || {
            let barrier = barrier.clone();
            spawn_local(way.task(async move {
                barrier.wait().await;
            }))
        };
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

/// Returns the mean memory in KiB of a task that waits in this way, measured with `count` tasks.
fn memory(count: usize, way: Way) -> Option<f64> {
    local().block_on(async {
        let gate = Rc::new(Notify::new());
        let before = resident()?;
        let arrived = Rc::new(Cell::new(0));
        let task = || {
            let (gate, arrived) = (gate.clone(), arrived.clone());
            spawn_local(way.task(async move {
                arrived.set(arrived.get() + 1);
                gate.notified().await;
            }))
        };
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        while arrived.get() < count {
            yield_now().await;
        }
        let after = resident()?;
        gate.notify_waiters();
        for task in tasks {
            task.await.expect("no panic");
        }
        Some((after - before) / 1024.0 / count as f64)
    })
}

/// Returns the mean memory in KiB of a task that blocks a thread, measured with `count` tasks. The
/// kernel's memory for a thread is not counted.
fn memory_in_place(count: usize) -> Option<f64> {
    multi_thread(2 * count).block_on(async {
        let barrier = Arc::new(Barrier::new(count + 1));
        let before = resident()?;
        let task = || {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                block_in_place(|| Handle::current().block_on(async { barrier.wait().await }));
            })
        };
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        sleep(Duration::from_secs(2)).await;
        let after = resident()?;
        barrier.wait().await;
        for task in tasks {
            task.await.expect("no panic");
        }
        Some((after - before) / 1024.0 / count as f64)
    })
}

/// Returns the resident memory of the process in bytes, if pages have 4 KiB.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = status.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}

fn convoy(way: Way) -> f64 {
    local().block_on(async {
        let start = Instant::now();
        let taken = Rc::new(Cell::new(0.0));
        let report = taken.clone();
        let short = spawn_local(async move {
            way.task(sleep(Duration::from_millis(10))).await;
            report.set(start.elapsed().as_secs_f64() * 1e3);
        });
        let long = spawn_local(way.task(sleep(Duration::from_secs(1))));
        short.await.expect("no panic");
        long.await.expect("no panic");
        taken.get()
    })
}

fn convoy_in_place() -> f64 {
    let wait = |pause| async move {
        let start = Instant::now();
        block_in_place(|| Handle::current().block_on(async { sleep(pause).await }));
        start.elapsed().as_secs_f64() * 1e3
    };
    multi_thread(512).block_on(async {
        let short = tokio::spawn(wait(Duration::from_millis(10)));
        let long = tokio::spawn(wait(Duration::from_secs(1)));
        let taken = short.await.expect("no panic");
        long.await.expect("no panic");
        taken
    })
}

/// Body of a child process: runs the measurement `which`. The parent has started this process
/// because the measurement may deadlock, or must not share its memory with others.
pub(crate) fn child(which: &str) -> Option<f64> {
    let ms = |time: Duration| Some(time.as_secs_f64() * 1e3);
    match which {
        "barrier" => ms(barrier_in_place(COUNT)),
        "barrier_stackful" => ms(barrier_on_one_thread(COUNT, Way::Stackful)),
        "barrier_bare" => ms(barrier_on_one_thread(COUNT, Way::Await)),
        "memory" => memory(20_000, Way::Context),
        "memory_stackful" => memory(COUNT, Way::Stackful),
        "memory_bare" => memory(20_000, Way::Await),
        "memory_in_place" => memory_in_place(2000),
        _ => None,
    }
}
