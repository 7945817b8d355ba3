//! A flash that is slow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, FlashStep, OnFlash, Rule};

/// Each erasure of a block, and each write of up to 4 KiB, takes some time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashSlow {
    /// The time, ms.
    pub step_ms: u64,
}

impl Rule for FlashSlow {
    fn on_flash(&self, _step: FlashStep) -> OnFlash {
        OnFlash::WorkAfter(Duration::from_millis(self.step_ms))
    }
}

impl Describe for FlashSlow {
    const NAME: &'static str = "flash-slow";
    const KEYS: &'static str = "`step_ms`";
    const ABOUT: &'static str =
        "each erasure of a block of the flash, and each write of up to 4 KiB, takes this time";
}
