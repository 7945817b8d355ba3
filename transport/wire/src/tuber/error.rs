//! Errors of decoding, and limits of bodies.

use std::borrow::Cow;

/// Limits of the bodies that come from the other side, and of the answers that a server gives.
///
/// Decoding takes memory in proportion to the bytes that were read, whatever lengths those bytes
/// claim. So the limit of the body also limits the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_bytes: usize,
    /// Deepest nesting of arrays and maps. Larger values than [`Limits::MAX_DEPTH`] count as
    /// [`Limits::MAX_DEPTH`]. For values in JSON that are skipped, another fixed limit applies.
    pub depth: usize,
    /// For a server: largest number of requests in a batch. Each one needs an answer.
    pub requests: usize,
    /// For a server: length of the answer to a batch, in bytes. Beyond this length, further calls
    /// are not executed and are answered with an error.
    pub answer_bytes: usize,
}

impl Limits {
    /// Upper limit of [`Limits::depth`], so that the recursion fits into any stack.
    pub const MAX_DEPTH: usize = 128;

    /// Limits for a client: 256 MiB, which is about six thousand samples of 1024 channels in JSON.
    pub const ANSWER: Self = Self {
        body_bytes: 256 << 20,
        depth: 32,
        requests: 1 << 16,
        answer_bytes: 256 << 20,
    };

    /// Limits for a server: 16 MiB and 65,536 requests. The answer may be as long as
    /// [`Limits::ANSWER`] allows.
    pub const REQUEST: Self = Self {
        body_bytes: 16 << 20,
        ..Self::ANSWER
    };
}

/// Error of decoding.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind} (at byte {at})")]
pub struct DecodeError {
    /// Position of the error in the body, in bytes.
    pub at: usize,
    /// Kind of the error.
    pub kind: DecodeErrorKind,
}

/// Kind of a decoding error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The body ends in the middle of a value.
    #[error("the body ends in the middle of a value")]
    Truncated,
    /// The body is not well-formed JSON or CBOR.
    #[error("malformed: {0}")]
    Malformed(Cow<'static, str>),
    /// The value does not have the type that was asked for.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// Type that was asked for.
        expected: &'static str,
        /// Type that was found.
        found: &'static str,
    },
    /// The number does not fit into the type that was asked for.
    #[error("number out of range")]
    OutOfRange,
    /// The rows of an array of numbers differ in length or depth, or its shape and its data
    /// disagree.
    #[error("array of numbers with no proper shape: {0}")]
    Shape(&'static str),
    /// The type is not supported: for example, typed arrays of clamped bytes or of 128-bit floats.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
    /// The value is nested deeper than [`Limits::depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// The body is longer than [`Limits::body_bytes`].
    #[error("body of {bytes} bytes, limit {limit}")]
    TooLarge {
        /// Length of the body.
        bytes: usize,
        /// The limit that it exceeds.
        limit: usize,
    },
    /// The batch has more requests than [`Limits::requests`].
    #[error("a batch of more than {0} requests")]
    TooMany(usize),
    /// The content type of an answer is neither JSON nor CBOR.
    #[error("content type {0:?} is neither JSON nor CBOR")]
    ContentType(String),
    /// The number of elements of an answer differs from the number of calls.
    #[error("{expected} calls were answered by {found} elements")]
    Count {
        /// Number of calls in the batch.
        expected: usize,
        /// Number of elements in the answer, counted up to the first surplus one.
        found: usize,
    },
    /// An element of an answer has neither a result nor an error.
    #[error("an answer has neither a result nor an error")]
    NoOutcome,
    /// There are bytes after the end of the value.
    #[error("bytes after the end of the value")]
    Trailing,
    /// The caller left a nested array or map before its end.
    #[error("a nested value was left half read")]
    HalfRead,
}

impl DecodeError {
    pub(super) fn new(at: usize, kind: DecodeErrorKind) -> Self {
        Self { at, kind }
    }

    pub(super) fn malformed(at: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(at, DecodeErrorKind::Malformed(what.into()))
    }
}
