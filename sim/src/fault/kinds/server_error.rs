//! Answers with status 500.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnRequest, Rule};

/// Every request is answered with status 500, and not executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerError {}

impl Rule for ServerError {
    fn on_request(&self) -> OnRequest {
        OnRequest::Answer {
            status: 500,
            content_type: "text/plain; charset=utf-8",
            body: "500 Internal Server Error\n\nServer got itself in trouble",
        }
    }
}

impl Describe for ServerError {
    const NAME: &'static str = "server-error";
    const KEYS: &'static str = "";
    const ABOUT: &'static str = "every request is answered with status 500 and not run";
}
