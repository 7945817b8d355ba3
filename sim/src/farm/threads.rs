//! Runtime with threads of its own for a farm, which is a group of simulated boards.

use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, available_parallelism};

use tokio::runtime::{Builder, Runtime};

/// Creates a runtime with a thread for each processor, or with fewer if the system does not grant
/// as many.
///
/// Tokio panics if it cannot start a thread, so this function first tests how many threads can be
/// started. After such a panic, tokio waits for ever for the threads that it has started, except if
/// it was called inside another runtime. So the runtime is built inside a small runtime, on a new
/// thread that belongs to no other runtime.
///
/// # Errors
/// If the system grants fewer than two threads, or no descriptors.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let processors = available_parallelism().map_or(1, usize::from);
    let threads = granted(processors + 1)?.saturating_sub(1);
    if threads == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let build = move || {
        Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("twotone-sim")
            .enable_all()
            .build()
    };
    let inside = move || {
        let around = Builder::new_current_thread().build()?;
        around.block_on(async { build() })
    };
    let built = thread::Builder::new().spawn(inside)?.join();
    // `join` fails if the thread has panicked.
    built.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
}

/// Number of threads that can be started now, up to `most`.
///
/// # Errors
/// The error of the system if no thread can be started.
fn granted(most: usize) -> io::Result<usize> {
    let mut threads = Vec::with_capacity(most);
    let mut refused = None;
    while threads.len() < most && refused.is_none() {
        let (keep, kept) = mpsc::channel::<()>();
        let idle = move || {
            let place = std::fs::read_link("/proc/thread-self").ok();
            // `recv` fails when `keep` is dropped, and the thread ends.
            let _ended = kept.recv();
            place
        };
        match thread::Builder::new().spawn(idle) {
            Ok(thread) => threads.push((keep, thread)),
            Err(error) => refused = Some(error),
        }
    }
    let granted = threads.len();
    let ends = threads.into_iter().map(|(keep, thread)| {
        drop(keep);
        thread.join().ok().flatten()
    });
    let places: Vec<_> = ends.flatten().collect();
    // The kernel counts a thread for some time after its end. So this loop waits, within a limit,
    // until the threads have disappeared.
    for place in places {
        let place = Path::new("/proc").join(place);
        for _ in 0..MOST_LOOKS {
            if !place.exists() {
                break;
            }
            thread::yield_now();
        }
    }
    match refused {
        Some(error) if granted == 0 => Err(error),
        _ => Ok(granted),
    }
}

/// Largest number of times that the program looks if a thread has disappeared.
const MOST_LOOKS: usize = 100_000;
