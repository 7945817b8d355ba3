//! A module whose settings lie in memory.

use crate::{
    Batch, Certainty, Change, ChannelId, Error, ErrorKind, Hertz, ModuleDescription,
    ModuleSettings, NcoState, Op, PhaseEpoch, RepliesBuilder, Result, SettingKey, ToneSettings,
    ToneState, ToneUpdate,
};

/// Settings of one module in memory, for boards without hardware behind them: dry runs, and doubles
/// in tests.
///
/// It keeps the contract of [`Board`](crate::Board) for everything that sets or reads settings, and
/// for waits, which end at once. Its user answers the other operations: the description, the clock,
/// housekeeping, and acquisitions from [`MemoryModule::tone`] and [`MemoryModule::nco`].
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

    /// Frequency of the NCO, 0 if there is none, and the phase epoch that holds.
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

    /// Tones of the channels that an acquisition is of, in order.
    pub fn acquired(&self, acquire: &crate::Acquire) -> impl Iterator<Item = ToneState> + '_ {
        let channels = usize::from(self.description.channels);
        let count = acquire.count.map_or(channels, usize::from);
        let indices = (acquire.first.index()..channels).take(count);
        let channels = indices.filter_map(ChannelId::from_index);
        channels.map(|channel| self.tone(channel))
    }

    /// Checks the arguments of an operation on this module, before anything of its batch is
    /// executed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for channels that the module does not have and values out of
    /// its ranges, and [`ErrorKind::Unsupported`] for the NCO of a module that has none.
    pub fn check(&self, batch: &Batch, op: &Op) -> Result<()> {
        match op {
            Op::SetTones { updates, .. } => batch.tone_updates()[updates.clone()]
                .iter()
                .try_for_each(|update| self.check_tone(update)),
            Op::ReadTones { first, count, .. } => self.check_channels(*first, *count),
            Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } => {
                if acquire.samples == 0 || acquire.samples > self.description.max_samples {
                    let most = self.description.max_samples;
                    let asked = acquire.samples;
                    return refuse(format!("{asked} samples are not between 1 and {most}"));
                }
                self.check_channels(acquire.first, acquire.count.unwrap_or(1))
            }
            Op::SetNco { frequency, .. } => {
                self.needs_nco()?;
                if self.description.nco_range().contains(*frequency) {
                    return Ok(());
                }
                refuse(format!("the NCO cannot be set to {frequency}"))
            }
            Op::ReadNco { .. } => self.needs_nco(),
            Op::ClearTones { .. }
            | Op::Describe
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::Wait { .. } => Ok(()),
            #[cfg(feature = "mock")]
            Op::Unknown { .. } => Ok(()),
        }
    }

    /// Executes and answers an operation that sets or reads settings of the module, or waits.
    /// Returns false for any other operation, which is not answered.
    ///
    /// # Errors
    /// As [`RepliesBuilder`].
    pub fn answer(
        &mut self,
        batch: &Batch,
        op: &Op,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<bool> {
        batch.changes(op).for_each(|change| self.change(change));
        match op {
            // The time of settings in memory does not pass.
            Op::SetTones { .. } | Op::ClearTones { .. } | Op::Wait { .. } => replies.done()?,
            Op::SetNco { .. } | Op::ReadNco { .. } => replies.nco(self.nco())?,
            Op::ReadTones {
                first,
                count,
                fields,
                ..
            } => {
                let channels = (first.index()..).take(usize::from(*count));
                let states = channels
                    .filter_map(ChannelId::from_index)
                    .map(|channel| self.tone(channel).only(*fields));
                replies.tones(states)?;
            }
            Op::Describe
            | Op::AcquireMean { .. }
            | Op::AcquireSamples { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping => return Ok(false),
            #[cfg(feature = "mock")]
            Op::Unknown { .. } => return Ok(false),
        }
        Ok(true)
    }

    fn check_tone(&self, update: &ToneUpdate) -> Result<()> {
        let channel = update.channel;
        self.check_channels(channel, 1)?;
        let most = self.description.max_offset;
        // NaN is refused too.
        let is_far = |offset: Hertz| offset.0.is_nan() || offset.0.abs() > most.0;
        if let Some(offset) = update.offset.filter(|offset| is_far(*offset)) {
            return refuse(format!(
                "channel {channel}: offset {offset} is beyond {most}"
            ));
        }
        let is_large = |amplitude: &f64| amplitude.is_nan() || amplitude.abs() > 1.0;
        if let Some(amplitude) = update.amplitude.filter(is_large) {
            return refuse(format!(
                "channel {channel}: amplitude {amplitude} is not -1 to 1"
            ));
        }
        let angles = [update.phase, update.rotation];
        if angles.into_iter().flatten().any(|angle| !angle.is_finite()) {
            return refuse(format!("channel {channel}: a phase is no number"));
        }
        Ok(())
    }

    fn check_channels(&self, first: ChannelId, count: u16) -> Result<()> {
        let channels = usize::from(self.description.channels);
        if count > 0 && first.index() + usize::from(count) <= channels {
            return Ok(());
        }
        refuse(format!(
            "{count} channels from {first} on are not among the {channels} of the module"
        ))
    }

    fn needs_nco(&self) -> Result<()> {
        match self.description.nco {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorKind::Unsupported,
                "the module has no NCO; its tones are relative to 0 Hz",
            )),
        }
    }
}

fn refuse(message: String) -> Result<()> {
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
