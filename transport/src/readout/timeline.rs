//! Times of one module's samples, with their stamps compared with each other.
//!
//! A stamp can be in range field by field and wrong all the same: a clock that is set meanwhile,
//! that stands still, or whose second is renewed late. Sequence numbers count the samples, so that
//! the time between any two is known without a clock. A [`Timeline`] is a straight line through the
//! stamps that agree on it. A sample whose stamp agrees has the time of its stamp. A stamp that
//! does not agree is counted; its sample has the time of the line, which is [marked](TimeOrigin).
//!
//! ```no_run
//! # use std::time::Duration;
//! use twotone_transport::readout::{Receiver, Stamped, Timeline};
//!
//! # async fn f(mut receiver: Receiver) -> twotone_hal::Result<()> {
//! let (mut timeline, mut times) = (Timeline::new(), Vec::new());
//! for frame in receiver.recv(Duration::from_secs(1)).await? {
//!     // Frames of one module, one after the other.
//!     timeline.take(&Stamped::of(&frame, None), &mut |time| times.push(time));
//! }
//! timeline.settle(&mut |time| times.push(time));
//! println!("{times:?}, {:?}", timeline.findings());
//! # Ok(())
//! # }
//! ```

mod findings;
mod jump;
mod line;
mod start;

use twotone_hal::{TimeFindings, TimeOrigin};
use twotone_wire::crs::Stamp;

use self::findings::{clock_source, count_jump};
use self::line::Line;
use super::time::period_parts;
use super::{Frame, ModuleCounters, NoTime, SampleTime};

const PARTS: i64 = Stamp::PARTS_PER_SECOND as i64;

/// A time longer than any clock here can be off: more than two hundred years.
const FAR: i64 = 1 << 60;

/// Time of a sample, and its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JudgedTime {
    /// Time at which it was taken, the delay of the filters taken off.
    pub time: SampleTime,
    /// Origin of that time.
    pub origin: TimeOrigin,
}

/// A packet's number and stamp.
#[derive(Debug, Clone, Copy)]
pub struct Stamped {
    /// Its sequence number.
    pub sequence: u32,
    /// Number of packets left out just before it. They are a part of the sequence.
    pub lost_before: u64,
    /// Decimation stage, 0 to 7.
    pub stage: u8,
    /// The stamp.
    pub stamp: Stamp,
    /// Time at which it was received, by this computer's clock. Without it, the date is not
    /// judged.
    pub received: Option<SampleTime>,
}

impl Stamped {
    /// Number and stamp of a packet of the readout stream.
    pub fn of(frame: &Frame<'_>, received: Option<SampleTime>) -> Self {
        Self {
            sequence: frame.packet.sequence(),
            lost_before: frame.lost_before,
            stage: frame.packet.stage(),
            stamp: frame.packet.stamp(),
            received,
        }
    }
}

/// Judges the stamps of one module's packets, in their order. It has no clock of its own.
///
/// The stamps of the first tenth of a second decide the line: it goes through the largest group of
/// them that agree, if that has at least a quarter of them. Their times are given together after
/// that, later ones at once. The line follows a clock that runs by up to 200 parts in a million
/// faster or slower than the samples, and leap seconds.
///
/// After a step of the clock the line goes on as before: all times of a file are of one setting of
/// the clock. It is the setting that the line began with, unless its date is out of reach. The size
/// of the step is [found](TimeFindings::first_step). If the sequence numbers begin anew or the
/// decimation changes, a new line begins. So it does if the sequence numbers jump while the stamps
/// and the computer's clock go on, which is [counted](TimeFindings::sequence_jumps).
#[derive(Debug, Default)]
pub struct Timeline {
    /// The sequence number that follows, and the stage of the packet before.
    next: Option<(u32, u8)>,
    /// Position of the next sample, in samples since the run began.
    position: i64,
    /// Samples that no line is known for yet.
    waiting: Vec<Seen>,
    line: Option<Line>,
    /// The last stamp that was looked at.
    last: Option<Stamp>,
    /// Least time from stamp to reception of the packets of the line before.
    delay_before: Option<i64>,
    found: TimeFindings,
}

/// A sample that is to have a time.
#[derive(Debug, Clone, Copy)]
struct Seen {
    position: i64,
    sequence: u32,
    reading: Reading,
    received: Option<i64>,
    is_made_up: bool,
}

/// The reading of its stamp.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// Nothing.
    Nothing,
    /// The same as the one before, although a period has passed.
    Frozen,
    /// A time in parts of a second, and the second that the clock shows, a leap second apart.
    Time {
        time: i64,
        second: u32,
        is_leap: bool,
    },
}

