//! Answers with a damaged byte.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnAnswer, Rule};

/// Requests are executed, and all bits of one byte of each answer are inverted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GarbledAnswer {
    /// Position of the byte, from 0. Shorter answers are not damaged.
    #[serde(default)]
    pub at: usize,
}

impl Describe for GarbledAnswer {
    const NAME: &'static str = "garbled-answer";
    const KEYS: &'static str = "`at`: from 0, 0 by default";
    const ABOUT: &'static str = "one byte of each answer is damaged";
}

impl Rule for GarbledAnswer {
    fn on_answer(&self, answer: &Bytes) -> OnAnswer {
        let mut bytes = answer.to_vec();
        match bytes.get_mut(self.at) {
            Some(byte) => *byte = !*byte,
            None => return OnAnswer::Send,
        }
        OnAnswer::Replace(bytes.into())
    }
}
