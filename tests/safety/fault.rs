//! Faults of the safety test. Each happens at one request of a run to a board. A *run* executes an
//! algorithm on the boards and, if it fails or is cancelled, cleans up: it switches tones off or
//! restores them.

use std::time::Duration;

use twotone::sim::{ChannelFault, Conditions, DetectorFault};

use crate::message::Pace;
use crate::rig::CHANNELS;

/// A change of the simulated detectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    /// Conditions of the simulated detectors from the start of the run.
    pub(crate) before: fn() -> Conditions,
    /// Conditions from the request with the fault on.
    pub(crate) after: fn() -> Conditions,
}

impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        (self.before)() == (other.before)() && (self.after)() == (other.after)()
    }
}

/// A fault that begins at one request to a board. A request is a list of calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The request reaches the board late by this duration, and is answered.
    Slow(Duration),
    /// The connection is lost. The board never gets the request.
    Lost,
    /// The board executes the request. The connection is lost before anything of the answer has
    /// come.
    AnswerLost,
    /// The board executes the request. The connection is lost in the middle of the answer.
    AnswerCut,
    /// The answer comes in about 50 pieces.
    Pieces,
    /// The connection is lost. The board executes the request late by this duration.
    Late(Duration),
    /// The connection is lost. The network delivers the request twice, and the board executes it
    /// after each of these durations.
    LateTwice(Duration, Duration),
    /// For this duration, the board executes and answers nothing, on any connection.
    Silent(Duration),
    /// The connection is lost, and the board accepts no other for this duration.
    Gone(Duration),
    /// The board restarts and loses all settings, before it gets the request.
    Reboot,
    /// The first call of the request is refused, so the board executes nothing of the request.
    Refused,
    /// The board executes the first half of the request's calls, and refuses the next one.
    HalfRefused,
    /// The numbers in the answer are strings.
    WrongType,
    /// The numbers in the answer are NaN.
    NoNumbers,
    /// The board executes the request. Its answer is not valid JSON.
    Garbled,
    /// A gateway answers in the place of the board.
    Gateway,
    /// The answer is longer than the client accepts.
    TooLarge,
    /// The client's process is suspended for this duration, just before the request reaches the
    /// board.
    SuspendedBefore(Duration),
    /// The client's process is suspended for this duration, just after the answer has left the
    /// board.
    SuspendedAfter(Duration),
    /// From this request on, the board refuses every call that reads, and accepts settings.
    ReadsRefused,
    /// From this request on, every call that reads hangs. The board accepts settings.
    ReadsHang,
    /// From this request on, the board refuses everything.
    AllRefused,
    /// The board does not execute the request. The connection stays open without an answer.
    Hangs,
    /// The board executes the request. The connection stays open without an answer.
    AnswerHangs,
    /// From this request on, the board takes this duration for each request.
    SlowFromThenOn(Duration),
    /// The board reads the request at this rate.
    SlowReader(Pace),
    /// From this request on, all bytes pass at this rate.
    Narrow(Pace),
    /// The detectors change at the request.
    World(Change),
    /// The run is cancelled just before the request reaches the board.
    Cancelled,
    /// The run is cancelled just after the answer has left the board.
    CancelledAnswered,
    /// The run is cancelled and then abandoned at once. So it does not clean up either.
    Abandoned,
    /// The future of the run is dropped just before the request reaches the board.
    Dropped,
    /// The future of the run is dropped just after the answer has left the board.
    DroppedAnswered,
}

impl Fault {
    /// True if the link must use JSON. Only then can the fault read requests and edit answers.
    pub(crate) fn edits(self) -> bool {
        self.blinds()
            || matches!(
                self,
                Self::AllRefused | Self::HalfRefused | Self::WrongType | Self::NoNumbers
            )
    }

    /// True if the run cannot read any settings back after the fault.
    pub(crate) fn blinds(self) -> bool {
        matches!(self, Self::ReadsRefused | Self::ReadsHang)
    }

    /// True if the run cannot read its tones back before its deadline, or does not try to read them
    /// back.
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

/// Conditions in which all channels that the algorithms use have the fault `fault`.
fn channels(fault: ChannelFault) -> Conditions {
    Conditions {
        channel_faults: (0..usize::from(CHANNELS)).map(|at| (at, fault)).collect(),
        ..Conditions::default()
    }
}

/// Conditions in which the first detector has the fault `fault`.
fn detector(fault: DetectorFault) -> Conditions {
    Conditions {
        detector_faults: vec![(0, fault)],
        ..Conditions::default()
    }
}

/// Conditions in which the resonances of all detectors are 20 linewidths higher.
fn jump() -> Conditions {
    Conditions {
        common_shift_lw: 20.0,
        ..Conditions::default()
    }
}

/// Every fault at a request, with its name in `table.md`.
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

/// Ways in which a run ends at a moment between its requests. Each entry has the name in
/// `table.md`, the fault, and true if an earlier request of the run is lost.
pub(crate) const MOMENTS: &[(&str, Fault, bool)] = &[
    ("cancelled in between", Fault::Cancelled, false),
    ("abandoned in between", Fault::Abandoned, false),
    ("dropped in between", Fault::Dropped, false),
    ("lost, cancelled in between", Fault::Cancelled, true),
    ("lost, abandoned in between", Fault::Abandoned, true),
    ("lost, dropped in between", Fault::Dropped, true),
];

/// Number of moments at which each entry of [`MOMENTS`] is tried.
pub(crate) const EACH: u32 = 12;

/// Step between the moments at which a sample tries an entry of [`MOMENTS`].
pub(crate) const MOMENT_STRIDE: u32 = 3;

/// Names of all rows of a table in `table.md`, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let at_requests = FAULTS.iter().map(|(name, _)| *name);
    at_requests.chain(MOMENTS.iter().map(|(name, ..)| *name))
}
