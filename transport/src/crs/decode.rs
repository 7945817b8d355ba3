//! The answers to Tuber calls as replies.

use twotone_hal::{
    Batch, BoardTime, Certainty, ChannelId, Complex64, Error, ErrorKind, Hertz, NcoState, Op,
    Radians, Reading, ReadingUnit, RepliesBuilder, Result, ToneFields, ToneState,
};
use twotone_wire::tuber::{Answer, Cursor, Elements, Limits};

use super::describe::broken;
use super::{CrsBoard, Part};
use crate::http;

impl CrsBoard {
    /// Reads the answer to the operations of `part`, one element for each call that
    /// [`CrsBoard::encode`] wrote.
    pub(super) fn decode(
        &self,
        batch: &Batch,
        part: Part,
        calls: usize,
        answer: &http::Answer,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let limits = Limits {
            body_bytes: self.options.answer_limit,
            ..Limits::ANSWER
        };
        let content_type = answer.content_type.as_deref();
        let mut read = Answer::new(content_type, &answer.body, &limits).map_err(broken)?;
        let mut elements = read.elements(calls).map_err(broken)?;
        if let Some(refusal) = elements.refusal() {
            return Err(Error::new(ErrorKind::Rejected, refusal).after(replies.answered()));
        }
        let mut reader = Reader {
            elements: &mut elements,
            taken: 0,
        };
        for op in &batch.ops()[part.from..part.to] {
            reader.taken = 0;
            self.decode_op(batch, op, &mut reader, replies)
                .map_err(|error| error.after(replies.answered()))?;
        }
        match elements.next().map_err(broken)? {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Protocol, "one answer too many")
                .certainty_is(Certainty::Unknown)),
        }
    }

    fn decode_op(
        &self,
        batch: &Batch,
        op: &Op,
        reader: &mut Reader<'_, '_, '_>,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        match op {
            Op::Describe => replies.description(self.description()),
            Op::SetTones { updates, .. } => {
                for update in &batch.tone_updates()[updates.clone()] {
                    let settings = [
                        update.offset.is_some(),
                        update.amplitude.is_some(),
                        update.phase.is_some(),
                        update.rotation.is_some(),
                    ];
                    for _ in settings.iter().filter(|set| **set) {
                        reader.done()?;
                    }
                }
                replies.done()
            }
            Op::ClearTones { .. } => {
                reader.done()?;
                reader.done()?;
                replies.done()
            }
            Op::ReadTones {
                first,
                count,
                fields,
                ..
            } => {
                let mut states = Vec::with_capacity(usize::from(*count));
                for index in first.index()..first.index() + usize::from(*count) {
                    if let Some(channel) = ChannelId::from_index(index) {
                        states.push(reader.tone(channel, *fields)?);
                    }
                }
                replies.tones(states)
            }
            Op::SetNco { module, .. } => {
                reader.done()?;
                replies.nco(self.nco(*module, reader)?)
            }
            Op::ReadNco { module } => replies.nco(self.nco(*module, reader)?),
            Op::AcquireMean { acquire, .. } => {
                if acquire.settle && self.survey.settle_samples > 0 {
                    reader.done()?;
                }
                let samples = reader.samples(acquire.first, acquire.count, acquire.samples)?;
                let (mean, scatter) = samples.means();
                replies.mean(mean, scatter, samples.overrange, samples.overvoltage)
            }
            Op::AcquireSamples { acquire, .. } => {
                if acquire.settle && self.survey.settle_samples > 0 {
                    reader.done()?;
                }
                let samples = reader.samples(acquire.first, acquire.count, acquire.samples)?;
                let pairs = samples.i.iter().zip(&samples.q);
                let channels = samples.i.len() / samples.length.max(1);
                replies.samples(
                    channels,
                    pairs.map(|(i, q)| Complex64::new(*i, *q)),
                    samples.overrange,
                    samples.overvoltage,
                )
            }
            Op::ReadClock => replies.clock(reader.clock()?),
            Op::ReadHousekeeping => {
                let mut readings = Vec::new();
                for name in &self.survey.sensors {
                    reader.reading(name, ReadingUnit::Celsius, &mut readings)?;
                }
                for name in &self.survey.rails {
                    reader.reading(name, ReadingUnit::Volts, &mut readings)?;
                    reader.reading(name, ReadingUnit::Amperes, &mut readings)?;
                }
                replies.readings(readings)
            }
            other => Err(
                Error::new(ErrorKind::Unsupported, "this client does not know it")
                    .during(other.to_string()),
            ),
        }
    }

    fn nco(
        &self,
        module: twotone_hal::ModuleId,
        reader: &mut Reader<'_, '_, '_>,
    ) -> Result<NcoState> {
        // An NCO that was never set is at zero.
        let frequency = Hertz(reader.result()?.opt_f64().map_err(broken)?.unwrap_or(0.0));
        Ok(NcoState {
            frequency,
            phase_epoch: self.module(module)?.memory.phase_epoch(),
        })
    }
}

