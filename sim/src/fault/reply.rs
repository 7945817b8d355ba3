//! Faults of the answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{OnAnswer, OnCall, OnRequest, Rule};

/// A web server of some other kind answers with a page.
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

/// Every request is answered with status 500, and not run.
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

/// A method's result is a text, of whatever type it should be. The method is not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongType {
    /// The method's name.
    pub method: String,
}

impl Rule for WrongType {
    fn on_call(&self, method: &str, _nth: u64) -> OnCall {
        if method == self.method {
            OnCall::Answer("banana")
        } else {
            OnCall::Run
        }
    }
}

/// The answer is preceded by white space, which JSON allows: by default more
/// than any client should read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HugeAnswer {
    /// Number of bytes that are added.
    pub bytes: u64,
}

impl Default for HugeAnswer {
    fn default() -> Self {
        Self { bytes: 1 << 40 }
    }
}

impl Rule for HugeAnswer {
    fn on_answer(&self, _answer: &Bytes) -> OnAnswer {
        OnAnswer::PadWith(self.bytes)
    }
}
