//! Conversion of operations into Tuber calls. Tuber is the protocol of the remote procedure calls
//! of CRS boards.

use std::time::Duration;

use twotone_hal::{
    Acquire, Batch, Change, ChannelId, Error, ErrorKind, Hertz, ModuleId, Op, Result, Setting,
    SettingKey, ToneFields, ToneUpdate,
};
use twotone_wire::crs::PfbMode;
use twotone_wire::tuber::{BatchWriter, Value};

use super::describe::{OBJECT, Survey};
use super::life::{BatchState, ModuleMemory};
use super::properties;

/// Longest time of one wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Writes the calls of operations on one module, or of operations without a module.
pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut BatchWriter,
    pub(super) survey: &'a Survey,
    /// Record of the module; `None` for operations without a module.
    pub(super) memory: Option<&'a ModuleMemory>,
    /// State of the module after the calls that were written so far.
    pub(super) batch_state: Option<BatchState>,
    /// True if samples come from the board's sample stream. In place of an acquisition, the board
    /// is then asked for its time.
    pub(super) streamed: bool,
    /// Changes of settings by the calls that were written so far.
    pub(super) changes: Vec<Change>,
}

impl Encoder<'_> {
    /// Writes the calls of one operation. [`super::decode::Decoder`] must read the same number of
    /// answers.
    pub(super) fn encode(&mut self, batch: &Batch, op: &Op) {
        match op {
            Op::Describe => {}
            Op::SetTones { module, updates } => {
                let updates = &batch.tone_updates()[updates.clone()];
                self.changes.reserve(updates.len());
                for update in updates {
                    self.set_tone(*module, update);
                }
            }
            Op::ReadTones {
                module,
                first,
                count,
                fields,
            } => self.read_tones(*module, *first, *count, *fields),
            Op::ClearTones { module } => {
                self.out
                    .call(OBJECT, "clear_channels")
                    .kwarg("module", module.number());
                self.changes.push(Change::ClearTones);
                if let (Some(batch_state), Some(memory)) = (&mut self.batch_state, self.memory) {
                    batch_state.clear();
                    let channel = batch_state.marker_channel();
                    self.move_to(*module, channel, Hertz(memory.marker_offset()));
                }
            }
            Op::SetNco { module, frequency } => {
                self.out
                    .call(OBJECT, "set_nco_frequency")
                    .arg(frequency.0)
                    .kwarg("module", module.number());
                self.survey.write_get(self.out, *module, SettingKey::NCO);
                self.changes.push(Change::Nco(*frequency));
                if let Some(batch_state) = &mut self.batch_state {
                    batch_state.set_nco();
                }
            }
            Op::ReadNco { module } => self.survey.write_get(self.out, *module, SettingKey::NCO),
            Op::AcquireMean { .. } | Op::AcquireSamples { .. } if self.streamed => {
                self.out.call(OBJECT, "get_timestamp");
            }
            Op::AcquireMean { module, acquire } | Op::AcquireSamples { module, acquire } => {
                self.acquire(*module, acquire);
            }
            Op::SetFastStream { module, channels } => {
                let numbers = channels.iter();
                let numbers: Vec<_> = numbers
                    .map(|channel| Value::Int(channel.number().into()))
                    .collect();
                // The board switches its streamer off if no channel is given.
                let channels = (!numbers.is_empty()).then_some(Value::Array(numbers));
                self.out
                    .call(OBJECT, "set_pfb_streamer")
                    .kwarg("channel", channels)
                    .kwarg("module", module.number());
            }
            Op::ReadFastStream { module } => {
                self.out
                    .call(OBJECT, "get_pfb_streamer")
                    .kwarg("module", module.number());
            }
            Op::ReadClock => {
                self.out.call(OBJECT, "get_timestamp");
            }
            // These operations have no calls in a batch: `housekeeping` reads the sensors, `wait`
            // cuts a wait into short requests, and `properties` asks for names first.
            Op::ReadHousekeeping
            | Op::Wait { .. }
            | Op::SetProperty { .. }
            | Op::ReadProperty { .. } => {}
            // `check` has refused unknown operations before.
            _ => {}
        }
    }

    fn set_tone(&mut self, module: ModuleId, update: &ToneUpdate) {
        if self
            .batch_state
            .as_mut()
            .is_some_and(|batch_state| batch_state.update(update))
        {
            self.move_to(module, update.channel, Hertz(0.0));
        }
        let (channel, number) = (update.channel.number(), module.number());
        if let Some(offset) = update.offset {
            self.write_offset(module, update.channel, offset);
        }
        if let Some(amplitude) = update.amplitude {
            self.out
                .call(OBJECT, "set_amplitude")
                .arg(amplitude)
                .kwarg("channel", channel)
                .kwarg("module", number);
        }
        for (phase, target) in [
            (update.phase, &self.survey.target_dac),
            (update.rotation, &self.survey.target_adc),
        ] {
            if let Some(phase) = phase {
                self.out
                    .call(OBJECT, "set_phase")
                    .arg(phase.degrees())
                    .kwarg("units", self.survey.units_degrees.as_str())
                    .kwarg("target", target.as_str())
                    .kwarg("channel", channel)
                    .kwarg("module", number);
            }
        }
        if *update != ToneUpdate::new(update.channel) {
            self.changes.push(Change::Tone(*update));
        }
    }

    /// Sets the offset of a channel for this client's own use. The offset is either the marker,
    /// which shows later if the board has restarted, or 0 in its place.
    fn move_to(&mut self, module: ModuleId, channel: ChannelId, offset: Hertz) {
        self.write_offset(module, channel, offset);
        let update = ToneUpdate::new(channel).offset(offset);
        self.changes.push(Change::Tone(update));
    }

    fn write_offset(&mut self, module: ModuleId, channel: ChannelId, offset: Hertz) {
        self.out
            .call(OBJECT, "set_frequency")
            .arg(offset.0)
            .kwarg("channel", channel.number())
            .kwarg("module", module.number());
    }

    fn read_tones(&mut self, module: ModuleId, first: ChannelId, count: u16, fields: ToneFields) {
        for channel in first.range(count.into()) {
            for (wanted, setting) in [
                (fields.offset, Setting::Offset),
                (fields.amplitude, Setting::Amplitude),
                (fields.phase, Setting::Phase),
                (fields.rotation, Setting::Rotation),
            ] {
                if wanted {
                    let key = SettingKey::tone(channel, setting);
                    self.survey.write_get(self.out, module, key);
                }
            }
        }
    }

    /// Writes the calls of an acquisition. The samples that let the filters settle are asked for on
    /// one channel only: time passes for all channels, and the answer is small.
    fn acquire(&mut self, module: ModuleId, acquire: &Acquire) {
        let number = module.number();
        if acquire.settle && self.survey.settle_samples > 0 {
            self.out
                .call(OBJECT, "get_samples")
                .arg(self.survey.settle_samples)
                .kwarg("channel", acquire.first.number())
                .kwarg("module", number);
        }
        let call = self.out.call(OBJECT, "get_samples").arg(acquire.samples);
        if acquire.count == Some(1) {
            call.kwarg("channel", acquire.first.number())
                .kwarg("module", number);
        } else {
            call.kwarg("module", number);
        }
    }
}

