//! Order of the packets of one stream, by their sequence numbers. A *position* is the place of a
//! packet in the stream: its sequence number, extended beyond 32 bits.

use std::time::Duration;

use super::ModuleCounters;

const MEMORY: i64 = ModuleCounters::MEMORY as i64;
const WORDS: usize = ModuleCounters::MEMORY as usize / 64;

/// Limits of the wait for a missing packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// Largest distance in positions: a missing packet counts as lost when a packet this many
    /// positions later has come. At least 1.
    pub(super) window: u32,
    /// Largest time: a missing packet counts as lost when a later packet has waited for it this
    /// long.
    pub(super) hold: Duration,
}

/// Place of the bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In this slot of the receive buffer.
    Given(u32),
    /// In the copy with this number: see [`Sink::keep`].
    Kept(u32),
}

/// Destination of the packets of a [`Sequencer`], and store of the packets that wait in it.
pub(super) trait Sink {
    /// Copies the present packet, which must wait for earlier ones, and returns the number of the
    /// copy.
    fn keep(&mut self) -> u32;
    /// Takes the next packet in order. `lost_before` positions were lost just before it.
    fn deliver(&mut self, place: Place, lost_before: u64);
}

/// Puts the packets of one stream in order.
///
/// Positions extend the sequence numbers beyond 32 bits: the low 32 bits of a position are its
/// sequence number.
#[derive(Debug)]
pub(super) struct Sequencer {
    patience: Patience,
    /// First position since the last restart; `None` before the first packet.
    first: Option<i64>,
    /// First position that is not settled: neither delivered nor lost.
    next: i64,
    /// Number of expected positions before the last restart.
    before: u64,
    /// Number of lost positions just before `next`.
    lost_run: u64,
    /// One bit for each of the last [`MEMORY`] positions. It is set if the position was lost and
    /// its packet has not come late.
    missing: [u64; WORDS],
    /// Packets from `next + 1` to `next + window - 1`, each at the index that is its position
    /// modulo the window.
    held: Vec<Option<Held>>,
    /// Evidence of a restart: the latest packets, if each of them was out of turn and their
    /// sequence numbers were consecutive. The two values are the sequence number that would come
    /// next, and how many of these packets were not late.
    suspect: Option<(u32, u32)>,
    counters: ModuleCounters,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    kept: u32,
    since: Duration,
}

