//! The points at which a fault can act, and its possible decisions there.

use std::time::Duration;

use bytes::Bytes;

/// Fate of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConnect {
    /// It is served.
    Serve,
    /// The kernel refuses it, as if nothing listened.
    Refuse,
    /// It is accepted, and neither read nor answered.
    Ignore,
}

/// Fate of a request whose body has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRequest {
    /// It is run.
    Run,
    /// It is run after a delay, even if its client has gone by then.
    RunAfter(Duration),
    /// It is neither run nor answered.
    Never,
    /// It is not run; this is the answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// The `Content-Type` header.
        content_type: &'static str,
        /// The body.
        body: &'static str,
    },
}

/// Fate of one call of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnCall {
    /// It is run.
    Run,
    /// It is not run and fails with this message.
    Fail(String),
    /// It is not run, and its result is this text.
    Answer(&'static str),
    /// It does not return, nor does the batch.
    Hang,
    /// The board loses its settings and its connections before the call is
    /// run, and takes new connections after this time.
    Reboot(Duration),
}

/// Fate of a finished answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAnswer {
    /// It is sent as it is.
    Send,
    /// The headers announce all of it; the connection ends after this many bytes.
    CutAfter(u64),
    /// This many bytes of white space go before it.
    PadWith(u64),
}

/// A packet of a stream that is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The board's serial number.
    pub serial: u16,
    /// The module, from 1.
    pub module: u8,
    /// Number of the module's packets that came before it.
    pub nth: u64,
}

/// Fate of a packet of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPacket {
    /// It is sent.
    Send,
    /// It is not sent.
    Lose,
    /// It is sent twice.
    Twice,
    /// It is sent after this many of the module's packets that follow it.
    Late(u32),
    /// It is sent with all bits of the byte at this offset inverted.
    Flip(u64),
    /// Only this many bytes of it are sent.
    Cut(u64),
    /// Its stamp says that it is not recent.
    NotRecent,
    /// Its stamp is that of a clock that is wrong.
    Clock(OnClock),
    /// It carries this serial number.
    Serial(u16),
}

/// A wrong time that a clock shows. Parts of a second are those of stamps, of
/// which a second has 156 250 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnClock {
    /// A time this many parts of a second ahead.
    Ahead(i64),
    /// The time at which the fault began.
    Stopped,
    /// The second before, for this many parts of each second.
    LateSecond(i64),
    /// Another year of the century or day of the year.
    Date {
        /// The year, if it is wrong.
        year: Option<u32>,
        /// The day, if it is wrong.
        day: Option<u32>,
    },
}

/// The points at which a fault can act. The defaults do nothing.
pub trait Rule: std::fmt::Debug + Send + Sync {
    /// A client connects.
    fn on_connect(&self) -> OnConnect {
        OnConnect::Serve
    }
    /// A request has been read whole.
    fn on_request(&self) -> OnRequest {
        OnRequest::Run
    }
    /// A method is about to be run; `nth` counts the calls since the fault
    /// began to act, from 0.
    fn on_call(&self, _method: &str, _nth: u64) -> OnCall {
        OnCall::Run
    }
    /// An answer is about to be sent.
    fn on_answer(&self, _answer: &Bytes) -> OnAnswer {
        OnAnswer::Send
    }
    /// A packet of a stream is about to be sent.
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Send
    }
}
