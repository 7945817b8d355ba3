//! Results of the wrong type.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnCall, Rule};

/// A method's result is a text, of whatever type it should be. The method is not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongType {
    /// The method's name.
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
