//! A straight line through the time stamps of a board: the time of each sample of a run of sequence
//! numbers, by one setting of the clock.

use super::findings::count_step;
use super::{JudgedTime, PARTS, Reading, Seen, TimeFindings, TimeOrigin};
use crate::crs::readout::SampleTime;
use crate::crs::readout::time::year_start;

/// Largest distance of a stamp from the line, as a divisor of the sampling period: a quarter of the
/// period, so that one missing sample is noticed. The distance is limited to [`MOST_JITTER`], which
/// is 100 us.
const JITTER_OF_PERIOD: i64 = 4;
const MOST_JITTER: i64 = PARTS / 10_000;
/// Largest drift of a clock against the samples, as a divisor: one part in 5000, which is 200 parts
/// in a million. Oscillators of boards have some tens of parts in a million.
const DRIFT: i64 = 5000;
/// Largest rate at which the line follows its stamps, as a divisor. It is faster than the drift
/// that `DRIFT` allows. So the line follows a clock that drifts too fast, and the accumulated
/// excess shows this drift.
const FOLLOW: i64 = 1000;
/// Shortest time for which stamps must have the same distance from the line to count as a step of
/// the clock. It is longer than the 20 ms by which a clock may be late in counting a second.
pub(super) const STEP_LASTS: i64 = PARTS / 20;
/// Smallest number of stamps with the same distance from the line that count as a step of the
/// clock.
const STEP_SAMPLES: u32 = 8;
/// Largest difference of a date from the clock of this computer: half a year. Beyond it, the same
/// date in another year is nearer.
const REACH: i64 = 183 * DAY;
const DAY: i64 = 86_400 * PARTS;
/// Largest difference, without a step of the clock, of the delays of two lines. A delay is the time
/// from the stamp of a packet to its reception. A busy computer may read packets this late.
pub(super) const LATE: i64 = 5 * PARTS;

/// Largest distance of a stamp from the line.
pub(super) fn jitter(period: i64) -> i64 {
    (period / JITTER_OF_PERIOD).min(MOST_JITTER)
}

#[derive(Debug)]
pub(super) struct Line {
    pub(super) period: i64,
    pub(super) jitter: i64,
    /// A point of the line: position and time.
    pub(super) at: i64,
    pub(super) time: i64,
    /// The second of the day of the last stamp; `is_leap` is true if it was a leap second.
    pub(super) second: u32,
    is_leap: bool,
    /// Distance of the clock from the line: 0 until the clock is set.
    pub(super) clock: i64,
    /// Accumulated movement of the line, forward and back, in excess of the drift that is allowed;
    /// never below 0. In parts of a second times `DRIFT`.
    gained: [i64; 2],
    /// True if the accumulated movement is too large. From then on, the stamps are not used.
    has_run_off: bool,
    /// Latest run of stamps that differ from the clock. `None` if the last stamp agrees.
    differing: Option<Differing>,
    date: Date,
    /// Shortest time from the stamp of a packet to its reception.
    pub(super) delay: Option<i64>,
    /// As `delay`, for recent packets: the value grows slowly, to allow for a drift between the
    /// clocks of the board and of this computer.
    pub(super) recent_delay: Option<i64>,
}

/// Consecutive stamps with the same distance from the line.
#[derive(Debug, Clone, Copy)]
struct Differing {
    from: i64,
    sequence: u32,
    first: i64,
    last: i64,
    samples: u32,
}

/// Result of the comparison of the date with the clock of this computer.
#[derive(Debug, Clone, Copy)]
enum Date {
    Within,
    /// Only the year is wrong. The number of parts of a second corrects it.
    Year(i64),
    Beyond,
}

