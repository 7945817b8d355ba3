//! A clock that shows another date.

use serde::{Deserialize, Serialize};

use crate::fault::{Describe, OnClock, OnPacket, Packet, Rule};

/// The time stamps of packets show another date. Only packets have this error: the method
/// `get_timestamp` of the board returns the right date.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockDate {
    /// Wrong year of the century; `None` if the year is right.
    #[serde(default)]
    pub year: Option<u32>,
    /// Wrong day of the year; `None` if the day is right. The year need not have this day.
    #[serde(default)]
    pub day: Option<u32>,
}

impl Rule for ClockDate {
    fn on_packet(&self, _packet: &Packet) -> OnPacket {
        let (year, day) = (self.year, self.day);
        OnPacket::Clock(OnClock::Date { year, day })
    }

    fn counts_packets(&self) -> bool {
        true
    }
}

impl Describe for ClockDate {
    const NAME: &'static str = "clock-date";
    const KEYS: &'static str = "`year`: of the century; `day`: of the year; right by default";
    const ABOUT: &'static str =
        "stamps show another date, such as a day that the year does not have";
}
