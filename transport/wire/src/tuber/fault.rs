//! Why a server could not do what it was asked: a text, as Python servers word it.

use super::error::DecodeError;
use std::borrow::Cow;
use std::fmt;

/// A failed request. Tuber knows no error codes: the text, `TypeError: ...` for example, is all that a
/// client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    message: Cow<'static, str>,
}

impl Fault {
    /// A fault with a text of its own.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            message: message.into(),
        }
    }

    /// An argument has the right type and a value that is refused.
    pub fn value(what: impl fmt::Display) -> Fault {
        Fault::new(format!("ValueError: {what}"))
    }

    /// An argument is missing, is one too many or has the wrong type.
    pub fn type_error(what: impl fmt::Display) -> Fault {
        Fault::new(format!("TypeError: {what}"))
    }

    /// There is no object, method or property of that name.
    pub fn attribute(what: impl fmt::Display) -> Fault {
        Fault::new(format!("AttributeError: {what}"))
    }

    /// The server is not able to do it now.
    pub fn runtime(what: impl fmt::Display) -> Fault {
        Fault::new(format!("RuntimeError: {what}"))
    }

    /// An object that the server does not have.
    pub fn no_object(object: &str) -> Fault {
        Fault::attribute(format_args!(
            "'TuberRegistry' object has no attribute '{object}' (Invalid object name '{object}')"
        ))
    }

    /// A method or property that an object does not have.
    pub fn no_attribute(object: &str, name: &str) -> Fault {
        Fault::attribute(format_args!("'{object}' object has no attribute '{name}'"))
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Bytes of a request that turned out not to be readable.
impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Fault {
        Fault::value(error)
    }
}
