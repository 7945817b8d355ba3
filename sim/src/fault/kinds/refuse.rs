//! A closed port.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnConnect, Rule};

/// The port is closed, so that the kernel refuses connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {}

impl Rule for Refuse {
    fn on_connect(&self) -> OnConnect {
        OnConnect::Refuse
    }
}

impl Describe for Refuse {
    const NAME: &'static str = "refuse";
    const KEYS: &'static str = "";
    const ABOUT: &'static str = "the port is closed: the kernel refuses connections";
}
