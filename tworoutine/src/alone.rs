//! A process that is granted no other thread: the one that it has drives everything while it waits.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::local;
use crate::pool::{Start, Thread};
use crate::starting::StartError;

/// The event loop of the process, on the thread that made it.
pub(crate) struct Alone {
    runtime: LocalRuntime,
    starts: RefCell<UnboundedReceiver<Start>>,
}

thread_local! {
    static HERE: Cell<Option<&'static Alone>> = const { Cell::new(None) };
}

/// Makes this thread the one that drives everything.
pub(crate) fn start() -> Result<Thread, StartError> {
    let runtime = local::try_build(tokio::runtime::Builder::new_current_thread().enable_all())?;
    let (sender, starts) = unbounded_channel();
    let thread = Thread::new(sender, runtime.handle().clone());
    // Its tasks may be of use for as long as the process lives, and to end them while the thread
    // exits would be too late.
    let alone = Box::leak(Box::new(Alone {
        runtime,
        starts: RefCell::new(starts),
    }));
    HERE.set(Some(alone));
    Ok(thread)
}

/// The event loop of this thread, if it drives everything.
pub(crate) fn here() -> Option<&'static Alone> {
    HERE.get()
}

impl Alone {
    /// Drives everything until the future is ready.
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
