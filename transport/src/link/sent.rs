//! Changes of settings by a request, and its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use twotone_hal::{Change, Epoch, Hertz, ToneUpdate};

/// Changes that a request makes to the settings of its module, in order, and the outcome of the
/// request. The sender of the request, the decoder of its answer, and the [`Keeper`](super::Keeper)
/// of the module share this value.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The epoch of the board ([`Epoch`]) that the request was written for.
    pub(crate) epoch: Epoch,
    pub(crate) changes: Vec<Change>,
    outcome: AtomicU8,
    /// NCO in Hz as it was read back after it was set, as the bits of an `f64`. NaN if it was not
    /// set, or not read back yet.
    nco: AtomicU64,
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer has not been read yet.
    Open,
    /// All operations of the request were executed.
    Executed,
    /// The request may have been executed in part, or its answer will never be read.
    Unknown,
}

impl Sent {
    pub(crate) fn new(epoch: Epoch, changes: Vec<Change>) -> Self {
        Self {
            epoch,
            changes,
            outcome: AtomicU8::new(Outcome::Open as u8),
            nco: AtomicU64::new(f64::NAN.to_bits()),
        }
    }

    /// True if the request switches tones off and changes nothing else. Such a request is safe
    /// whatever the state of the board.
    pub(crate) fn only_switches_off(&self) -> bool {
        let mut all_are_off = false;
        let is_safe = |change: &Change| match change {
            Change::ClearTones => {
                all_are_off = true;
                true
            }
            Change::Tone(update) => switches_off(update, all_are_off),
            Change::Nco(_) | Change::Anything => false,
        };
        !self.changes.is_empty() && self.changes.iter().all(is_safe)
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.outcome.load(Ordering::Acquire) {
            open if open == Outcome::Open as u8 => Outcome::Open,
            executed if executed == Outcome::Executed as u8 => Outcome::Executed,
            _ => Outcome::Unknown,
        }
    }

    /// NCO after the request, if the request has set it and read it back.
    pub(crate) fn nco(&self) -> Option<Hertz> {
        let nco = f64::from_bits(self.nco.load(Ordering::Acquire));
        nco.is_finite().then_some(Hertz(nco))
    }
}

/// True if an update leaves a tone off. Other settings may change only if the tone `is_off` before,
/// since they would alter a tone that is on.
fn switches_off(update: &ToneUpdate, is_off: bool) -> bool {
    let others = update.offset.is_some() || update.phase.is_some() || update.rotation.is_some();
    update.amplitude.is_none_or(|amplitude| amplitude == 0.0) && (is_off || !others)
}

/// Writer of the outcome of a request, while its answer is read. If it is dropped before
/// [`OutcomeWriter::executed`], the outcome is unknown.
#[derive(Debug)]
pub(crate) struct OutcomeWriter(Arc<Sent>);

impl OutcomeWriter {
    pub(crate) fn new(sent: &Arc<Sent>) -> Self {
        Self(Arc::clone(sent))
    }

    /// Records the NCO as it was read back after it was set.
    pub(crate) fn found_nco(&self, nco: Hertz) {
        self.0.nco.store(nco.0.to_bits(), Ordering::Release);
    }

    /// Records that every operation of the request was executed.
    pub(crate) fn executed(self) {
        self.set(Outcome::Executed);
    }

    fn set(&self, outcome: Outcome) {
        self.0.outcome.store(outcome as u8, Ordering::Release);
    }
}

impl Drop for OutcomeWriter {
    fn drop(&mut self) {
        if self.0.outcome() == Outcome::Open {
            self.set(Outcome::Unknown);
        }
    }
}