/// Refuses arguments that the board would refuse, before anything is sent. A value outside its
/// range is allowed if it was read back from the board, so that callers can restore earlier
/// settings.
pub(super) fn check(
    survey: &Survey,
    memory: Option<&ModuleMemory>,
    batch: &Batch,
    op: &Op,
) -> Result<()> {
    properties::check(op)?;
    let Some(module) = op.module() else {
        return Ok(());
    };
    survey.module(module)?.check(batch, op, |key, value| {
        memory.is_some_and(|one| one.out_of_range.has(key, value))
    })?;
    match op {
        Op::Wait { time, .. } if *time > LONGEST_WAIT => {
            let (asked, most) = (time.as_secs_f64(), LONGEST_WAIT.as_secs());
            let why = format!("a wait of {asked} s is longer than {most} s");
            Err(Error::new(ErrorKind::InvalidArgument, why))
        }
        Op::SetFastStream { channels, .. } => check_fast_stream(channels),
        Op::Wait { .. } if survey.stage.is_none() => Err(Error::new(
            ErrorKind::Unsupported,
            "the board does not say the rate of its samples, which its time is counted by",
        )),
        _ => Ok(()),
    }
}

/// Refuses a number of channels that no packet of the PFB stream has, and a channel that is given
/// twice.
fn check_fast_stream(channels: &[ChannelId]) -> Result<()> {
    let wrong = |why: String| Err(Error::new(ErrorKind::InvalidArgument, why));
    let modes = [PfbMode::One, PfbMode::Two, PfbMode::Four];
    let fits = |mode: &PfbMode| mode.slots() == channels.len();
    if !channels.is_empty() && !modes.iter().any(fits) {
        let found = channels.len();
        return wrong(format!("a fast stream has 1, 2 or 4 channels, not {found}"));
    }
    let mut twice = channels.iter().enumerate();
    match twice.find(|(at, channel)| channels[..*at].contains(channel)) {
        Some((_, channel)) => wrong(format!("channel {channel} is given twice")),
        None => Ok(()),
    }
}

/// True if this client can carry an operation out.
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
            | Op::SetFastStream { .. }
            | Op::ReadFastStream { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::Wait { .. }
            | Op::SetProperty { .. }
            | Op::ReadProperty { .. }
    )
}
