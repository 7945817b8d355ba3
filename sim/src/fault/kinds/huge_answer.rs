//! Answers that are too large.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnAnswer, Rule};

/// White space, which JSON allows, is sent before the answer. The default number of bytes is more
/// than any client should read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HugeAnswer {
    /// Number of bytes of white space.
    pub bytes: u64,
}

impl Default for HugeAnswer {
    fn default() -> Self {
        Self { bytes: 1 << 40 }
    }
}

impl Rule for HugeAnswer {
    fn on_answer(&self, _answer: &Bytes) -> OnAnswer {
        OnAnswer::PadWith(self.bytes)
    }
}

impl Describe for HugeAnswer {
    const NAME: &'static str = "huge-answer";
    const KEYS: &'static str = "`bytes`";
    const ABOUT: &'static str = "so many bytes of white space come before each answer";
}
