//! A loss of power while the flash is changed.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, FlashStep, OnFlash, Rule};

/// The board loses its power while its flash is changed. It then starts again with the incomplete
/// content of the flash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashPowerLoss {
    /// Offset of a byte: the power fails before this byte is written. If the offset is absent, the
    /// power fails during the erasure, after its first block.
    #[serde(default)]
    pub written: Option<u64>,
}

impl Rule for FlashPowerLoss {
    fn on_flash(&self, step: FlashStep) -> OnFlash {
        match (step, self.written) {
            (FlashStep::Erase { at: 1.. }, None) => OnFlash::LosePower,
            (FlashStep::Write { end, .. }, Some(written)) if written < end => OnFlash::LosePower,
            _ => OnFlash::Work,
        }
    }
}

impl Describe for FlashPowerLoss {
    const NAME: &'static str = "flash-power-loss";
    const KEYS: &'static str =
        "`written`, an offset in bytes; if it is absent, the power fails during the erasure";
    const ABOUT: &'static str = "the board loses its power while its flash is erased or written, and starts with what the flash holds then";
}
