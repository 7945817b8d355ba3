//! Options of the connections to a board.

use std::time::Duration;

use twotone_hal::ReceiveOptions;

/// Source of the samples of an acquisition.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum SampleSource {
    /// The board's own acquisition call: its answer holds them.
    #[default]
    Rpc,
    /// The board's sample stream, from the board's time after the settings before were made.
    ///
    /// Each acquisition of a batch costs two round trips. The second one, when the samples have
    /// come, finds out if the board has kept its settings. The answers are small, and the samples
    /// of all channels come at the rate of the stream, even if others listen too. Samples of
    /// another decimation than the board described end its epoch. If the board's time code is not
    /// recent, samples cannot be shown to belong to the settings; then the board's own call is
    /// used, with a warning.
    Stream(ReceiveOptions),
}

/// Deadlines and limits of the connections to a board.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// Longest time for opening a connection. 2 s.
    pub connect_timeout: Duration,
    /// Longest time of a batch from asking to answer, the time of its acquisitions apart, a new
    /// connection and one repetition included. 10 s. A batch that can be sent again if it was not
    /// answered by then has this time twice.
    pub request_timeout: Duration,
    /// Time without use after which a connection is closed. 4 s: servers close it after 5 s, and a
    /// request that crosses their closing may or may not be executed.
    pub idle_timeout: Duration,
    /// Longest time for which a request can live whose connection was lost: by then it was
    /// executed, or never will be. 5 s, and the time of its own acquisitions on top. A busy
    /// server, or a gateway before it, may hold a request for so long. After a request of
    /// settings was lost, only requests that switch tones off are sent to its module for this
    /// time, and then all settings are read back. An operation that would have to wait past
    /// its deadline fails.
    pub request_life: Duration,
    /// The largest answer that is read, in bytes. 64 MiB.
    pub answer_limit: usize,
    /// True to ask for CBOR, which is several times smaller and faster; false for JSON alone.
    pub cbor: bool,
    /// Source of the samples. [`SampleSource::Rpc`].
    pub samples: SampleSource,
    /// The serial number that the board's packets bear, for [`SampleSource::Stream`].
    pub serial: Option<u16>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            request_life: Duration::from_secs(5),
            answer_limit: 64 << 20,
            cbor: true,
            samples: SampleSource::Rpc,
            serial: None,
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

    /// Sets [`ConnectOptions::request_life`].
    #[must_use]
    pub fn request_life(self, request_life: Duration) -> Self {
        Self {
            request_life,
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

    /// Sets [`ConnectOptions::samples`].
    #[must_use]
    pub fn samples(self, samples: SampleSource) -> Self {
        Self { samples, ..self }
    }

    /// Sets [`ConnectOptions::serial`].
    #[must_use]
    pub fn serial(self, serial: u16) -> Self {
        let serial = Some(serial);
        Self { serial, ..self }
    }

    pub(crate) fn accept(&self) -> &'static str {
        if self.cbor {
            "application/cbor,application/json"
        } else {
            "application/json"
        }
    }
}
