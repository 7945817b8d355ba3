//! Failures on one board.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::legible;

/// Result of an operation on a board.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind of a failure, for code to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument cannot be used, for example because it is out of its range; nothing was sent.
    InvalidArgument,
    /// A limit of the board, or a limit that the hardware map (the list of the boards) sets,
    /// forbids the operation; nothing was sent.
    Limit,
    /// The board does not have this operation.
    Unsupported,
    /// Another run (an execution of an algorithm) is using the module, or another program is using
    /// the board; nothing was sent.
    Busy,
    /// No connection could be made, or no stream of samples could be joined.
    Unreachable,
    /// A deadline passed before the answer arrived.
    Timeout,
    /// The connection was lost while an answer or samples were awaited.
    ConnectionLost,
    /// The answer does not follow the protocol, or the program at the board's address has another
    /// protocol.
    Protocol,
    /// The board answered with an error of its own.
    Rejected,
    /// The present settings of the board are not those of this program, because the board restarted
    /// or another program changed them. Earlier measurements are no longer valid.
    EpochChanged,
    /// A user, the caller or the program itself ended the run of the algorithm early.
    Cancelled,
    /// The algorithm on this board, or another task of this program for this board, panicked.
    Panicked,
    /// A result could not be written to disk or read from it.
    Storage,
}

impl ErrorKind {
    /// The kind in words, as messages show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid argument",
            Self::Limit => "limit exceeded",
            Self::Unsupported => "not supported",
            Self::Busy => "in use",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timed out",
            Self::ConnectionLost => "connection lost",
            Self::Protocol => "protocol broken",
            Self::Rejected => "rejected by the board",
            Self::EpochChanged => "board state lost",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
            Self::Storage => "storage failed",
        }
    }

    /// True if the request ended without an answer of the board. A further request would probably
    /// wait for its deadline too.
    pub fn is_unanswered(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::Timeout | Self::ConnectionLost | Self::Cancelled
        )
    }
}

/// Certainty about the effect of a failed operation on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The board did not receive the operation, or refused it.
    NotExecuted,
    /// The board executed the operation, but its answer cannot be used.
    Executed,
    /// The board may or may not have executed the operation: the settings must be read back.
    Unknown,
}

impl Certainty {
    /// Remark at the end of the message about a failed operation; empty if its effect is known.
    pub fn remark(self) -> &'static str {
        match self {
            Self::NotExecuted | Self::Executed => "",
            Self::Unknown => " (the board may or may not have done it)",
        }
    }
}

