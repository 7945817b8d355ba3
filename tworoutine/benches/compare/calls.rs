//! Measurements of a call that does not have to wait: time, instructions, size, allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use tworoutine::prelude::*;

use crate::table::{Row, nanoseconds};

/// Allocator that counts allocations while counting is enabled.
pub(crate) struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the allocator of the system does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: this method and that of `System` have the same contract, which the caller keeps.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: this method and that of `System` have the same contract, which the caller keeps.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: this method and that of `System` have the same contract, which the caller keeps.
        unsafe { System.dealloc(at, layout) }
    }
}

async fn bare_inner(x: &f64) -> f64 {
    black_box(*x) * 2.0
}

async fn bare(x: f64, scale: &[f64; 4]) -> f64 {
    let mut sum = 0.0;
    for s in scale {
        sum += bare_inner(s).await * x;
    }
    sum
}

#[tworoutine]
async fn wrapped_inner(x: &f64) -> f64 {
    black_box(*x) * 2.0
}

#[tworoutine]
async fn wrapped(x: f64, scale: &[f64; 4]) -> f64 {
    let mut sum = 0.0;
    for s in scale {
        sum += wrapped_inner(s).await * x;
    }
    sum
}

#[tworoutine]
async fn ready(x: f64) -> f64 {
    black_box(x)
}

const SCALE: [f64; 4] = [1.0, 2.0, 3.0, 4.0];

/// Polls a future that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("these futures are ready at once"),
    }
}

fn run_bare(passes: u32) {
    for _ in 0..passes {
        black_box(now(bare(black_box(2.0), black_box(&SCALE))));
    }
}

fn run_wrapped(passes: u32) {
    for _ in 0..passes {
        black_box(now(wrapped(black_box(2.0), black_box(&SCALE))));
    }
}

fn run_single(passes: u32) {
    for _ in 0..passes {
        black_box(now(ready(black_box(2.0))));
    }
}

fn run_stackful(passes: u32) {
    for _ in 0..passes {
        black_box(stackful::wait(ready(black_box(2.0))));
    }
}

fn run_wait(passes: u32) {
    for _ in 0..passes {
        black_box(ready(black_box(2.0)).wait());
    }
}

fn allocations(run: impl Fn(u32)) -> f64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    run(1000);
    COUNTS.store(false, Ordering::Relaxed);
    (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / 1000.0
}

pub(crate) fn rows(rows: &mut Vec<Row>, python: &dyn Fn(&str) -> Option<f64>) {
    const BARE: &str = "bare await";
    const PYTHON: &str = "python, nest_asyncio";
    let bare_time = nanoseconds(run_bare);
    let wrapped_time = nanoseconds(run_wrapped);
    rows.push(
        Row::new("await, 5 calls deep: time", "ns", Some(wrapped_time)).peer(BARE, Some(bare_time)),
    );
    rows.push(
        Row::new(
            "await, a single call: time",
            "ns",
            Some(nanoseconds(run_single)),
        )
        .peer(PYTHON, python("await")),
    );
    rows.push(
        Row::new(
            "await, 5 calls deep: instructions",
            "",
            instructions("wrapped"),
        )
        .peer(BARE, instructions("bare"))
        .limit(1.0),
    );
    let size = (
        size_of_val(&wrapped(0.0, &SCALE)) as f64,
        size_of_val(&bare(0.0, &SCALE)) as f64,
    );
    rows.push(
        Row::new("await: size of the future", "B", Some(size.0))
            .peer(BARE, Some(size.1))
            .limit(1.0),
    );
    rows.push(
        Row::new("await: allocations", "", Some(allocations(run_wrapped)))
            .peer(BARE, Some(allocations(run_bare)))
            .limit(1.0),
    );

    let in_context = tworoutine::block_on(async { nanoseconds(run_wait) });
    rows.push(Row::new("ready wait in a context", "ns", Some(in_context)).limit(5.0));
    rows.push(
        Row::new("ready wait in a context", "ns", Some(in_context))
            .peer(PYTHON, python("ready_nested")),
    );
    let there = futures::executor::block_on(stackful::stackful(|| nanoseconds(run_stackful)));
    rows.push(
        Row::new("ready wait in a context", "ns", Some(in_context))
            .peer("stackful 0.1.5", Some(there)),
    );
    rows.push(
        Row::new("ready wait in a context", "ns", Some(in_context))
            .peer(BARE, Some(nanoseconds(run_single))),
    );
    let plain = nanoseconds(run_wait);
    rows.push(
        Row::new("ready wait on a plain thread", "ns", Some(plain))
            .peer(PYTHON, python("ready_plain")),
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let worker = runtime.block_on(async {
        tokio::spawn(async { nanoseconds(run_wait) })
            .await
            .expect("no panic")
    });
    let in_place = runtime.block_on(async {
        tokio::spawn(async {
            nanoseconds(|passes| {
                for _ in 0..passes {
                    let value = tokio::task::block_in_place(|| {
                        tokio::runtime::Handle::current().block_on(ready(black_box(2.0)))
                    });
                    black_box(value);
                }
            })
        })
        .await
        .expect("no panic")
    });
    rows.push(
        Row::new("ready wait on a worker", "ns", Some(worker))
            .peer("block_in_place", Some(in_place)),
    );
}

/// Returns the number of instructions of one call. Callgrind counts them, if valgrind is installed.
fn instructions(which: &str) -> Option<f64> {
    let count = |passes: u32| -> Option<f64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().ok()?)
            .args(["--child", which, &passes.to_string()])
            .output()
            .ok()?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = report
            .lines()
            .find(|line| line.contains("Collected"))?
            .to_owned();
        line.rsplit(':').next()?.trim().parse().ok()
    };
    let (few, many) = (1_000, 101_000);
    let exact = (count(many)? - count(few)?) / f64::from(many - few);
    // The start of a process takes a varying number of instructions, so small differences are
    // noise.
    Some((exact * 100.0).round() / 100.0)
}

/// Body of the process that [`instructions`] starts: runs the calls.
pub(crate) fn child(which: &str, passes: u32) {
    match which {
        "wrapped" => run_wrapped(passes),
        _ => run_bare(passes),
    }
}
