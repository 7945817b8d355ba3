//! Queue of samples between a simulated module and its stream. A *row* has one sample of each
//! channel. A *run* is a number of consecutive rows that are made together.
//!
//! Most samples are made just before they are sent. Samples are made earlier, and kept in the
//! queue, if a setting is about to change or if a call takes them. All modules of a farm (a group
//! of simulated boards) share a limit on kept samples ([`Room`]).

use std::collections::VecDeque;
use std::sync::Arc;

use twotone_physics::{Complex64, units};
use twotone_wire::crs::STEPS_PER_COUNT;

use super::Module;
use super::pipeline::{MAX_BEHIND_S, Run, tick_at};
use super::taps::NewSamples;
use crate::board::stream::Room;

/// Number of samples, counted separately for each channel, that the stream of a module sends before
/// other streams are served: 16 packets of 1024 channels, which take a fraction of a millisecond.
const IN_TURN: usize = 16 * 1024;

/// State of the stream of a module after a turn, which is one call of [`Module::stream`]. The rows
/// are returned separately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Number of rows that were skipped since the previous turn.
    pub(crate) skipped: u64,
    /// True if more rows are due.
    pub(crate) is_behind: bool,
}

/// Samples for packets: each row is one packet.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) headers: Vec<RowHeader>,
    /// Samples of all rows, one row after the other, in integer steps of packets.
    pub(crate) samples: Vec<(i32, i32)>,
}

impl Rows {
    /// Removes all rows, and frees the memory beyond `keep` samples.
    pub(crate) fn clear(&mut self, keep: usize) {
        self.headers.clear();
        self.samples.clear();
        self.headers.shrink_to(keep);
        self.samples.shrink_to(keep);
    }

    /// Adds the rows of a run.
    pub(super) fn push(&mut self, run: &Run, channels: usize, made: &NewSamples<'_>) {
        let base = self.samples.len();
        self.samples
            .resize(base + run.n * channels, Default::default());
        for channel in 0..channels {
            let row = made.row(channel, run.n).unwrap_or_default();
            for (k, sample) in row.iter().enumerate() {
                self.samples[base + k * channels + channel] = on_the_wire(*sample);
            }
        }
        self.headers.extend((0..run.n as u64).map(|k| RowHeader {
            sequence: run.sequence.at(run.first + k),
            tick: (run.first + k) << run.stage,
            stage: run.stage,
            channels,
            overrange: made.flags.overrange,
        }));
    }
}

/// Fields of a row for the header of its packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowHeader {
    pub(crate) sequence: u32,
    pub(crate) tick: u64,
    pub(crate) stage: u8,
    pub(crate) channels: usize,
    pub(crate) overrange: bool,
}

/// Queue of rows that were made before they are sent.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) channels: usize,
    pub(super) skipped: u64,
    /// Rows in portions, the oldest first. A portion has at most [`IN_TURN`] samples, counted
    /// separately for each channel, or it is one longer run.
    kept: VecDeque<Rows>,
    room: Arc<Room>,
    /// True if samples were skipped and the stream has not caught up since.
    is_late: bool,
}

impl Outlet {
    /// True if `n` rows can be kept. A late stream keeps at most the rows of one turn. To make more
    /// rows would delay the calls that wait, and the rows would be too old to be sent.
    pub(super) fn has_room(&self, n: u64) -> bool {
        let n = n as usize;
        (!self.is_late || n <= IN_TURN / self.channels.max(1)) && self.room.has(n * self.channels)
    }

    /// Keeps the rows of a run, or skips them if the limit on kept samples is reached.
    pub(super) fn keep(&mut self, run: &Run, made: &NewSamples<'_>) {
        let samples = run.n * self.channels;
        if !self.room.take(samples) {
            self.skipped += run.n as u64;
            return;
        }
        let last = self.kept.back_mut();
        match last.filter(|last| last.samples.len() + samples <= IN_TURN) {
            Some(last) => last.push(run, self.channels, made),
            None => {
                let mut rows = Rows::default();
                rows.push(run, self.channels, made);
                self.kept.push_back(rows);
            }
        }
    }

    /// Moves the oldest kept rows to `rows`. Returns false if there are none.
    fn pop(&mut self, rows: &mut Rows) -> bool {
        let Some(kept) = self.kept.pop_front() else {
            return false;
        };
        self.room.give_back(kept.samples.len());
        *rows = kept;
        true
    }

    /// Skips all kept rows if the oldest row is older than `tick`.
    fn skip_before(&mut self, tick: u64) {
        let first = self.kept.front().and_then(|rows| rows.headers.first());
        if first.is_none_or(|header| header.tick >= tick) {
            return;
        }
        self.is_late = true;
        let mut rows = Rows::default();
        while self.pop(&mut rows) {
            self.skipped += rows.headers.len() as u64;
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let kept = self.kept.iter().map(|rows| rows.samples.len());
        self.room.give_back(kept.sum());
    }
}

/// Converts a sample to the integers that packets hold.
pub(crate) fn on_the_wire(sample: Complex64) -> (i32, i32) {
    // The addition of half a step makes the cast round to the nearest step. The cast clips values
    // out of range.
    let steps = |counts: f64| {
        let steps = counts * STEPS_PER_COUNT;
        (steps + 0.5_f64.copysign(steps)) as i32
    };
    (steps(sample.re), steps(sample.im))
}

/// Methods for the stream of the module.
impl Module {
    /// Writes to `rows` the rows that are due at the time `seconds`: kept rows if there are any,
    /// otherwise rows that are made now. A row has the first `channels` channels.
    pub(crate) fn stream(
        &mut self,
        channels: usize,
        seconds: f64,
        room: &Arc<Room>,
        rows: &mut Rows,
    ) -> Turn {
        rows.clear(IN_TURN);
        if self.outlet.is_none() {
            // The stream begins now.
            self.advance_to(seconds);
        }
        let tick = tick_at(seconds);
        let outlet = self.outlet.get_or_insert_with(|| Outlet {
            channels,
            skipped: 0,
            kept: VecDeque::new(),
            room: Arc::clone(room),
            is_late: false,
        });
        outlet.channels = channels;
        outlet.skip_before(tick_at(seconds - MAX_BEHIND_S));
        let had_kept = outlet.pop(rows);
        let most = (MAX_BEHIND_S * units::sample_rate_hz(self.stage)) as u64;
        let behind = self.behind(tick);
        let in_turn = (IN_TURN / channels.max(1)).max(1) as u64;
        if had_kept {
            // These rows are enough for one turn.
        } else if behind > most && !self.is_tapped() {
            self.skip(behind, tick);
            self.set_late(true);
        } else {
            self.make(behind.min(in_turn) as usize, Some(rows));
            if behind <= in_turn {
                self.tick = self.tick.max(tick);
                self.set_late(false);
            }
        }
        let is_behind = self.behind(tick) > 0;
        match &mut self.outlet {
            Some(outlet) => Turn {
                skipped: std::mem::take(&mut outlet.skipped),
                is_behind: is_behind || !outlet.kept.is_empty(),
            },
            None => Turn::default(),
        }
    }

    fn set_late(&mut self, is_late: bool) {
        if let Some(outlet) = &mut self.outlet {
            outlet.is_late = is_late;
        }
    }

    /// Ends the stream. Also drops the model of the detectors if no call needs it and no setting
    /// was ever changed, because a newly drawn model is the same.
    pub(crate) fn end_stream(&mut self) {
        if self.outlet.take().is_some() && !self.is_set && self.taps.is_empty() {
            self.model = None;
        }
    }
}

#[cfg(test)]
mod tests;
