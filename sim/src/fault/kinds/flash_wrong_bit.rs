//! A wrong bit in the flash.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, FlashStep, OnFlash, Rule};

/// After a write, one bit of a byte is wrong, although the board reports a success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashWrongBit {
    /// Offset of the byte in the flash.
    #[serde(default)]
    pub at: u64,
}

impl Rule for FlashWrongBit {
    fn on_flash(&self, step: FlashStep) -> OnFlash {
        match step {
            FlashStep::Write { at, end } if (at..end).contains(&self.at) => OnFlash::Spoil(self.at),
            _ => OnFlash::Work,
        }
    }
}

impl Describe for FlashWrongBit {
    const NAME: &'static str = "flash-wrong-bit";
    const KEYS: &'static str = "`at`, an offset in bytes, 0 by default";
    const ABOUT: &'static str =
        "a bit of the flash is wrong after a write, although the board reports a success";
}
