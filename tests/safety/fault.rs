//! The faults that one request can have.

use std::time::Duration;

/// A fault at one request of a board, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The request reaches the board so much later, and is answered.
    Slow(Duration),
    /// The connection is lost; the request never reaches the board.
    Lost,
    /// The request is executed, and the connection lost before anything of the answer has come.
    AnswerLost,
    /// The request is executed, and half of the answer comes.
    AnswerCut,
    /// Request and answer come in pieces of a few bytes.
    Pieces,
    /// The connection is lost; the request is executed so much later.
    Late(Duration),
    /// The same, and once more at the second time: something in between has sent it again.
    LateTwice(Duration, Duration),
    /// Nothing is answered any more for so long, on this and on any other connection.
    Silent(Duration),
    /// The connection is lost, and the board takes no other for so long.
    Gone(Duration),
    /// The board restarts with all settings lost, before the request.
    Reboot,
    /// The first call is refused.
    Refused,
    /// Half of the calls are executed, and the next one is refused.
    HalfRefused,
    /// The numbers that are answered are texts.
    WrongType,
    /// The numbers that are answered are none.
    NoNumbers,
    /// The answer is no Tuber answer; the request is executed.
    Garbled,
    /// A gateway answers in the place of the board.
    Gateway,
    /// The answer is longer than what is read.
    TooLarge,
    /// The process is stopped for so long, before the request goes out.
    SuspendedBefore(Duration),
    /// The process is stopped for so long, when the answer is there.
    SuspendedAfter(Duration),
    /// From then on, whatever reads is refused. Settings are taken.
    ReadsRefused,
    /// From then on, whatever reads hangs. Settings are taken.
    ReadsHang,
    /// The run is cancelled.
    Cancelled,
    /// The run is cancelled, and its clean-up given up at once.
    Abandoned,
    /// The future of the run is dropped.
    Dropped,
}

impl Fault {
    /// True if it edits an answer, which must be JSON then.
    pub(crate) fn edits(self) -> bool {
        self.blinds() || matches!(self, Self::HalfRefused | Self::WrongType | Self::NoNumbers)
    }

    /// True if nothing can be read back any more.
    pub(crate) fn blinds(self) -> bool {
        matches!(self, Self::ReadsRefused | Self::ReadsHang)
    }

    /// True if the state of the tones cannot be found out before the deadline, or is not to be.
    pub(crate) fn is_hopeless(self) -> bool {
        let for_ever = |time: Duration| time >= FOR_EVER;
        match self {
            Self::Silent(time) | Self::Gone(time) => for_ever(time),
            _ => self.blinds() || self == Self::Abandoned,
        }
    }
}

const FOR_EVER: Duration = Duration::from_secs(1_000_000);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Every fault, with its name in the table.
pub(crate) const FAULTS: [(&str, Fault); 29] = [
    ("answered 3 s late", Fault::Slow(seconds(3))),
    ("answered 12 s late", Fault::Slow(seconds(12))),
    ("request lost", Fault::Lost),
    ("answer lost", Fault::AnswerLost),
    ("answer cut", Fault::AnswerCut),
    ("in pieces", Fault::Pieces),
    (
        "executed 0.6 s late",
        Fault::Late(Duration::from_millis(600)),
    ),
    (
        "executed 4.9 s late",
        Fault::Late(Duration::from_millis(4900)),
    ),
    (
        "executed late, twice",
        Fault::LateTwice(Duration::from_millis(300), seconds(4)),
    ),
    ("silent for 20 s", Fault::Silent(seconds(20))),
    ("silent for ever", Fault::Silent(FOR_EVER)),
    ("gone for 3 s", Fault::Gone(seconds(3))),
    ("gone for 20 s", Fault::Gone(seconds(20))),
    ("gone for ever", Fault::Gone(FOR_EVER)),
    ("restart", Fault::Reboot),
    ("refused", Fault::Refused),
    ("half refused", Fault::HalfRefused),
    ("texts for numbers", Fault::WrongType),
    ("no numbers", Fault::NoNumbers),
    ("garbled", Fault::Garbled),
    ("a gateway's answer", Fault::Gateway),
    ("too large", Fault::TooLarge),
    ("suspended before", Fault::SuspendedBefore(seconds(1000))),
    ("suspended after", Fault::SuspendedAfter(seconds(1000))),
    ("readings refused from then on", Fault::ReadsRefused),
    ("readings hang from then on", Fault::ReadsHang),
    ("cancelled", Fault::Cancelled),
    ("abandoned", Fault::Abandoned),
    ("dropped", Fault::Dropped),
];