/// Takes the elements of an answer one by one.
struct Reader<'r, 'c, 'a> {
    elements: &'r mut Elements<'c, 'a>,
    /// Calls of the operation at hand that have been answered.
    taken: usize,
}

/// The samples of an acquisition, row by row, a row a channel.
struct Samples {
    i: Vec<f64>,
    q: Vec<f64>,
    length: usize,
    overrange: bool,
    overvoltage: bool,
}

impl<'a> Reader<'_, '_, 'a> {
    /// The result of the next call. The first error of an answer is the one that counts: what
    /// comes after it was not run.
    fn result(&mut self) -> Result<Cursor<'a>> {
        let Some(element) = self.elements.next().map_err(broken)? else {
            return Err(Error::new(ErrorKind::Protocol, "no answer came for it"));
        };
        element
            .warnings
            .for_each(|warning| tracing::warn!(%warning, "the board warns"));
        match element.outcome {
            Ok(cursor) => {
                self.taken += 1;
                Ok(cursor)
            }
            Err(message) => {
                // Calls of the same operation before this one have taken effect.
                let certainty = if self.taken == 0 {
                    Certainty::NotExecuted
                } else {
                    Certainty::Unknown
                };
                Err(Error::new(ErrorKind::Rejected, last_line(&message)).certainty_is(certainty))
            }
        }
    }

    fn done(&mut self) -> Result<()> {
        self.result().map(drop)
    }

    fn tone(&mut self, channel: ChannelId, fields: ToneFields) -> Result<ToneState> {
        let mut read = |wanted: bool| -> Result<Option<f64>> {
            if wanted {
                self.result()?.opt_f64().map_err(broken)
            } else {
                Ok(None)
            }
        };
        let offset = read(fields.offset)?.map(Hertz);
        let amplitude = read(fields.amplitude)?;
        let phase = read(fields.phase)?.map(Radians::from_degrees);
        let rotation = read(fields.rotation)?.map(Radians::from_degrees);
        Ok(ToneState {
            channel,
            offset,
            amplitude,
            phase,
            rotation,
        })
    }

    fn samples(&mut self, first: ChannelId, count: Option<u16>, length: u32) -> Result<Samples> {
        let mut result = self.result()?;
        let (mut i, mut q) = (Vec::new(), Vec::new());
        let (mut overrange, mut overvoltage) = (false, false);
        let mut entries = result.entries().map_err(broken)?;
        while let Some((key, value)) = entries.next().map_err(broken)? {
            match &*key {
                "i" => value.f64_into(&mut i).map_err(broken)?,
                "q" => value.f64_into(&mut q).map_err(broken)?,
                "flags" => {
                    let mut flags = value.entries().map_err(broken)?;
                    while let Some((flag, value)) = flags.next().map_err(broken)? {
                        match &*flag {
                            "overrange" => overrange = value.bool().map_err(broken)?,
                            "overvoltage" => overvoltage = value.bool().map_err(broken)?,
                            _ => value.skip().map_err(broken)?,
                        }
                    }
                }
                _ => value.skip().map_err(broken)?,
            }
        }
        let length = length as usize;
        let wrong =
            |what: String| Error::new(ErrorKind::Protocol, what).certainty_is(Certainty::Unknown);
        if i.len() != q.len() || i.is_empty() || i.len() % length != 0 {
            return Err(wrong(format!(
                "{length} samples a channel were asked for, {} I and {} Q came",
                i.len(),
                q.len()
            )));
        }
        if i.iter().chain(&q).any(|value| !value.is_finite()) {
            return Err(wrong("a sample is not a finite number".to_owned()));
        }
        // One channel is asked for alone; several are cut out of all.
        if count != Some(1) {
            let rows = i.len() / length;
            let from = first.index();
            let to = count.map_or(rows, |count| from + usize::from(count));
            if from >= rows || to > rows {
                return Err(wrong(format!(
                    "{rows} channels came, {from} to {to} were asked for"
                )));
            }
            for values in [&mut i, &mut q] {
                values.truncate(to * length);
                values.drain(..from * length);
            }
        }
        Ok(Samples {
            i,
            q,
            length,
            overrange,
            overvoltage,
        })
    }

    fn clock(&mut self) -> Result<BoardTime> {
        let value = self.result()?.value().map_err(broken)?;
        let field = |name: &str| -> Result<f64> {
            value
                .get(name)
                .and_then(|value| value.as_f64())
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::Protocol,
                        format!("the time stamp has no number {name:?}"),
                    )
                    .certainty_is(Certainty::Unknown)
                })
        };
        let whole = field("h")? * 3600.0 + field("m")? * 60.0 + field("s")?;
        Ok(BoardTime {
            year: field("y")?.rem_euclid(100.0) as u8,
            day: field("d")? as u16,
            second_of_day: whole + field("ss")? / SUBSECONDS,
            source: value
                .get("source")
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned(),
            recent: value.get("recent").is_some_and(|recent| recent.truthy()),
        })
    }

    fn reading(
        &mut self,
        name: &str,
        unit: ReadingUnit,
        readings: &mut Vec<Reading>,
    ) -> Result<()> {
        // A sensor that is not fitted reads as nothing.
        if let Some(value) = self.result()?.opt_f64().map_err(broken)? {
            readings.push(Reading {
                name: name.to_owned(),
                value,
                unit,
            });
        }
        Ok(())
    }
}

