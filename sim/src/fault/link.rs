//! Faults of the connection.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{OnAnswer, OnConnect, OnRequest, Rule};

/// The port is closed: a connection is refused by the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {}

impl Rule for Refuse {
    fn on_connect(&self) -> OnConnect {
        OnConnect::Refuse
    }
}

/// New connections are accepted and never answered. Open ones are not
/// answered any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackHole {}

impl Rule for BlackHole {
    fn on_connect(&self) -> OnConnect {
        OnConnect::Ignore
    }

    fn on_request(&self) -> OnRequest {
        OnRequest::Never
    }
}

/// Requests are run, and the connection ends in the middle of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseMidAnswer {
    /// Number of bytes of the body that are sent; half of it if not given.
    #[serde(default)]
    pub after_bytes: Option<u64>,
}

impl Rule for CloseMidAnswer {
    fn on_answer(&self, answer: &Bytes) -> OnAnswer {
        OnAnswer::CutAfter(self.after_bytes.unwrap_or(answer.len() as u64 / 2))
    }
}

/// Every request waits before it is run. It is run even if its client has
/// given up meanwhile, and so takes effect late.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// The delay of each request, ms.
    pub delay_ms: u64,
}

impl Rule for Slow {
    fn on_request(&self) -> OnRequest {
        OnRequest::RunAfter(Duration::from_millis(self.delay_ms))
    }
}
