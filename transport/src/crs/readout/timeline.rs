//! Times of the samples of one module, from a comparison of their time stamps.
//!
//! A stamp can be wrong although each field is in range: the clock may be set meanwhile, may stand
//! still, or may count each second some milliseconds late. Sequence numbers count the samples, so
//! that the time between two samples is known without a clock. A [`Timeline`] fits a straight line
//! to the stamps: time against sequence number. A sample whose stamp agrees with the line has the
//! time of its stamp. A stamp that does not agree is counted, and its sample has the time of the
//! line, with a different [origin](TimeOrigin).
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
use super::{Frame, ModuleCounters, NoTime, SampleTime, Spacing};

const PARTS: i64 = Stamp::PARTS_PER_SECOND as i64;

/// A time that is longer than any error of a clock: more than two hundred years, in parts of a
/// second. Differences of times within this limit do not overflow.
const FAR: i64 = 1 << 60;

/// Time of a sample, with its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JudgedTime {
    /// Time at which the sample was taken, corrected for the delay of the filters.
    pub time: SampleTime,
    /// Origin of the time.
    pub origin: TimeOrigin,
}

/// Sequence number and time stamp of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Stamped {
    /// Sequence number of the packet.
    pub sequence: u32,
    /// Number of packets that were lost or left out just before this one. The sequence numbers
    /// include them.
    pub lost_before: u64,
    /// Spacing of the packets, and delay of their stamps.
    pub spacing: Spacing,
    /// Time stamp of the packet.
    pub stamp: Stamp,
    /// Time at which the packet was received, by the clock of this computer. Without it, the date
    /// of the stamps is not checked, and jumps of the sequence numbers are not found.
    pub received: Option<SampleTime>,
}

impl Stamped {
    /// Sequence number and time stamp of a packet of the readout stream.
    pub fn of(frame: &Frame<'_>, received: Option<SampleTime>) -> Self {
        Self {
            sequence: frame.packet.sequence(),
            lost_before: frame.lost_before,
            spacing: Spacing::Stage(frame.packet.stage()),
            stamp: frame.packet.stamp(),
            received,
        }
    }

    /// Number of the first sample of the packet, by which findings name it. It is the sequence
    /// number if a packet has one sample.
    fn first_sample(&self) -> u32 {
        self.sequence.wrapping_mul(self.spacing.samples())
    }
}

/// Determines the times of the samples of one module from its packets, in their order. It reads no
/// clock itself.
///
/// A packet may have several samples of each channel (see [`Spacing`]). Times are then those of the
/// first sample of each packet, counts are numbers of packets, and sequence numbers in findings are
/// numbers of samples.
///
/// The stamps of the first tenth of a second determine the line: it goes through the largest group
/// of stamps that agree with each other, if the group has at least a quarter of all stamps. The
/// times of these first samples are returned together, and later times immediately. The line
/// follows leap seconds, and a clock that drifts from the samples by up to 200 parts in a million.
///
/// After a step of the clock the line continues as before, so that all times of a recording refer
/// to one setting of the clock: the first one, unless its date is wrong. The size of the step is
/// [recorded](TimeFindings::first_step). A new line begins if the sequence numbers begin anew or
/// the spacing of the packets changes. A new line also begins if the sequence numbers jump while
/// the stamps and the clock of the computer do not, which is
/// [counted](TimeFindings::sequence_jumps).
#[derive(Debug, Default)]
pub struct Timeline {
    /// Expected sequence number of the next packet, and the spacing of the last one.
    next: Option<(u32, Spacing)>,
    /// Position of the next sample, in samples since the beginning of the run of sequence numbers.
    position: i64,
    /// Samples before the line is known.
    waiting: Vec<Seen>,
    line: Option<Line>,
    /// The last stamp that was read.
    last: Option<Stamp>,
    /// Shortest time from stamp to reception of the packets of the previous line.
    delay_before: Option<i64>,
    found: TimeFindings,
}

/// A sample whose time is to be determined.
#[derive(Debug, Clone, Copy)]
struct Seen {
    position: i64,
    sequence: u32,
    reading: Reading,
    received: Option<i64>,
    /// True if the board generates the time of its stamps itself, for tests.
    is_made_up: bool,
}

