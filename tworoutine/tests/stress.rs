//! Runs random programs of waits on every kind of runtime. Compares their values with those of the
//! same programs in plain async code, and checks for lost wake-ups and leaks.
#![cfg_attr(
    not(feature = "fibers"),
    allow(unused, reason = "most of it needs fibers")
)]

mod programs;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tworoutine::prelude::*;
use tworoutine::{block_on, context, offload, spawn, spawn_local, stats};

use programs::{Op, Value, World};

/// SplitMix64, a generator of pseudorandom numbers.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn program(&mut self, depth: u64) -> Op {
        let several = |random: &mut Self| {
            (0..1 + random.below(4))
                .map(|_| random.program(depth - 1))
                .collect()
        };
        let one = |random: &mut Self| Box::new(random.program(depth - 1));
        match self.below(if depth == 0 { 2 } else { 11 }) {
            0 => Op::Await(self.below(1000) as usize),
            1 => Op::Wait(self.below(1000) as usize),
            2 | 3 => Op::Seq(several(self)),
            4 | 5 => Op::Join(several(self)),
            6 => Op::Nest(one(self)),
            7 => Op::Context(one(self)),
            8 => Op::All(several(self)),
            9 => Op::Cancel(one(self), one(self)),
            _ => Op::Panic(one(self)),
        }
    }
}

/// Returns the future of event number `number`. The number determines the kind of the event.
fn event(number: usize) -> Pin<Box<dyn Future<Output = ()>>> {
    let pause = Duration::from_millis(number as u64 / 10 % 4);
    match number % 10 {
        0..=3 => Box::pin(async move { sleep(pause).await }),
        4 | 5 => Box::pin(tokio::task::yield_now()),
        6 => Box::pin(async {}),
        7 => Box::pin(async { offload(|| ()).await }),
        8 => Box::pin(async move {
            spawn(async move { async { sleep(pause).await }.wait() })
                .await
                .unwrap();
        }),
        _ => Box::pin(async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            // The program may be cancelled before it receives.
            let task = spawn(async move { sender.send(()).unwrap_or(()) });
            receiver.wait().unwrap();
            task.await.unwrap();
        }),
    }
}

fn world(waits: bool, held: &Arc<AtomicIsize>) -> World {
    World {
        event: Rc::new(event),
        waits,
        held: held.clone(),
    }
}

/// Returns the value of a program, computed without waits and events.
fn reference(op: &Op) -> Value {
    let held = Arc::default();
    let event = Rc::new(|_| Box::pin(async {}) as Pin<Box<dyn Future<Output = ()>>>);
    futures::executor::block_on(
        World {
            event,
            waits: false,
            held,
        }
        .run(op),
    )
}

#[derive(Clone, Copy, Debug)]
enum Place {
    LocalRuntime,
    PausedRuntime,
    PinnedPool,
    PlainThread,
    Worker,
}

const PLACES: [Place; 5] = [
    Place::LocalRuntime,
    Place::PausedRuntime,
    Place::PinnedPool,
    Place::PlainThread,
    Place::Worker,
];

/// Runs a program in a kind of runtime. `None` if the program does not end, which means that a
/// wake-up was lost.
fn run(op: &Op, place: Place, held: &Arc<AtomicIsize>) -> Option<Value> {
    let limit = Duration::from_secs(30);
    let (op, held) = (op.clone(), held.clone());
    let here = move || world(true, &held).run(&op);
    match place {
        Place::LocalRuntime => block_on(async { timeout(limit, context(here())).await.ok() }),
        Place::PausedRuntime => tworoutine::__private::block_on_paused(async {
            timeout(limit * 1000, context(here())).await.ok()
        }),
        Place::PinnedPool => spawn(async move { here().wait() })
            .wait_timeout(limit)
            .ok()
            .map(Result::unwrap),
        Place::PlainThread => here().wait_timeout(limit).ok(),
        Place::Worker => {
            let task = tworoutine::runtime().spawn(async move { here().wait_timeout(limit).ok() });
            task.wait().unwrap()
        }
    }
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0)
        * 4096
}

