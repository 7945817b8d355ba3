//! Conversion of operations into Tuber calls.

use std::time::Duration;

use twotone_hal::{
    Acquire, Batch, Change, ChannelId, Error, ErrorKind, Hertz, ModuleDescription, ModuleId, Op,
    Result, Setting, SettingKey, ToneFields, ToneUpdate,
};
use twotone_wire::tuber::BatchWriter;

use super::describe::{OBJECT, Survey};
use super::life::{BatchState, ModuleMemory};
use super::out_of_range::is_in_range;

/// Longest time of one wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Writes the calls of operations on one module, or of operations without a module.
pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut BatchWriter,
    pub(super) survey: &'a Survey,
    /// Memory of the module, if there is one.
    pub(super) memory: Option<&'a ModuleMemory>,
    /// State of the module after the calls that were written so far.
    pub(super) batch_state: Option<BatchState>,
    /// True if samples come from the stream. In place of an acquisition, the board is then asked
    /// for its time.
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
            Op::ReadClock => {
                self.out.call(OBJECT, "get_timestamp");
            }
            // `housekeeping` asks the sensors, and `wait` cuts a wait into short requests.
            Op::ReadHousekeeping | Op::Wait { .. } => {}
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

    /// Sets the offset of a channel on behalf of this client: the marker, or 0 in its place.
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
        let channels = (first.index()..).take(usize::from(count));
        for channel in channels.filter_map(ChannelId::from_index) {
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
    let Some(module) = op.module() else {
        return Ok(());
    };
    let module = survey.module(module)?;
    match op {
        Op::SetTones { updates, .. } => batch.tone_updates()[updates.clone()]
            .iter()
            .try_for_each(|u| check_tone(module, memory, u)),
        Op::ReadTones { first, count, .. } => check_channels(module, *first, Some(*count)),
        Op::SetNco { frequency, .. }
            if is_allowed(module, memory, SettingKey::NCO, frequency.0) =>
        {
            Ok(())
        }
        Op::SetNco { frequency, .. } => {
            let range = module.nco_range();
            Err(outside("NCO", *frequency, range.min, range.max))
        }
        Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } => {
            check_acquire(module, acquire)
        }
        Op::Wait { time, .. } if *time > LONGEST_WAIT => Err(refuse(format!(
            "a wait of {} s is longer than {} s",
            time.as_secs_f64(),
            LONGEST_WAIT.as_secs()
        ))),
        Op::Wait { .. } if survey.stage.is_none() => Err(Error::new(
            ErrorKind::Unsupported,
            "the board does not say the rate of its samples, which its time is counted by",
        )),
        Op::Describe
        | Op::ReadClock
        | Op::ReadHousekeeping
        | Op::ClearTones { .. }
        | Op::ReadNco { .. }
        | Op::Wait { .. } => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "the client of CRS boards does not have this operation",
        )),
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
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::Wait { .. }
    )
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn outside(what: &str, value: Hertz, low: Hertz, high: Hertz) -> Error {
    refuse(format!(
        "{what} frequency {value} is outside {low} to {high}"
    ))
}

/// True if the value is in the range of the setting, or was read back from the board.
fn is_allowed(
    module: &ModuleDescription,
    memory: Option<&ModuleMemory>,
    key: SettingKey,
    value: f64,
) -> bool {
    is_in_range(module, key.setting, value)
        || memory.is_some_and(|one| one.out_of_range.has(key, value))
}

fn check_tone(
    module: &ModuleDescription,
    memory: Option<&ModuleMemory>,
    update: &ToneUpdate,
) -> Result<()> {
    check_channels(module, update.channel, Some(1))?;
    let key = |setting| SettingKey::tone(update.channel, setting);
    if let Some(offset) = update.offset
        && !is_allowed(module, memory, key(Setting::Offset), offset.0)
    {
        let what = format!("channel {}: offset", update.channel);
        let most = module.max_offset;
        return Err(outside(&what, offset, -most, most));
    }
    if let Some(amplitude) = update.amplitude
        && !is_allowed(module, memory, key(Setting::Amplitude), amplitude)
    {
        let channel = update.channel;
        return Err(refuse(format!(
            "channel {channel}: amplitude {amplitude} is outside -1 to 1"
        )));
    }
    if [update.phase, update.rotation]
        .into_iter()
        .flatten()
        .any(|phase| !phase.is_finite())
    {
        return Err(refuse(format!(
            "channel {}: a phase is not finite",
            update.channel
        )));
    }
    Ok(())
}

fn check_channels(module: &ModuleDescription, first: ChannelId, count: Option<u16>) -> Result<()> {
    let last = u32::from(first.number()) + u32::from(count.unwrap_or(1).max(1)) - 1;
    if count == Some(0) {
        return Err(refuse("no channels are asked for".to_owned()));
    }
    if last > u32::from(module.channels) {
        let (id, channels) = (module.module, module.channels);
        return Err(refuse(format!(
            "channel {last} is past the {channels} of module {id}"
        )));
    }
    Ok(())
}

fn check_acquire(module: &ModuleDescription, acquire: &Acquire) -> Result<()> {
    check_channels(module, acquire.first, acquire.count)?;
    if acquire.samples == 0 || acquire.samples > module.max_samples {
        let (asked, most) = (acquire.samples, module.max_samples);
        return Err(refuse(format!(
            "{asked} samples are not between 1 and {most}"
        )));
    }
    Ok(())
}
