//! A boot loader that stops while the flash is changed.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, FlashStep, OnFlash, Rule};

/// The boot loader stops in the middle of a write, and does not answer until the power is cycled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashHang {
    /// Offset in the flash of a byte: the boot loader stops before it writes this byte.
    #[serde(default)]
    pub at: u64,
}

impl Rule for FlashHang {
    fn on_flash(&self, step: FlashStep) -> OnFlash {
        match step {
            FlashStep::Write { end, .. } if self.at < end => OnFlash::Hang,
            _ => OnFlash::Work,
        }
    }
}

impl Describe for FlashHang {
    const NAME: &'static str = "flash-hang";
    const KEYS: &'static str = "`at`, an offset in bytes, 0 by default";
    const ABOUT: &'static str = "the boot loader stops while it writes the flash";
}
