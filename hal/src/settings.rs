//! Settings of a module that are known to this program.
//!
//! [`ModuleSettings`] follows the operations that were sent to a module, their outcomes, and the
//! settings that were read back. For each setting it has the values that the setting may have. A
//! client of a board compares readings with these values, a journal (a wrapper that undoes changes)
//! restores settings from them, and limits are checked against them.

mod compare;
mod difference;
mod key;
mod possible;
#[cfg(test)]
mod tests;
mod tone;

use std::ops::Range;

use crate::{Batch, Certainty, ChannelId, Hertz, Op, ToneFields, ToneState, ToneUpdate};

pub use compare::Rounding;
pub use difference::Difference;
pub use key::{Setting, SettingKey};
pub use possible::Span;
pub use tone::ToneSettings;

use tone::Bits;

/// One change of the settings of a module. An operation makes any number of changes, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Some settings of one tone.
    Tone(ToneUpdate),
    /// All tones are switched off. Their offsets and phases count as unknown afterwards, because
    /// boards differ in the values that they then report.
    ClearTones,
    /// Frequency of the NCO.
    Nco(Hertz),
    /// Settings that [`ModuleSettings`] does not record. Any setting may differ afterwards.
    Anything,
}

impl Op {
    /// True if [`ModuleSettings`] has every setting that the operation changes. A wrapper around a
    /// board that records or checks settings refuses all other operations.
    pub fn is_modelled(&self) -> bool {
        match self {
            // The channels of a fast stream are no setting of a tone.
            Self::SetFastStream { .. } | Self::ReadFastStream { .. } => false,
            Self::Describe
            | Self::SetTones { .. }
            | Self::ReadTones { .. }
            | Self::ClearTones { .. }
            | Self::SetNco { .. }
            | Self::ReadNco { .. }
            | Self::AcquireMean { .. }
            | Self::AcquireSamples { .. }
            | Self::ReadClock
            | Self::ReadHousekeeping
            | Self::ReadProperty { .. }
            | Self::Wait { .. } => true,
            Self::SetProperty { .. } => false,
            #[cfg(feature = "mock")]
            Self::Unknown { .. } => false,
        }
    }
}

impl Batch {
    /// Returns the changes that `op`, an operation of this batch, makes on its module, in order.
    pub fn changes(&self, op: &Op) -> impl Iterator<Item = Change> + '_ {
        let none: Range<usize> = 0..0;
        let (updates, other) = match op {
            Op::SetTones { updates, .. } => (updates.clone(), None),
            Op::ClearTones { .. } => (none, Some(Change::ClearTones)),
            Op::SetNco { frequency, .. } => (none, Some(Change::Nco(*frequency))),
            Op::Describe
            | Op::ReadTones { .. }
            | Op::ReadNco { .. }
            | Op::AcquireMean { .. }
            | Op::AcquireSamples { .. }
            | Op::SetFastStream { .. }
            | Op::ReadFastStream { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::ReadProperty { .. }
            | Op::Wait { .. } => (none, None),
            Op::SetProperty { .. } => (none, Some(Change::Anything)),
            #[cfg(feature = "mock")]
            Op::Unknown { safety, .. } => (none, safety.writes().then_some(Change::Anything)),
        };
        let tones = self.tone_updates()[updates].iter();
        tones.copied().map(Change::Tone).chain(other)
    }
}

/// Largest number of entries of `ModuleSettings::doubts`, the list of the values that settings in
/// doubt may have. A setting is in doubt if the outcome of a write is not known. If there are more
/// entries than this, duplicates are removed. If there are still more, the settings that are in
/// doubt are no longer compared with readings.
const MOST_DOUBTS: usize = 1 << 16;

/// Settings of one module: its NCO and its tones.
///
/// For each setting it has the value that was last requested or read, the values that it may have
/// ([`ToneSettings::amplitude`], [`ToneSettings::offset`], [`ModuleSettings::nco_span`]), and the
/// value that a reading is expected to show ([`ModuleSettings::expected`]).
///
/// Memory: about 80 bytes for each channel up to the highest one that was used, and 32 bytes for
/// each of at most 65,536 values that settings in doubt may have.
#[derive(Debug, Clone, Default)]
pub struct ModuleSettings {
    tones: Vec<ToneSettings>,
    nco: Nco,
    /// Values that settings may have. For each setting in doubt, the first value is the one that
    /// it surely had (NaN if it was never surely set). The values that it may have been set to
    /// since then follow, oldest first.
    doubts: Vec<(SettingKey, f64)>,
    /// True if `doubts` contains values of settings that are no longer in doubt.
    has_settled: bool,
}

