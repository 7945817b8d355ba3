//! The pinned pool: threads that each run a local runtime, and tasks that never move.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{config, local};

/// What crosses to a thread: a function that starts a task there.
type Start = Box<dyn FnOnce() + Send>;

struct Thread {
    starts: UnboundedSender<Start>,
    tasks: AtomicUsize,
}

static POOL: LazyLock<Vec<Thread>> =
    LazyLock::new(|| (0..config::spawn_threads()).map(Thread::start).collect());

/// Makes a task on the thread that has the fewest, and runs it there.
pub(crate) fn run<T: Future<Output = ()> + 'static>(make: impl FnOnce() -> T + Send + 'static) {
    let idlest = POOL
        .iter()
        .min_by_key(|thread| thread.tasks.load(Ordering::Relaxed));
    // The pool has at least one thread, and its threads never end.
    let Some(thread) = idlest else { return };
    let counted = Counted::new(thread);
    let start = Box::new(move || {
        let task = make();
        tokio::task::spawn_local(async move {
            let _counted = counted;
            task.await;
        });
    });
    let _ = thread.starts.send(start);
}

/// One task of a thread.
struct Counted(&'static Thread);

impl Counted {
    fn new(thread: &'static Thread) -> Self {
        thread.tasks.fetch_add(1, Ordering::Relaxed);
        Counted(thread)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Thread {
    fn start(index: usize) -> Self {
        let (starts, mut inbox) = unbounded_channel::<Start>();
        let runtime = move || {
            let runtime = local::build(Builder::new_current_thread().enable_all());
            runtime.block_on(async {
                while let Some(start) = inbox.recv().await {
                    start();
                }
            });
        };
        std::thread::Builder::new()
            .name(format!("tworoutine-{index}"))
            .spawn(runtime)
            .expect("tworoutine cannot start the threads of its pool");
        Thread {
            starts,
            tasks: AtomicUsize::new(0),
        }
    }
}
