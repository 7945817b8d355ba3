//! Repetition of operations that only read.
//!
//! A board that refuses once, answers nonsense once, or does not answer in time once, costs a
//! repetition and not the batch. This is done here, in the client, and not by a wrapper around it:
//! only here the replies of a batch up to a failed operation are at hand, and only here it is known
//! which of the other operations were executed. The number of repetitions is part of the replies
//! ([`Replies::repeats`]) or of the error.
//!
//! The operations that may be sent again follow from the failure of the request:
//!
//! | the operation failed, since | then |
//! |---|---|
//! | the board refused it, and it reads: what is behind it was not executed | it and the rest are sent, in their place if they set |
//! | its answer is nonsense, and neither it nor anything behind it sets | it and the rest are sent |
//! | its answer is nonsense, but it or something behind it sets | the whole request is sent, in its place |
//! | nothing was answered in time, and the request only reads | it is sent once more |
//! | nothing was answered in time, and the request sets and acquires | it is sent once more, in its place |
//!
//! "In its place" means that nothing else has been sent to the module since; otherwise the error
//! stands. If the first request may still reach the board, the link makes sure that the board is at
//! rest. A whole request that fails when it is sent again may have been executed the first time, so
//! its certainty is unknown. A setting that the board refuses is not sent again. Nor is a request
//! that only sets and is not answered in time: a caller that switches tones off must know at once.
//!
//! [`Replies::repeats`]: twotone_hal::Replies::repeats

use std::time::Duration;

use twotone_hal::{Batch, Certainty, Error, ErrorKind, Op, Safety};

use super::segment::Segment;

/// Largest number of repetitions of a failed operation.
const TIMES: u32 = 2;

/// Pause before a repetition; longer each time.
const PAUSE: Duration = Duration::from_millis(50);

/// Operations that are to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resend {
    /// True for the whole request; false for the failed operation and those behind it.
    pub(super) whole: bool,
    /// True if they set: nothing else may have been sent to the module since.
    pub(super) in_place: bool,
    /// True if the resend has a deadline of its own, because that of the first attempt has passed.
    pub(super) anew: bool,
    /// Pause before it is sent.
    pub(super) pause: Duration,
}

/// The error of a request that failed with `first` and, when it was sent again in its place, with
/// `last`. It is `first` if the second try was not sent, because another request had taken its
/// place or its time was over.
pub(super) fn reported(first: Option<Error>, last: Error) -> Error {
    let is_late = match last.kind() {
        ErrorKind::Busy => true,
        ErrorKind::Timeout => last.certainty() == Certainty::NotExecuted,
        _ => false,
    };
    first.filter(|_| is_late).unwrap_or(last)
}

/// Number of repetitions of the operation at hand.
#[derive(Debug, Default)]
pub(super) struct Resends {
    operation: usize,
    times: u32,
}

impl Resends {
    /// Operations that are to be sent again if the operation at `failed` of a batch, sent in
    /// `segment`, ended with `error`; none if that is of no use, or not safe.
    pub(super) fn after(
        &mut self,
        error: &Error,
        batch: &Batch,
        segment: Segment,
        failed: usize,
    ) -> Option<Resend> {
        if failed > self.operation {
            (self.operation, self.times) = (failed, 0);
        }
        let rest = batch.ops().get(failed..segment.to)?;
        let (first, rest_sets) = (rest.first()?, rest.iter().any(sets));
        // The whole segment may be sent, also the operations before the failed one.
        if segment.safety == Safety::Once {
            return None;
        }
        // If the failed operation takes samples from the stream, the settings before it were
        // executed.
        let is_pending = segment.sets() && error.executed() != Some(failed);
        // A request that was not sent before its deadline is not repeated.
        let is_first = self.times == 0 && error.certainty() != Certainty::NotExecuted;
        let (whole, anew) = match error.kind() {
            ErrorKind::Rejected if !sets(first) => (false, false),
            ErrorKind::Protocol => (rest_sets, false),
            ErrorKind::Timeout if is_first && !is_pending && !rest_sets => (false, true),
            ErrorKind::Timeout if is_first && segment.acquires => (true, true),
            _ => return None,
        };
        if self.times >= TIMES {
            return None;
        }
        self.times += 1;
        let pause = PAUSE * self.times;
        Some(Resend {
            whole,
            in_place: whole || rest_sets,
            anew,
            pause,
        })
    }

    /// Number of repetitions of the operation at `failed`.
    pub(super) fn times(&self, failed: usize) -> u32 {
        if failed > self.operation {
            0
        } else {
            self.times
        }
    }
}

fn sets(op: &Op) -> bool {
    op.safety().writes()
}