/// A failure on one board. It holds the names of the board and of the operation, the kind of the
/// failure, the certainty about the operation's effect, and the underlying cause. An `Error` is as
/// small as one pointer.
///
/// By the usual convention, `{}` shows the error itself, and [`source`](StdError::source) returns
/// the underlying cause. `{:#}` and [`Error::chain`] show the error and all its causes in one line.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Inner {
    kind: ErrorKind,
    certainty: Certainty,
    board: Option<String>,
    operation: Option<String>,
    done: Option<usize>,
    repeats: u32,
    warnings: Vec<String>,
    message: String,
    advice: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. The `message` states the cause, and the remedy if one is known. The
    /// message is stored as [`legible`] returns it, with invisible characters escaped, because a
    /// part of it may come from a board.
    ///
    /// Callers add the board and the operation with [`Error::on`] and [`Error::during`]. The
    /// certainty is [`Certainty::NotExecuted`] for [`ErrorKind::Rejected`] and for kinds of errors
    /// that arise before anything is sent, and [`Certainty::Unknown`] for all others.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        use ErrorKind as K;
        let certainty = match kind {
            K::InvalidArgument
            | K::Limit
            | K::Unsupported
            | K::Busy
            | K::Unreachable
            | K::Rejected => Certainty::NotExecuted,
            _ => Certainty::Unknown,
        };
        let message = shown(message.into());
        Self(Box::new(Inner {
            kind,
            certainty,
            board: None,
            operation: None,
            done: None,
            repeats: 0,
            warnings: Vec::new(),
            message,
            advice: None,
            source: None,
        }))
    }

    /// Names the board, unless one is named already.
    #[must_use]
    pub fn on(mut self, board: &str) -> Self {
        self.0.board.get_or_insert_with(|| board.to_owned());
        self
    }

    /// Names the operation, unless one is named already.
    #[must_use]
    pub fn during(mut self, operation: impl Into<String>) -> Self {
        if self.0.operation.is_none() {
            self.0.operation = Some(shown(operation.into()));
        }
        self
    }

    /// Sets the certainty about the operation's effect.
    #[must_use]
    pub fn certainty_is(mut self, certainty: Certainty) -> Self {
        self.0.certainty = certainty;
        self
    }

    /// Sets the number of operations of the batch (the list of operations that the board was asked
    /// to run) that were surely executed before the failed one.
    #[must_use]
    pub fn after(mut self, operations: usize) -> Self {
        self.0.done = Some(operations);
        self
    }

    /// Sets the number of times that the operation was repeated without success.
    #[must_use]
    pub fn repeated(mut self, times: u32) -> Self {
        self.0.repeats = times;
        self
    }

    /// Sets the warnings that the board sent with its answers before the failure.
    #[must_use]
    pub fn warned(mut self, warnings: impl Into<Vec<String>>) -> Self {
        self.0.warnings = warnings.into();
        self
    }

    /// Sets the advice, a step that may help, unless advice is set already.
    /// [`Display`](fmt::Display) shows the advice after the message and any causes.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        if self.0.advice.is_none() {
            self.0.advice = Some(shown(advice.into()));
        }
        self
    }

    /// Sets the underlying cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The first error of type `E` among the underlying causes, for callers that set an error of
    /// their own as a cause.
    ///
    /// ```
    /// use twotone_hal::{Error, ErrorKind};
    ///
    /// #[derive(Debug, PartialEq, thiserror::Error)]
    /// #[error("{found} resonances, which are too few")]
    /// struct TooFew {
    ///     found: usize,
    /// }
    ///
    /// let error = Error::new(ErrorKind::Rejected, "no tune").caused_by(TooFew { found: 3 });
    /// assert_eq!(error.source_as::<TooFew>(), Some(&TooFew { found: 3 }));
    /// let given = error.into_source().unwrap().downcast::<TooFew>().unwrap();
    /// assert_eq!(*given, TooFew { found: 3 });
    /// ```
    pub fn source_as<E: StdError + 'static>(&self) -> Option<&E> {
        let mut cause = self.source();
        while let Some(source) = cause {
            if let Some(found) = source.downcast_ref() {
                return Some(found);
            }
            cause = source.source();
        }
        None
    }

    /// The underlying cause, as it was given to [`Error::caused_by`], or `None` if there is none.
    pub fn into_source(self) -> Option<Box<dyn StdError + Send + Sync>> {
        self.0.source
    }

    /// The kind of the failure, for code to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Certainty about the effect of the failed operation.
    pub fn certainty(&self) -> Certainty {
        self.0.certainty
    }

    /// The board's name, if the failure concerns a board.
    pub fn board(&self) -> Option<&str> {
        self.0.board.as_deref()
    }

    /// The operation that failed, in words.
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// Number of operations of the batch that were surely executed, in order, before the failure.
    /// `None` if it is not known.
    pub fn executed(&self) -> Option<usize> {
        self.0.done
    }

    /// Number of times that the operation was repeated without success.
    pub fn repeats(&self) -> u32 {
        self.0.repeats
    }

    /// Warnings that the board sent with its answers before the failure, as
    /// [`Replies::warnings`](crate::Replies::warnings).
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// The cause in words, without board and operation.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Advice: a step that may help, if one is known.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The error with all its causes in one line, for logs and messages.
    ///
    /// ```
    /// use twotone_hal::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::Unreachable, "no connection to b1")
    ///     .caused_by(std::io::Error::other("connection refused"));
    /// assert_eq!(error.to_string(), "unreachable: no connection to b1");
    /// assert_eq!(
    ///     error.chain().to_string(),
    ///     "unreachable: no connection to b1: connection refused"
    /// );
    /// ```
    pub fn chain(&self) -> impl fmt::Display + fmt::Debug + '_ {
        Chain(self)
    }

    /// The message with all its causes in one line, without board, operation, kind and advice.
    pub fn causes(&self) -> String {
        let mut text = self.0.message.clone();
        let mut cause = self.source();
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&legible(&source.to_string()));
            cause = source.source();
        }
        text + &self.repeats_in_words()
    }

    fn repeats_in_words(&self) -> String {
        match self.0.repeats {
            0 => String::new(),
            repeats => format!(" (asked {} times)", u64::from(repeats) + 1),
        }
    }
}

