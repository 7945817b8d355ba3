//! Checks that the arguments of an operation fit the description of its module. A module of a board
//! has channels, each with one tone. The frequencies of its tones are relative to its NCO, an
//! oscillator.

use crate::{
    Batch, ChannelId, Error, ErrorKind, Hertz, ModuleDescription, Op, Result, Setting, SettingKey,
    ToneUpdate,
};

impl ModuleDescription {
    /// Checks the arguments of `op`, an operation of `batch` on this module. A value out of the
    /// range of its setting passes if `is_allowed` returns true for this value. So a caller can
    /// restore a value that the board had before, even if it is out of the range.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for channels that the module does not have, for values out of
    /// its ranges, and for 0 samples or too many. [`ErrorKind::Unsupported`] for an NCO operation
    /// on a module without an NCO.
    pub fn check(
        &self,
        batch: &Batch,
        op: &Op,
        is_allowed: impl Fn(SettingKey, f64) -> bool,
    ) -> Result<()> {
        let passes = |key: SettingKey, value: f64| {
            self.is_in_range(key.setting, value) || is_allowed(key, value)
        };
        match op {
            Op::SetTones { updates, .. } => batch.tone_updates()[updates.clone()]
                .iter()
                .try_for_each(|update| self.check_tone(update, passes)),
            Op::ReadTones { first, count, .. } => self.check_channels(*first, *count),
            Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } => {
                self.check_channels(acquire.first, acquire.count.unwrap_or(1))?;
                let (asked, most) = (acquire.samples, self.max_samples);
                match (1..=most).contains(&asked) {
                    true => Ok(()),
                    false => refuse(format!("{asked} samples are not between 1 and {most}")),
                }
            }
            Op::SetNco { frequency, .. } => {
                self.check_nco()?;
                let range = self.nco_range();
                match passes(SettingKey::NCO, frequency.0) {
                    true => Ok(()),
                    false => outside("NCO", *frequency, range.min, range.max),
                }
            }
            Op::ReadNco { .. } => self.check_nco(),
            Op::SetFastStream { channels, .. } => channels
                .iter()
                .try_for_each(|channel| self.check_channels(*channel, 1)),
            Op::ClearTones { .. }
            | Op::ReadFastStream { .. }
            | Op::Describe
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::SetProperty { .. }
            | Op::ReadProperty { .. }
            | Op::Wait { .. } => Ok(()),
            #[cfg(feature = "mock")]
            Op::Unknown { .. } => Ok(()),
        }
    }

    /// True if `value` is in the range of the setting. NaN is in no range.
    pub fn is_in_range(&self, setting: Setting, value: f64) -> bool {
        match setting {
            Setting::Nco => self.nco_range().contains(Hertz(value)),
            Setting::Offset => value.abs() <= self.max_offset.0,
            Setting::Amplitude => value.abs() <= 1.0,
            Setting::Phase | Setting::Rotation => value.is_finite(),
        }
    }

    /// Checks that the module has an NCO.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if it has none.
    pub fn check_nco(&self) -> Result<()> {
        let message = "the module has no NCO; its tones are relative to 0 Hz";
        match self.nco {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Unsupported, message)),
        }
    }

    /// Checks that the module has `count` channels from `first` on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the module lacks one of them, or if `count` is 0.
    pub fn check_channels(&self, first: ChannelId, count: u16) -> Result<()> {
        let last = u32::from(first.number()) + u32::from(count.max(1)) - 1;
        if count == 0 {
            return refuse("no channels are asked for".to_owned());
        }
        if last > u32::from(self.channels) {
            let (id, channels) = (self.module, self.channels);
            return refuse(format!(
                "channel {last} is past the {channels} of module {id}"
            ));
        }
        Ok(())
    }

    fn check_tone(
        &self,
        update: &ToneUpdate,
        passes: impl Fn(SettingKey, f64) -> bool,
    ) -> Result<()> {
        let channel = update.channel;
        self.check_channels(channel, 1)?;
        for setting in Setting::OF_TONES {
            let Some(value) = setting.of_update(update) else {
                continue;
            };
            if passes(SettingKey::tone(channel, setting), value) {
                continue;
            }
            let most = self.max_offset;
            return match setting {
                Setting::Nco | Setting::Offset => {
                    let what = format!("channel {channel}: offset");
                    outside(&what, Hertz(value), -most, most)
                }
                Setting::Amplitude => refuse(format!(
                    "channel {channel}: amplitude {value} is outside -1 to 1"
                )),
                Setting::Phase | Setting::Rotation => {
                    refuse(format!("channel {channel}: a phase is not finite"))
                }
            };
        }
        Ok(())
    }
}

fn outside(what: &str, value: Hertz, low: Hertz, high: Hertz) -> Result<()> {
    refuse(format!(
        "{what} frequency {value} is outside {low} to {high}"
    ))
}

fn refuse(message: String) -> Result<()> {
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
