//! Known settings of one tone.

use super::{Setting, Span};
use crate::{ChannelId, Hertz, Radians, ToneState};

/// One channel of [`super::ModuleSettings`].
#[derive(Debug, Clone, Copy)]
pub struct ToneSettings {
    channel: ChannelId,
    /// Values that were last requested or read, by setting; NaN for a setting that was neither
    /// requested nor read.
    last: [f64; 4],
    amplitude: Span,
    offset: Span,
    /// Settings whose value is not certain, one bit each.
    doubtful: u8,
    /// Settings that a reading is compared with, one bit each.
    expected: u8,
    /// Settings with entries in `ModuleSettings::doubts`, the list of the values that a setting
    /// may have, one bit each.
    with_doubts: u8,
    is_touched: bool,
    is_read_back: bool,
}

/// Two flags of one setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits {
    /// True if a write of this program has set the setting, so that a reading can be compared with
    /// its value.
    pub(super) is_expected: bool,
    /// True if the setting has values in `ModuleSettings::doubts`.
    pub(super) has_doubts: bool,
}

impl ToneSettings {
    /// State of an unknown channel: it may be off, or on at full scale.
    pub(super) fn unknown(channel: ChannelId) -> Self {
        Self {
            channel,
            last: [f64::NAN; 4],
            amplitude: Span {
                low: 0.0,
                high: 1.0,
            },
            offset: Span::ANYWHERE,
            doubtful: bit(Setting::Amplitude),
            expected: 0,
            with_doubts: 0,
            is_touched: false,
            is_read_back: false,
        }
    }

    /// The channel.
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Settings that were last requested or read; `None` for a setting that was neither requested
    /// nor read.
    pub fn last(&self) -> ToneState {
        let value = |setting| Some(self.last[place(setting)]).filter(|value| !value.is_nan());
        ToneState {
            channel: self.channel,
            offset: value(Setting::Offset).map(Hertz),
            amplitude: value(Setting::Amplitude),
            phase: value(Setting::Phase).map(Radians),
            rotation: value(Setting::Rotation).map(Radians),
        }
    }

    /// Amplitudes that the tone may have, without sign, as fractions of full scale.
    pub fn amplitude(&self) -> Span {
        self.amplitude
    }

    /// Offsets from the NCO that the tone may have, in Hz.
    pub fn offset(&self) -> Span {
        self.offset
    }

    /// True if a write, or a loss of the board's settings, may have changed the channel.
    pub fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// True if the amplitude was read back after the last write, after the last loss of settings,
    /// and after the last [`super::ModuleSettings::read_anew`].
    pub fn is_read_back(&self) -> bool {
        self.is_read_back
    }

    /// True if the tone is certainly off.
    pub fn is_surely_off(&self) -> bool {
        self.amplitude.high == 0.0
    }

    /// True if the tone is certainly on.
    pub fn is_surely_on(&self) -> bool {
        self.amplitude.low > 0.0
    }

    /// True if the tone may be on and the value of any of its settings is not certain. If the tone
    /// is surely off, its other settings do not matter.
    pub fn is_in_doubt(&self) -> bool {
        self.doubtful != 0 && !self.is_surely_off()
    }

    pub(super) fn set(&mut self, setting: Setting, value: f64, is_sure: bool) {
        // If a value that is not finite was sent, the board may have any value.
        let is_sure = is_sure && value.is_finite();
        self.last[place(setting)] = value;
        let span = match setting {
            Setting::Offset => Some((&mut self.offset, value)),
            Setting::Amplitude => Some((&mut self.amplitude, value.abs())),
            _ => None,
        };
        match span {
            Some((span, value)) if is_sure => *span = Span::at(value),
            Some((span, value)) => span.or(value),
            None => {}
        }
        if !value.is_finite() {
            self.read_nonsense();
        }
        self.is_touched = true;
        self.is_read_back = false;
        if is_sure {
            self.doubtful &= !bit(setting);
            self.expected |= bit(setting);
        } else {
            self.doubtful |= bit(setting);
        }
    }

    pub(super) fn clear(&mut self, is_sure: bool) {
        self.is_touched |= !self.is_surely_off();
        self.is_read_back = false;
        self.last = [f64::NAN; 4];
        self.last[place(Setting::Amplitude)] = 0.0;
        // A board may reset the other settings together with the amplitude.
        self.offset.or(0.0);
        if is_sure {
            self.amplitude = Span::at(0.0);
            self.doubtful &= !bit(Setting::Amplitude);
            self.with_doubts = 0;
            if self.expected != 0 {
                self.expected = bit(Setting::Amplitude);
            }
        } else {
            self.amplitude.or(0.0);
            self.doubtful |= bit(Setting::Amplitude);
        }
    }

    /// Records the value of a setting that was read back; the value is NaN if the setting was never
    /// set.
    pub(super) fn learn(&mut self, setting: Setting, value: f64) {
        self.last[place(setting)] = value;
        self.doubtful &= !bit(setting);
        let or_zero = if value.is_nan() { 0.0 } else { value };
        match setting {
            Setting::Amplitude => {
                self.amplitude = Span::at(or_zero.abs());
                self.is_read_back = true;
            }
            Setting::Offset => self.offset = Span::at(or_zero),
            Setting::Nco | Setting::Phase | Setting::Rotation => {}
        }
    }

    /// Records that a value that is not a finite number was read back or set. The tone may then
    /// have any amplitude up to full scale.
    pub(super) fn read_nonsense(&mut self) {
        self.amplitude.or(0.0);
        self.amplitude.or(1.0);
        self.doubtful |= bit(Setting::Amplitude);
        self.is_read_back = false;
    }

    /// Records that the board lost its settings.
    pub(super) fn lose(&mut self) {
        if !self.is_surely_off() {
            self.amplitude.or(0.0);
            self.is_touched = true;
        }
        self.is_read_back = false;
        self.offset.or(0.0);
        self.doubtful = Setting::OF_TONES.into_iter().map(bit).sum();
        (self.expected, self.with_doubts) = (0, 0);
    }

    /// Records that the settings may have any value.
    pub(super) fn forget(&mut self) {
        let is_touched = true;
        *self = Self {
            is_touched,
            doubtful: self.doubtful,
            ..Self::unknown(self.channel)
        };
    }

    pub(super) fn read_anew(&mut self) {
        self.is_read_back = false;
    }

    /// Value that was last requested or read; NaN if there was none.
    pub(super) fn value(&self, setting: Setting) -> f64 {
        self.last[place(setting)]
    }

    pub(super) fn bits(&self, setting: Setting) -> Bits {
        Bits {
            is_expected: self.expected & bit(setting) != 0,
            has_doubts: self.with_doubts & bit(setting) != 0,
        }
    }

    pub(super) fn set_bits(&mut self, setting: Setting, bits: Bits) {
        let put = |all: &mut u8, is_set: bool| {
            if is_set {
                *all |= bit(setting);
            } else {
                *all &= !bit(setting);
            }
        };
        put(&mut self.expected, bits.is_expected);
        put(&mut self.with_doubts, bits.has_doubts);
    }
}

/// Position of a setting of a tone among [`Setting::OF_TONES`].
fn place(setting: Setting) -> usize {
    match setting {
        Setting::Nco | Setting::Offset => 0,
        Setting::Amplitude => 1,
        Setting::Phase => 2,
        Setting::Rotation => 3,
    }
}

fn bit(setting: Setting) -> u8 {
    1 << place(setting)
}
