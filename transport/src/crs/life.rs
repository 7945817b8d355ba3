//! Epochs of a board, and the memory of each module in them.

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

/// The epochs of a board, and the latest survey of it. All modules share it.
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

    /// The latest survey of the board, of this epoch or of an earlier one.
    pub(super) fn survey(&self) -> Arc<Survey> {
        Arc::clone(&self.latest())
    }

    /// The survey of the board in this epoch. The board is asked if nobody has asked it since the
    /// last epoch ended, by one caller at a time.
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

/// Memory of a module, shared by the writers of its batches and by its keeper.
#[derive(Debug)]
pub(super) struct ModuleMemory {
    /// The marker: offset in Hz of the last channel, with no amplitude, while nobody uses it.
    marker_offset: f64,
    /// One more than the latest epoch that the users of the module know of, 0 while it has none.
    told: AtomicU64,
    written: Mutex<Written>,
    /// Values that were read back although the board describes no such value.
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
        // Any number that a board which has lost its settings would not hold by chance.
        let draw = RandomState::new().hash_one(module.number());
        Self {
            marker_offset: 1e6 * (1.0 + (draw % 100_000_000) as f64 / 1e6),
            told: AtomicU64::new(0),
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

    /// State of the module at the beginning of a batch that is written now, for the board as
    /// `survey` has it.
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

    /// Takes note of a batch that was written, and of the state of the module after it. Returns the
    /// number of the batch.
    pub(super) fn note_written(&self, epoch: Epoch, batch_state: BatchState) -> u64 {
        let mut written = self.written();
        written.batches += 1;
        // Written for an epoch that is over, it is never sent.
        if written.epoch == epoch {
            written.batch_state = batch_state;
        }
        written.batches
    }

    /// True if nothing has been written behind the batch of this number.
    pub(super) fn is_last(&self, number: u64) -> bool {
        self.written().batches == number
    }

    /// Takes note of a batch that was executed only up to the state `batch_state`. If another batch
    /// was written behind it, nothing changes.
    pub(super) fn note_stopped_at(&self, number: u64, epoch: Epoch, batch_state: BatchState) {
        let mut written = self.written();
        if written.batches == number && written.epoch == epoch {
            written.batch_state = batch_state;
        }
    }

    /// Takes the last channel for the marker, and returns true, if no caller has written anything
    /// for that channel.
    pub(super) fn take_marker(&self, epoch: Epoch) -> bool {
        let mut written = self.written();
        let free = written.epoch == epoch && written.batch_state.marker != Marker::Callers;
        if free {
            written.batch_state.marker = Marker::Ours;
        }
        free
    }

    /// Takes note that the module is used. Its first user knows of this epoch.
    pub(super) fn uses(&self, epoch: Epoch) {
        let _ = self
            .told
            .compare_exchange(0, epoch.0 + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// True if the users of the module have yet to be told that an epoch has ended.
    pub(super) fn must_report(&self, epoch: Epoch) -> bool {
        let told = self.told.load(Ordering::Acquire);
        told != 0 && told <= epoch.0
    }

    /// Takes note that the users of the module have been told.
    pub(super) fn reported(&self, epoch: Epoch) {
        self.told.fetch_max(epoch.0 + 1, Ordering::AcqRel);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// State of a module during a batch, as far as replies and later calls depend on it. The writer of
/// the batch and the reader of its answer go through the same states.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchState {
    last: ChannelId,
    marker: Marker,
    pub(super) phase_epoch: PhaseEpoch,
}

/// Owner of the frequency of the last channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    /// Not that of this client, as far as its batches go.
    Unset,
    /// The marker.
    Ours,
    /// The frequency that a caller has set, or 0 if the caller has set none.
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

    /// The channel whose frequency is the marker.
    pub(super) fn marker_channel(&self) -> ChannelId {
        self.last
    }

    /// Follows the update of a tone. Returns true if its offset must be set to 0 before: the update
    /// switches the last channel on without an offset, and its caller does not know of the marker.
    pub(super) fn update(&mut self, update: &ToneUpdate) -> bool {
        let turned_on = update.amplitude.is_some_and(|amplitude| amplitude != 0.0);
        if update.channel != self.last || !(turned_on || update.offset.is_some()) {
            return false;
        }
        let was = std::mem::replace(&mut self.marker, Marker::Callers);
        was == Marker::Ours && update.offset.is_none()
    }

    /// Follows the clearing of the tones, after which the marker is written again.
    pub(super) fn clear(&mut self) {
        self.marker = Marker::Ours;
    }

    /// Follows the setting of the NCO.
    pub(super) fn set_nco(&mut self) {
        self.phase_epoch.0 += 1;
    }
}
