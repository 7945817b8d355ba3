//! Settings that bring a module from one comb of tones to another, and no others.

use twotone_hal::{Batch, ChannelId, Hertz, Radians, ToneState, ToneUpdate};

use super::{Session, Tone};

pub(super) const OFF: Tone = Tone {
    offset_hz: 0.0,
    amplitude: 0.0,
    phase_rad: 0.0,
    rotation_rad: 0.0,
};

impl Session<'_> {
    /// Adds to `batch` the settings that bring the module's tones to `tones`, from channel 1 on;
    /// all other tones go off.
    pub(crate) fn change(&mut self, batch: &mut Batch, tones: &[Tone]) {
        if !self.cleared {
            self.clear(batch);
        }
        let mut updates = self.updates(tones);
        // If most of a comb goes off, one clear and a few settings are less than all of them.
        let calls = |updates: &[ToneUpdate]| updates.iter().map(settings).sum::<usize>();
        let cleared = self.cleared_updates(tones);
        if 1 + calls(&cleared) < calls(&updates) {
            self.clear(batch);
            updates = cleared;
        }
        for (index, sent) in self.sent.iter_mut().enumerate() {
            *sent = tones.get(index).copied().unwrap_or(Tone {
                amplitude: 0.0,
                ..*sent
            });
        }
        if !updates.is_empty() {
            batch.set_tones(self.module, updates);
        }
    }

    fn clear(&mut self, batch: &mut Batch) {
        batch.clear_tones(self.module);
        self.cleared = true;
        self.sent.fill(OFF);
    }

    /// The updates that bring the tones from those that were sent to `tones`.
    fn updates(&self, tones: &[Tone]) -> Vec<ToneUpdate> {
        let off = |index: usize| Tone {
            amplitude: 0.0,
            ..self.sent[index]
        };
        (0..self.sent.len())
            .filter_map(|index| {
                let after = tones.get(index).copied().unwrap_or_else(|| off(index));
                update(index, &self.sent[index], &after)
            })
            .collect()
    }

    /// The updates that bring the tones from none to `tones`.
    fn cleared_updates(&self, tones: &[Tone]) -> Vec<ToneUpdate> {
        let few = &tones[..tones.len().min(self.sent.len())];
        few.iter()
            .enumerate()
            .filter_map(|(index, tone)| update(index, &OFF, tone))
            .collect()
    }
}

/// The settings that differ between two states of a channel, or `None` if none does.
fn update(index: usize, before: &Tone, after: &Tone) -> Option<ToneUpdate> {
    let channel = ChannelId::from_index(index)?;
    before.of(channel).update_to(&after.of(channel))
}

impl Tone {
    /// The tone as the state of a channel.
    fn of(&self, channel: ChannelId) -> ToneState {
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
fn settings(update: &ToneUpdate) -> usize {
    usize::from(update.offset.is_some())
        + usize::from(update.amplitude.is_some())
        + usize::from(update.phase.is_some())
        + usize::from(update.rotation.is_some())
}