impl Sequencer {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            first: None,
            next: 0,
            before: 0,
            lost_run: 0,
            missing: [0; WORDS],
            held: vec![None; patience.window.max(1) as usize],
            suspect: None,
            counters: ModuleCounters::default(),
        }
    }

    pub(super) fn counters(&self) -> ModuleCounters {
        let run = self.first.map_or(0, |first| (self.next - first) as u64);
        ModuleCounters {
            expected: self.before + run,
            ..self.counters
        }
    }

    /// Takes a packet that came at the time `now`. Its bytes are in slot `given` of the receive
    /// buffer.
    pub(super) fn offer(&mut self, sequence: u32, given: u32, now: Duration, sink: &mut impl Sink) {
        if self.first.is_none() {
            self.begin(sequence);
        }
        let ahead = i64::from(sequence.wrapping_sub(self.next as u32).cast_signed());
        let position = self.next + ahead;
        if ahead < 0 || ahead > i64::from(ModuleCounters::LONGEST_GAP) {
            return self.out_of_turn(sequence, position, given, sink);
        }
        self.suspect = None;
        let window = self.window();
        if ahead >= window {
            self.settle_until(position - window + 1, sink);
            self.drain(sink);
        }
        if position == self.next {
            self.deliver(Place::Given(given), sink);
            self.drain(sink);
            return;
        }
        let slot = self.slot(position);
        if self.held[slot].is_some() {
            self.counters.duplicate += 1;
            return;
        }
        let kept = sink.keep();
        self.held[slot] = Some(Held { kept, since: now });
        self.counters.held += 1;
    }

    /// Time at which the oldest held packet will have waited long enough.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.counters.held == 0 {
            return None;
        }
        let since = self.held.iter().flatten().map(|held| held.since).min();
        since.map(|since| since.saturating_add(self.patience.hold))
    }

    /// Counts as lost the positions for which a held packet has waited too long.
    pub(super) fn expire(&mut self, now: Duration, sink: &mut impl Sink) {
        let hold = self.patience.hold;
        self.flush(|held| now.saturating_sub(held.since) >= hold, sink);
    }

    /// Settles all positions up to the last held packet for which `done` is true, and delivers held
    /// packets that follow without a gap.
    fn flush(&mut self, done: impl Fn(&Held) -> bool, sink: &mut impl Sink) {
        if self.counters.held == 0 {
            return;
        }
        let mut window = self.next..self.next + self.window();
        let is_done = |position: &i64| self.held[self.slot(*position)].as_ref().is_some_and(&done);
        if let Some(position) = window.rfind(is_done) {
            self.settle_until(position, sink);
            self.drain(sink);
        }
    }

    fn window(&self) -> i64 {
        self.held.len() as i64
    }

    fn slot(&self, position: i64) -> usize {
        position.rem_euclid(self.window()) as usize
    }

    fn begin(&mut self, sequence: u32) {
        self.next = i64::from(sequence);
        self.first = Some(self.next);
        self.lost_run = 0;
        self.missing = [0; WORDS];
        self.suspect = None;
    }

    /// Takes a packet that is before the next position or more than the longest gap after it. It is
    /// late, a duplicate, stale, or a sign of a restart.
    fn out_of_turn(&mut self, sequence: u32, position: i64, given: u32, sink: &mut impl Sink) {
        let is_near = (self.next - MEMORY..self.next).contains(&position);
        let is_of_run = is_near && self.first.is_some_and(|first| position >= first);
        let is_late = is_of_run && self.forget_missing(position);
        let row = match self.suspect {
            Some((expected, row)) if expected == sequence => row,
            _ => 0,
        };
        // A late packet is no evidence of a restart: it fills a position that was lost.
        let row = row + u32::from(!is_late);
        self.suspect = Some((sequence.wrapping_add(1), row));
        let enough = if is_near {
            ModuleCounters::PROBATION.max(self.patience.window) + 1
        } else {
            ModuleCounters::PROBATION
        };
        if is_late {
            self.counters.late += 1;
        } else if row >= enough {
            self.restart(sequence, given, sink);
        } else if is_of_run {
            self.counters.duplicate += 1;
        } else {
            self.counters.stale += 1;
        }
    }

    fn restart(&mut self, sequence: u32, given: u32, sink: &mut impl Sink) {
        self.flush(|_| true, sink);
        let run = self.first.map_or(0, |first| (self.next - first) as u64);
        self.before += run;
        self.counters.restarts += 1;
        self.begin(sequence);
        self.deliver(Place::Given(given), sink);
    }

    /// Settles the positions before `end`: a held packet is delivered, and other positions are
    /// lost.
    fn settle_until(&mut self, end: i64, sink: &mut impl Sink) {
        let near = end.min(self.next + self.window());
        while self.next < near && self.counters.held > 0 {
            match self.take_held() {
                Some(kept) => self.deliver(Place::Kept(kept), sink),
                None => self.lose(self.next + 1),
            }
        }
        if self.next < end {
            self.lose(end);
        }
    }

    /// Delivers the held packets from the next position up to the first gap.
    fn drain(&mut self, sink: &mut impl Sink) {
        while self.counters.held > 0 {
            let Some(kept) = self.take_held() else {
                return;
            };
            self.deliver(Place::Kept(kept), sink);
        }
    }

    fn take_held(&mut self) -> Option<u32> {
        let slot = self.slot(self.next);
        let held = self.held[slot].take()?;
        self.counters.held -= 1;
        Some(held.kept)
    }

    fn deliver(&mut self, place: Place, sink: &mut impl Sink) {
        sink.deliver(place, self.lost_run);
        self.lost_run = 0;
        self.counters.received += 1;
        let (word, bit) = memory_of(self.next);
        self.missing[word] &= !bit;
        self.next += 1;
    }

    fn lose(&mut self, end: i64) {
        let lost = (end - self.next) as u64;
        self.counters.lost += lost;
        self.counters.gaps += u64::from(self.lost_run == 0);
        self.lost_run += lost;
        for position in self.next.max(end - MEMORY)..end {
            let (word, bit) = memory_of(position);
            self.missing[word] |= bit;
        }
        self.next = end;
    }

    /// Clears the mark of a lost position. Returns true if it was set: the packet is late, and not
    /// a duplicate.
    fn forget_missing(&mut self, position: i64) -> bool {
        let (word, bit) = memory_of(position);
        let was = self.missing[word] & bit != 0;
        self.missing[word] &= !bit;
        was
    }
}

fn memory_of(position: i64) -> (usize, u64) {
    let at = position.rem_euclid(MEMORY) as usize;
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests;