/// The setting of the NCO.
#[derive(Debug, Clone, Copy)]
struct Nco {
    /// Value that was last requested or read; NaN if there was none.
    value: f64,
    span: Span,
    is_in_doubt: bool,
    is_touched: bool,
    is_expected: bool,
    has_doubts: bool,
    /// True if the module has no NCO. The value is then always 0.
    is_absent: bool,
}

impl Default for Nco {
    fn default() -> Self {
        Self {
            value: f64::NAN,
            span: Span::ANYWHERE,
            is_in_doubt: true,
            is_touched: false,
            is_expected: false,
            has_doubts: false,
            is_absent: false,
        }
    }
}

impl ModuleSettings {
    /// Unknown settings of a module with `channels` channels: each tone may be off, or on at full
    /// scale.
    pub fn unknown(channels: u16) -> Self {
        let mut settings = Self::default();
        settings.reach(usize::from(channels));
        settings
    }

    /// Returns the settings for a module without an NCO, whose tones are relative to 0 Hz.
    #[must_use]
    pub fn without_nco(mut self) -> Self {
        self.learn(SettingKey::NCO, Some(0.0));
        self.nco.is_absent = true;
        self
    }

    /// The tones of the channels from 1 on, up to the highest channel that was set or read, or up
    /// to the number that [`ModuleSettings::unknown`] was given.
    pub fn tones(&self) -> &[ToneSettings] {
        &self.tones
    }

    /// The tone of `channel`, or `None` if `channel` is not in [`ModuleSettings::tones`].
    pub fn tone(&self, channel: ChannelId) -> Option<&ToneSettings> {
        self.tones.get(channel.index())
    }

    /// Frequency of the NCO that was last requested or read; `None` if it was neither requested nor
    /// read.
    pub fn nco(&self) -> Option<Hertz> {
        (!self.nco.value.is_nan()).then_some(Hertz(self.nco.value))
    }

    /// Frequencies that the NCO may have, in Hz.
    pub fn nco_span(&self) -> Span {
        self.nco.span
    }

    /// True if the frequency of the NCO is not certain.
    pub fn nco_is_in_doubt(&self) -> bool {
        self.nco.is_in_doubt
    }

    /// True if a write, or a loss of the board's settings, may have changed the NCO.
    pub fn nco_is_touched(&self) -> bool {
        self.nco.is_touched
    }

    /// True if any tone is in doubt ([`ToneSettings::is_in_doubt`]), or the NCO is.
    pub fn is_in_doubt(&self) -> bool {
        self.nco.is_in_doubt || self.tones.iter().any(ToneSettings::is_in_doubt)
    }

