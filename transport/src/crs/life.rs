//! Epochs of a board, and the state of each module in the present epoch. An epoch is a period in
//! which the board keeps its settings. A survey is the properties that the board has reported. A
//! batch is a list of operations on the board.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use twotone_hal::{ChannelId, Epoch, ModuleId, PhaseEpoch, Result, ToneUpdate};

use super::describe::Survey;
use super::out_of_range::OutOfRange;
use super::survey;
use crate::continuity::Epochs;
use crate::{ConnectOptions, Connector};

/// Epochs of a board and its latest survey. All modules share them.
#[derive(Debug)]
pub(super) struct BoardLife {
    epochs: Epochs,
    latest: Mutex<Arc<Survey>>,
    renewing: tokio::sync::Mutex<()>,
}

impl BoardLife {
    pub(super) fn new(survey: Survey) -> Self {
        Self {
            epochs: Epochs::beginning_with(survey.epoch),
            latest: Mutex::new(Arc::new(survey)),
            renewing: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The latest survey of the board, from the present epoch or from an earlier one.
    pub(super) fn survey(&self) -> Arc<Survey> {
        Arc::clone(&self.latest())
    }

    /// Survey of the board in the present epoch. If there is none yet, one caller asks the board,
    /// and the others wait for its result.
    pub(super) async fn survey_now(
        &self,
        connector: &Connector,
        options: &ConnectOptions,
        runtime: &Handle,
    ) -> Result<Arc<Survey>> {
        let is_new = |survey: &Arc<Survey>| survey.epoch == self.epochs.present();
        if let Some(survey) = Some(self.survey()).filter(is_new) {
            return Ok(survey);
        }
        let _turn = self.renewing.lock().await;
        if let Some(survey) = Some(self.survey()).filter(is_new) {
            return Ok(survey);
        }
        let survey = survey::survey(connector, options, runtime, self.epochs.present()).await?;
        let survey = Arc::new(survey);
        *self.latest() = Arc::clone(&survey);
        Ok(survey)
    }

    fn latest(&self) -> MutexGuard<'_, Arc<Survey>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Record of a module. The writers of the module's batches and its
/// [`ModuleKeeper`](crate::continuity::ModuleKeeper) share the record.
#[derive(Debug)]
pub(super) struct ModuleMemory {
    /// The marker, which shows if the board has restarted: offset in Hz of the last channel, with
    /// no amplitude, while no caller uses the channel.
    marker_offset: f64,
    /// The latest epoch that was reported to callers who use the module, plus 1. It is 0 while no
    /// caller has used the module.
    known_to_callers: AtomicU64,
    written: Mutex<Written>,
    /// Values that were read back although they are outside the range that the board describes.
    pub(super) out_of_range: OutOfRange,
}

/// State of a module after all batches that have been written for it, sent or not.
#[derive(Debug)]
struct Written {
    epoch: Epoch,
    batch_state: BatchState,
    /// Number of batches that have been written.
    batches: u64,
}

impl ModuleMemory {
    pub(super) fn new(module: ModuleId, survey: &Survey) -> Self {
        // A random number, since a board that has lost its settings must not have this value by
        // chance.
        let draw = RandomState::new().hash_one(module.number());
        Self {
            marker_offset: 1e6 * (1.0 + (draw % 100_000_000) as f64 / 1e6),
            known_to_callers: AtomicU64::new(0),
            written: Mutex::new(Written {
                epoch: survey.epoch,
                batch_state: BatchState::new(survey, PhaseEpoch(0)),
                batches: 0,
            }),
            out_of_range: OutOfRange::default(),
        }
    }

    pub(super) fn marker_offset(&self) -> f64 {
        self.marker_offset
    }

    /// State of the module before a batch that is about to be written. If `survey` is of a later
    /// epoch than the state, the state begins anew.
    pub(super) fn batch_state(&self, survey: &Survey) -> BatchState {
        let mut written = self.written();
        if written.epoch < survey.epoch {
            let phase_epoch = PhaseEpoch(written.batch_state.phase_epoch.0 + 1);
            *written = Written {
                epoch: survey.epoch,
                batch_state: BatchState::new(survey, phase_epoch),
                ..*written
            };
        }
        written.batch_state
    }

    /// Records a batch that was written, with the state of the module after it. Returns the number
    /// of the batch.
    pub(super) fn note_written(&self, epoch: Epoch, batch_state: BatchState) -> u64 {
        let mut written = self.written();
        written.batches += 1;
        // A batch that was written for an epoch that is over is never sent, so it has no effect.
        if written.epoch == epoch {
            written.batch_state = batch_state;
        }
        written.batches
    }

    /// True if no batch has been written after the batch of this number.
    pub(super) fn is_last(&self, number: u64) -> bool {
        self.written().batches == number
    }

    /// Records that only the beginning of a batch was executed, after which the module is in the
    /// state `batch_state`. Does nothing if another batch was written after it.
    pub(super) fn note_stopped_at(&self, number: u64, epoch: Epoch, batch_state: BatchState) {
        let mut written = self.written();
        if written.batches == number && written.epoch == epoch {
            written.batch_state = batch_state;
        }
    }

    /// Reserves the last channel for the marker and returns true. Returns false if a caller has set
    /// the offset of that channel or switched the channel on, or if the state is of another epoch.
    pub(super) fn take_marker(&self, epoch: Epoch) -> bool {
        let mut written = self.written();
        let free = written.epoch == epoch && written.batch_state.marker != Marker::Callers;
        if free {
            written.batch_state.marker = Marker::Ours;
        }
        free
    }

    /// Records that a caller uses the module. The first caller begins in this epoch, so the end of
    /// an earlier epoch need not be reported to it.
    pub(super) fn note_use(&self, epoch: Epoch) {
        let _ = self.known_to_callers.compare_exchange(
            0,
            epoch.0 + 1,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// True if the end of an epoch must still be reported to the callers who use the module.
    pub(super) fn must_report(&self, epoch: Epoch) -> bool {
        let known_to_callers = self.known_to_callers.load(Ordering::Acquire);
        known_to_callers != 0 && known_to_callers <= epoch.0
    }

    /// Records that the end of the epoch before `epoch` was reported to the callers who use the
    /// module.
    pub(super) fn note_reported(&self, epoch: Epoch) {
        self.known_to_callers
            .fetch_max(epoch.0 + 1, Ordering::AcqRel);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// State of a module during a batch, as far as replies and later calls depend on it. The encoder of
/// the batch and the decoder of its answer compute the same sequence of states.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchState {
    last: ChannelId,
    marker: Marker,
    pub(super) phase_epoch: PhaseEpoch,
}

/// Owner of the offset of the last channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    /// Neither this client nor a caller has set the offset.
    Unset,
    /// This client: the offset is the marker.
    Ours,
    /// A caller: the offset is the caller's, or 0 if the caller has set only an amplitude.
    Callers,
}

impl BatchState {
    fn new(survey: &Survey, phase_epoch: PhaseEpoch) -> Self {
        Self {
            last: survey.last_channel(),
            marker: Marker::Unset,
            phase_epoch,
        }
    }

    /// The channel whose offset is the marker.
    pub(super) fn marker_channel(&self) -> ChannelId {
        self.last
    }

    /// Applies the update of a tone. Returns true if the offset must be set to 0 first, in place of
    /// the marker: the update switches the last channel on and has no offset.
    pub(super) fn update(&mut self, update: &ToneUpdate) -> bool {
        let turned_on = update.amplitude.is_some_and(|amplitude| amplitude != 0.0);
        if update.channel != self.last || !(turned_on || update.offset.is_some()) {
            return false;
        }
        let was = std::mem::replace(&mut self.marker, Marker::Callers);
        was == Marker::Ours && update.offset.is_none()
    }

    /// Applies the clearing of all tones, after which the marker is written again.
    pub(super) fn clear(&mut self) {
        self.marker = Marker::Ours;
    }

    /// Applies the setting of the NCO, with which a new phase epoch begins. In a phase epoch the
    /// module keeps its phase reference.
    pub(super) fn set_nco(&mut self) {
        self.phase_epoch.0 += 1;
    }
}