impl Line {
    /// Line through one stamp. `None` if the stamp has no valid time.
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
            recent_delay: None,
        })
    }

    /// Determines the time of the next sample.
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
            // Boards correct their clocks by the time code once a second, so the first stamp of a
            // second may differ by more.
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

    /// Records the time from a sample to the reception of its packet.
    pub(super) fn receive(&mut self, seen: &Seen) {
        let Some(received) = seen.received else {
            return;
        };
        let delay = received - self.time - (seen.position - self.at) * self.period;
        let least = |before: Option<i64>| before.map_or(delay, |before| delay.min(before));
        self.delay = Some(least(self.delay));
        let grown = self
            .recent_delay
            .map(|lately| lately + self.period / FOLLOW);
        self.recent_delay = Some(least(grown));
    }

    /// True if the time `stamped` of a stamp agrees with `time`, the time of the line for its
    /// sample.
    fn allows(&self, time: i64, stamped: i64, seen: &Seen, is_new: bool) -> bool {
        let passed = (seen.position - self.at).abs() * self.period;
        (stamped - time).abs() <= self.jitter + drift(passed, is_new)
    }

    /// Moves the line towards a stamp that agrees with it, by at most the correction that a clock
    /// may make. Many small movements may add up to one that is too large. The clock has *run off*
    /// once the accumulated movement exceeds the drift and the corrections that are allowed.
    fn follow(&mut self, seen: &Seen, time: i64, off: i64, is_new: bool, found: &mut TimeFindings) {
        let passed = (seen.position - self.at).abs() * self.period;
        let most = drift(passed, is_new).max(passed / FOLLOW + 1);
        let moved = off.clamp(-most, most);
        self.time = time + moved;
        self.at = seen.position;
        let [forward, back] = self.gained;
        // A sum that is never below zero is the largest sum over any interval that ends now.
        self.gained = [(forward, moved), (back, -moved)]
            .map(|(gained, moved)| (gained + moved * DRIFT - passed).max(0));
        let most = 2 * self.jitter + drift(PARTS, true);
        if self.gained.iter().any(|gained| *gained > most * DRIFT) {
            self.has_run_off = true;
            found.drifts += 1;
        }
    }

    /// Records the distance of a stamp from the line. Records a step of the clock once the stamps
    /// have had this distance for long enough. Returns true if the line begins again at this stamp.
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
        // A stamp on the line is not counted as a stray one.
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
        // If the clock has run off, its drift was counted before.
        if is_drift && !self.has_run_off {
            found.drifts += 1;
        } else {
            count_step(found, run.sequence, run.first - self.clock);
        }
        (self.clock, self.differing) = (run.last, None);
        // If the date of the line is wrong, the line begins again: the new setting of the clock may
        // have the right date.
        let is_undated = !matches!(self.date, Date::Within);
        if is_undated {
            self.begin_at(seen, run.last);
        }
        is_undated
    }

    /// Largest further movement, in the time `passed`, of a clock that has run off; 0 for others.
    pub(super) fn run_off(&self, passed: i64) -> i64 {
        if self.has_run_off { passed / FOLLOW } else { 0 }
    }

    /// Begins the line again at the present setting of the clock.
    fn begin_at(&mut self, seen: &Seen, off: i64) {
        self.time += (seen.position - self.at) * self.period + off;
        self.at = seen.position;
        self.clock = 0;
        (self.gained, self.has_run_off) = ([0; 2], false);
        self.date = Date::of_line(self.time, seen);
        (self.delay, self.recent_delay) = (None, None);
    }

    /// Counts a step of the clock between two lines. `off` is the decrease of the delay of packets
    /// from one line to the next.
    pub(super) fn compare(&self, off: i64, first: &Seen, found: &mut TimeFindings) {
        if off.abs() > LATE {
            count_step(found, first.sequence, off);
        }
    }

    /// The time with its date corrected, or `None` if the date is not known.
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
            // A time that the board generates itself can have any date.
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

/// Largest drift of a clock in the time `passed`, in parts of a second. If the time code has just
/// corrected the clock (`is_put_right`), the result is at least the drift in one second.
pub(super) fn drift(passed: i64, is_put_right: bool) -> i64 {
    let since = if is_put_right {
        passed.max(PARTS)
    } else {
        passed
    };
    since / DRIFT + 1
}
