//! A line through stamps: the time of each sample of a run, by one setting of the clock.

use super::findings::count_step;
use super::{JudgedTime, PARTS, Reading, Seen, TimeFindings, TimeOrigin};
use crate::readout::SampleTime;
use crate::readout::time::year_start;

/// Largest distance of a stamp from the line, as a part of a sampling period: much less than
/// a period, so that a sample more or less is noticed. And at most 100 us.
const JITTER_OF_PERIOD: i64 = 4;
const MOST_JITTER: i64 = PARTS / 10_000;
/// Largest rate at which a clock may run fast or slow against the samples: by one part in so many,
/// or 200 parts in a million. Oscillators of boards are good to some tens.
const DRIFT: i64 = 5000;
/// Largest rate at which the line follows its stamps: by one part in so many. It is more than
/// `DRIFT` allows, so that a clock that runs faster than that is told by what it gains in the long
/// run.
const FOLLOW: i64 = 1000;
/// Shortest time for which stamps are off the line alike after a step of the clock: longer than a
/// second may be renewed late, which is 20 ms.
pub(super) const STEP_LASTS: i64 = PARTS / 20;
/// Least number of samples in that time.
const STEP_SAMPLES: u32 = 8;
/// Largest distance of a date from this computer's clock: half a year. Beyond it another year would
/// fit better.
const REACH: i64 = 183 * DAY;
const DAY: i64 = 86_400 * PARTS;
/// Largest difference of the delays of two lines without a step: a busy computer may look at
/// packets so late.
pub(super) const LATE: i64 = 5 * PARTS;

/// Largest distance of a stamp from the line.
pub(super) fn jitter(period: i64) -> i64 {
    (period / JITTER_OF_PERIOD).min(MOST_JITTER)
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) period: i64,
    pub(super) jitter: i64,
    /// A point of it: position and time.
    pub(super) at: i64,
    pub(super) time: i64,
    /// The second that the last stamp showed, and true if it was a leap second.
    pub(super) second: u32,
    is_leap: bool,
    /// Distance of the clock from the line, since it was set.
    pub(super) clock: i64,
    /// Most that the line has lately gone forward and back in excess of what a clock may drift, in
    /// parts of a second times `DRIFT`.
    gained: [i64; 2],
    /// True if that is too much. The stamps are no times from then on.
    has_run_off: bool,
    /// Stamps that differ from the clock, if the last did.
    differing: Option<Differing>,
    date: Date,
    /// Least time from stamp to reception of its packets.
    pub(super) delay: Option<i64>,
    /// The same of late: it grows slowly, as the board's clock and this computer's may drift.
    pub(super) delay_lately: Option<i64>,
}

/// Stamps, one after the other, that are off the line by the same time.
#[derive(Debug, Clone, Copy)]
struct Differing {
    from: i64,
    sequence: u32,
    first: i64,
    last: i64,
    samples: u32,
}

/// The date, by the computer's clock.
#[derive(Debug, Clone, Copy)]
enum Date {
    Within,
    /// Only the year is wrong, and off by so many parts of a second.
    Year(i64),
    Beyond,
}

impl Line {
    /// The line through a stamp.
    pub(super) fn at(seen: &Seen, period: i64) -> Option<Self> {
        let Reading::Time {
            time,
            second,
            is_leap,
        } = seen.reading
        else {
            return None;
        };
        Some(Self {
            period,
            jitter: jitter(period),
            at: seen.position,
            time,
            second,
            is_leap,
            clock: 0,
            gained: [0; 2],
            has_run_off: false,
            differing: None,
            date: Date::of_line(time, seen),
            delay: None,
            delay_lately: None,
        })
    }

