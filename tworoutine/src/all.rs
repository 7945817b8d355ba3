//! Waiting for many futures at once, each in a context of its own.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::context::Context;
use crate::waiting::wait;

/// Runs futures side by side, each in its own context, and waits for all of them. The outputs come
/// in the order of the futures, which may borrow from the caller.
///
/// This, and not `join!`, is for code that waits: the branches of one `join!` share a context, so
/// that a wait in one suspends all.
///
/// # Panics
///
/// As [`wait`]. When one of the futures panics, the others are cancelled where they stand and the
/// panic passes to the caller.
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
    // Each index was yielded once, or the loop would not have ended.
    outputs.into_iter().flatten().collect()
}
