//! The points at which a fault can act, and its possible decisions there.

use std::time::Duration;

use bytes::Bytes;

/// Fate of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConnect {
    /// The connection is served.
    Serve,
    /// The kernel refuses the connection, as if nothing listened.
    Refuse,
    /// The connection is accepted, and neither read nor answered.
    Ignore,
}

/// Fate of a request whose body has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRequest {
    /// The request is run.
    Run,
    /// The request is run after a delay, even if its client has gone by then.
    RunAfter(Duration),
    /// The request is neither run nor answered.
    Never,
    /// The request is not run; this is the answer.
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
    /// The call is run.
    Run,
    /// The call is not run, and fails as a runtime error with this message.
    Fail(String),
    /// The call is not run, and its result is this text.
    Answer(&'static str),
    /// The call does not return, nor does its batch.
    Hang,
    /// The board loses its settings and its connections before the call is
    /// run, and takes new connections after this time.
    Reboot(Duration),
}

/// Fate of a finished answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnAnswer {
    /// The answer is sent as it is.
    Send,
    /// The headers announce all of it; the connection ends after this many bytes.
    CutAfter(u64),
    /// This many bytes of white space are sent before the answer.
    PadWith(u64),
    /// Other bytes are sent in place of the answer.
    Replace(Bytes),
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
    /// The packet is sent.
    Send,
    /// The packet is not sent.
    Lose,
    /// The packet is sent twice.
    Twice,
    /// The packet is sent after this many of the module's packets that follow it.
    Late(u32),
    /// The packet is sent with all bits of the byte at this offset inverted.
    Flip(u64),
    /// Only the first bytes of the packet are sent, so many.
    Cut(u64),
    /// The stamp of the packet says that it is not recent.
    NotRecent,
    /// The stamp of the packet is that of a wrong clock.
    Clock(OnClock),
    /// The packet carries this serial number.
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
    /// Decides on a new connection.
    fn on_connect(&self) -> OnConnect {
        OnConnect::Serve
    }
    /// Decides on a request that has been read whole.
    fn on_request(&self) -> OnRequest {
        OnRequest::Run
    }
    /// Decides on a method that is about to be run; `nth` counts the calls since the fault
    /// began to act, from 0.
    fn on_call(&self, _method: &str, _nth: u64) -> OnCall {
        OnCall::Run
    }
    /// Decides on an answer that is about to be sent.
    fn on_answer(&self, _answer: &Bytes) -> OnAnswer {
        OnAnswer::Send
    }
    /// Decides on a packet of a stream that is about to be sent.
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Send
    }
    /// True if it acts on packets of the streams, so that packets are counted in place of calls.
    fn counts_packets(&self) -> bool {
        false
    }
    /// Sets the seed of a fault that draws random numbers.
    fn set_seed(&mut self, _seed: u64) {}
}

/// Name of a fault in scripts, and its description.
pub trait Describe {
    /// Name: that of the type, in lower case, with hyphens between words.
    const NAME: &'static str;
    /// Keys of its own in a script, in Markdown, with defaults. Empty if there are none.
    const KEYS: &'static str;
    /// Effect, as a sentence without capital and full stop.
    const ABOUT: &'static str;
}

/// Description of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Name in scripts.
    pub name: &'static str,
    /// Keys of its own in a script, in Markdown, with defaults. Empty if there are none.
    pub keys: &'static str,
    /// Effect, as a sentence without capital and full stop.
    pub about: &'static str,
}

impl Description {
    /// Returns the description of a kind of fault.
    pub const fn of<K: Describe>() -> Self {
        Self {
            name: K::NAME,
            keys: K::KEYS,
            about: K::ABOUT,
        }
    }
}
