//! A datagram of a boot loader that is lost.

use serde::{Deserialize, Serialize};

use crate::fault::{ConsoleSender, Describe, OnConsole, Rule};

/// A datagram between the boot loader and the host is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleLoss {
    /// Sender of the datagram.
    pub sender: ConsoleSender,
    /// Number of datagrams that this sender has sent before, since the host took the console.
    #[serde(default)]
    pub at: u64,
}

impl Rule for ConsoleLoss {
    fn on_console(&self, sender: ConsoleSender, nth: u64) -> OnConsole {
        match (sender, nth) == (self.sender, self.at) {
            true => OnConsole::Lose,
            false => OnConsole::Pass,
        }
    }
}

impl Describe for ConsoleLoss {
    const NAME: &'static str = "console-loss";
    const KEYS: &'static str =
        "`sender`: `\"host\"` or `\"board\"`; `at`: number of its datagrams before, 0 by default";
    const ABOUT: &'static str = "a datagram between the boot loader and the host is lost";
}