impl Timeline {
    /// A timeline that has seen no packet yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next packet, and gives the times that are decided by now, one for each packet, in
    /// their order. `None` stands for a sample whose time is not known.
    pub fn take(&mut self, stamped: &Stamped, give: &mut impl FnMut(Option<JudgedTime>)) {
        let stage = stamped.stage & 7;
        let follows = stamped.sequence.wrapping_sub(stamped.lost_before as u32);
        let is_too_far = stamped.lost_before > u64::from(ModuleCounters::LONGEST_GAP);
        if self.next != Some((follows, stage)) || is_too_far {
            self.end_run(give);
        } else {
            self.position += stamped.lost_before as i64;
        }
        self.next = Some((stamped.sequence.wrapping_add(1), stage));
        let mut seen = self.read(stamped);
        if let Some(numbers) = self.jumped(&seen, stamped) {
            count_jump(&mut self.found, stamped.sequence, numbers);
            self.end_run(give);
            // The stamps that follow have a line of their own, whatever was lost.
            (seen.position, self.last) = (self.position, Some(stamped.stamp));
        }
        self.position += 1;
        match &mut self.line {
            Some(line) => give(line.judge(&seen, &mut self.found)),
            None => {
                self.waiting.push(seen);
                let first = self.waiting.first().map_or(0, |first| first.position);
                let window = start::window(period_parts(stage));
                let is_over = self.position - first >= 4 * window as i64;
                if self.waiting.len() >= window || is_over {
                    self.decide(give);
                }
            }
        }
    }

    /// Decides on the times that have not been given yet, when no more packets come.
    pub fn settle(&mut self, give: &mut impl FnMut(Option<JudgedTime>)) {
        if !self.waiting.is_empty() {
            self.decide(give);
        }
    }

    /// Findings of the stamps so far.
    pub fn findings(&self) -> TimeFindings {
        let delay = self.line.as_ref().and_then(|line| line.delay);
        let delay = delay.or(self.delay_before);
        let mut found = self.found;
        found.clock_offset_s = delay.map(|delay| -delay as f64 / PARTS as f64);
        found
    }

    /// Number of samples that cannot have been lost just before this one, if the sequence numbers
    /// have jumped.
    fn jumped(&self, seen: &Seen, stamped: &Stamped) -> Option<u64> {
        let left_out = i64::try_from(stamped.lost_before).ok()?;
        if left_out == 0 || seen.position == 0 {
            return None;
        }
        match &self.line {
            Some(line) => line.not_lost(seen, left_out),
            None => {
                let mut line = start::line(&self.waiting, period_parts(stamped.stage))?;
                self.waiting.iter().for_each(|seen| line.receive(seen));
                line.not_lost(seen, left_out)
            }
        }
    }

    /// Ends a run of sequence numbers. The number of packets lost until the next run begins is not
    /// known, so that only the computer's clock can show a step meanwhile.
    fn end_run(&mut self, give: &mut impl FnMut(Option<JudgedTime>)) {
        self.settle(give);
        let ended = self.line.take().and_then(|line| line.delay);
        self.delay_before = ended.or(self.delay_before);
        (self.position, self.last) = (0, None);
    }

    /// Reads a stamp by itself, without comparing it with the line.
    fn read(&mut self, stamped: &Stamped) -> Seen {
        let stamp = &stamped.stamp;
        let found = &mut self.found;
        let reading = match SampleTime::of_readout(stamp, stamped.stage) {
            Ok(_) if self.last == Some(*stamp) => {
                found.frozen += 1;
                Reading::Frozen
            }
            Ok(time) => {
                let second = 3600 * stamp.hour + 60 * stamp.minute + stamp.second;
                let is_leap = stamp.second == 60;
                // Zero is what time codes without these seconds send.
                let is_at_odds = ![0, second].contains(&stamp.second_of_day) && !is_leap;
                found.at_odds += u64::from(is_at_odds);
                let time = time.parts();
                Reading::Time {
                    time,
                    second,
                    is_leap,
                }
            }
            Err(why) => {
                match why {
                    NoTime::NotRecent => found.not_recent += 1,
                    NoTime::NoSuchDay { .. } | NoTime::Field { field: "day", .. } => {
                        found.no_such_day += 1;
                    }
                    NoTime::Field { .. } => found.out_of_range += 1,
                }
                Reading::Nothing
            }
        };
        if stamp.is_recent() {
            let source = clock_source(stamp.source());
            found.source_changes += u64::from(found.source.is_some_and(|before| before != source));
            found.source = Some(source);
        }
        self.last = Some(*stamp);
        Seen {
            position: self.position,
            sequence: stamped.sequence,
            reading,
            received: stamped.received.map(|time| time.parts().clamp(-FAR, FAR)),
            is_made_up: found.is_made_up(),
        }
    }

    /// Looks for a line through the samples that wait, and gives their times.
    fn decide(&mut self, give: &mut impl FnMut(Option<JudgedTime>)) {
        let period = self.next.map_or(1, |(_, stage)| period_parts(stage));
        let waiting = std::mem::take(&mut self.waiting);
        let line = start::line(&waiting, period);
        let Some(mut line) = line else {
            let readings = waiting.iter().map(|seen| seen.reading);
            let times = readings.filter(|reading| matches!(reading, Reading::Time { .. }));
            self.found.stray += times.count() as u64;
            self.found.timeless += waiting.len() as u64;
            waiting.iter().for_each(|_| give(None));
            return;
        };
        for seen in &waiting {
            give(line.judge(seen, &mut self.found));
        }
        if let (Some(before), Some(now)) = (self.delay_before.take(), line.delay) {
            line.compare(before - now, &waiting[0], &mut self.found);
        }
        self.line = Some(line);
    }
}

#[cfg(test)]
mod tests;
