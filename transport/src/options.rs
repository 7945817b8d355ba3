//! How patient a client is.

use std::time::Duration;

/// Deadlines and limits of the connections to a board.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// How long opening a connection may take. 2 s.
    pub connect_timeout: Duration,
    /// How long a batch may take from asking to answer, the time of its acquisitions apart, a
    /// new connection and one repetition included. 10 s.
    pub request_timeout: Duration,
    /// After how long without use a connection is closed. 4 s: servers do it after 5, and a
    /// request that crosses their closing may or may not be executed.
    pub idle_timeout: Duration,
    /// The largest answer that is read, in bytes. 64 MiB.
    pub answer_limit: usize,
    /// Whether to ask for CBOR, which is several times smaller and faster, or for JSON alone.
    pub cbor: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            answer_limit: 64 << 20,
            cbor: true,
        }
    }
}

impl ConnectOptions {
    /// The defaults, to change with the methods below.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ConnectOptions::connect_timeout`].
    #[must_use]
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            ..self
        }
    }

    /// Sets [`ConnectOptions::request_timeout`].
    #[must_use]
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self {
            request_timeout,
            ..self
        }
    }

    /// Sets [`ConnectOptions::answer_limit`].
    #[must_use]
    pub fn answer_limit(self, answer_limit: usize) -> Self {
        Self {
            answer_limit,
            ..self
        }
    }

    /// Sets [`ConnectOptions::cbor`].
    #[must_use]
    pub fn cbor(self, cbor: bool) -> Self {
        Self { cbor, ..self }
    }

    pub(crate) fn accept(&self) -> &'static str {
        if self.cbor {
            "application/cbor,application/json"
        } else {
            "application/json"
        }
    }
}
