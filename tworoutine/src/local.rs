//! Local runtimes, which run [contexts](crate::context()) (futures with stacks of their own) and
//! their tasks on one thread.

use std::future::Future;
use std::pin::pin;

use tokio::runtime::{Builder, LocalRuntime};

use crate::context::Context;
use crate::cpu;
#[cfg(feature = "test-util")]
use crate::runtime::Virtual;
use crate::starting::StartError;

/// Runs a future as a context of a new local runtime on this thread, and returns its output.
///
/// A wait inside suspends only this future. Contexts that the future started with
/// [`spawn_local`](crate::spawn_local) go on. When the future ends, contexts and tasks that are
/// left on the runtime are cancelled. The future may borrow from the caller, because it ends before
/// this function returns.
///
/// # Panics
///
/// If it is called inside a runtime or a context (use [`wait`](crate::wait) there), and if the
/// system grants no descriptors for a runtime. A panic of the future passes to the caller.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = build(Builder::new_current_thread().enable_all());
    drive(&runtime, future)
}

/// Does the same as [`block_on`], with a paused clock. `#[tworoutine::test(start_paused = true)]`
/// calls this function.
#[doc(hidden)]
#[cfg(feature = "test-util")]
#[track_caller]
pub fn block_on_paused<F: Future>(future: F) -> F::Output {
    let runtime = build(
        Builder::new_current_thread()
            .enable_all()
            .start_paused(true),
    );
    let _virtual = Virtual::mark(runtime.handle());
    drive(&runtime, future)
}

/// Panics, because the clock can be paused only with the feature `test-util` of `tworoutine`.
#[doc(hidden)]
#[cfg(not(feature = "test-util"))]
pub fn block_on_paused<F: Future>(_: F) -> F::Output {
    panic!("`start_paused` needs the feature `test-util` of tworoutine")
}

#[track_caller]
fn build(builder: &mut Builder) -> LocalRuntime {
    match try_build(builder) {
        Ok(runtime) => runtime,
        Err(error) => panic!("tworoutine cannot start a runtime on this thread: {error}"),
    }
}

pub(crate) fn try_build(builder: &mut Builder) -> Result<LocalRuntime, StartError> {
    let built = builder.build_local(Default::default());
    built.map_err(StartError::Descriptors)
}

#[track_caller]
fn drive<F: Future>(runtime: &LocalRuntime, future: F) -> F::Output {
    // SAFETY: the context does not leave this frame, so it is dropped before anything that it
    // borrows, whether `block_on` returns or unwinds.
    let context = unsafe { Context::unbound(future) };
    cpu::while_blocked(|| runtime.block_on(pin!(context)))
}
