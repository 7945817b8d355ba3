//! Settings that a module may have, by the operations that were sent to it and its readings.

use twotone_hal::{Batch, ChannelId, Hertz, Op, ToneFields, ToneState, ToneUpdate};

/// Values that a setting may have: one value if it is known, a range if it is not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Span {
    /// Span of a setting that was never read.
    const ANYWHERE: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    pub(super) fn at(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    /// Adds a value that the setting may have too.
    pub(super) fn or(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    fn take(&mut self, value: f64, how: Applied) {
        match how {
            Applied::Surely => *self = Self::at(value),
            Applied::Perhaps => self.or(value),
        }
    }
}

/// Certainty that an operation took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Surely,
    Perhaps,
}

/// True if this file knows the effect of an operation on a module. The wrappers that record or
/// judge settings refuse all others. A new operation is added here and in [`Shadow::apply`].
pub(super) fn is_known(op: &Op) -> bool {
    matches!(
        op,
        Op::Describe
            | Op::SetTones { .. }
            | Op::ReadTones { .. }
            | Op::ClearTones { .. }
            | Op::SetNco { .. }
            | Op::ReadNco { .. }
            | Op::AcquireMean { .. }
            | Op::AcquireSamples { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping
    )
}

/// Bits of the settings in doubt.
const OFFSET: u8 = 1;
const AMPLITUDE: u8 = 2;
const PHASE: u8 = 4;
const ROTATION: u8 = 8;

/// One channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShadowTone {
    /// Settings that were last requested or read.
    pub(super) last: ToneState,
    /// Amplitudes that it may have, without sign.
    pub(super) amplitude: Span,
    /// Offsets from the NCO that it may have, in Hz.
    pub(super) offset: Span,
    doubt: u8,
    /// True if a write of this run may have changed the channel.
    pub(super) touched: bool,
    /// True if the amplitude was read back after the last write.
    pub(super) is_read_back: bool,
}

impl ShadowTone {
    /// State of a channel of which nothing is known: it may be off, or on at full scale.
    fn unread(channel: ChannelId) -> Self {
        Self {
            last: ToneState {
                channel,
                offset: None,
                amplitude: None,
                phase: None,
                rotation: None,
            },
            amplitude: Span {
                low: 0.0,
                high: 1.0,
            },
            offset: Span::ANYWHERE,
            doubt: AMPLITUDE,
            touched: false,
            is_read_back: false,
        }
    }

    pub(super) fn is_surely_off(&self) -> bool {
        self.amplitude.high == 0.0
    }

    pub(super) fn is_surely_on(&self) -> bool {
        self.amplitude.low > 0.0
    }

    /// True if the tone may be on and any of its settings is not known. If the tone is surely off,
    /// its other settings do not matter.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt != 0 && !self.is_surely_off()
    }

    fn set(&mut self, update: &ToneUpdate, how: Applied) {
        let mut doubt = 0;
        if let Some(offset) = update.offset {
            self.last.offset = Some(offset);
            self.offset.take(offset.0, how);
            doubt |= OFFSET;
        }
        if let Some(amplitude) = update.amplitude {
            self.last.amplitude = Some(amplitude);
            self.amplitude.take(amplitude.abs(), how);
            doubt |= AMPLITUDE;
        }
        if let Some(phase) = update.phase {
            self.last.phase = Some(phase);
            doubt |= PHASE;
        }
        if let Some(rotation) = update.rotation {
            self.last.rotation = Some(rotation);
            doubt |= ROTATION;
        }
        self.touched |= doubt != 0;
        self.is_read_back &= doubt == 0;
        match how {
            Applied::Surely => self.doubt &= !doubt,
            Applied::Perhaps => self.doubt |= doubt,
        }
    }

    fn clear(&mut self, how: Applied) {
        self.touched |= !self.is_surely_off();
        self.is_read_back = false;
        // A board may reset the other settings together with the amplitude.
        self.last.offset = None;
        self.last.phase = None;
        self.last.rotation = None;
        self.offset.or(0.0);
        self.last.amplitude = Some(0.0);
        self.amplitude.take(0.0, how);
        match how {
            Applied::Surely => self.doubt &= !AMPLITUDE,
            Applied::Perhaps => self.doubt |= AMPLITUDE,
        }
    }
}

