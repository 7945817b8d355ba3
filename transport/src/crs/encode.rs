//! Operations as Tuber calls.

use twotone_hal::{
    Acquire, Batch, ChannelId, Error, ErrorKind, Hertz, ModuleDescription, ModuleId, Op, Result,
    ToneFields, ToneUpdate,
};
use twotone_wire::tuber::BatchWriter;

use super::CrsBoard;
use super::describe::OBJECT;

impl CrsBoard {
    /// Refuses arguments that the board would refuse, before anything is sent.
    pub(super) fn check(&self, batch: &Batch, op: &Op) -> Result<()> {
        let Some(module) = op.module() else {
            return Ok(());
        };
        let module = &self.module(module)?.description;
        match op {
            Op::SetTones { updates, .. } => batch.tone_updates()[updates.clone()]
                .iter()
                .try_for_each(|u| check_tone(module, u)),
            Op::ReadTones { first, count, .. } => check_channels(module, *first, Some(*count)),
            Op::SetNco { frequency, .. } => {
                within("NCO", *frequency, module.nco_min, module.nco_max)
            }
            Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } => {
                check_acquire(module, acquire)
            }
            _ => Ok(()),
        }
    }

    /// Writes the calls of one operation; [`CrsBoard::decode`] reads as many answers. Gives what
    /// the marker of the module will be, where the operation changes it.
    pub(super) fn encode(&self, out: &mut BatchWriter, batch: &Batch, op: &Op) -> Option<f64> {
        let mut marker = None;
        match op {
            Op::Describe => {}
            Op::SetTones { module, updates } => {
                for update in &batch.tone_updates()[updates.clone()] {
                    marker = self.encode_tone(out, *module, update).or(marker);
                }
            }
            Op::ReadTones {
                module,
                first,
                count,
                fields,
            } => {
                self.encode_read(out, *module, *first, *count, *fields);
            }
            Op::ClearTones { module } => {
                out.call(OBJECT, "clear_channels")
                    .kwarg("module", module.number());
                if let Ok(module) = self.module(*module) {
                    marker = Some(module.memory.encode_marker(out, module.id));
                }
            }
            Op::SetNco { module, frequency } => {
                if let Ok(module) = self.module(*module) {
                    module.memory.end_phase_epoch();
                }
                out.call(OBJECT, "set_nco_frequency")
                    .arg(frequency.0)
                    .kwarg("module", module.number());
                out.call(OBJECT, "get_nco_frequency")
                    .kwarg("module", module.number());
            }
            Op::ReadNco { module } => {
                out.call(OBJECT, "get_nco_frequency")
                    .kwarg("module", module.number());
            }
            Op::AcquireMean { module, acquire } | Op::AcquireSamples { module, acquire } => {
                self.encode_acquire(out, *module, acquire);
            }
            Op::ReadClock => {
                out.call(OBJECT, "get_timestamp");
            }
            Op::ReadHousekeeping => {
                for sensor in &self.survey.sensors {
                    out.call(OBJECT, "get_motherboard_temperature")
                        .arg(sensor.as_str());
                }
                for rail in &self.survey.rails {
                    out.call(OBJECT, "get_motherboard_voltage")
                        .arg(rail.as_str());
                    out.call(OBJECT, "get_motherboard_current")
                        .arg(rail.as_str());
                }
            }
            // An operation that this client does not know yet is refused before this.
            _ => {}
        }
        marker
    }

    fn encode_tone(
        &self,
        out: &mut BatchWriter,
        module: ModuleId,
        update: &ToneUpdate,
    ) -> Option<f64> {
        let mut marker = None;
        let (channel, number) = (update.channel.number(), module.number());
        if let Some(offset) = update.offset {
            out.call(OBJECT, "set_frequency")
                .arg(offset.0)
                .kwarg("channel", channel)
                .kwarg("module", number);
            let memory = self.module(module).ok().map(|module| &module.memory);
            if memory.is_some_and(|memory| memory.marker_channel() == update.channel) {
                marker = Some(offset.0);
            }
        }
        if let Some(amplitude) = update.amplitude {
            out.call(OBJECT, "set_amplitude")
                .arg(amplitude)
                .kwarg("channel", channel)
                .kwarg("module", number);
        }
        for (phase, target) in [
            (update.phase, &self.survey.target_dac),
            (update.rotation, &self.survey.target_adc),
        ] {
            if let Some(phase) = phase {
                out.call(OBJECT, "set_phase")
                    .arg(phase.degrees())
                    .kwarg("units", self.survey.units_degrees.as_str())
                    .kwarg("target", target.as_str())
                    .kwarg("channel", channel)
                    .kwarg("module", number);
            }
        }
        marker
    }

    fn encode_read(
        &self,
        out: &mut BatchWriter,
        module: ModuleId,
        first: ChannelId,
        count: u16,
        fields: ToneFields,
    ) {
        let module = module.number();
        for channel in first.number()..first.number().saturating_add(count) {
            for (wanted, method) in [
                (fields.offset, "get_frequency"),
                (fields.amplitude, "get_amplitude"),
            ] {
                if wanted {
                    out.call(OBJECT, method)
                        .kwarg("channel", channel)
                        .kwarg("module", module);
                }
            }
            for (wanted, target) in [
                (fields.phase, &self.survey.target_dac),
                (fields.rotation, &self.survey.target_adc),
            ] {
                if wanted {
                    out.call(OBJECT, "get_phase")
                        .kwarg("units", self.survey.units_degrees.as_str())
                        .kwarg("target", target.as_str())
                        .kwarg("channel", channel)
                        .kwarg("module", module);
                }
            }
        }
    }

    /// The samples to throw away are asked for on one channel: time passes for all of them, and
    /// the answer is small.
    fn encode_acquire(&self, out: &mut BatchWriter, module: ModuleId, acquire: &Acquire) {
        let number = module.number();
        if acquire.settle && self.survey.settle_samples > 0 {
            out.call(OBJECT, "get_samples")
                .arg(self.survey.settle_samples)
                .kwarg("channel", acquire.first.number())
                .kwarg("module", number);
        }
        let call = out.call(OBJECT, "get_samples").arg(acquire.samples);
        if acquire.count == Some(1) {
            call.kwarg("channel", acquire.first.number())
                .kwarg("module", number);
        } else {
            call.kwarg("module", number);
        }
    }
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn within(what: &str, value: Hertz, low: Hertz, high: Hertz) -> Result<()> {
    if value.0 >= low.0 && value.0 <= high.0 {
        return Ok(());
    }
    Err(refuse(format!(
        "{what} frequency {value} is outside {low} to {high}"
    )))
}

fn check_tone(module: &ModuleDescription, update: &ToneUpdate) -> Result<()> {
    check_channels(module, update.channel, Some(1))?;
    if let Some(offset) = update.offset {
        let what = format!("channel {}: offset", update.channel);
        within(&what, offset, -module.max_offset, module.max_offset)?;
    }
    if let Some(amplitude) = update.amplitude
        && !(-1.0..=1.0).contains(&amplitude)
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
