//! A module whose settings are kept in memory.

use crate::{
    Batch, Certainty, Change, ChannelId, Error, ErrorKind, ModuleDescription, ModuleSettings,
    NcoState, Op, PhaseEpoch, RepliesBuilder, Result, SettingKey, ToneSettings, ToneState,
};

/// Settings of one module in memory, for boards without hardware: those of dry runs, and test
/// doubles.
///
/// [`MemoryModule::answer`] keeps the contract of [`Board`](crate::Board) for operations that set
/// or read settings, and for waits, which end at once. The caller answers the other operations: the
/// description, the clock, housekeeping, and acquisitions, whose samples follow from
/// [`MemoryModule::tone`] and [`MemoryModule::nco`].
#[derive(Debug, Clone)]
pub struct MemoryModule {
    description: ModuleDescription,
    settings: ModuleSettings,
    phase_epoch: PhaseEpoch,
}

impl MemoryModule {
    /// A module of this description. No tone was ever set, and the NCO is at the middle of its
    /// range.
    pub fn new(description: ModuleDescription) -> Self {
        let mut settings = ModuleSettings::default();
        let nco = description.nco_range().middle();
        settings.learn(SettingKey::NCO, Some(nco.0));
        Self {
            description,
            settings,
            phase_epoch: PhaseEpoch(0),
        }
    }

    /// Description of the module.
    pub fn description(&self) -> &ModuleDescription {
        &self.description
    }

    /// Frequency of the NCO, or 0 if there is no NCO, and the current
    /// [`PhaseEpoch`](crate::PhaseEpoch).
    pub fn nco(&self) -> NcoState {
        NcoState {
            frequency: self.settings.nco().unwrap_or_default(),
            phase_epoch: self.phase_epoch,
        }
    }

    /// Changes the settings without an operation, as another program would.
    pub fn change(&mut self, change: Change) {
        if matches!(change, Change::Nco(_)) {
            self.phase_epoch.0 += 1;
        }
        self.settings.apply([change], Certainty::Executed);
    }

    /// Settings of the tone of `channel`.
    pub fn tone(&self, channel: ChannelId) -> ToneState {
        let known = self.settings.tone(channel).map(ToneSettings::last);
        known.unwrap_or(ToneState::never_set(channel))
    }

    /// States of the tones of the channels that `acquire` asks for, in order.
    pub fn acquired(&self, acquire: &crate::Acquire) -> impl Iterator<Item = ToneState> + '_ {
        let after = usize::from(self.description.channels).saturating_sub(acquire.first.index());
        let count = acquire.count.map_or(after, usize::from).min(after);
        let channels = acquire.first.range(count);
        channels.map(|channel| self.tone(channel))
    }

    /// Executes and answers an operation that sets or reads settings of the module, or waits.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for any other operation, and the errors of [`RepliesBuilder`].
    pub fn answer(
        &mut self,
        batch: &Batch,
        op: &Op,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        batch.changes(op).for_each(|change| self.change(change));
        match op {
            // Time does not pass for settings in memory, so a wait ends at once.
            Op::SetTones { .. } | Op::ClearTones { .. } | Op::Wait { .. } => replies.done(),
            Op::SetNco { .. } | Op::ReadNco { .. } => replies.nco(self.nco()),
            Op::ReadTones {
                first,
                count,
                fields,
                ..
            } => {
                let channels = first.range(usize::from(*count));
                replies.tones(channels.map(|channel| self.tone(channel).only(*fields)))
            }
            Op::Describe
            | Op::AcquireMean { .. }
            | Op::AcquireSamples { .. }
            | Op::SetFastStream { .. }
            | Op::ReadFastStream { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::SetProperty { .. }
            | Op::ReadProperty { .. } => Err(Self::lacks()),
            #[cfg(feature = "mock")]
            Op::Unknown { .. } => Err(Self::lacks()),
        }
    }

    /// The error for an operation that cannot be answered from settings.
    pub(crate) fn lacks() -> Error {
        let message = "a board in memory does not have this operation";
        Error::new(ErrorKind::Unsupported, message)
    }
}