/// Units of the sub-second field of a time stamp in a second.
const SUBSECONDS: f64 = 156.25e6;

impl Samples {
    /// Mean and standard deviation of each channel's samples.
    fn means(&self) -> (Vec<Complex64>, Vec<f64>) {
        let n = self.length as f64;
        let rows = self
            .i
            .chunks_exact(self.length)
            .zip(self.q.chunks_exact(self.length));
        rows.map(|(i, q)| {
            let mean = Complex64::new(i.iter().sum::<f64>() / n, q.iter().sum::<f64>() / n);
            let squares: f64 = i
                .iter()
                .zip(q)
                .map(|(i, q)| (i - mean.re).powi(2) + (q - mean.im).powi(2))
                .sum();
            (
                mean,
                if self.length > 1 {
                    (squares / (n - 1.0)).sqrt()
                } else {
                    0.0
                },
            )
        })
        .unzip()
    }
}

/// What a Python traceback comes down to.
fn last_line(message: &str) -> &str {
    message
        .trim_end()
        .lines()
        .next_back()
        .unwrap_or("the board gave no reason")
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_scatter_are_those_of_complex_samples() {
        let samples = Samples {
            i: vec![1.0, 3.0, 5.0, 5.0],
            q: vec![0.0, 0.0, 1.0, -1.0],
            length: 2,
            overrange: false,
            overvoltage: false,
        };
        let (mean, scatter) = samples.means();
        assert_eq!(mean, [Complex64::new(2.0, 0.0), Complex64::new(5.0, 0.0)]);
        assert!((scatter[0] - 2f64.sqrt()).abs() < 1e-12);
        assert!((scatter[1] - 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_traceback_comes_down_to_its_last_line() {
        assert_eq!(
            last_line("Traceback:\n  File x\nValueError: no good\n"),
            "ValueError: no good"
        );
        assert_eq!(last_line(""), "the board gave no reason");
    }
}
