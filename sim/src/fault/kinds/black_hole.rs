//! Connections that are never answered.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnConnect, OnRequest, Rule};

/// New connections are accepted and never answered. Requests on open connections are not answered,
/// either. All these connections are closed when the fault ends.
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

impl Describe for BlackHole {
    const NAME: &'static str = "black-hole";
    const KEYS: &'static str = "";
    const ABOUT: &'static str =
        "connections are accepted and never answered; they are closed when the fault is over";
}
