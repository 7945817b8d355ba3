//! Connections that end in the middle of an answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnAnswer, Rule};

/// Requests are executed, and the connection is closed in the middle of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseMidAnswer {
    /// Number of bytes of the body that are sent, at most all but the last; half of the body if
    /// `None`.
    #[serde(default)]
    pub after_bytes: Option<u64>,
}

impl Rule for CloseMidAnswer {
    fn on_answer(&self, answer: &Bytes) -> OnAnswer {
        OnAnswer::CutAfter(self.after_bytes.unwrap_or(answer.len() as u64 / 2))
    }
}

impl Describe for CloseMidAnswer {
    const NAME: &'static str = "close-mid-answer";
    const KEYS: &'static str = "`after_bytes`: of the body, half of it by default";
    const ABOUT: &'static str =
        "requests are run, and the connection ends in the middle of the answer";
}
