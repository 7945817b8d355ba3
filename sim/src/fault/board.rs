//! Faults of the board itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{OnCall, Rule};

/// One method never returns, nor does the batch that it is in. The calls
/// before it in the batch are run; those after it are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hang {
    /// The method's name.
    pub method: String,
}

impl Rule for Hang {
    fn on_call(&self, method: &str, _nth: u64) -> OnCall {
        if method == self.method {
            OnCall::Hang
        } else {
            OnCall::Run
        }
    }
}

/// Calls fail. [`super::Fault::during`] selects them by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorOnCall {
    /// The method that fails, or `None` for any.
    #[serde(default)]
    pub method: Option<String>,
    /// The message of the failure.
    pub message: String,
}

impl ErrorOnCall {
    /// Any call fails.
    #[must_use]
    pub fn any(message: &str) -> Self {
        Self {
            method: None,
            message: message.to_owned(),
        }
    }

    /// Calls of one method fail.
    #[must_use]
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
            OnCall::Fail(format!("RuntimeError: {}", self.message))
        } else {
            OnCall::Run
        }
    }
}

/// The board restarts before the call on which the fault begins to act:
/// settings and connections are lost, phase references are new, and the port
/// is closed for a while.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Time that the port stays closed, ms.
    #[serde(default)]
    pub down_ms: u64,
}

impl Rule for Reboot {
    fn on_call(&self, _method: &str, nth: u64) -> OnCall {
        if nth == 0 {
            OnCall::Reboot(Duration::from_millis(self.down_ms))
        } else {
            OnCall::Run
        }
    }
}
