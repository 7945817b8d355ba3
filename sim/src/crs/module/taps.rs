//! Calls that wait for samples of a module.
//!
//! Each sample is made once. The stream, if there is one, and all waiting calls get the same
//! samples.

use std::ops::Range;

use twotone_physics::{Complex64, SampleFlags, units};

use super::Module;

/// First of the samples of an acquisition, and the flags of all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct First {
    /// Its time, s.
    pub(crate) seconds: f64,
    /// Sequence number of the packet that holds it in the stream.
    pub(crate) sequence: u32,
    pub(crate) flags: SampleFlags,
}

/// A tap: samples that are collected for a waiting call.
#[derive(Debug)]
pub(super) struct Tap {
    id: u64,
    n: usize,
    done: usize,
    pub(super) channels: Range<usize>,
    /// Tick and sequence number of the first sample.
    first: Option<(u64, u32)>,
    flags: SampleFlags,
    samples: Vec<Complex64>,
}

impl Tap {
    pub(super) fn left(&self) -> usize {
        self.n - self.done
    }

    /// Takes the samples that the call still needs from `n` new samples. `first` is the tick and
    /// the sequence number of the first new sample.
    pub(super) fn take(&mut self, first: (u64, u32), n: usize, made: &NewSamples<'_>) {
        let taken = n.min(self.left());
        if taken == 0 {
            return;
        }
        self.first.get_or_insert(first);
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

/// New samples, as `[channel][sample]`, flat.
pub(super) struct NewSamples<'a> {
    pub(super) channels: Range<usize>,
    pub(super) samples: &'a [Complex64],
    pub(super) flags: SampleFlags,
}

impl<'a> NewSamples<'a> {
    pub(super) fn row(&self, channel: usize, n: usize) -> Option<&'a [Complex64]> {
        let index = channel.checked_sub(self.channels.start)?;
        self.samples.get(index * n..(index + 1) * n)
    }
}

/// Result of an acquisition.
#[derive(Debug)]
pub(crate) struct Acquired {
    pub(crate) first: First,
    /// Samples as `[channel][sample]`, flat, in counts.
    pub(crate) samples: Vec<Complex64>,
}

/// Waiting calls.
impl Module {
    /// Begins to collect the next `n` samples of some channels. Returns a number for
    /// [`Module::untap`], and the time at which the last sample is due, s.
    pub(crate) fn tap(&mut self, n: usize, channels: Range<usize>) -> (u64, f64) {
        self.next_tap += 1;
        self.taps.push(Tap {
            id: self.next_tap,
            n,
            done: 0,
            samples: vec![Complex64::default(); channels.len() * n],
            channels,
            first: None,
            flags: SampleFlags::default(),
        });
        let last = (self.next_sample() + n as u64).saturating_sub(1) << self.stage;
        let ready = (last + 1) as f64 / units::TICK_RATE_HZ;
        (self.next_tap, ready)
    }

    /// Removes a tap and returns its samples. Samples that are not due yet are made now. Returns
    /// `None` if there is no such tap.
    pub(crate) fn untap(&mut self, id: u64) -> Option<Acquired> {
        let index = self.taps.iter().position(|tap| tap.id == id)?;
        self.make(self.taps[index].left(), None);
        let tap = self.taps.swap_remove(index);
        let (tick, sequence) = tap.first.unwrap_or((self.tick, 0));
        let first = First {
            seconds: tick as f64 / units::TICK_RATE_HZ,
            sequence,
            flags: tap.flags,
        };
        Some(Acquired {
            first,
            samples: tap.samples,
        })
    }

    /// Removes a tap and drops its samples.
    pub(crate) fn drop_tap(&mut self, id: u64) {
        self.taps.retain(|tap| tap.id != id);
    }
}
