//! Reason that a server could not fulfil a request: a text, as Python servers word it.

use std::borrow::Cow;
use std::fmt;

use crate::tuber::error::DecodeError;

/// A failed request. Tuber knows no error codes: the text, `TypeError: ...` for example, is all
/// that a client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    message: Cow<'static, str>,
}

impl Fault {
    /// Creates a fault with any text.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// Fault of an argument that has the right type and a value that is refused.
    pub fn value(what: impl fmt::Display) -> Self {
        Self::new(format!("ValueError: {what}"))
    }

    /// Fault of an argument that is missing, is one too many or has the wrong type.
    pub fn type_error(what: impl fmt::Display) -> Self {
        Self::new(format!("TypeError: {what}"))
    }

    /// Fault of a name that no object, method or property has.
    pub fn attribute(what: impl fmt::Display) -> Self {
        Self::new(format!("AttributeError: {what}"))
    }

    /// Fault of a server that is not able to fulfil a request now.
    pub fn runtime(what: impl fmt::Display) -> Self {
        Self::new(format!("RuntimeError: {what}"))
    }

    /// Fault of an object that the server does not have.
    pub fn no_object(object: &str) -> Self {
        Self::attribute(format_args!(
            "'TuberRegistry' object has no attribute '{object}' (Invalid object name '{object}')"
        ))
    }

    /// Fault of a method or property that an object does not have.
    pub fn no_attribute(object: &str, name: &str) -> Self {
        Self::attribute(format_args!("'{object}' object has no attribute '{name}'"))
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Fault of a request whose bytes cannot be read.
impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::value(error)
    }
}