/// Content of a stamp.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The stamp has no valid time.
    Nothing,
    /// The stamp is the same as the one before, although a period has passed.
    Frozen,
    /// A time in parts of a second (of 6.4 ns) since 2000, with the second of the day that the
    /// clock shows. `is_leap` is true in a leap second.
    Time {
        time: i64,
        second: u32,
        is_leap: bool,
    },
}

impl Timeline {
    /// Timeline without packets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next packet, and calls `give` once for each packet whose time is now known, in the
    /// order of the packets. The argument is `None` if the time of a sample cannot be determined.
    pub fn take(&mut self, stamped: &Stamped, give: &mut impl FnMut(Option<JudgedTime>)) {
        let spacing = stamped.spacing;
        let follows = stamped.sequence.wrapping_sub(stamped.lost_before as u32);
        let is_too_far = stamped.lost_before > u64::from(ModuleCounters::LONGEST_GAP);
        if self.next != Some((follows, spacing)) || is_too_far {
            self.end_run(give);
        } else {
            self.position += stamped.lost_before as i64;
        }
        self.next = Some((stamped.sequence.wrapping_add(1), spacing));
        let mut seen = self.read(stamped);
        if let Some(numbers) = self.jumped(&seen, stamped) {
            count_jump(&mut self.found, seen.sequence, numbers);
            self.end_run(give);
            // The following stamps have a line of their own, so the number of lost packets does not
            // matter.
            (seen.position, self.last) = (self.position, Some(stamped.stamp));
        }
        self.position += 1;
        match &mut self.line {
            Some(line) => give(line.judge(&seen, &mut self.found)),
            None => {
                self.waiting.push(seen);
                let first = self.waiting.first().map_or(0, |first| first.position);
                let window = start::window(spacing.period_parts());
                let is_over = self.position - first >= 4 * window as i64;
                if self.waiting.len() >= window || is_over {
                    self.decide(give);
                }
            }
        }
    }

    /// Determines the remaining times, when no more packets come.
    pub fn settle(&mut self, give: &mut impl FnMut(Option<JudgedTime>)) {
        if !self.waiting.is_empty() {
            self.decide(give);
        }
    }

    /// Findings about the stamps so far.
    pub fn findings(&self) -> TimeFindings {
        let delay = self.line.as_ref().and_then(|line| line.delay);
        let delay = delay.or(self.delay_before);
        let mut found = self.found;
        found.clock_offset_s = delay.map(|delay| -delay as f64 / PARTS as f64);
        found
    }

    /// Number of the missing packets before this one that were never sent. `None` if the sequence
    /// numbers have not jumped.
    fn jumped(&self, seen: &Seen, stamped: &Stamped) -> Option<u64> {
        let left_out = i64::try_from(stamped.lost_before).ok()?;
        if left_out == 0 || seen.position == 0 {
            return None;
        }
        match &self.line {
            Some(line) => line.not_lost(seen, left_out),
            None => {
                let mut line = start::line(&self.waiting, stamped.spacing.period_parts())?;
                self.waiting.iter().for_each(|seen| line.receive(seen));
                line.not_lost(seen, left_out)
            }
        }
    }

    /// Ends a run of sequence numbers. The number of packets before the next run is not known, so
    /// that only the clock of this computer can show a step of the board's clock between the runs.
    fn end_run(&mut self, give: &mut impl FnMut(Option<JudgedTime>)) {
        self.settle(give);
        let ended = self.line.take().and_then(|line| line.delay);
        self.delay_before = ended.or(self.delay_before);
        (self.position, self.last) = (0, None);
    }

    /// Reads a stamp without comparing it with the line.
    fn read(&mut self, stamped: &Stamped) -> Seen {
        let stamp = &stamped.stamp;
        let found = &mut self.found;
        let reading = match stamped.spacing.time_of(stamp) {
            Ok(_) if self.last == Some(*stamp) => {
                found.frozen += 1;
                Reading::Frozen
            }
            Ok(time) => {
                let second = 3600 * stamp.hour + 60 * stamp.minute + stamp.second;
                let is_leap = stamp.second == 60;
                // Time codes without the second of the day send zero.
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
            sequence: stamped.first_sample(),
            reading,
            received: stamped.received.map(|time| time.parts().clamp(-FAR, FAR)),
            is_made_up: found.is_made_up(),
        }
    }

    /// Fits a line to the waiting samples and determines their times.
    fn decide(&mut self, give: &mut impl FnMut(Option<JudgedTime>)) {
        let period = self.next.map_or(1, |(_, spacing)| spacing.period_parts());
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
