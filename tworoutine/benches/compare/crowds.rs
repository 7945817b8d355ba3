//! Measurements of many tasks that wait at the same time.

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, LocalRuntime, Runtime};
use tokio::time::sleep;
use tworoutine::prelude::*;

use crate::children;
use crate::table::{Row, median, middle};

pub(crate) const BARE: &str = "bare await";
pub(crate) const IN_PLACE: &str = "block_in_place";
pub(crate) const STACKFUL: &str = "stackful 0.1.5";
pub(crate) const PYTHON: &str = "python, nest_asyncio";

pub(crate) fn local() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .expect("a runtime")
}

/// Returns the time that `count` contexts (futures with stacks of their own) need, if each of them
/// waits for the time `pause` and all wait at the same time.
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

pub(crate) fn multi_thread(max_threads: usize) -> Runtime {
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
        // Contexts and plain `.await`s are measured alternately, so that other work on the computer
        // affects both equally.
        let (mut here, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            here.push(contexts(&local, count, pause));
            bare.push(awaits(&local, count, pause));
        }
        let (here, bare) = (ms(middle(here)), ms(middle(bare)));
        rows.push(Row::new(&name, "ms", here).peer(BARE, bare).limit(limit));
        // Each peer (another way to wait) has its own process, so that it is not affected by the
        // threads and memory mappings of other peers.
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
    let bare = ms(awaits(&local, 2000, pause).as_secs_f64());
    rows.push(Row::new(name, "ms", here).peer(BARE, bare));
}

/// Body of a child process: runs the measurement `which`. The parent has started this process
/// because the measurement may deadlock or needs its own process.
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
        _ => None,
    }
}
