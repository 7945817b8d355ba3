//! Faults of simulated boards.
//!
//! A fault is a small type that decides what happens at a few points of the exchange between a
//! board and its client. A new fault is a file in `kinds`, with a type that implements [`Rule`] and
//! [`Describe`], and a line in the list of `kinds.rs`.
//!
//! A schedule gives the time at which a fault acts as a number of calls to the board, not in
//! seconds, so that a test hits the same operation on every machine. Faults of the sample streams
//! count the packets of each stream of a module instead. A [`FaultScript`] can also give times in
//! seconds.

mod chance;
mod kinds;
mod rule;
mod script;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use kinds::*;
pub use rule::{
    ConsoleSender, Describe, Description, FlashStep, OnAnswer, OnCall, OnClock, OnConnect,
    OnConsole, OnFlash, OnPacket, OnRequest, Packet, Rule,
};
pub(crate) use script::Window;
pub use script::{FaultScript, ScriptError};

impl Fault {
    /// True for a fault of the sample streams.
    pub(crate) fn counts_packets(&self) -> bool {
        self.rule().counts_packets()
    }

    /// Schedules this fault for `count` calls, from call `first` of the board on (counted from 0).
    /// For a fault of the sample streams, both are numbers of packets.
    pub fn during(self, first: u64, count: u64) -> Scheduled {
        Scheduled {
            fault: self,
            first,
            count: Some(count),
        }
    }

    /// Schedules this fault from call `first` of the board on (counted from 0), without end. For a
    /// fault of the sample streams, `first` is the number of a packet.
    pub fn from_call(self, first: u64) -> Scheduled {
        Scheduled {
            fault: self,
            first,
            count: None,
        }
    }
}

/// A fault and the calls on which it acts.
///
/// Calls are counted from 0 at the start of the farm. A reboot of the board does not reset the
/// count, and calls of `Sim`, an object that only simulated boards have, are not counted. A fault
/// of connections, of whole requests or of the flash acts if the number of the next call is in the
/// range. A fault of answers acts if the number of the last call is in the range. Faults of the
/// sample streams count the packets of each stream of a module in place of calls, from 0 at its
/// first packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The fault.
    pub fault: Fault,
    /// Number of the first call on which the fault acts.
    #[serde(default)]
    pub first: u64,
    /// Number of calls on which the fault acts, or `None` for all calls from the first one on.
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

/// Faults of one board. At each point, the first fault that changes anything decides. Faults are
/// asked in the order in which they were added, those with a window of time last.
#[derive(Debug, Default, Clone)]
pub(crate) struct FaultSet {
    scheduled: Vec<Scheduled>,
    /// Faults of a script whose window has begun, with the numbers of the windows.
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

    /// Adds a fault that [`FaultSet::close`] removes, by the number of its window.
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

    pub(crate) fn on_flash(&self, step: FlashStep, call: u64) -> OnFlash {
        self.acting(call)
            .map(|(rule, _)| rule.on_flash(step))
            .find(|verdict| *verdict != OnFlash::Work)
            .unwrap_or(OnFlash::Work)
    }

    pub(crate) fn on_console(&self, sender: ConsoleSender, nth: u64, call: u64) -> OnConsole {
        self.acting(call)
            .map(|(rule, _)| rule.on_console(sender, nth))
            .find(|verdict| *verdict != OnConsole::Pass)
            .unwrap_or(OnConsole::Pass)
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
