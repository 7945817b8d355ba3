//! Errors of reading bytes, and limits of the bytes that are accepted.

use std::borrow::Cow;

/// Limits of the data that are accepted from the other side.
///
/// Decoding takes memory in proportion to the bytes that were read, whatever lengths those bytes
/// claim, so that the size of a body bounds everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_bytes: usize,
    /// Deepest nesting of arrays and maps; at most [`Limits::MAX_DEPTH`] is used.
    pub depth: usize,
    /// For a server: most requests in a batch, each of which costs an answer.
    pub requests: usize,
    /// For a server: length of the answer to a batch, in bytes, beyond which further calls are not
    /// run but answered by an error.
    pub answer_bytes: usize,
}

impl Limits {
    /// Deepest nesting that any setting allows, so that recursion fits every stack.
    pub const MAX_DEPTH: usize = 128;

    /// For a client: 256 MiB, about six thousand samples of 1024 channels in JSON.
    pub const ANSWER: Self = Self {
        body_bytes: 256 << 20,
        depth: 32,
        requests: 1 << 16,
        answer_bytes: 256 << 20,
    };

    /// For a server: 16 MiB and 65,536 requests, whose answers may take as much as a client
    /// accepts.
    pub const REQUEST: Self = Self {
        body_bytes: 16 << 20,
        ..Self::ANSWER
    };
}

/// Error of bytes that could not be read as the value that was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind} (at byte {at})")]
pub struct DecodeError {
    /// Place of the error in the body, in bytes from its start.
    pub at: usize,
    /// Kind of the error.
    pub kind: DecodeErrorKind,
}

/// Kinds of errors of bytes that are read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The body ends in the middle of a value.
    #[error("the body ends in the middle of a value")]
    Truncated,
    /// Not well-formed JSON or CBOR.
    #[error("malformed: {0}")]
    Malformed(Cow<'static, str>),
    /// Well formed, but of another type than was asked for.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// Type that was asked for.
        expected: &'static str,
        /// Type that was found.
        found: &'static str,
    },
    /// A number that the wanted type cannot hold.
    #[error("number out of range")]
    OutOfRange,
    /// An array of numbers whose rows differ in length or depth, or whose shape and data disagree.
    #[error("array of numbers with no proper shape: {0}")]
    Shape(&'static str),
    /// A type that is not read: typed arrays of clamped bytes or of 128-bit floats, for example.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
    /// Nested deeper than [`Limits::depth`].
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// Longer than [`Limits::body_bytes`].
    #[error("body of {bytes} bytes, limit {limit}")]
    TooLarge {
        /// Length of the body.
        bytes: usize,
        /// The limit that it exceeds.
        limit: usize,
    },
    /// A batch of more requests than [`Limits::requests`].
    #[error("a batch of more than {0} requests")]
    TooMany(usize),
    /// An answer whose content type is neither JSON nor CBOR.
    #[error("content type {0:?} is neither JSON nor CBOR")]
    ContentType(String),
    /// A batch answered with another number of elements than it had calls.
    #[error("{expected} calls were answered by {found} elements")]
    Count {
        /// Calls in the batch.
        expected: usize,
        /// Elements in the answer, counted up to the first surplus one.
        found: usize,
    },
    /// An answer element that has neither a result nor an error.
    #[error("an answer has neither a result nor an error")]
    NoOutcome,
    /// Bytes after the end of the body's value.
    #[error("bytes after the end of the value")]
    Trailing,
    /// A nested array or map was left before its end.
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
