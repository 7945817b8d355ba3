//! Requests that are delayed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnRequest, Rule};

/// Every request is delayed before it is executed. It is executed late even if its client has
/// disconnected by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Delay of each request, ms.
    pub delay_ms: u64,
}

impl Rule for Slow {
    fn on_request(&self) -> OnRequest {
        OnRequest::RunAfter(Duration::from_millis(self.delay_ms))
    }
}

impl Describe for Slow {
    const NAME: &'static str = "slow";
    const KEYS: &'static str = "`delay_ms`";
    const ABOUT: &'static str =
        "every request waits before it is run; it is run even if its client has given up";
}
