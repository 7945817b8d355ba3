//! Changes that a batch makes on a module.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use twotone_hal::Epoch;

/// A setting of a module or of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    /// Absolute frequency in Hz.
    Nco,
    /// Frequency relative to the NCO, in Hz.
    Offset,
    /// Fraction of full scale.
    Amplitude,
    /// Phase of the carrier, in degrees.
    Phase,
    /// Phase of the demodulation, in degrees.
    Rotation,
}

impl Setting {
    /// The settings of a channel.
    pub(super) const OF_TONES: [Self; 4] =
        [Self::Offset, Self::Amplitude, Self::Phase, Self::Rotation];
}

/// A setting of one channel, or of the module as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// From 1; 0 for settings of the module as a whole.
    pub(super) channel: u16,
    pub(super) setting: Setting,
}

impl Key {
    pub(super) const NCO: Self = Self {
        channel: 0,
        setting: Setting::Nco,
    };

    pub(super) fn tone(channel: u16, setting: Setting) -> Self {
        Self { channel, setting }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.setting {
            Setting::Nco => return f.write_str("NCO"),
            Setting::Offset => "offset",
            Setting::Amplitude => "amplitude",
            Setting::Phase => "phase",
            Setting::Rotation => "rotation",
        };
        write!(f, "channel {}: {name}", self.channel)
    }
}

/// One change of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Change {
    Set(Key, f64),
    /// All tones are off.
    Clear,
}

/// Changes that a batch makes on its module, in order, and the outcome of the batch. The sender of
/// the batch, the reader of its answer, and the keeper of the module share them.
#[derive(Debug)]
pub(crate) struct Leaves {
    /// The epoch that the batch was written for.
    pub(super) epoch: Epoch,
    pub(super) changes: Vec<Change>,
    verdict: AtomicU8,
    /// The NCO in Hz as it was read back after it was set: the bits of a number, or of NaN.
    nco: AtomicU64,
}

/// Outcome of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its answer has not been read.
    Open,
    /// Every call of it was executed.
    RanThrough,
    /// It may have been executed in part, or nobody has read its answer.
    InDoubt,
}

impl Leaves {
    pub(super) fn new(epoch: Epoch, changes: Vec<Change>) -> Self {
        Self {
            epoch,
            changes,
            verdict: AtomicU8::new(Verdict::Open as u8),
            nco: AtomicU64::new(f64::NAN.to_bits()),
        }
    }

    /// True if it switches tones off, and nothing on. Such a batch is safe on any board.
    pub(crate) fn only_switches_off(&self) -> bool {
        let mut is_dark = false;
        let darkens = |change: &Change| match *change {
            Change::Clear => {
                is_dark = true;
                true
            }
            Change::Set(key, value) => match key.setting {
                Setting::Amplitude => value == 0.0,
                Setting::Offset | Setting::Phase | Setting::Rotation => is_dark,
                Setting::Nco => false,
            },
        };
        !self.changes.is_empty() && self.changes.iter().all(darkens)
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::Acquire) {
            open if open == Verdict::Open as u8 => Verdict::Open,
            ran if ran == Verdict::RanThrough as u8 => Verdict::RanThrough,
            _ => Verdict::InDoubt,
        }
    }

    /// The NCO in Hz after the batch, if the batch has set it and read it back.
    pub(super) fn nco(&self) -> Option<f64> {
        let nco = f64::from_bits(self.nco.load(Ordering::Acquire));
        nco.is_finite().then_some(nco)
    }
}

/// Sets the outcome of a batch while its answer is read. If it is dropped before
/// [`Judge::ran_through`], the batch is in doubt.
#[derive(Debug)]
pub(super) struct Judge(Arc<Leaves>);

impl Judge {
    pub(super) fn new(leaves: &Arc<Leaves>) -> Self {
        Self(Arc::clone(leaves))
    }

    /// Takes note of the NCO as it was read back after it was set.
    pub(super) fn found_nco(&self, nco: f64) {
        self.0.nco.store(nco.to_bits(), Ordering::Release);
    }

    /// Every call of it was executed.
    pub(super) fn ran_through(self) {
        self.speak(Verdict::RanThrough);
    }

    fn speak(&self, verdict: Verdict) {
        self.0.verdict.store(verdict as u8, Ordering::Release);
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        if self.0.verdict() == Verdict::Open {
            self.speak(Verdict::InDoubt);
        }
    }
}