/// One module: its tones and its NCO.
#[derive(Debug, Clone)]
pub(super) struct Shadow {
    pub(super) tones: Vec<ShadowTone>,
    /// Frequencies that the NCO may be at, in Hz.
    pub(super) nco: Span,
    pub(super) nco_in_doubt: bool,
    pub(super) nco_touched: bool,
}

impl Shadow {
    /// State of a module of which only the number of channels is known.
    pub(super) fn unread(channels: u16) -> Self {
        Self {
            tones: (0..usize::from(channels))
                .filter_map(ChannelId::from_index)
                .map(ShadowTone::unread)
                .collect(),
            nco: Span::ANYWHERE,
            nco_in_doubt: true,
            nco_touched: false,
        }
    }

    /// Takes note that an operation on this module took effect.
    pub(super) fn apply(&mut self, batch: &Batch, op: &Op, how: Applied) {
        match op {
            Op::SetTones { updates, .. } => {
                for update in &batch.tone_updates()[updates.clone()] {
                    if let Some(tone) = self.tones.get_mut(update.channel.index()) {
                        tone.set(update, how);
                    }
                }
            }
            Op::ClearTones { .. } => self.tones.iter_mut().for_each(|tone| tone.clear(how)),
            Op::SetNco { frequency, .. } => {
                self.nco_touched = true;
                self.nco.take(frequency.0, how);
                self.nco_in_doubt = how == Applied::Perhaps;
            }
            Op::Describe
            | Op::ReadTones { .. }
            | Op::ReadNco { .. }
            | Op::AcquireMean { .. }
            | Op::AcquireSamples { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping => {}
            // `is_known` refuses these operations, so none is sent. If one was, any setting may
            // differ.
            _ => self.lose(),
        }
    }

    /// Takes note of the `fields` that were read back. Returns the channels with a value that is
    /// NaN or infinite: their settings are not known. A setting that was never made on the board
    /// reads back as `None`: such an amplitude counts as off, such an offset as 0.
    pub(super) fn learn(&mut self, states: &[ToneState], fields: ToneFields) -> Vec<ChannelId> {
        let mut wrong = Vec::new();
        for state in states {
            let Some(tone) = self.tones.get_mut(state.channel.index()) else {
                continue;
            };
            let sound = state.amplitude.is_none_or(f64::is_finite)
                && state.offset.is_none_or(Hertz::is_finite)
                && [state.phase, state.rotation]
                    .iter()
                    .flatten()
                    .all(|angle| angle.0.is_finite());
            if !sound {
                tone.amplitude.or(0.0);
                tone.amplitude.or(1.0);
                tone.doubt |= AMPLITUDE;
                tone.is_read_back = false;
                wrong.push(state.channel);
                continue;
            }
            if fields.amplitude {
                tone.is_read_back = true;
                tone.last.amplitude = state.amplitude;
                tone.amplitude = Span::at(state.amplitude.unwrap_or(0.0).abs());
                tone.doubt &= !AMPLITUDE;
            }
            if fields.offset {
                tone.last.offset = state.offset;
                tone.offset = Span::at(state.offset.map_or(0.0, |offset| offset.0));
                tone.doubt &= !OFFSET;
            }
            if fields.phase {
                tone.last.phase = state.phase;
                tone.doubt &= !PHASE;
            }
            if fields.rotation {
                tone.last.rotation = state.rotation;
                tone.doubt &= !ROTATION;
            }
        }
        wrong
    }

    /// Takes note of the frequency of the NCO that was read back.
    pub(super) fn learn_nco(&mut self, frequency: f64) {
        self.nco = Span::at(frequency);
        self.nco_in_doubt = false;
    }

    /// Takes note that the board lost its settings: every tone may be off now.
    pub(super) fn lose(&mut self) {
        for tone in &mut self.tones {
            if !tone.is_surely_off() {
                tone.amplitude.or(0.0);
                tone.touched = true;
            }
            tone.is_read_back = false;
            tone.doubt = OFFSET | AMPLITUDE | PHASE | ROTATION;
        }
        self.nco_in_doubt = true;
        self.nco_touched = true;
    }
}