/// An error that is displayed with its causes.
#[derive(Debug)]
struct Chain<'a>(&'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// Returns `text` in the form that [`legible`] gives it, because a part of it may come from a
/// board.
fn shown(text: String) -> String {
    match legible(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(shown) => shown,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(board) = &self.0.board {
            write!(f, "board {board}: ")?;
        }
        if let Some(operation) = &self.0.operation {
            write!(f, "{operation}: ")?;
        }
        let message = match f.alternate() {
            true => self.causes(),
            false => self.0.message.clone() + &self.repeats_in_words(),
        };
        write!(f, "{}: {message}", self.0.kind.as_str())?;
        if let Some(advice) = &self.0.advice {
            write!(f, "; {advice}")?;
        }
        match &self.0.operation {
            Some(_) => f.write_str(self.0.certainty.remark()),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &dyn StdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_board_operation_and_cause() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 2 s")
            .during("acquire on module 1")
            .on("b0007")
            .on("another")
            .caused_by(std::io::Error::other("socket gone"));
        let (before, after) = (
            "board b0007: acquire on module 1: timed out: no answer within 2 s",
            " (the board may or may not have done it)",
        );
        // The cause is shown once: by the source of the error, or in the chain of its causes.
        assert_eq!(error.to_string(), format!("{before}{after}"));
        assert_eq!(error.source().unwrap().to_string(), "socket gone");
        let chain = format!("{before}: socket gone{after}");
        assert_eq!(error.chain().to_string(), chain);
        assert_eq!(format!("{error:#}"), chain);
        assert_eq!(error.causes(), "no answer within 2 s: socket gone");
        assert_eq!(error.board(), Some("b0007"));
        assert_eq!(error.certainty(), Certainty::Unknown);
    }

    #[test]
    fn text_of_a_board_cannot_forge_a_line() {
        let evil = "\u{1b}[2J\nboard b2: off\u{202e}";
        let error = Error::new(ErrorKind::Rejected, evil)
            .during(evil)
            .caused_by(std::io::Error::other(evil));
        let error = error.advise(evil);
        for text in [format!("{error}"), format!("{error:#}"), error.causes()] {
            assert_eq!(legible(&text), text);
        }
    }

    #[test]
    fn each_cause_of_a_nested_error_is_shown_once() {
        let beneath = Error::new(ErrorKind::ConnectionLost, "the link is gone")
            .caused_by(std::io::Error::other("reset"));
        let above = Error::new(ErrorKind::Storage, "no samples")
            .caused_by(beneath)
            .advise("try again")
            .repeated(2);
        assert_eq!(
            above.chain().to_string(),
            "storage failed: no samples: connection lost: the link is gone: reset (asked 3 times); \
             try again"
        );
        assert_eq!(
            above.to_string(),
            "storage failed: no samples (asked 3 times); try again"
        );
        assert_eq!(above.advice(), Some("try again"));
    }

    #[test]
    fn a_cause_comes_back_as_it_was_given() {
        let own = |text: &'static str| std::io::Error::other(text);
        let beneath = Error::new(ErrorKind::Storage, "no samples").caused_by(own("full"));
        let above = Error::new(ErrorKind::Rejected, "no result").caused_by(beneath);
        let (io, none) = (
            above.source_as::<std::io::Error>(),
            above.source_as::<fmt::Error>(),
        );
        assert_eq!(io.map(ToString::to_string).as_deref(), Some("full"));
        assert!(none.is_none());
        let given = above.into_source().unwrap().downcast::<Error>().unwrap();
        assert_eq!(given.message(), "no samples");
        let given = given.into_source().unwrap();
        assert!(given.is::<std::io::Error>());
        let bare = Error::new(ErrorKind::Rejected, "no result");
        assert!(bare.into_source().is_none());
    }

    #[test]
    fn a_limit_means_that_nothing_was_executed() {
        let error = Error::new(ErrorKind::Limit, "the comb exceeds full scale");
        assert_eq!(error.certainty(), Certainty::NotExecuted);
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
