//! Results of the wrong type.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnCall, Rule};

/// The result of a method is a text, regardless of the proper type of the result. The method is not
/// executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongType {
    /// Name of the method.
    pub method: String,
}

impl Rule for WrongType {
    fn on_call(&self, method: &str, _nth: u64) -> OnCall {
        if method == self.method {
            OnCall::Answer("banana")
        } else {
            OnCall::Run
        }
    }
}

impl Describe for WrongType {
    const NAME: &'static str = "wrong-type";
    const KEYS: &'static str = "`method`";
    const ABOUT: &'static str = "the method is not run, and its result is a text";
}
