//! Names of settings. A module has channels with one tone each, and an NCO, the oscillator that the
//! frequencies of the tones are relative to.

use std::fmt;

use crate::{ChannelId, ToneFields, ToneState, ToneUpdate};

/// A setting of a module, or of one of its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// Absolute frequency of the NCO, in Hz.
    Nco,
    /// Frequency relative to the NCO, in Hz.
    Offset,
    /// Fraction of full scale.
    Amplitude,
    /// Phase of the carrier, in rad.
    Phase,
    /// Phase of the demodulation, in rad.
    Rotation,
}

impl Setting {
    /// The settings of a channel.
    pub const OF_TONES: [Self; 4] = [Self::Offset, Self::Amplitude, Self::Phase, Self::Rotation];

    /// Name of the setting, in lower case except for abbreviations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nco => "NCO",
            Self::Offset => "offset",
            Self::Amplitude => "amplitude",
            Self::Phase => "phase",
            Self::Rotation => "rotation",
        }
    }

    /// Value of this setting in `state`, in the unit of the setting.
    pub(super) fn of_state(self, state: &ToneState) -> Option<f64> {
        self.of_update(&ToneUpdate {
            amplitude: state.amplitude,
            ..state.as_update()
        })
    }

    /// Value that `update` gives this setting, in the unit of the setting.
    pub fn of_update(self, update: &ToneUpdate) -> Option<f64> {
        match self {
            Self::Nco => None,
            Self::Offset => update.offset.map(|offset| offset.0),
            Self::Amplitude => update.amplitude,
            Self::Phase => update.phase.map(|phase| phase.0),
            Self::Rotation => update.rotation.map(|rotation| rotation.0),
        }
    }

    pub(super) fn is_among(self, fields: ToneFields) -> bool {
        match self {
            Self::Nco => false,
            Self::Offset => fields.offset,
            Self::Amplitude => fields.amplitude,
            Self::Phase => fields.phase,
            Self::Rotation => fields.rotation,
        }
    }
}

/// A setting of one channel, or of the module as a whole. Settings are ordered by channel; the
/// settings of the module come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SettingKey {
    /// The channel, `None` for settings of the module as a whole.
    pub channel: Option<ChannelId>,
    /// The setting.
    pub setting: Setting,
}

impl SettingKey {
    /// The NCO of the module.
    pub const NCO: Self = Self {
        channel: None,
        setting: Setting::Nco,
    };

    /// A setting of `channel`.
    pub fn tone(channel: ChannelId, setting: Setting) -> Self {
        Self {
            channel: Some(channel),
            setting,
        }
    }
}

impl fmt::Display for SettingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channel) = self.channel {
            write!(f, "channel {channel}: ")?;
        }
        f.write_str(self.setting.as_str())
    }
}
