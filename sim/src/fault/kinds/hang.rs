//! A method that never returns.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnCall, Rule};

/// A method never returns, so the batch with its call gets no answer. The calls before this call in
/// the batch are executed, and the calls after it are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hang {
    /// Name of the method.
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

impl Describe for Hang {
    const NAME: &'static str = "hang";
    const KEYS: &'static str = "`method`";
    const ABOUT: &'static str = "the method never returns, nor does the batch that it is in";
}
