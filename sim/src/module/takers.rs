//! Who takes the samples of a module.
//!
//! Samples are made once and go to everybody who wants them: to the stream,
//! if the module has one, and to calls that wait for theirs.

use std::ops::Range;

use twotone_physics::{Complex64, SampleFlags, units};
use twotone_wire::crs::STEPS_PER_COUNT;

use super::Module;
use super::pipeline::Sequence;

/// Samples for a call that waits for them.
#[derive(Debug)]
pub(super) struct Tap {
    id: u64,
    n: usize,
    done: usize,
    pub(super) channels: Range<usize>,
    first_tick: Option<u64>,
    flags: SampleFlags,
    samples: Vec<Complex64>,
}

impl Tap {
    pub(super) fn left(&self) -> usize {
        self.n - self.done
    }

    /// Takes the first of `n` samples of the channels `made`.
    pub(super) fn take(&mut self, tick: u64, n: usize, made: &Made<'_>) {
        let taken = n.min(self.left());
        if taken == 0 {
            return;
        }
        self.first_tick.get_or_insert(tick);
        self.flags.overrange |= made.flags.overrange;
        for (index, channel) in self.channels.clone().enumerate() {
            let Some(row) = made.row(channel, n) else {
                continue;
            };
            let at = index * self.n + self.done;
            self.samples[at..at + taken].copy_from_slice(&row[..taken]);
        }
        self.done += taken;
    }
}

/// Samples just made, channel by channel.
pub(super) struct Made<'a> {
    pub(super) channels: Range<usize>,
    pub(super) samples: &'a [Complex64],
    pub(super) flags: SampleFlags,
}

impl<'a> Made<'a> {
    fn row(&self, channel: usize, n: usize) -> Option<&'a [Complex64]> {
        let index = channel.checked_sub(self.channels.start)?;
        self.samples.get(index * n..(index + 1) * n)
    }
}

/// What was acquired.
#[derive(Debug)]
pub(crate) struct Acquired {
    /// Time of the first sample, s.
    pub(crate) start_s: f64,
    pub(crate) flags: SampleFlags,
    /// Channel by channel, counts.
    pub(crate) samples: Vec<Complex64>,
}

/// Samples on their way out of a module, one row a packet.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) heads: Vec<Head>,
    /// The rows of all heads, one after the other, in steps of the wire.
    pub(crate) samples: Vec<(i32, i32)>,
}

impl Rows {
    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.samples.clear();
    }
}

/// What a packet says of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: u32,
    pub(crate) tick: u64,
    pub(crate) stage: u8,
    pub(crate) channels: usize,
    pub(crate) overrange: bool,
}

/// The module's end of its stream.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    pub(super) channels: usize,
    pub(super) rows: Rows,
    pub(super) skipped: u64,
}

impl Outlet {
    pub(super) fn push(
        &mut self,
        first: u64,
        n: usize,
        stage: u8,
        sequence: Sequence,
        made: &Made<'_>,
    ) {
        let base = self.rows.samples.len();
        self.rows
            .samples
            .resize(base + n * self.channels, Default::default());
        for channel in 0..self.channels {
            let row = made.row(channel, n).unwrap_or_default();
            for (k, sample) in row.iter().enumerate() {
                self.rows.samples[base + k * self.channels + channel] = on_the_wire(*sample);
            }
        }
        self.rows.heads.extend((0..n as u64).map(|k| Head {
            sequence: sequence.at(first + k),
            tick: (first + k) << stage,
            stage,
            channels: self.channels,
            overrange: made.flags.overrange,
        }));
    }
}

/// A sample as packets have it.
pub(crate) fn on_the_wire(sample: Complex64) -> (i32, i32) {
    // Rounds, and holds what is too large at the ends of the range.
    let steps = |counts: f64| {
        let steps = counts * STEPS_PER_COUNT;
        (steps + 0.5_f64.copysign(steps)) as i32
    };
    (steps(sample.re), steps(sample.im))
}

/// Calls that wait.
impl Module {
    /// Begins to take the next `n` samples of some channels. Gives a number
    /// for [`Module::untap`], and when they will have been taken, s.
    pub(crate) fn tap(&mut self, n: usize, channels: Range<usize>) -> (u64, f64) {
        self.next_tap += 1;
        self.taps.push(Tap {
            id: self.next_tap,
            n,
            done: 0,
            samples: vec![Complex64::default(); channels.len() * n],
            channels,
            first_tick: None,
            flags: SampleFlags::default(),
        });
        let last = (self.next_sample() + n as u64).saturating_sub(1) << self.stage;
        let ready = (last + 1) as f64 / units::TICK_RATE_HZ;
        (self.next_tap, ready)
    }

    /// Takes the samples of a tap. What time has not brought of them yet is
    /// made at once. None where there is no such tap.
    pub(crate) fn untap(&mut self, id: u64) -> Option<Acquired> {
        let index = self.taps.iter().position(|tap| tap.id == id)?;
        self.make(self.taps[index].left());
        let tap = self.taps.swap_remove(index);
        Some(Acquired {
            start_s: tap.first_tick.unwrap_or(self.tick) as f64 / units::TICK_RATE_HZ,
            flags: tap.flags,
            samples: tap.samples,
        })
    }

    /// Gives up a tap.
    pub(crate) fn drop_tap(&mut self, id: u64) {
        self.taps.retain(|tap| tap.id != id);
    }
}

/// The stream.
impl Module {
    /// Keeps all samples of the first `channels` channels from now on, for
    /// the stream.
    pub(crate) fn stream(&mut self, channels: usize) {
        self.outlet.get_or_insert_default().channels = channels;
    }

    /// Keeps no more samples.
    pub(crate) fn end_stream(&mut self) {
        self.outlet = None;
    }

    /// Gives the rows made since the last time in place of `rows`, and how
    /// many were left out.
    pub(crate) fn take_rows(&mut self, rows: &mut Rows) -> u64 {
        rows.clear();
        let Some(outlet) = &mut self.outlet else {
            return 0;
        };
        std::mem::swap(&mut outlet.rows, rows);
        std::mem::take(&mut outlet.skipped)
    }
}
