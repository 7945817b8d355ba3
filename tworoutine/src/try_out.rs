//! Trials that show whether the system grants threads and file descriptors. A trial takes threads
//! or descriptors and returns them at once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

/// Starts `count` threads and ends them, to show that the system grants them now.
///
/// # Errors
///
/// The error of the first thread that could not be started.
pub(crate) fn threads(count: usize) -> io::Result<()> {
    let mut started = Vec::with_capacity(count);
    let all = (0..count).try_for_each(|_| {
        started.push(Idle::start()?);
        Ok(())
    });
    let ended: Vec<_> = started.into_iter().map(Idle::end).collect();
    // The kernel still counts a thread for some time after it has ended.
    for place in ended.into_iter().flatten() {
        for _ in 0..MOST_CHECKS {
            if !place.exists() {
                break;
            }
            thread::yield_now();
        }
    }
    all
}

/// Largest number of times that the function looks if a thread has ended. After that the thread is
/// assumed to have ended.
const MOST_CHECKS: usize = 100_000;

/// Opens `count` descriptors and closes them, to show that the system grants them now.
///
/// # Errors
///
/// The error of the first descriptor that could not be opened.
pub(crate) fn descriptors(count: usize) -> io::Result<()> {
    let pipes = (0..count.div_ceil(2)).map(|_| io::pipe());
    pipes.collect::<io::Result<Vec<_>>>().map(drop)
}

/// Number of threads that were started on trial.
#[cfg(test)]
pub(crate) static TRIED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Thread that does nothing.
struct Idle {
    /// Ends the thread when it is dropped.
    keep: mpsc::Sender<()>,
    thread: JoinHandle<Option<PathBuf>>,
}

impl Idle {
    fn start() -> io::Result<Self> {
        let (keep, kept) = mpsc::channel::<()>();
        let idle = move || {
            let place = std::fs::read_link("/proc/thread-self").ok();
            // An error means that the sender was dropped, so that the thread may end.
            let _ = kept.recv();
            place
        };
        let thread = thread::Builder::new().name("trial".into()).spawn(idle)?;
        #[cfg(test)]
        TRIED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Self { keep, thread })
    }

    /// Ends the thread. Returns its folder in `/proc`, which exists as long as the kernel counts
    /// the thread.
    fn end(self) -> Option<PathBuf> {
        drop(self.keep);
        let place = self.thread.join().ok()??;
        Some(Path::new("/proc").join(place))
    }
}
