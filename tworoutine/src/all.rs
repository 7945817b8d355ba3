//! Waiting for many futures at once. Each is a [context](crate::context()) of its own, with its own
//! stack.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::context::Context;
use crate::waiting::wait;

/// Runs futures side by side, each in its own context, and waits for all of them. The outputs come
/// in the order of the futures, which may borrow from the caller.
///
/// Code that waits needs this function and not `join!`: the branches of one `join!` share a
/// context, so a wait in one branch suspends all of them.
///
/// # Panics
///
/// In the same cases as [`wait`]. If one of the futures panics, the others are cancelled at their
/// current wait, and the panic passes to the caller.
#[track_caller]
pub fn wait_all<I>(futures: I) -> Vec<<I::Item as IntoFuture>::Output>
where
    I: IntoIterator,
    I::Item: IntoFuture,
{
    let mut running: FuturesUnordered<_> = futures
        .into_iter()
        .enumerate()
        .map(|(index, future)| {
            // SAFETY: the contexts live in `running`, which does not leave this frame, so they are
            // dropped before anything that they borrow, whether `wait` returns or unwinds.
            let context = unsafe { Context::unbound(future.into_future()) };
            context.map(move |output| (index, output))
        })
        .collect();
    let mut outputs: Vec<_> = (0..running.len()).map(|_| None).collect();
    wait(async {
        while let Some((index, output)) = running.next().await {
            outputs[index] = Some(output);
        }
    });
    // The loop has ended, so each context has ended and every output is `Some`.
    outputs.into_iter().flatten().collect()
}
