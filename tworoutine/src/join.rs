//! The handle of a spawned [context](crate::context()), which is a future with a stack of its own.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable, CatchUnwind, FutureExt};
use tokio::sync::oneshot;
use tokio::task;

/// Handle of a context that [`spawn`](crate::spawn) or [`spawn_local`](crate::spawn_local) started.
/// The handle is a future whose output is the result of the context.
///
/// If the handle is dropped, the context goes on. The handle is `Send` if the result is, and can be
/// awaited or waited for on any thread and any runtime.
pub struct JoinHandle<T>(Kind<T>);

enum Kind<T> {
    /// A tokio task, on the thread that started it.
    Local(task::JoinHandle<T>),
    /// A task that was started on another thread.
    Remote {
        result: oneshot::Receiver<Result<T, JoinError>>,
        abort: AbortHandle,
        received: bool,
    },
}

impl<T> JoinHandle<T> {
    /// Cancels the context. This takes effect when its thread would next run it.
    ///
    /// The stack of the context is unwound from its current wait, everything on it is dropped, and
    /// the output of the handle is an error with [`is_cancelled`](JoinError::is_cancelled). A
    /// context that has ended already keeps its result.
    pub fn abort(&self) {
        match &self.0 {
            Kind::Local(task) => task.abort(),
            Kind::Remote { abort, .. } => abort.abort(),
        }
    }

    /// True if the context has ended: it has returned, panicked or been cancelled.
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Kind::Local(task) => task.is_finished(),
            Kind::Remote {
                result, received, ..
            } => *received || result.is_terminated() || !result.is_empty(),
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Local(task) => Pin::new(task).poll(cx).map_err(|error| JoinError {
                panic: error.try_into_panic().ok(),
            }),
            Kind::Remote {
                result, received, ..
            } => Pin::new(result).poll(cx).map(|end| {
                *received = true;
                // The sender is dropped unused if the runtime of the context is shut down.
                end.unwrap_or(Err(JoinError::CANCELLED))
            }),
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

/// Reason why a spawned context has no result: it panicked, or it was cancelled.
pub struct JoinError {
    /// Payload of the panic, if there was one.
    panic: Option<Box<dyn Any + Send>>,
}

impl JoinError {
    const CANCELLED: Self = Self { panic: None };

    /// True if the context panicked.
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// True if the context was aborted, or if its runtime was shut down.
    pub fn is_cancelled(&self) -> bool {
        self.panic.is_none()
    }

    /// Returns the payload of the panic, for `std::panic::resume_unwind`.
    ///
    /// # Errors
    ///
    /// Returns the error itself, if there was no panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        self.panic.ok_or(Self::CANCELLED)
    }

    /// Returns the message of the panic, if its payload is a string, as with `panic!`.
    pub fn message(&self) -> Option<&str> {
        let payload = self.panic.as_deref()?;
        payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.panic, self.message()) {
            (None, _) => f.write_str("JoinError::Cancelled"),
            (Some(_), Some(message)) => write!(f, "JoinError::Panic({message:?})"),
            (Some(_), None) => f.write_str("JoinError::Panic(..)"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.panic, self.message()) {
            (None, _) => f.write_str("the context was cancelled"),
            (Some(_), Some(message)) => write!(f, "the context panicked: {message}"),
            (Some(_), None) => f.write_str("the context panicked"),
        }
    }
}

impl std::error::Error for JoinError {}

// SAFETY: through a shared reference, the payload is reached only as `&str` (in `message`), and
// strings are `Sync`. Any other access takes the error by value.
unsafe impl Sync for JoinError {}

/// Makes a handle of a tokio task on the runtime of this thread.
pub(crate) fn local<T>(task: task::JoinHandle<T>) -> JoinHandle<T> {
    JoinHandle(Kind::Local(task))
}

/// Returns a handle, and a function that makes the task of this handle from a future. The function
/// is sent to the thread of the context, so that the context is made, polled and dropped there.
pub(crate) fn handle_and_task<T, F>() -> (JoinHandle<T>, impl FnOnce(F) -> ReportingTask<F, T>)
where
    F: Future<Output = T> + Unpin,
{
    let (sender, result) = oneshot::channel();
    let (abort, registration) = AbortHandle::new_pair();
    let handle = JoinHandle(Kind::Remote {
        result,
        abort,
        received: false,
    });
    let make_task = move |future: F| ReportingTask {
        running: Some(Abortable::new(
            AssertUnwindSafe(future).catch_unwind(),
            registration,
        )),
        sender: Some(sender),
    };
    (handle, make_task)
}

/// Task that runs a future and sends its result to a [`JoinHandle`].
pub(crate) struct ReportingTask<F: Future, T> {
    running: Option<Abortable<CatchUnwind<AssertUnwindSafe<F>>>>,
    sender: Option<oneshot::Sender<Result<T, JoinError>>>,
}

impl<F: Future<Output = T> + Unpin, T> Future for ReportingTask<F, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(running) = &mut self.running else {
            return Poll::Ready(());
        };
        let Poll::Ready(end) = Pin::new(running).poll(cx) else {
            return Poll::Pending;
        };
        // The context is dropped before the result is sent, so that everything in the context is
        // released when the receiver gets the result.
        self.running = None;
        let end = match end {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(payload)) => Err(JoinError {
                panic: Some(payload),
            }),
            Err(_) => Err(JoinError::CANCELLED),
        };
        if let Some(sender) = self.sender.take() {
            // An error means that the handle was dropped.
            let _ = sender.send(end);
        }
        Poll::Ready(())
    }
}

impl<F: Future, T> Unpin for ReportingTask<F, T> {}
