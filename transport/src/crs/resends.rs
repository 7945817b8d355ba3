//! Repetition of operations that only read.
//!
//! If a board refuses an operation, returns an answer that cannot be used, or does not answer in
//! time, the operation is repeated before the batch (the list of operations that the caller gave)
//! fails. The client does this and not a wrapper around it: only the client has the replies up to
//! the failed operation, and only the client knows which operations were executed. The number of
//! repetitions is part of the replies ([`Replies::repeats`]) or of the error.
//!
//! The failure of the request decides which operations are sent again:
//!
//! | failure | operations that are sent again |
//! |---|---|
//! | the board refused an operation that only reads; the operations after it were not executed | that operation and those after it, in place if one of them sets |
//! | the answer to an operation cannot be used, and neither it nor one after it sets | that operation and those after it |
//! | the answer to an operation cannot be used, and it or one after it sets | the whole request, in place |
//! | no answer came in time, and the request only reads, or its settings were executed | the operations without an answer, once |
//! | no answer came in time, and the request sets and acquires | the whole request, once, in place |
//!
//! "In place" means: only if nothing else has been sent to the module since. Otherwise the error is
//! returned. If the first request may still reach the board, the link waits until that is no longer
//! possible. A whole request that fails when it is sent again may have been executed the first
//! time, so its certainty is unknown. A setting that the board refuses is not sent again, nor is
//! one of a property. A request that only sets and is not answered in time is not sent again
//! either: a caller that switches tones off must learn of the failure at once.
//!
//! [`Replies::repeats`]: twotone_hal::Replies::repeats

use std::time::Duration;

use twotone_hal::{Batch, Certainty, Error, ErrorKind, Op, Safety};

use super::segment::Segment;

/// Largest number of repetitions of a failed operation.
const TIMES: u32 = 2;

/// Pause before the first repetition. Later pauses are multiples of it.
const PAUSE: Duration = Duration::from_millis(50);

/// Operations that are to be sent again, and the way in which they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resend {
    /// True for the whole request; false for the failed operation and those after it.
    pub(super) whole: bool,
    /// True if one of the operations sets. They are then sent only if nothing else has been sent
    /// to the module since.
    pub(super) in_place: bool,
    /// True if the repetition has a deadline of its own, because the deadline of the first attempt
    /// has passed.
    pub(super) anew: bool,
    /// Pause before the operations are sent.
    pub(super) pause: Duration,
}

/// The error to report for a request that failed with `first` and, when it was sent again in place,
/// with `last`. It is `first` if the second attempt was not sent, because another request had been
/// sent since or the deadline had passed.
pub(super) fn reported(first: Option<Error>, last: Error) -> Error {
    let is_late = match last.kind() {
        ErrorKind::Busy => true,
        ErrorKind::Timeout => last.certainty() == Certainty::NotExecuted,
        _ => false,
    };
    first.filter(|_| is_late).unwrap_or(last)
}

/// Number of repetitions of the present operation.
#[derive(Debug, Default)]
pub(super) struct Resends {
    operation: usize,
    times: u32,
}

impl Resends {
    /// Decides which operations are sent again after the operation at `failed` of a batch ended
    /// with `error`. `segment` is the part of the batch that the request carried. `None` if a
    /// repetition would be useless or unsafe.
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
        // The check covers the whole segment, since the operations before the failed one may be
        // sent again, too.
        if segment.safety == Safety::Once {
            return None;
        }
        // Requests about properties are not counted, so it is not known if another has been sent
        // since.
        if matches!(first, Op::SetProperty { .. }) {
            return None;
        }
        // The settings of the segment may not have been executed yet. If the failed operation takes
        // samples from the stream, the settings before it were executed.
        let is_pending = segment.sets() && error.executed() != Some(failed);
        // A request that was still waiting at its deadline did not fail on the board, so it is not
        // repeated.
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