    /// Records changes, in their order. All of them were surely made ([`Certainty::Executed`]), or
    /// each of them may or may not have been made ([`Certainty::Unknown`]). Nothing happens for
    /// [`Certainty::NotExecuted`].
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>, certainty: Certainty) {
        if certainty == Certainty::NotExecuted {
            return;
        }
        let is_sure = certainty == Certainty::Executed;
        for change in changes {
            match change {
                Change::Tone(update) => self.set_tone(&update, is_sure),
                Change::ClearTones => self.clear_tones(is_sure),
                Change::Nco(frequency) => self.set_nco(frequency.0, is_sure),
                Change::Anything => self.forget(),
            }
            self.bound_doubts();
        }
        self.sort_doubts();
    }

    /// Records the `fields` of tones that were read back. Returns the channels with a value that is
    /// NaN or infinite. The values of these channels are not recorded, and any amplitude up to full
    /// scale then counts as possible. A setting that was never set on the board reads back as
    /// `None`. An amplitude or an offset that was never set counts as 0.
    pub fn learn_tones(&mut self, states: &[ToneState], fields: ToneFields) -> Vec<ChannelId> {
        let mut wrong = Vec::new();
        for state in states {
            self.reach(state.channel.number().into());
            let sound = Setting::OF_TONES
                .into_iter()
                .filter_map(|setting| setting.of_state(state))
                .all(f64::is_finite);
            if !sound {
                self.tones[state.channel.index()].read_nonsense();
                wrong.push(state.channel);
                continue;
            }
            for setting in Setting::OF_TONES {
                if setting.is_among(fields) {
                    let key = SettingKey::tone(state.channel, setting);
                    self.learn(key, setting.of_state(state));
                }
            }
        }
        wrong
    }

    /// Records the value of one setting that was read back; `None` if it was never set on the
    /// board. A value that is NaN or infinite is ignored.
    pub fn learn(&mut self, key: SettingKey, found: Option<f64>) {
        let value = found.unwrap_or(f64::NAN);
        if found.is_some_and(|found| !found.is_finite()) {
            // A value that is not finite adds no knowledge of the setting.
            return;
        }
        let Some(channel) = key.channel else {
            self.settle(key);
            self.nco.value = value;
            self.nco.span = Span::at(found.unwrap_or(0.0));
            self.nco.is_in_doubt = false;
            return;
        };
        self.reach(channel.number().into());
        self.settle(key);
        self.tones[channel.index()].learn(key.setting, value);
    }

    /// Records that the board lost its settings: each setting may have its earlier value, or be 0.
    pub fn lose(&mut self) {
        self.doubts.clear();
        self.has_settled = false;
        self.tones.iter_mut().for_each(ToneSettings::lose);
        if !self.nco.is_absent {
            self.nco.span.or(0.0);
            self.nco = Nco {
                is_in_doubt: true,
                is_touched: true,
                is_expected: false,
                has_doubts: false,
                ..self.nco
            };
        }
    }

    /// Records that any setting may have any value.
    fn forget(&mut self) {
        self.lose();
        self.tones.iter_mut().for_each(ToneSettings::forget);
        if !self.nco.is_absent {
            self.nco.span = Span::ANYWHERE;
        }
    }

    /// Marks every tone as not read back, until the next reading of its amplitude.
    pub fn read_anew(&mut self) {
        self.tones.iter_mut().for_each(ToneSettings::read_anew);
    }

    fn set_tone(&mut self, update: &ToneUpdate, is_sure: bool) {
        self.reach(update.channel.number().into());
        for setting in Setting::OF_TONES {
            let Some(value) = setting.of_update(update) else {
                continue;
            };
            let key = SettingKey::tone(update.channel, setting);
            if is_sure && value.is_finite() {
                self.settle(key);
            } else {
                self.doubt(key, value);
            }
            self.tones[update.channel.index()].set(setting, value, is_sure);
        }
    }

    fn set_nco(&mut self, value: f64, is_sure: bool) {
        if self.nco.is_absent {
            return;
        }
        // If a value that is not finite was sent, the board may have any value.
        let is_sure = is_sure && value.is_finite();
        if is_sure {
            self.settle(SettingKey::NCO);
            self.nco.span = Span::at(value);
            self.nco.is_expected = true;
        } else {
            self.doubt(SettingKey::NCO, value);
            self.nco.span.or(value);
        }
        if !value.is_finite() {
            self.nco.span = Span::ANYWHERE;
        }
        self.nco.value = value;
        self.nco.is_in_doubt = !is_sure;
        self.nco.is_touched = true;
    }

    fn clear_tones(&mut self, is_sure: bool) {
        if is_sure {
            self.doubts.retain(|(key, _)| key.channel.is_none());
        } else {
            let known: Vec<_> = self.known().filter(|key| key.channel.is_some()).collect();
            known.into_iter().for_each(|key| self.doubt(key, 0.0));
        }
        self.tones.iter_mut().for_each(|tone| tone.clear(is_sure));
    }

    /// Extends the list of tones to at least `channels` channels.
    fn reach(&mut self, channels: usize) {
        let more = self.tones.len()..channels;
        let more = more.filter_map(ChannelId::from_index);
        self.tones.extend(more.map(ToneSettings::unknown));
    }

    fn bits(&self, key: SettingKey) -> Option<Bits> {
        let tone = |channel| self.tone(channel).map(|tone| tone.bits(key.setting));
        match key.channel {
            Some(channel) => tone(channel),
            None => Some(Bits {
                is_expected: self.nco.is_expected,
                has_doubts: self.nco.has_doubts,
            }),
        }
    }

    fn set_bits(&mut self, key: SettingKey, bits: Bits) {
        match key.channel {
            Some(channel) => self.tones[channel.index()].set_bits(key.setting, bits),
            None => {
                self.nco.is_expected = bits.is_expected;
                self.nco.has_doubts = bits.has_doubts;
            }
        }
    }
}
