//! The event loop of a process in which this crate has no threads of its own. The thread that
//! called [`start`](crate::start()) drives all tasks of the crate's runtimes while it waits.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::local;
use crate::pool::{Start, Thread};
use crate::starting::StartError;

/// Event loop of the process. It runs on the thread that made it.
pub(crate) struct OnlyThread {
    runtime: LocalRuntime,
    starts: RefCell<UnboundedReceiver<Start>>,
}

thread_local! {
    static CURRENT: Cell<Option<&'static OnlyThread>> = const { Cell::new(None) };
}

/// Makes this thread drive all tasks of the crate's runtimes while it waits.
pub(crate) fn start() -> Result<Thread, StartError> {
    let runtime = local::try_build(tokio::runtime::Builder::new_current_thread().enable_all())?;
    let (sender, starts) = unbounded_channel();
    let thread = Thread::new(sender, runtime.handle().clone());
    // The event loop is leaked, because its tasks may be needed until the process ends. When the
    // thread exits, its thread-locals are destroyed, and after that the tasks cannot be ended
    // safely.
    let only = Box::leak(Box::new(OnlyThread {
        runtime,
        starts: RefCell::new(starts),
    }));
    CURRENT.set(Some(only));
    Ok(thread)
}

/// Returns the event loop of this thread, if it has one.
pub(crate) fn current() -> Option<&'static OnlyThread> {
    CURRENT.get()
}

impl OnlyThread {
    /// Drives all tasks of the crate's runtimes until the future is ready.
    pub(crate) fn block_on<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        self.runtime.block_on(poll_fn(|cx| {
            loop {
                let start = self.starts.borrow_mut().poll_recv(cx);
                match start {
                    Poll::Ready(Some(start)) => start(),
                    _ => break,
                }
            }
            future.as_mut().poll(cx)
        }))
    }
}
