//! Options of the connections to a board.

use std::net::SocketAddr;
use std::time::Duration;

use twotone_hal::ReceiveOptions;
use twotone_wire::tuber::Format;

/// Source of the samples of an acquisition.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum SampleSource {
    /// A call of the board that acquires samples and returns them in its answer.
    #[default]
    Rpc,
    /// The sample stream of the board. An acquisition is one of the operations of a batch. Its
    /// samples are taken after the board has made the settings that come before it in the batch.
    ///
    /// Each acquisition of a batch costs two round trips. The second one comes after the samples
    /// and checks that the board has kept its settings. The answers are small, and the samples of
    /// all channels come at the rate of the stream, even if other hosts receive it too. If the
    /// samples have another decimation than the description of the board, the
    /// [epoch](twotone_hal::Epoch) of the board ends: what was measured before is not valid any
    /// more. If the time code of the board is not recent, or if its clock stands still or is set
    /// forward, the times of the samples cannot be compared with the time of the settings. For the
    /// next 10 s, acquisitions then use [`SampleSource::Rpc`], with a warning.
    ///
    /// [`ConnectOptions::serial`] must be set.
    Stream(ReceiveOptions),
}

/// Deadlines and limits of the connections to a board.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// Longest time for opening a connection. The default is 2 s.
    pub connect_timeout: Duration,
    /// Longest time of a request. The time includes a new connection and one repetition, but not
    /// the acquisitions of the request. A request that may be repeated after a timeout has this
    /// time for each of its two attempts. The default is 10 s.
    pub request_timeout: Duration,
    /// Time without use after which a connection is closed. The default is 4 s: servers close an
    /// idle connection after 5 s, and may or may not execute a request that they receive while
    /// closing.
    pub idle_timeout: Duration,
    /// Longest time for which a board may still execute a request after its connection was lost,
    /// not counting the time that the acquisitions of the request take. The default is 5 s: a busy
    /// server, or a gateway in front of it, may hold a request for so long. After a request that
    /// changes settings was lost, only requests that switch tones off are sent to its module for
    /// this time. Then all settings are read back. An operation that would have to wait past its
    /// deadline fails.
    pub request_life: Duration,
    /// Size of the largest answer that is accepted, in bytes. The default is 64 MiB.
    pub answer_limit: usize,
    /// True to ask for CBOR, which is several times smaller than JSON and faster; false for JSON
    /// only. The default is true.
    pub cbor: bool,
    /// Source of the samples. The default is [`SampleSource::Rpc`].
    pub samples: SampleSource,
    /// Serial number in the packets of the board, for [`SampleSource::Stream`].
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
    /// Returns the default options.
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
        // There is a space after the comma, because older servers separate the formats at spaces.
        if self.cbor {
            Format::Cbor.accept_preferring()
        } else {
            Format::Json.content_type()
        }
    }
}

/// Options of the access to the firmware of boards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareOptions {
    /// Local address that receives the announcements of boards. `None` is the usual port of their
    /// kind, on all interfaces.
    pub beacons: Option<SocketAddr>,
    /// Longest time until a board announces itself and takes commands. The default is 5 minutes,
    /// in which a person can switch the board off and on.
    pub window: Duration,
    /// Longest time of each step in which a board erases, writes or reads its flash. The default
    /// is 10 minutes.
    pub flash_time: Duration,
    /// Longest time until a board answers a command that does not use its flash, and time of
    /// silence after which a lost answer is looked for. The default is 30 s.
    pub answer_time: Duration,
}

impl Default for FirmwareOptions {
    fn default() -> Self {
        Self {
            beacons: None,
            window: Duration::from_secs(300),
            flash_time: Duration::from_secs(600),
            answer_time: Duration::from_secs(30),
        }
    }
}
