//! Calls that fail.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnCall, Rule};

/// Calls fail. [`Fault::during`](crate::Fault::during) selects them by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorOnCall {
    /// Name of the method that fails, or `None` for all methods.
    #[serde(default)]
    pub method: Option<String>,
    /// Error message of the call.
    pub message: String,
}

impl ErrorOnCall {
    /// Creates a fault in which all calls fail.
    pub fn any(message: &str) -> Self {
        Self {
            method: None,
            message: message.to_owned(),
        }
    }

    /// Creates a fault in which all calls of one method fail.
    pub fn of(method: &str, message: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            message: message.to_owned(),
        }
    }
}

impl Rule for ErrorOnCall {
    fn on_call(&self, method: &str, _nth: u64) -> OnCall {
        if self.method.as_deref().is_none_or(|name| name == method) {
            OnCall::Fail(self.message.clone())
        } else {
            OnCall::Run
        }
    }
}

impl Describe for ErrorOnCall {
    const NAME: &'static str = "error-on-call";
    const KEYS: &'static str = "`message`; `method`, any by default";
    const ABOUT: &'static str = "the call fails";
}
