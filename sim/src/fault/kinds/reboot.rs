//! A restart of the board.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnCall, Rule};

/// The board restarts before the first call on which the fault acts: settings and connections are
/// lost, the phases of the samples have a new reference, and the port is closed for some time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// Time for which the port is closed, ms. If the simulated boards have a boot window (a time
    /// for flashing after each start), the port is closed until the end of the window.
    #[serde(default)]
    pub down_ms: u64,
}

impl Rule for Reboot {
    fn on_call(&self, _method: &str, nth: u64) -> OnCall {
        if nth == 0 {
            OnCall::Reboot(Duration::from_millis(self.down_ms))
        } else {
            OnCall::Run
        }
    }
}

impl Describe for Reboot {
    const NAME: &'static str = "reboot";
    const KEYS: &'static str = "`down_ms`, 0 by default";
    const ABOUT: &'static str = "the board restarts before the first call that the fault acts on: settings, connections and phase references are lost";
}
