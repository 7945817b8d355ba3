//! Faults that a simulated board can be given.
//!
//! A fault is a small type that decides what happens at a few points of the
//! exchange between a board and its client. A new fault is a type with a
//! [`Rule`] in one of the files beside this one, and a variant of [`Fault`].
//!
//! The time at which a fault acts is counted in calls that the board has been
//! sent, not in seconds, so that a test hits the same operation on every
//! machine. Faults of the sample streams count the packets of a module instead.

mod board;
mod clock;
mod link;
mod packet;
mod reply;
mod rule;
mod script;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

pub use board::{ErrorOnCall, Hang, Reboot};
pub use clock::{ClockDate, ClockLateSecond, ClockStep, ClockStop};
pub use link::{BlackHole, CloseMidAnswer, Refuse, Slow};
pub use packet::{
    PacketCorrupt, PacketDuplicate, PacketLoss, PacketReorder, StaleStamps, WrongSerial,
};
pub use reply::{HugeAnswer, NotTuber, ServerError, WrongType};
pub use rule::{OnAnswer, OnCall, OnClock, OnConnect, OnPacket, OnRequest, Packet, Rule};
pub(crate) use script::Window;
pub use script::{FaultScript, ScriptError};

/// All kinds of faults. In a [`FaultScript`], `kind` is the name of the type,
/// as in `kind = "close-mid-answer"`, with the fields of the type beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fault {
    /// The port is closed.
    Refuse(Refuse),
    /// Connections are accepted and never answered.
    BlackHole(BlackHole),
    /// The connection ends in the middle of an answer.
    CloseMidAnswer(CloseMidAnswer),
    /// Every request waits before it is run.
    Slow(Slow),
    /// A web server of some other kind answers.
    NotTuber(NotTuber),
    /// Every request is answered with status 500.
    ServerError(ServerError),
    /// A method's result is of the wrong type.
    WrongType(WrongType),
    /// The answer is larger than any client should accept.
    HugeAnswer(HugeAnswer),
    /// A method never returns.
    Hang(Hang),
    /// A method fails.
    ErrorOnCall(ErrorOnCall),
    /// The board restarts, with its settings lost.
    Reboot(Reboot),
    /// Packets of the streams are lost.
    PacketLoss(PacketLoss),
    /// Packets of the streams arrive twice.
    PacketDuplicate(PacketDuplicate),
    /// Packets of the streams arrive late.
    PacketReorder(PacketReorder),
    /// Packets of the streams arrive corrupted.
    PacketCorrupt(PacketCorrupt),
    /// Stamps of the streams are not recent.
    StaleStamps(StaleStamps),
    /// The clock that stamps packets is set to another time.
    ClockStep(ClockStep),
    /// That clock stands still.
    ClockStop(ClockStop),
    /// That clock shows each second late.
    ClockLateSecond(ClockLateSecond),
    /// That clock shows another date.
    ClockDate(ClockDate),
    /// Packets of the streams carry another board's serial number.
    WrongSerial(WrongSerial),
}

impl Fault {
    fn rule(&self) -> &dyn Rule {
        match self {
            Self::Refuse(rule) => rule,
            Self::BlackHole(rule) => rule,
            Self::CloseMidAnswer(rule) => rule,
            Self::Slow(rule) => rule,
            Self::NotTuber(rule) => rule,
            Self::ServerError(rule) => rule,
            Self::WrongType(rule) => rule,
            Self::HugeAnswer(rule) => rule,
            Self::Hang(rule) => rule,
            Self::ErrorOnCall(rule) => rule,
            Self::Reboot(rule) => rule,
            Self::PacketLoss(rule) => rule,
            Self::PacketDuplicate(rule) => rule,
            Self::PacketReorder(rule) => rule,
            Self::PacketCorrupt(rule) => rule,
            Self::StaleStamps(rule) => rule,
            Self::ClockStep(rule) => rule,
            Self::ClockStop(rule) => rule,
            Self::ClockLateSecond(rule) => rule,
            Self::ClockDate(rule) => rule,
            Self::WrongSerial(rule) => rule,
        }
    }

    /// This fault, acting from the board's `first` call on (counted from 0),
    /// for `count` calls.
    #[must_use]
    pub fn during(self, first: u64, count: u64) -> Scheduled {
        Scheduled {
            fault: self,
            first,
            count: Some(count),
        }
    }

    /// This fault, acting from the board's `first` call on (counted from 0).
    #[must_use]
    pub fn from_call(self, first: u64) -> Scheduled {
        Scheduled {
            fault: self,
            first,
            count: None,
        }
    }
}

macro_rules! kinds {
    ($($name:ident $kind:literal),* $(,)?) => {
        impl Fault {
            /// Names of the faults in a script.
            pub const KINDS: &[&str] = &[$($kind),*];

            /// Reads the fields of a fault of a kind. Returns `None` if there is no
            /// such kind.
            fn read<'de, D: Deserializer<'de>>(
                kind: &str,
                fields: D,
            ) -> Option<Result<Self, D::Error>> {
                match kind {
                    $($kind => Some($name::deserialize(fields).map(Self::$name)),)*
                    _ => None,
                }
            }
        }
        $(
            impl From<$name> for Fault {
                fn from(rule: $name) -> Self { Self::$name(rule) }
            }
            impl From<$name> for Scheduled {
                fn from(rule: $name) -> Self { Fault::$name(rule).into() }
            }
        )*
    };
}

