//! Asking again what only reads.
//!
//! A board that says no once, or answers nonsense, or nothing in time, costs a repetition and not
//! the batch. This is done here, in the client, and not by a wrapper around it: only here the
//! replies of a batch up to a failed operation are at hand, and it is known what of the rest was
//! executed. How often it was is told with the replies ([`Replies::repeats`]) or with the error.
//!
//! What may be sent again follows from what became of the request:
//!
//! | the operation failed, since | then |
//! |---|---|
//! | the board refused it, and it reads: what is behind it was not executed | it and the rest are sent |
//! | its answer is nonsense, and neither it nor anything behind it sets | it and the rest are sent |
//! | its answer is nonsense, but it or something behind it sets | the whole request is sent, in its place |
//! | nothing was answered in time, and the request only reads | it is sent once more |
//! | nothing was answered in time, and the request sets and acquires | it is sent once more, in its place |
//!
//! In its place means that nothing else has gone out to the module since; the link sees to it that
//! the board is at rest, where the first one may still be landing. A setting that the board refuses
//! is not sent again. Nor is a request that only sets and is not answered in time: who switches
//! tones off is to know at once.
//!
//! [`Replies::repeats`]: twotone_hal::Replies::repeats

use std::time::Duration;

use twotone_hal::{Batch, Certainty, Error, ErrorKind, Op, Safety};

use super::part::Part;

/// How often a failed operation is asked again.
const TIMES: u32 = 2;

/// Before it is asked again; longer each time.
const PAUSE: Duration = Duration::from_millis(50);

/// What is to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resend {
    /// The whole request in its place, or the failed operation and what comes behind it.
    pub(super) whole: bool,
    /// By a deadline of its own: the first one has passed.
    pub(super) anew: bool,
    /// After this time.
    pub(super) pause: Duration,
}

/// How often the operation at hand was asked again.
#[derive(Debug, Default)]
pub(super) struct Again {
    operation: usize,
    times: u32,
}

impl Again {
    /// What is to be sent again if the operation at `failed` of a batch, sent in `part`, ended with
    /// `error`; nothing where that is of no use, or not safe.
    pub(super) fn after(
        &mut self,
        error: &Error,
        batch: &Batch,
        part: Part,
        failed: usize,
    ) -> Option<Resend> {
        if failed > self.operation {
            (self.operation, self.times) = (failed, 0);
        }
        let rest = batch.ops().get(failed..part.to)?;
        let (first, rest_sets) = (rest.first()?, rest.iter().any(sets));
        // Of samples from the stream it is known that the settings before them were executed.
        let is_pending = part.sets && error.executed() != Some(failed);
        // What was never sent, as nothing came before it in time, is told at once.
        let is_first = self.times == 0 && error.certainty() != Certainty::NotExecuted;
        let (whole, anew) = match error.kind() {
            ErrorKind::Rejected if !sets(first) => (false, false),
            ErrorKind::Protocol => (rest_sets, false),
            ErrorKind::Timeout if is_first && !is_pending && !rest_sets => (false, true),
            ErrorKind::Timeout if is_first && part.acquires => (true, true),
            _ => return None,
        };
        if self.times >= TIMES {
            return None;
        }
        self.times += 1;
        let pause = PAUSE * self.times;
        Some(Resend { whole, anew, pause })
    }

    /// How often the operation at `failed` was asked again.
    pub(super) fn times(&self, failed: usize) -> u32 {
        if failed > self.operation {
            0
        } else {
            self.times
        }
    }
}

fn sets(op: &Op) -> bool {
    op.safety() == Safety::AbsoluteSet
}
