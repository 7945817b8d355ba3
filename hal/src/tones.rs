//! Tones: the carriers that a module drives through its feedline. Together they are a comb. The
//! frequency of a tone is given relative to the NCO of the module, an oscillator.

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, ChannelId, Hertz, ModuleId, Op, Radians, Replies, Result, Ticket};

/// Type of the operation that changes tones.
#[derive(Debug)]
pub enum SetTones {}
/// Type of the operation that switches all tones of a module off.
#[derive(Debug)]
pub enum ClearTones {}
/// Type of the operation that reads tones back.
#[derive(Debug)]
pub enum ReadTones {}

/// Changes of one tone. A setting whose field is `None` keeps its value, and is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneUpdate {
    /// The channel.
    pub channel: ChannelId,
    /// Frequency relative to the module's NCO.
    pub offset: Option<Hertz>,
    /// Amplitude as a fraction of full scale, -1 to 1.
    pub amplitude: Option<f64>,
    /// Phase of the carrier as it is driven. It is added to the phase of the samples.
    pub phase: Option<Radians>,
    /// Phase of the demodulation. It is **subtracted** from the phase of the samples.
    pub rotation: Option<Radians>,
}

impl ToneUpdate {
    /// An update of `channel` that changes nothing yet.
    pub fn new(channel: ChannelId) -> Self {
        Self {
            channel,
            offset: None,
            amplitude: None,
            phase: None,
            rotation: None,
        }
    }

    /// An update that sets the frequency of a tone, relative to the NCO, and its amplitude, as a
    /// fraction of full scale. Its phases stay as they are.
    pub fn tone(channel: ChannelId, offset: Hertz, amplitude: f64) -> Self {
        Self::new(channel).offset(offset).amplitude(amplitude)
    }

    /// Sets the frequency relative to the NCO.
    #[must_use]
    pub fn offset(self, offset: Hertz) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    /// Sets the amplitude as a fraction of full scale.
    #[must_use]
    pub fn amplitude(self, amplitude: f64) -> Self {
        Self {
            amplitude: Some(amplitude),
            ..self
        }
    }

    /// Sets the phase of the carrier.
    #[must_use]
    pub fn phase(self, phase: Radians) -> Self {
        Self {
            phase: Some(phase),
            ..self
        }
    }

    /// Sets the phase of the demodulation.
    #[must_use]
    pub fn rotation(self, rotation: Radians) -> Self {
        Self {
            rotation: Some(rotation),
            ..self
        }
    }
}

/// Selection of the settings of a tone to read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToneFields {
    /// [`ToneState::offset`].
    pub offset: bool,
    /// [`ToneState::amplitude`].
    pub amplitude: bool,
    /// [`ToneState::phase`].
    pub phase: bool,
    /// [`ToneState::rotation`].
    pub rotation: bool,
}

impl ToneFields {
    /// Every setting.
    pub const ALL: Self = Self {
        offset: true,
        amplitude: true,
        phase: true,
        rotation: true,
    };
    /// The amplitude alone, which shows whether a tone is on.
    pub const AMPLITUDE: Self = Self {
        offset: false,
        amplitude: true,
        phase: false,
        rotation: false,
    };
}

/// Settings of a tone as they were read back. A field is `None` if it was not requested, or if it
/// was never set on the board.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneState {
    /// The channel.
    pub channel: ChannelId,
    /// Frequency relative to the module's NCO.
    pub offset: Option<Hertz>,
    /// Amplitude as a fraction of full scale. A tone that was never set is off.
    pub amplitude: Option<f64>,
    /// Phase of the carrier.
    pub phase: Option<Radians>,
    /// Phase of the demodulation.
    pub rotation: Option<Radians>,
}

impl ToneState {
    /// State of a tone without any setting.
    pub fn never_set(channel: ChannelId) -> Self {
        Self {
            channel,
            offset: None,
            amplitude: None,
            phase: None,
            rotation: None,
        }
    }

    /// Sets each setting to its value in `update`. A setting that is `None` in `update` stays as it
    /// is. The channels are not compared.
    pub fn apply(&mut self, update: &ToneUpdate) {
        self.offset = update.offset.or(self.offset);
        self.amplitude = update.amplitude.or(self.amplitude);
        self.phase = update.phase.or(self.phase);
        self.rotation = update.rotation.or(self.rotation);
    }

