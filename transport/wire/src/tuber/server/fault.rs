//! Reason why a request failed: a text in the form that Python servers use.

use std::borrow::Cow;
use std::fmt;

use crate::tuber::error::DecodeError;

/// Error of a request. Tuber has no error codes: a client gets only the text, for example
/// `TypeError: ...`.
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

    /// Fault for an argument that has the right type and a value that is refused.
    pub fn value(what: impl fmt::Display) -> Self {
        Self::new(format!("ValueError: {what}"))
    }

    /// Fault for an argument that is missing, is surplus or has the wrong type.
    pub fn type_error(what: impl fmt::Display) -> Self {
        Self::new(format!("TypeError: {what}"))
    }

    /// Fault for a name that no object, method or property has.
    pub fn attribute(what: impl fmt::Display) -> Self {
        Self::new(format!("AttributeError: {what}"))
    }

    /// Fault for a request that the server cannot fulfil now.
    pub fn runtime(what: impl fmt::Display) -> Self {
        Self::new(format!("RuntimeError: {what}"))
    }

    /// Fault for an object that does not exist.
    pub fn no_object(object: &str) -> Self {
        Self::attribute(format_args!(
            "'TuberRegistry' object has no attribute '{object}' (Invalid object name '{object}')"
        ))
    }

    /// Fault for a method or property that does not exist.
    pub fn no_attribute(object: &str, name: &str) -> Self {
        Self::attribute(format_args!("'{object}' object has no attribute '{name}'"))
    }

    /// Text of the fault.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Fault for a request that cannot be decoded.
impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::value(error)
    }
}
