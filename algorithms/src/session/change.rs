//! The smallest set of settings that brings a module from one comb of tones to another.
//!
//! A *comb* is a set of tones that are on at the same time. A *clear* is one operation that
//! switches all tones of the module off. A *batch* is a list of operations that one request
//! carries.

use twotone_hal::{
    Batch, Certainty, Change, ChannelId, Hertz, Radians, ToneSettings, ToneState, ToneUpdate,
};

use super::{Session, Tone};

impl Session<'_> {
    /// Adds to `batch` the settings that change the module's tones, from channel 1 on, into
    /// `tones`. All other tones are switched off.
    pub(crate) fn change(&mut self, batch: &mut Batch, tones: &[Tone]) {
        if !self.is_cleared {
            self.clear(batch);
        }
        let mut updates = self.updates(tones);
        // If most tones of a comb are switched off, one clear and a few settings are fewer
        // operations than one setting for each tone.
        let settings = |updates: &[ToneUpdate]| updates.iter().map(count_settings).sum::<usize>();
        let after_clear = self.updates_after_clear(tones);
        if 1 + settings(&after_clear) < settings(&updates) {
            self.clear(batch);
            updates = after_clear;
        }
        if updates.is_empty() {
            return;
        }
        // A batch that fails ends the algorithm. So settings count as made as soon as they are in a
        // batch.
        let changes = updates.iter().copied().map(Change::Tone);
        self.sent.apply(changes, Certainty::Executed);
        batch.set_tones(self.module, updates);
    }

    fn clear(&mut self, batch: &mut Batch) {
        batch.clear_tones(self.module);
        self.sent.apply([Change::ClearTones], Certainty::Executed);
        self.is_cleared = true;
    }

    /// Updates that change the tones that were last sent into `tones`.
    fn updates(&self, tones: &[Tone]) -> Vec<ToneUpdate> {
        let sent = self.sent.tones().iter().enumerate();
        sent.filter_map(|(index, sent)| match tones.get(index) {
            Some(tone) => state_sent(sent).update_to(&tone.state_of(sent.channel())),
            // A channel after the last tone of the comb need only be off, so its other settings
            // stay.
            None => sent.last().update_to(&ToneState {
                amplitude: Some(0.0),
                ..ToneState::never_set(sent.channel())
            }),
        })
        .collect()
    }

    /// Updates that change cleared tones into `tones`.
    fn updates_after_clear(&self, tones: &[Tone]) -> Vec<ToneUpdate> {
        let channels = self.sent.tones().iter().map(ToneSettings::channel);
        let pairs = channels.zip(tones);
        pairs
            .filter_map(|(channel, tone)| OFF.state_of(channel).update_to(&tone.state_of(channel)))
            .collect()
    }
}

/// A tone after a clear.
const OFF: Tone = Tone {
    offset_hz: 0.0,
    amplitude: 0.0,
    phase_rad: 0.0,
    rotation_rad: 0.0,
};

/// State that was last sent. A setting that was not sent since the clear is 0: see
/// [`twotone_hal::Op::ClearTones`].
fn state_sent(sent: &ToneSettings) -> ToneState {
    let mut state = OFF.state_of(sent.channel());
    state.apply(&sent.last().as_update());
    state
}

impl Tone {
    /// The tone as the state of a channel.
    fn state_of(&self, channel: ChannelId) -> ToneState {
        ToneState {
            channel,
            offset: Some(Hertz(self.offset_hz)),
            amplitude: Some(self.amplitude),
            phase: Some(Radians(self.phase_rad)),
            rotation: Some(Radians(self.rotation_rad)),
        }
    }
}

/// Number of settings that an update sends.
fn count_settings(update: &ToneUpdate) -> usize {
    usize::from(update.offset.is_some())
        + usize::from(update.amplitude.is_some())
        + usize::from(update.phase.is_some())
        + usize::from(update.rotation.is_some())
}
