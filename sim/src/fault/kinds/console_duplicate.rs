//! A datagram of a boot loader that comes twice.

use serde::{Deserialize, Serialize};

use crate::fault::{ConsoleSender, Describe, OnConsole, Rule};

/// A datagram between the boot loader and the host arrives twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleDuplicate {
    /// Sender of the datagram.
    pub sender: ConsoleSender,
    /// Number of datagrams that this sender has sent before, since the host took the console.
    #[serde(default)]
    pub at: u64,
}

impl Rule for ConsoleDuplicate {
    fn on_console(&self, sender: ConsoleSender, nth: u64) -> OnConsole {
        match (sender, nth) == (self.sender, self.at) {
            true => OnConsole::Twice,
            false => OnConsole::Pass,
        }
    }
}

impl Describe for ConsoleDuplicate {
    const NAME: &'static str = "console-duplicate";
    const KEYS: &'static str =
        "`sender`: `\"host\"` or `\"board\"`; `at`: number of its datagrams before, 0 by default";
    const ABOUT: &'static str = "a datagram between the boot loader and the host arrives twice";
}
