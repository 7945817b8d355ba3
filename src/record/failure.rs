//! Errors of boards, modules, captures and files, in the form in which files and the output of
//! `--json` contain them.

use std::fmt;

use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use twotone_hal::{Certainty, Error, ErrorKind};

use super::RecordError;

/// Error of a board, a module, a capture or a file. It serializes to an object with the keys
/// `kind`, `certainty`, `operation` and `message`, and `advice` if it is known.
///
/// A failure is displayed like the [`Error`] from which it was made. A failure that was read from a
/// file does not name the board, because the file has the name of the board beside the failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failure {
    #[serde(skip)]
    board: Option<String>,
    /// Kind of the error. `None` if the failure has only a message ([`Failure::of_words`]), or was
    /// read from a file of an earlier version without kinds, or of a later version with other
    /// kinds.
    pub kind: Option<ErrorKind>,
    /// Certainty about the effect of the operation on the board. `None` if it is not known, or if
    /// the operation does not concern a board.
    pub certainty: Option<Certainty>,
    /// Operation that failed, in words.
    pub operation: Option<String>,
    /// Message with its underlying causes, without board, operation and kind.
    pub message: String,
    /// Advice that may help, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Failure {
    /// Makes a failure with only a message.
    pub fn of_words(message: impl Into<String>) -> Self {
        Self {
            board: None,
            kind: None,
            certainty: None,
            operation: None,
            message: message.into(),
            advice: None,
        }
    }

    /// Makes a failure of `kind` with a message, for operations without an effect on a board.
    pub fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind: Some(kind),
            ..Self::of_words(message)
        }
    }

    /// Adds `words` before the message. The other fields stay the same.
    #[must_use]
    pub fn prefixed(mut self, words: &str) -> Self {
        self.message = format!("{words}: {}", self.message);
        self
    }

    /// Adds the text of another failure after the message. All other fields keep the values of
    /// `self`, so call this method on the more specific of two failures.
    #[must_use]
    pub fn and(mut self, other: impl fmt::Display) -> Self {
        self.message = format!("{}; {other}", self.message);
        self
    }

    /// Returns kind, message and advice in one line, for places that show board and operation
    /// separately.
    pub fn cause(&self) -> String {
        let kind = self.kind.map(|kind| format!("{}: ", kind.as_str()));
        let advice = self.advice.as_ref().map(|advice| format!("; {advice}"));
        kind.unwrap_or_default() + &self.message + &advice.unwrap_or_default()
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            board: error.board().map(ToOwned::to_owned),
            kind: Some(error.kind()),
            certainty: Some(error.certainty()),
            operation: error.operation().map(ToOwned::to_owned),
            message: error.causes(),
            advice: error.advice().map(ToOwned::to_owned),
        }
    }
}

/// Converts the error. The certainty is `None`, because an error of a file system has no effect on
/// a board.
impl From<&RecordError> for Failure {
    fn from(error: &RecordError) -> Self {
        let (operation, message) = error.parts();
        Self {
            operation,
            ..Self::of_kind(error.kind(), message)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(board) = &self.board {
            write!(f, "board {board}: ")?;
        }
        if let Some(operation) = &self.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.cause())?;
        match (&self.operation, self.certainty) {
            (Some(_), Some(certainty)) => f.write_str(certainty.remark()),
            _ => Ok(()),
        }
    }
}

/// Reads a failure from an object. Also reads it from a plain text, which run directories of
/// formats before 2 have in place of the object.
impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Sentence(String),
            Parts {
                kind: Option<String>,
                certainty: Option<String>,
                operation: Option<String>,
                message: String,
                advice: Option<String>,
            },
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Sentence(message) => Self::of_words(message),
            Written::Parts {
                kind,
                certainty,
                operation,
                message,
                advice,
            } => Self {
                board: None,
                kind: known(kind),
                certainty: known(certainty),
                operation,
                message,
                advice,
            },
        })
    }
}

/// Returns the value with this name, if the name is known.
fn known<'de, T: Deserialize<'de>>(name: Option<String>) -> Option<T> {
    let name = name?;
    let name: StrDeserializer<'_, ValueError> = name.as_str().into_deserializer();
    T::deserialize(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_parts_in_json() {
        let error = Error::new(ErrorKind::Timeout, "no answer within 2 s")
            .during("read the clock")
            .on("b1")
            .caused_by(std::io::Error::other("socket gone"))
            .repeated(1);
        let failure = Failure::from(&error);
        assert_eq!(failure.to_string(), error.chain().to_string());
        let json = serde_json::to_string(&failure).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"timeout","certainty":"unknown","operation":"read the clock","message":"no answer within 2 s: socket gone (asked 2 times)"}"#
        );
        let read: Failure = serde_json::from_str(&json).unwrap();
        let board = failure.board.clone();
        assert_eq!(Failure { board, ..read }, failure);

        let advised = Error::new(ErrorKind::Busy, "in use by `twotone sweep`").advise("wait");
        let json = serde_json::to_value(Failure::from(&advised)).unwrap();
        assert_eq!(json["advice"], "wait");
        assert_eq!(json["message"], "in use by `twotone sweep`");
        assert_eq!(json["operation"], serde_json::Value::Null);
    }

    #[test]
    fn failures_of_other_versions_are_read() {
        let sentence: Failure = serde_json::from_str(r#""board b1: gone""#).unwrap();
        assert_eq!(sentence, Failure::of_words("board b1: gone"));
        let later = r#"{"kind":"eaten","certainty":"executed","message":"x","more":[1]}"#;
        let later: Failure = serde_json::from_str(later).unwrap();
        assert_eq!(
            (later.kind, later.certainty),
            (None, Some(Certainty::Executed))
        );
        for wrong in ["3", "{}", r#"{"message":null}"#] {
            assert!(serde_json::from_str::<Failure>(wrong).is_err(), "{wrong}");
        }
    }
}
