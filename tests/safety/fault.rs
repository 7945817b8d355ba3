//! Faults that one request can have.

use std::time::Duration;

use twotone::sim::{ChannelFault, Conditions, DetectorFault};

use crate::message::Pace;
use crate::rig::CHANNELS;

/// A change of the detectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    /// Conditions from the start of the run.
    pub(crate) before: fn() -> Conditions,
    /// Conditions from the request on.
    pub(crate) after: fn() -> Conditions,
}

impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        (self.before)() == (other.before)() && (self.after)() == (other.after)()
    }
}

/// A fault at one request of a board, with its consequences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The request reaches the board this time later, and is answered.
    Slow(Duration),
    /// The connection is lost; the request never reaches the board.
    Lost,
    /// The request is executed, and the connection lost before anything of the answer has come.
    AnswerLost,
    /// The request is executed, and half of the answer comes.
    AnswerCut,
    /// Request and answer come in pieces of a few bytes.
    Pieces,
    /// The connection is lost; the request is executed this time later.
    Late(Duration),
    /// The same, and the request is executed again after the second time: the network has sent it
    /// twice.
    LateTwice(Duration, Duration),
    /// For this time nothing is answered, on this and on any other connection.
    Silent(Duration),
    /// The connection is lost, and the board accepts no other for this time.
    Gone(Duration),
    /// The board restarts with all settings lost, before the request.
    Reboot,
    /// The first call is refused.
    Refused,
    /// Half of the calls are executed, and the next one is refused.
    HalfRefused,
    /// The numbers in the answer are strings.
    WrongType,
    /// The numbers in the answer are NaN.
    NoNumbers,
    /// The answer is no Tuber answer; the request is executed.
    Garbled,
    /// A gateway answers in the place of the board.
    Gateway,
    /// The answer is longer than the client reads.
    TooLarge,
    /// The process is stopped for this time, before the request is sent.
    SuspendedBefore(Duration),
    /// The process is stopped for this time, after the answer has arrived.
    SuspendedAfter(Duration),
    /// From then on, every read is refused. Settings are accepted.
    ReadsRefused,
    /// From then on, every read hangs. Settings are accepted.
    ReadsHang,
    /// From then on, everything is refused.
    AllRefused,
    /// The request is not executed, and its connection stays open without an answer.
    Hangs,
    /// The request is executed, and its connection stays open without an answer.
    AnswerHangs,
    /// The board takes this time for each request from then on.
    SlowFromThenOn(Duration),
    /// The board reads the request at this rate.
    SlowReader(Pace),
    /// From then on, all bytes pass at this rate.
    Narrow(Pace),
    /// The detectors change at the request.
    World(Change),
    /// The run is cancelled.
    Cancelled,
    /// The run is cancelled after the answer has arrived.
    CancelledAnswered,
    /// The run is cancelled, and its clean-up given up at once.
    Abandoned,
    /// The future of the run is dropped.
    Dropped,
    /// The future of the run is dropped after the answer has arrived.
    DroppedAnswered,
}

impl Fault {
    /// True if the fault edits an answer, which must be JSON then.
    pub(crate) fn edits(self) -> bool {
        self.blinds()
            || matches!(
                self,
                Self::AllRefused | Self::HalfRefused | Self::WrongType | Self::NoNumbers
            )
    }

    /// True if nothing can be read back any more.
    pub(crate) fn blinds(self) -> bool {
        matches!(self, Self::ReadsRefused | Self::ReadsHang)
    }

    /// True if the state of the tones cannot be read before the deadline, or need not be.
    pub(crate) fn is_hopeless(self) -> bool {
        let for_ever = |time: Duration| time >= FOR_EVER;
        match self {
            Self::Silent(time) | Self::Gone(time) => for_ever(time),
            _ => self.blinds() || matches!(self, Self::Abandoned | Self::AllRefused),
        }
    }
}

const FOR_EVER: Duration = Duration::from_secs(1_000_000);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Rate of 20 kB/s.
const CRAWL: Pace = Pace {
    bytes: 400,
    every: Duration::from_millis(20),
};

/// A change from the default conditions.
const fn turns(after: fn() -> Conditions) -> Fault {
    Fault::World(Change {
        before: Conditions::default,
        after,
    })
}

/// Conditions in which the channels that the algorithms use have the fault.
fn channels(fault: ChannelFault) -> Conditions {
    Conditions {
        channel_faults: (0..usize::from(CHANNELS)).map(|at| (at, fault)).collect(),
        ..Conditions::default()
    }
}

/// Conditions in which the first detector has the fault.
fn detector(fault: DetectorFault) -> Conditions {
    Conditions {
        detector_faults: vec![(0, fault)],
        ..Conditions::default()
    }
}

/// Conditions in which all detectors are 20 of their linewidths higher.
fn jump() -> Conditions {
    Conditions {
        common_shift_lw: 20.0,
        ..Conditions::default()
    }
}

/// Every fault, with its name in the table.
pub(crate) const FAULTS: &[(&str, Fault)] = &[
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
    ("all refused from then on", Fault::AllRefused),
    ("request hangs", Fault::Hangs),
    ("answer hangs", Fault::AnswerHangs),
    (
        "0.5 s for each request from then on",
        Fault::SlowFromThenOn(Duration::from_millis(500)),
    ),
    ("read slowly", Fault::SlowReader(CRAWL)),
    (
        "1 MB/s from then on",
        Fault::Narrow(Pace {
            bytes: 20_000,
            every: Duration::from_millis(20),
        }),
    ),
    ("channels dead", turns(|| channels(ChannelFault::Dead))),
    ("channels flat", turns(|| channels(ChannelFault::Flat))),
    (
        "channels saturated",
        turns(|| channels(ChannelFault::Saturated)),
    ),
    ("channels noisy", turns(|| channels(ChannelFault::Noisy))),
    ("a detector dies", turns(|| detector(DetectorFault::Dead))),
    (
        "a detector appears",
        Fault::World(Change {
            before: || detector(DetectorFault::Dead),
            after: Conditions::default,
        }),
    ),
    ("the detectors jump", turns(jump)),
    (
        "a detector drifts",
        turns(|| {
            detector(DetectorFault::Drift {
                from_s: 0.0,
                linewidths_per_s: 0.5,
            })
        }),
    ),
    (
        "a detector is hit often",
        turns(|| detector(DetectorFault::Glitches { rate_hz: 20.0 })),
    ),
    ("cancelled", Fault::Cancelled),
    ("cancelled, answered", Fault::CancelledAnswered),
    ("abandoned", Fault::Abandoned),
    ("dropped", Fault::Dropped),
    ("dropped, answered", Fault::DroppedAnswered),
];

/// Ends of a run at moments between its requests, with their names in the table, and true if an
/// earlier request is lost.
pub(crate) const MOMENTS: &[(&str, Fault, bool)] = &[
    ("cancelled in between", Fault::Cancelled, false),
    ("abandoned in between", Fault::Abandoned, false),
    ("dropped in between", Fault::Dropped, false),
    ("lost, cancelled in between", Fault::Cancelled, true),
    ("lost, abandoned in between", Fault::Abandoned, true),
    ("lost, dropped in between", Fault::Dropped, true),
];

/// Number of moments at which each is tried.
pub(crate) const EACH: u32 = 12;

/// Names of all rows of the table, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let at_requests = FAULTS.iter().map(|(name, _)| *name);
    at_requests.chain(MOMENTS.iter().map(|(name, ..)| *name))
}