    /// The time of the next sample.
    pub(super) fn judge(&mut self, seen: &Seen, found: &mut TimeFindings) -> Option<JudgedTime> {
        let mut time = self.time + (seen.position - self.at) * self.period;
        self.receive(seen);
        let mut origin = TimeOrigin::Sequence;
        if let Reading::Time {
            time: stamped,
            second,
            is_leap,
        } = seen.reading
        {
            // The clock is put right against its time code once a second.
            let is_new = second != self.second;
            if self.is_leap
                && !is_leap
                && self.allows(time - PARTS + self.clock, stamped, seen, is_new)
            {
                // The second after a leap second has the same times.
                time -= PARTS;
                self.time -= PARTS;
                found.leap_seconds += 1;
            }
            let off = stamped - time;
            let is_nearer = off.abs() <= (off - self.clock).abs();
            if !self.has_run_off && is_nearer && self.allows(time, stamped, seen, is_new) {
                self.follow(seen, time, off, is_new, found);
                (time, origin) = (stamped, TimeOrigin::Stamp);
                self.differs(seen, 0, is_new, found);
            } else if self.differs(seen, off, is_new, found) {
                (time, origin) = (stamped, TimeOrigin::Stamp);
            }
            if self.has_run_off {
                self.time += (seen.position - self.at) * self.period;
                self.at = seen.position;
            }
            (self.second, self.is_leap) = (second, is_leap);
        }
        self.dated(time, origin, found)
    }

    /// Takes note of the time from a sample to the reception of its packet.
    pub(super) fn receive(&mut self, seen: &Seen) {
        let Some(received) = seen.received else {
            return;
        };
        let delay = received - self.time - (seen.position - self.at) * self.period;
        let least = |before: Option<i64>| before.map_or(delay, |before| delay.min(before));
        self.delay = Some(least(self.delay));
        let grown = self
            .delay_lately
            .map(|lately| lately + self.period / FOLLOW);
        self.delay_lately = Some(least(grown));
    }

    /// True if a stamp agrees with a time of the line.
    fn allows(&self, time: i64, stamped: i64, seen: &Seen, is_new: bool) -> bool {
        let passed = (seen.position - self.at).abs() * self.period;
        (stamped - time).abs() <= self.jitter + drift(passed, is_new)
    }

    /// Goes through a stamp that agrees, as far as a clock may be put right. A clock has run off
    /// once the line has gone farther than a clock may drift and be put right, by stamps that
    /// differ by no more than they may.
    fn follow(&mut self, seen: &Seen, time: i64, off: i64, is_new: bool, found: &mut TimeFindings) {
        let passed = (seen.position - self.at).abs() * self.period;
        let most = drift(passed, is_new).max(passed / FOLLOW + 1);
        let moved = off.clamp(-most, most);
        self.time = time + moved;
        self.at = seen.position;
        let [forward, back] = self.gained;
        // The larger of each sum and zero is the most that any stretch of time until now adds up
        // to.
        self.gained = [(forward, moved), (back, -moved)]
            .map(|(gained, moved)| (gained + moved * DRIFT - passed).max(0));
        let most = 2 * self.jitter + drift(PARTS, true);
        if self.gained.iter().any(|gained| *gained > most * DRIFT) {
            self.has_run_off = true;
            found.drifts += 1;
        }
    }

