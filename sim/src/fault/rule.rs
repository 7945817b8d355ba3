//! Points at which a fault can act, and its possible decisions.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Decision about a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConnect {
    /// The connection is served.
    Serve,
    /// The kernel refuses the connection, as if no program listened.
    Refuse,
    /// The connection is accepted, but it is neither read nor answered.
    Ignore,
}

/// Decision about a request whose body has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnRequest {
    /// The request is executed.
    Run,
    /// The request is executed after a delay, even if its client has disconnected by then.
    RunAfter(Duration),
    /// The request is neither executed nor answered.
    Never,
    /// The request is not executed, and gets this answer.
    Answer {
        /// HTTP status.
        status: u16,
        /// The `Content-Type` header.
        content_type: &'static str,
        /// The body.
        body: &'static str,
    },
}

/// Decision about one call of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnCall {
    /// The call is executed.
    Run,
    /// The call is not executed, and fails with a runtime error with this message.
    Fail(String),
    /// The call is not executed, and its result is this text.
    Answer(&'static str),
    /// The call never returns, so that its batch gets no answer.
    Hang,
    /// The board reboots before the call: it loses its settings and its connections, and accepts no
    /// new connections for this duration.
    Reboot(Duration),
}

/// Decision about a complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnAnswer {
    /// The answer is sent as it is.
    Send,
    /// The headers announce the complete answer, and the connection is closed after this number of
    /// bytes of the body, at the latest before its last byte.
    CutAfter(u64),
    /// This number of bytes of white space is sent before the answer.
    PadWith(u64),
    /// Other bytes are sent in place of the answer.
    Replace(Bytes),
}

/// A packet that is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Serial number of the board.
    pub serial: u16,
    /// Number of the module, from 1.
    pub module: u8,
    /// Number of earlier packets of the same stream of the module.
    pub nth: u64,
}

/// Decision about a packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OnPacket {
    /// The packet is sent.
    Send,
    /// The packet is not sent.
    Lose,
    /// The packet is sent twice.
    Twice,
    /// The packet is sent after this number of later packets of the same stream.
    Late(u32),
    /// The packet is sent with all bits of the byte at this offset inverted.
    Flip(u64),
    /// Only this number of bytes of the packet is sent, and in any case not its last byte.
    Cut(u64),
    /// The time stamp of the packet says that the board has received no time code recently.
    NotRecent,
    /// The time stamp of the packet comes from a wrong clock.
    Clock(OnClock),
    /// The packet names a board with this serial number as its sender.
    Serial(u16),
}

/// A step of an erasure or of a write of the flash. Offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashStep {
    /// The block at this offset is erased.
    Erase {
        /// Offset of the block.
        at: u64,
    },
    /// Bytes are written.
    Write {
        /// Offset of the first byte.
        at: u64,
        /// Offset after the last byte.
        end: u64,
    },
}

/// Decision about a step of the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFlash {
    /// The step is done.
    Work,
    /// The board loses its power before the step.
    LosePower,
    /// The step is done, and then a bit of the byte at this offset is wrong.
    Spoil(u64),
    /// The step is done after this time.
    WorkAfter(Duration),
    /// The step is never done, and the boot loader does not answer any more.
    Hang,
}

/// Sender of a datagram between a boot loader and a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleSender {
    /// The host.
    Host,
    /// The boot loader of the board.
    Board,
}

/// Decision about a datagram between a boot loader and a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConsole {
    /// The datagram arrives.
    Pass,
    /// The datagram is lost.
    Lose,
    /// The datagram arrives twice.
    Twice,
}

/// Error of a clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OnClock {
    /// The clock is ahead by this number of seconds, or behind if it is negative.
    Ahead(f64),
    /// The clock has stopped at the time of the first packet on which the fault acts.
    Stopped,
    /// At the start of each second, the clock shows the previous second for this number of seconds.
    LateSecond(f64),
    /// The clock shows a wrong year of the century or a wrong day of the year.
    Date {
        /// The wrong year; `None` if the year is right.
        year: Option<u32>,
        /// The wrong day; `None` if the day is right.
        day: Option<u32>,
    },
}

/// Decisions of a fault at the points where it can act. The default methods change nothing.
pub trait Rule: std::fmt::Debug + Send + Sync {
    /// Decides about a new connection.
    fn on_connect(&self) -> OnConnect {
        OnConnect::Serve
    }
    /// Decides about a request that has been read completely.
    fn on_request(&self) -> OnRequest {
        OnRequest::Run
    }
    /// Decides about a call that is about to be executed. `nth` counts the calls since the fault
    /// began to act, from 0.
    fn on_call(&self, _method: &str, _nth: u64) -> OnCall {
        OnCall::Run
    }
    /// Decides about an answer that is about to be sent.
    fn on_answer(&self, _answer: &Bytes) -> OnAnswer {
        OnAnswer::Send
    }
    /// Decides about a packet that is about to be sent.
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        OnPacket::Send
    }
    /// Decides about a step of the flash that is about to be done.
    fn on_flash(&self, _step: FlashStep) -> OnFlash {
        OnFlash::Work
    }
    /// Decides about a datagram between the boot loader and a host. `nth` counts the datagrams of
    /// this sender since the host took the console, from 0.
    fn on_console(&self, _sender: ConsoleSender, _nth: u64) -> OnConsole {
        OnConsole::Pass
    }
    /// True if the fault acts on packets of the streams. If it is true, packets are counted in
    /// place of calls.
    fn counts_packets(&self) -> bool {
        false
    }
    /// Sets the seed of a fault that draws random numbers.
    fn set_seed(&mut self, _seed: u64) {}
}

/// Name of a fault in scripts, and its description.
pub trait Describe {
    /// Name of the type in lower case, with hyphens between words.
    const NAME: &'static str;
    /// Keys in a script in addition to those that every fault can have, with their defaults, in
    /// Markdown. Empty if there are none.
    const KEYS: &'static str;
    /// Effect of the fault: a sentence without a capital letter at its beginning and without a full
    /// stop.
    const ABOUT: &'static str;
}

/// Description of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Name in scripts.
    pub name: &'static str,
    /// Keys in a script in addition to those that every fault can have, with their defaults, in
    /// Markdown. Empty if there are none.
    pub keys: &'static str,
    /// Effect of the fault: a sentence without a capital letter at its beginning and without a
    /// full stop.
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