/// Waits until everything that was cancelled on other threads is dropped. Returns the numbers of
/// values, contexts, suspended contexts, and tasks of the process-wide runtime that are left.
fn settle(held: &AtomicIsize) -> (isize, usize, usize, usize) {
    let left = || {
        let (held, stats) = (held.load(Ordering::SeqCst), stats());
        let tasks = tworoutine::runtime().metrics().num_alive_tasks();
        (held, stats.contexts, stats.suspended, tasks)
    };
    let start = Instant::now();
    while left() != NOTHING && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(1));
    }
    left()
}

const NOTHING: (isize, usize, usize, usize) = (0, 0, 0, 0);

/// Runs random programs for some time, and returns their number.
fn random_programs(seed: u64, time: Duration) -> u64 {
    println!("seed {seed}");
    let mut random = Random(seed);
    let (start, mut number, held) = (Instant::now(), 0, Arc::default());
    let mut resident_before = None;
    while start.elapsed() < time {
        let depth = 1 + random.below(4);
        let op = random.program(depth);
        let expected = reference(&op);
        for place in PLACES {
            let value = run(&op, place, &held);
            assert_eq!(
                value,
                Some(expected),
                "seed {seed}, program {number}, {place:?}: {op:?}"
            );
        }
        number += 1;
        if number % 50 == 0 {
            assert_eq!(
                settle(&held),
                NOTHING,
                "seed {seed}: left behind at program {number}"
            );
        }
        if number == 200 {
            resident_before = Some(resident());
        }
    }
    assert_eq!(
        settle(&held),
        NOTHING,
        "seed {seed}: left behind in the end"
    );
    if let Some(before) = resident_before {
        let growth = resident().saturating_sub(before);
        assert!(
            growth < 64 << 20,
            "seed {seed}: {growth} bytes more after {number} programs"
        );
    }
    number
}

/// There is only one test, because it counts the contexts of the whole process. Set
/// `TWOROUTINE_SEED` to repeat a run.
#[cfg(feature = "fibers")]
#[test]
fn random_programs_and_crowds() {
    let seed = std::env::var("TWOROUTINE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    soak(seed.unwrap_or_else(seed_of_the_time), 6);
}

pub(crate) fn seed_of_the_time() -> u64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |time| time.as_nanos() as u64)
}

pub(crate) fn soak(seed: u64, seconds: u64) {
    let number = random_programs(seed, Duration::from_secs(seconds));
    println!("{number} programs");
    barrier(10_000);
    cancelled_crowd(2_000);
    assert_eq!(settle(&AtomicIsize::new(0)), NOTHING);
}

/// Runs `count` contexts on the threads of `spawn`. All of them wait until the last one waits too.
fn barrier(count: usize) {
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    let arrive =
        |barrier: Arc<tokio::sync::Barrier>| async move { barrier.wait().wait().is_leader() };
    let tasks: Vec<_> = (0..count).map(|_| spawn(arrive(barrier.clone()))).collect();
    let leaders = tasks
        .into_iter()
        .map(|task| usize::from(task.wait().unwrap()))
        .sum::<usize>();
    assert_eq!(leaders, 1);
}

/// Runs `count` contexts, which another thread aborts at random points.
fn cancelled_crowd(count: u64) {
    let work = |n: u64| async move {
        let inner =
            spawn_local(async move { async { sleep(Duration::from_micros(n)).await }.wait() });
        inner.wait().unwrap();
        offload(move || n).wait()
    };
    let tasks: Vec<_> = (0..count).map(|n| spawn(work(n))).collect();
    for (n, task) in tasks.iter().enumerate() {
        if n % 3 == 0 {
            task.abort();
        }
    }
    for (n, task) in tasks.into_iter().enumerate() {
        match task.wait() {
            Ok(value) => assert_eq!(value, n as u64),
            Err(error) => assert!(error.is_cancelled() && n % 3 == 0, "{error}"),
        }
    }
}