kinds!(
    Refuse "refuse",
    BlackHole "black-hole",
    CloseMidAnswer "close-mid-answer",
    Slow "slow",
    NotTuber "not-tuber",
    ServerError "server-error",
    WrongType "wrong-type",
    HugeAnswer "huge-answer",
    Hang "hang",
    ErrorOnCall "error-on-call",
    Reboot "reboot",
    PacketLoss "packet-loss",
    PacketDuplicate "packet-duplicate",
    PacketReorder "packet-reorder",
    PacketCorrupt "packet-corrupt",
    StaleStamps "stale-stamps",
    ClockStep "clock-step",
    ClockStop "clock-stop",
    ClockLateSecond "clock-late-second",
    ClockDate "clock-date",
    WrongSerial "wrong-serial",
);

/// A fault and the calls during which it acts.
///
/// Calls of all methods of the board are counted from 0 since the board
/// started, except those of the simulator's own object. A fault of the
/// connection or of a whole request acts while the number of the next call is
/// in the range. Faults of the streams count packets in place of calls: those
/// of each module, from 0 since the board started to send them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The fault.
    pub fault: Fault,
    /// The first call that it acts on.
    #[serde(default)]
    pub first: u64,
    /// Number of calls that it acts on, or `None` for all that follow.
    #[serde(default)]
    pub count: Option<u64>,
}

impl From<Fault> for Scheduled {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            first: 0,
            count: None,
        }
    }
}

impl Scheduled {
    fn acts_on(&self, call: u64) -> bool {
        call >= self.first && self.count.is_none_or(|count| call - self.first < count)
    }
}

/// The faults of one board. At each point, the first that does anything decides.
#[derive(Debug, Default, Clone)]
pub(crate) struct FaultSet {
    scheduled: Vec<Scheduled>,
    /// Faults whose window in a script is open, with the numbers of the windows.
    windowed: Vec<(u64, Scheduled)>,
}

impl FaultSet {
    pub(crate) fn new(scheduled: Vec<Scheduled>) -> Self {
        Self {
            scheduled,
            windowed: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, scheduled: Scheduled) {
        self.scheduled.push(scheduled);
    }

    /// Adds a fault that [`FaultSet::close`] removes.
    pub(crate) fn open(&mut self, window: u64, scheduled: Scheduled) {
        self.windowed.push((window, scheduled));
    }

    pub(crate) fn close(&mut self, window: u64) {
        self.windowed.retain(|(other, _)| *other != window);
    }

    pub(crate) fn clear(&mut self) {
        self.scheduled.clear();
        self.windowed.clear();
    }

    fn acting(&self, call: u64) -> impl Iterator<Item = (&dyn Rule, u64)> {
        self.scheduled
            .iter()
            .chain(self.windowed.iter().map(|(_, scheduled)| scheduled))
            .filter(move |scheduled| scheduled.acts_on(call))
            .map(move |scheduled| (scheduled.fault.rule(), call - scheduled.first))
    }

    pub(crate) fn on_connect(&self, call: u64) -> OnConnect {
        self.acting(call)
            .map(|(rule, _)| rule.on_connect())
            .find(|verdict| *verdict != OnConnect::Serve)
            .unwrap_or(OnConnect::Serve)
    }

    pub(crate) fn on_request(&self, call: u64) -> OnRequest {
        self.acting(call)
            .map(|(rule, _)| rule.on_request())
            .find(|verdict| *verdict != OnRequest::Run)
            .unwrap_or(OnRequest::Run)
    }

    pub(crate) fn on_call(&self, method: &str, call: u64) -> OnCall {
        self.acting(call)
            .map(|(rule, nth)| rule.on_call(method, nth))
            .find(|verdict| *verdict != OnCall::Run)
            .unwrap_or(OnCall::Run)
    }

    pub(crate) fn on_answer(&self, call: u64, answer: &Bytes) -> OnAnswer {
        self.acting(call)
            .map(|(rule, _)| rule.on_answer(answer))
            .find(|verdict| *verdict != OnAnswer::Send)
            .unwrap_or(OnAnswer::Send)
    }

    pub(crate) fn on_packet(&self, packet: &Packet) -> OnPacket {
        self.acting(packet.nth)
            .map(|(rule, _)| rule.on_packet(packet))
            .find(|verdict| *verdict != OnPacket::Send)
            .unwrap_or(OnPacket::Send)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fault_acts_on_its_calls_alone() {
        let fault = Fault::from(ErrorOnCall::any("no good")).during(3, 2);
        let set = FaultSet::new(vec![fault]);
        let acted: Vec<bool> = (0..7)
            .map(|call| set.on_call("set_frequency", call) != OnCall::Run)
            .collect();
        assert_eq!(acted, [false, false, false, true, true, false, false]);
    }

    #[test]
    fn the_first_fault_that_acts_decides() {
        let set = FaultSet::new(vec![
            Slow { delay_ms: 5 }.into(),
            ServerError {}.into(),
            Hang {
                method: "get_samples".into(),
            }
            .into(),
        ]);
        assert_eq!(
            set.on_request(0),
            OnRequest::RunAfter(Duration::from_millis(5))
        );
        assert_eq!(set.on_call("get_samples", 0), OnCall::Hang);
        assert_eq!(set.on_call("set_phase", 0), OnCall::Run);
    }

    #[test]
    fn a_fault_is_written_as_data() {
        let scheduled = Fault::from(Slow { delay_ms: 20 }).from_call(7);
        let text = toml::to_string(&scheduled).unwrap();
        assert_eq!(toml::from_str::<Scheduled>(&text).unwrap(), scheduled);
        assert!(toml::from_str::<Scheduled>("fault = { kind = \"slow\", delay = 1 }").is_err());
    }
}
