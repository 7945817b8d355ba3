//! Answers of another web server.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnRequest, Rule};

/// Every request is answered with a web page, as by a server that does not serve Tuber, the control
/// protocol of CRS boards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotTuber {}

impl Rule for NotTuber {
    fn on_request(&self) -> OnRequest {
        OnRequest::Answer {
            status: 200,
            content_type: "text/html; charset=utf-8",
            body: "<!doctype html><title>It works</title><p>It works.\n",
        }
    }
}

impl Describe for NotTuber {
    const NAME: &'static str = "not-tuber";
    const KEYS: &'static str = "";
    const ABOUT: &'static str = "a web server of another kind answers";
}