    /// Returns the update that brings a tone from this state to `wanted`. It has only the settings
    /// that differ; `None` if no setting differs. A setting that is `None` in `wanted` is not
    /// changed.
    pub fn update_to(&self, wanted: &Self) -> Option<ToneUpdate> {
        fn changed<T: PartialEq + Copy>(present: Option<T>, wanted: Option<T>) -> Option<T> {
            wanted.filter(|wanted| present != Some(*wanted))
        }
        let update = ToneUpdate {
            channel: wanted.channel,
            offset: changed(self.offset, wanted.offset),
            amplitude: changed(self.amplitude, wanted.amplitude),
            phase: changed(self.phase, wanted.phase),
            rotation: changed(self.rotation, wanted.rotation),
        };
        (update != ToneUpdate::new(wanted.channel)).then_some(update)
    }

    /// Returns the state with only the settings of `fields`, as a board answers a request for these
    /// fields.
    #[must_use]
    pub fn only(self, fields: ToneFields) -> Self {
        Self {
            channel: self.channel,
            offset: self.offset.filter(|_| fields.offset),
            amplitude: self.amplitude.filter(|_| fields.amplitude),
            phase: self.phase.filter(|_| fields.phase),
            rotation: self.rotation.filter(|_| fields.rotation),
        }
    }

    /// True if the tone is driven. False if its amplitude was not read.
    pub fn is_on(&self) -> bool {
        self.amplitude.is_some_and(|amplitude| amplitude != 0.0)
    }

    /// The update that restores this state. A tone whose amplitude is `None` is switched off. Other
    /// settings that are `None` are not changed.
    pub fn as_update(&self) -> ToneUpdate {
        ToneUpdate {
            channel: self.channel,
            offset: self.offset,
            amplitude: Some(self.amplitude.unwrap_or(0.0)),
            phase: self.phase,
            rotation: self.rotation,
        }
    }
}

macro_rules! replies_without_data {
    ($($op:ty),*) => {$(
        impl Operation for $op {
            type Reply<'a> = ();

            fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<()> {
                matches!(entry, Entry::Done).then_some(())
            }
        }
    )*};
}
replies_without_data!(SetTones, ClearTones);

impl Operation for ReadTones {
    type Reply<'a> = &'a [ToneState];

    fn reply<'a>(entry: &'a Entry, replies: &'a Replies) -> Option<&'a [ToneState]> {
        match entry {
            Entry::Tones(range) => replies.tones.get(range.clone()),
            _ => None,
        }
    }
}

impl Batch {
    /// Adds an operation that changes tones of `module`, in the order of `updates`. Settings that
    /// are `None` in an update are not sent. If `updates` is empty, nothing is sent.
    pub fn set_tones(
        &mut self,
        module: ModuleId,
        updates: impl IntoIterator<Item = ToneUpdate>,
    ) -> Ticket<SetTones> {
        let updates = self.push_tones(updates);
        self.push(Op::SetTones { module, updates })
    }

    /// Adds an operation that changes one tone of `module`.
    pub fn set_tone(&mut self, module: ModuleId, update: ToneUpdate) -> Ticket<SetTones> {
        self.set_tones(module, [update])
    }

    /// Adds an operation that switches every tone of `module` off.
    pub fn clear_tones(&mut self, module: ModuleId) -> Ticket<ClearTones> {
        self.push(Op::ClearTones { module })
    }

    /// Adds an operation that reads back `count` channels of `module` from `first` on.
    pub fn read_tones(
        &mut self,
        module: ModuleId,
        first: ChannelId,
        count: u16,
        fields: ToneFields,
    ) -> Ticket<ReadTones> {
        self.push(Op::ReadTones {
            module,
            first,
            count,
            fields,
        })
    }
}

/// The tones of a board. Each call runs a batch (a list of operations) with one operation.
#[derive(Debug)]
pub struct Tones<'a>(&'a BoardHandle);

impl<'a> Tones<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Changes tones of `module`.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn set(
        &self,
        module: ModuleId,
        updates: impl IntoIterator<Item = ToneUpdate>,
    ) -> Result<()> {
        let mut batch = Batch::new();
        batch.set_tones(module, updates);
        self.0.run(&batch).await.map(drop)
    }

    /// Switches every tone of `module` off.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn clear(&self, module: ModuleId) -> Result<()> {
        let mut batch = Batch::new();
        batch.clear_tones(module);
        self.0.run(&batch).await.map(drop)
    }

    /// Reads back `count` channels of `module` from `first` on.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn read(
        &self,
        module: ModuleId,
        first: ChannelId,
        count: u16,
    ) -> Result<Vec<ToneState>> {
        let mut batch = Batch::new();
        let ticket = batch.read_tones(module, first, count, ToneFields::ALL);
        Ok(self.0.run(&batch).await?.get(ticket).to_vec())
    }
}
