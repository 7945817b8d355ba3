//! Many waits at once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, LocalRuntime, Runtime};
use tokio::time::sleep;
use tworoutine::prelude::*;

use crate::children;
use crate::table::{Row, median, middle};

const BARE: &str = "bare await";
const IN_PLACE: &str = "block_in_place";
const STACKFUL: &str = "stackful 0.1.5";
const PYTHON: &str = "python, nest_asyncio";

fn local() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .expect("a runtime")
}

/// `count` waits of `pause` at once in contexts.
pub(crate) fn contexts(runtime: &LocalRuntime, count: usize, pause: Duration) -> Duration {
    let start = Instant::now();
    runtime.block_on(async {
        let task = || tworoutine::spawn_local(async move { async { sleep(pause).await }.wait() });
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

fn awaits(runtime: &LocalRuntime, count: usize, pause: Duration) -> Duration {
    let start = Instant::now();
    runtime.block_on(async {
        let task = || tokio::task::spawn_local(async move { async { sleep(pause).await }.await });
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

fn stackfuls(runtime: &LocalRuntime, count: usize, pause: Duration) -> Duration {
    let start = Instant::now();
    runtime.block_on(async {
        let task = || {
            tokio::task::spawn_local(stackful::stackful(move || {
                stackful::wait(async { sleep(pause).await });
            }))
        };
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

fn in_place(runtime: &Runtime, count: usize, pause: Duration) -> Duration {
    let start = Instant::now();
    runtime.block_on(async {
        let task = || {
            tokio::spawn(async move {
                tokio::task::block_in_place(|| {
                    Handle::current().block_on(async { sleep(pause).await })
                });
            })
        };
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    start.elapsed()
}

fn multi_thread(max_threads: usize) -> Runtime {
    Builder::new_multi_thread()
        .max_blocking_threads(max_threads)
        .enable_all()
        .build()
        .expect("a runtime")
}

pub(crate) fn rows(rows: &mut Vec<Row>, python: &dyn Fn(&str) -> Option<f64>) {
    let ms = |seconds: f64| Some(seconds * 1e3);
    let pause = Duration::from_millis(1);
    let local = local();
    for (count, runs, limit) in [(1000, 101, 1.2), (10_000, 31, 2.5)] {
        let name = format!("{count} nested waits of 1 ms, warm");
        contexts(&local, count, pause);
        awaits(&local, count, pause);
        // In turns, so that both meet the same weather.
        let (mut here, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            here.push(contexts(&local, count, pause));
            bare.push(awaits(&local, count, pause));
        }
        let (here, bare) = (ms(middle(here)), ms(middle(bare)));
        rows.push(Row::new(&name, "ms", here).peer(BARE, bare).limit(limit));
        // Each peer has a process, so that no one's threads or mappings are in another's way.
        let there = children::number(&format!("in_place_{count}"), 60);
        rows.push(Row::new(&name, "ms", here).peer(IN_PLACE, there));
        let there = children::number(&format!("stackful_{count}"), 60);
        rows.push(Row::new(&name, "ms", here).peer(STACKFUL, there));
        if count == 1000 {
            rows.push(Row::new(&name, "ms", here).peer(PYTHON, python("nested_1000")));
        }
    }

    let name = "2000 nested waits of 10 ms, default pool";
    let pause = Duration::from_millis(10);
    let here = Some(contexts(&local, 2000, pause).as_secs_f64() * 1e3);
    rows.push(Row::new(name, "ms", here).limit(100.0));
    rows.push(Row::new(name, "ms", here).peer(IN_PLACE, children::number("pool", 5)));
    rows.push(Row::new(name, "ms", here).peer(STACKFUL, children::number("stackful_pool", 20)));

    let name = "10,000 waits at a barrier, 2 threads";
    let here = ms(median(5, || barrier(10_000)));
    rows.push(Row::new(name, "ms", here).limit(5000.0));
    rows.push(Row::new(name, "ms", here).peer(IN_PLACE, children::number("barrier", 5)));

    rows.push(
        Row::new(
            "memory of a blocked context",
            "KiB",
            children::number("memory", 20),
        )
        .limit(8.0),
    );

    let name = "convoy: a 10 ms wait beside a 1 s wait is back after";
    let mut tries = [convoy(), convoy(), convoy()];
    tries.sort_by(f64::total_cmp);
    let here = Some(tries[1]);
    rows.push(Row::new(name, "ms", here).limit(15.0));
    rows.push(Row::new(name, "ms", here).peer(PYTHON, python("convoy")));
    rows.push(Row::new(name, "ms", here).peer(IN_PLACE, Some(convoy_in_place())));
}

/// Contexts on the pinned pool that all wait for the last of them.
fn barrier(count: usize) -> Duration {
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    let start = Instant::now();
    let task = || {
        let barrier = barrier.clone();
        tworoutine::spawn(async move { barrier.wait().wait().is_leader() })
    };
    let tasks: Vec<_> = (0..count).map(|_| task()).collect();
    let leads = |task: tworoutine::JoinHandle<bool>| task.wait().expect("no panic");
    assert_eq!(
        tasks
            .into_iter()
            .filter_map(|task| leads(task).then_some(()))
            .count(),
        1
    );
    start.elapsed()
}

fn convoy() -> f64 {
    local().block_on(async {
        let start = Instant::now();
        let taken = Rc::new(Cell::new(0.0));
        let report = taken.clone();
        let short = tworoutine::spawn_local(async move {
            async { sleep(Duration::from_millis(10)).await }.wait();
            report.set(start.elapsed().as_secs_f64() * 1e3);
        });
        let long =
            tworoutine::spawn_local(async { async { sleep(Duration::from_secs(1)).await }.wait() });
        short.await.expect("no panic");
        long.await.expect("no panic");
        taken.get()
    })
}

fn convoy_in_place() -> f64 {
    let runtime = multi_thread(512);
    let wait = |pause| async move {
        let start = Instant::now();
        tokio::task::block_in_place(|| Handle::current().block_on(async { sleep(pause).await }));
        start.elapsed().as_secs_f64() * 1e3
    };
    runtime.block_on(async {
        let short = tokio::spawn(wait(Duration::from_millis(10)));
        let long = tokio::spawn(wait(Duration::from_secs(1)));
        let taken = short.await.expect("no panic");
        long.await.expect("no panic");
        taken
    })
}

/// What may deadlock, or wants a process to itself.
pub(crate) fn child(which: &str) -> Option<f64> {
    match which {
        "pool" => {
            let runtime = Runtime::new().expect("a runtime");
            Some(in_place(&runtime, 2000, Duration::from_millis(10)).as_secs_f64() * 1e3)
        }
        "in_place_1000" | "in_place_10000" | "stackful_1000" | "stackful_10000" => {
            let (peer, count) = which.rsplit_once('_')?;
            let (count, pause) = (count.parse().ok()?, Duration::from_millis(1));
            let seconds = if peer == "stackful" {
                let local = local();
                stackfuls(&local, count, pause);
                median(3, || stackfuls(&local, count, pause))
            } else {
                let wide = multi_thread(20_000);
                in_place(&wide, count, pause);
                median(3, || in_place(&wide, count, pause))
            };
            Some(seconds * 1e3)
        }
        "stackful_pool" => {
            Some(stackfuls(&local(), 2000, Duration::from_millis(10)).as_secs_f64() * 1e3)
        }
        "barrier" => {
            let runtime = Runtime::new().expect("a runtime");
            let start = Instant::now();
            runtime.block_on(async {
                let barrier = Arc::new(tokio::sync::Barrier::new(10_000));
                let task = || {
                    let barrier = barrier.clone();
                    tokio::spawn(async move {
                        tokio::task::block_in_place(|| {
                            Handle::current().block_on(async { barrier.wait().await });
                        });
                    })
                };
                let tasks: Vec<_> = (0..10_000).map(|_| task()).collect();
                for task in tasks {
                    task.await.expect("no panic");
                }
            });
            Some(start.elapsed().as_secs_f64() * 1e3)
        }
        "memory" => {
            const COUNT: usize = 20_000;
            local().block_on(async {
                let gate = Rc::new(tokio::sync::Notify::new());
                let before = resident()?;
                let arrived = Rc::new(Cell::new(0));
                let task = || {
                    let (gate, arrived) = (gate.clone(), arrived.clone());
                    tworoutine::spawn_local(async move {
                        arrived.set(arrived.get() + 1);
                        gate.notified().wait();
                    })
                };
                let tasks: Vec<_> = (0..COUNT).map(|_| task()).collect();
                while arrived.get() < COUNT {
                    tokio::task::yield_now().await;
                }
                let after = resident()?;
                gate.notify_waiters();
                for task in tasks {
                    task.await.expect("no panic");
                }
                Some((after - before) / 1024.0 / COUNT as f64)
            })
        }
        _ => None,
    }
}

/// Bytes of the process that are in memory.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = status.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}
