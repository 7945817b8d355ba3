//! Wrapper that writes nothing to its board.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use twotone_hal::{
    Batch, Board, BoardHandle, ChannelId, Error, ErrorKind, Hertz, ModuleId, NcoState, Op,
    PhaseEpoch, Replies, RepliesBuilder, Result, ToneFields, ToneState, ToneUpdate, async_trait,
};

use super::shadow::is_known;

/// Writes nothing to its board. Settings are stored in the wrapper and read back from it. At first
/// all tones are off and each NCO is at the middle of its range. The description, the clock and the
/// housekeeping are read from the board. The tones do not exist, so there are no samples: an
/// acquisition fails with [`ErrorKind::Unsupported`], after the operations before it in its batch.
#[derive(Debug)]
pub struct DryRun {
    board: BoardHandle,
    modules: Mutex<BTreeMap<ModuleId, Module>>,
}

#[derive(Debug)]
struct Module {
    nco: Hertz,
    phase_epoch: PhaseEpoch,
    tones: BTreeMap<ChannelId, ToneUpdate>,
}

impl DryRun {
    /// Makes a dry run of `board`.
    pub fn new(board: BoardHandle) -> Self {
        Self {
            board,
            modules: Mutex::default(),
        }
    }
}

#[async_trait]
impl Board for DryRun {
    fn name(&self) -> &str {
        self.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.refuse_unknown(self.name(), is_known)?;
        let description = self.board.describe().await?;
        let mut replies = RepliesBuilder::new(batch);
        while let Some(op) = replies.next_op() {
            let fail =
                |error: Error, done| error.during(op.to_string()).on(self.name()).after(done);
            let done = replies.answered();
            if let Some(module) = op.module() {
                description
                    .module(module)
                    .map_err(|error| fail(error, done))?;
            }
            match op {
                Op::Describe => replies.description(description.clone())?,
                Op::ReadClock => {
                    let time = self.board.clock().read().await;
                    replies.clock(time.map_err(|error| fail(error, done))?)?;
                }
                Op::ReadHousekeeping => {
                    let readings = self.board.housekeeping().read().await;
                    replies.readings(readings.map_err(|error| fail(error, done))?)?;
                }
                _ => {
                    let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
                    let module = op.module().and_then(|module| {
                        let described = description.module(module).ok()?;
                        let middle = (described.nco_min + described.nco_max) * 0.5;
                        Some(modules.entry(module).or_insert_with(|| Module::at(middle)))
                    });
                    if !module.is_some_and(|module| module.answer(op, batch, &mut replies)) {
                        let message = "a dry run has no samples";
                        return Err(fail(Error::new(ErrorKind::Unsupported, message), done));
                    }
                }
            }
        }
        replies.finish()
    }
}

impl Module {
    fn at(nco: Hertz) -> Self {
        Self {
            nco,
            phase_epoch: PhaseEpoch(0),
            tones: BTreeMap::new(),
        }
    }

    /// Answers an operation; false if this wrapper has no answer to it.
    fn answer(&mut self, op: &Op, batch: &Batch, replies: &mut RepliesBuilder<'_>) -> bool {
        match op {
            Op::SetTones { updates, .. } => {
                batch.tone_updates()[updates.clone()]
                    .iter()
                    .for_each(|update| self.set(update));
                replies.done().is_ok()
            }
            Op::ClearTones { .. } => {
                self.tones.clear();
                replies.done().is_ok()
            }
            Op::SetNco { frequency, .. } => {
                self.nco = *frequency;
                self.phase_epoch.0 += 1;
                replies.nco(self.nco()).is_ok()
            }
            Op::ReadNco { .. } => replies.nco(self.nco()).is_ok(),
            Op::ReadTones {
                first,
                count,
                fields,
                ..
            } => {
                let channels = (first.index()..).take(usize::from(*count));
                let states = channels
                    .filter_map(ChannelId::from_index)
                    .map(|channel| self.state(channel, *fields));
                replies.tones(states).is_ok()
            }
            _ => false,
        }
    }

    fn nco(&self) -> NcoState {
        NcoState {
            frequency: self.nco,
            phase_epoch: self.phase_epoch,
        }
    }

    fn set(&mut self, update: &ToneUpdate) {
        let channel = update.channel;
        let tone = self
            .tones
            .entry(channel)
            .or_insert_with(|| ToneUpdate::new(channel));
        tone.offset = update.offset.or(tone.offset);
        tone.amplitude = update.amplitude.or(tone.amplitude);
        tone.phase = update.phase.or(tone.phase);
        tone.rotation = update.rotation.or(tone.rotation);
    }

    fn state(&self, channel: ChannelId, fields: ToneFields) -> ToneState {
        let tone = self.tones.get(&channel);
        ToneState {
            channel,
            offset: tone.and_then(|tone| tone.offset).filter(|_| fields.offset),
            amplitude: tone
                .and_then(|tone| tone.amplitude)
                .filter(|_| fields.amplitude),
            phase: tone.and_then(|tone| tone.phase).filter(|_| fields.phase),
            rotation: tone
                .and_then(|tone| tone.rotation)
                .filter(|_| fields.rotation),
        }
    }
}