    /// Takes note of the distance of a stamp from the line, and of a step once it lasts. True if
    /// the line goes through the stamp from now on.
    fn differs(&mut self, seen: &Seen, off: i64, is_new: bool, found: &mut TimeFindings) -> bool {
        let run_off = self.run_off((seen.position - self.at) * self.period);
        let most = self.jitter + drift(self.period, is_new) + run_off;
        let near = |other: i64| (off - other).abs() <= most;
        if near(self.clock) {
            let is_on_line = self.clock == 0 && !self.has_run_off;
            self.clock = if is_on_line { 0 } else { off };
            self.differing = None;
            return false;
        }
        let mut run = match self.differing {
            Some(run) if near(run.last) => run,
            _ => Differing {
                from: seen.position,
                sequence: seen.sequence,
                first: off,
                last: off,
                samples: 0,
            },
        };
        (run.last, run.samples) = (off, run.samples + 1);
        self.differing = Some(run);
        // A stamp on the line is no stray.
        found.stray += u64::from(off != 0);
        let lasted = (seen.position - run.from) * self.period;
        if lasted < STEP_LASTS || run.samples < STEP_SAMPLES {
            return false;
        }
        if run.last != 0 {
            found.stray -= u64::from(run.samples);
        }
        let drifted = run.last - run.first;
        let is_drift = drifted.abs() > jitter(self.period) / 8 + drift(lasted, false);
        // A clock that has run off was counted before.
        if is_drift && !self.has_run_off {
            found.drifts += 1;
        } else {
            count_step(found, run.sequence, run.first - self.clock);
        }
        (self.clock, self.differing) = (run.last, None);
        // If the dates of this line differ from the stamps, the line begins anew.
        let is_undated = !matches!(self.date, Date::Within);
        if is_undated {
            self.begin_at(seen, run.last);
        }
        is_undated
    }

    /// Distance that a clock that has run off may go on to run off while so much time passes.
    pub(super) fn run_off(&self, passed: i64) -> i64 {
        if self.has_run_off { passed / FOLLOW } else { 0 }
    }

    /// Goes through the clock as it is now.
    fn begin_at(&mut self, seen: &Seen, off: i64) {
        self.time += (seen.position - self.at) * self.period + off;
        self.at = seen.position;
        self.clock = 0;
        (self.gained, self.has_run_off) = ([0; 2], false);
        self.date = Date::of_line(self.time, seen);
        (self.delay, self.delay_lately) = (None, None);
    }

    /// Reports a step between two lines: the decrease of the delay of their packets.
    pub(super) fn compare(&self, off: i64, first: &Seen, found: &mut TimeFindings) {
        if off.abs() > LATE {
            count_step(found, first.sequence, off);
        }
    }

    /// A time, with its date as far as that is known.
    fn dated(&self, time: i64, origin: TimeOrigin, found: &mut TimeFindings) -> Option<JudgedTime> {
        let (time, origin) = match (self.date, origin) {
            (Date::Within, _) => (time, origin),
            (Date::Year(off), TimeOrigin::Stamp) => (time + off, TimeOrigin::Year),
            (Date::Year(off), _) => (time + off, origin),
            (Date::Beyond, _) => {
                found.out_of_reach += 1;
                found.timeless += 1;
                return None;
            }
        };
        found.out_of_reach += u64::from(matches!(self.date, Date::Year(_)));
        found.reconstructed += u64::from(origin != TimeOrigin::Stamp);
        let time = SampleTime::of_parts(time);
        Some(JudgedTime { time, origin })
    }
}

impl Date {
    fn of_line(time: i64, seen: &Seen) -> Self {
        match seen.received {
            // A time that the board makes up can be any.
            Some(received) if !seen.is_made_up => Self::of(time, received),
            _ => Self::Within,
        }
    }

    fn of(time: i64, received: i64) -> Self {
        if (time - received).abs() <= REACH {
            return Self::Within;
        }
        let year = |time: i64| {
            let year = time.div_euclid(365 * DAY + DAY / 4);
            if time < year_start(year) {
                year - 1
            } else {
                year
            }
        };
        let of_year = time - year_start(year(time));
        let now = year(received);
        let years = [now - 1, now, now + 1].map(|year| year_start(year) + of_year - time);
        let off = |by: &i64| (time + by - received).abs();
        match years.into_iter().min_by_key(off) {
            Some(by) if off(&by) <= DAY => Self::Year(by),
            _ => Self::Beyond,
        }
    }
}

/// Largest drift of a clock while so many parts of a second pass, or within a second if it is put
/// right after that.
pub(super) fn drift(passed: i64, is_put_right: bool) -> i64 {
    let since = if is_put_right {
        passed.max(PARTS)
    } else {
        passed
    };
    since / DRIFT + 1
}
