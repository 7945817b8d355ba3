//! Conversion of the answers to Tuber calls into replies. Tuber is the protocol of the remote
//! procedure calls of CRS boards. A batch is a list of operations, and a *segment* is the part of
//! it that one request carries.

use twotone_hal::{
    Acquire, Batch, BoardTime, Certainty, ChannelId, Complex64, Error, ErrorKind, Hertz, NcoState,
    Op, RepliesBuilder, Result, Setting, SettingKey, ToneState,
};
use twotone_wire::tuber::{Answer, Limits};

use super::describe::Survey;
use super::life::{BatchState, ModuleMemory};
use super::reader::{Reader, Samples, Wanted};
use super::segment::Segment;
use super::streamed;
use crate::http;
use crate::link::OutcomeWriter;
use crate::tuber::broken;

/// Reads the answer to one request.
pub(super) struct Decoder<'a> {
    pub(super) batch: &'a Batch,
    pub(super) segment: Segment,
    pub(super) survey: &'a Survey,
    /// Record of the module; `None` for operations without a module.
    pub(super) memory: Option<&'a ModuleMemory>,
    /// State of the module after the operations whose answers were read so far.
    pub(super) batch_state: Option<BatchState>,
    pub(super) outcome: &'a OutcomeWriter,
}

impl Decoder<'_> {
    /// Reads the answer, one element for each of the `calls` that [`super::encode::Encoder`] wrote.
    /// If the segment ends with an acquisition from the stream, that operation gets no reply here.
    /// The function then returns the board's time before the acquisition, or the error of the board
    /// if it failed to return its time.
    ///
    /// After an error, `batch_state` is the state of the module after the operations that were
    /// answered.
    pub(super) fn decode(
        &mut self,
        calls: usize,
        answer: &http::Answer,
        limits: &Limits,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<Option<Result<BoardTime>>> {
        let content_type = answer.content_type.as_deref();
        let mut read = Answer::new(content_type, &answer.body, limits).map_err(broken)?;
        let mut elements = read.elements(calls).map_err(broken)?;
        if let Some(refusal) = elements.refusal() {
            return Err(Error::new(ErrorKind::Rejected, refusal).after(replies.answered()));
        }
        let mut reader = Reader::new(&mut elements);
        let mut time = None;
        for op in self.segment.ops(self.batch) {
            reader.begin();
            if self.segment.streamed && streamed::is_acquisition(op) {
                // The time is the last call, so no other answer is lost if it fails.
                time = Some(reader.clock());
                continue;
            }
            let decoded = self.decode_op(op, &mut reader, replies);
            reader.pass_warnings_to(replies);
            decoded.map_err(|error| error.after(replies.answered()))?;
        }
        reader.pass_warnings_to(replies);
        // After an element that cannot be read, the rest of the answer cannot be read either.
        if matches!(time, Some(Err(_))) {
            return Ok(time);
        }
        match elements.next().map_err(broken)? {
            None => Ok(time),
            Some(_) => Err(Error::new(ErrorKind::Protocol, "one answer too many")
                .certainty_is(Certainty::Unknown)),
        }
    }

    fn decode_op(
        &mut self,
        op: &Op,
        reader: &mut Reader<'_, '_, '_>,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        match op {
            Op::Describe => {
                replies.repeated(self.survey.repeats);
                replies.description(self.survey.description())
            }
            Op::SetTones { updates, .. } => {
                for update in &self.batch.tone_updates()[updates.clone()] {
                    let settings = [
                        self.batch_state
                            .as_mut()
                            .is_some_and(|one| one.update(update)),
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
                if let Some(batch_state) = &mut self.batch_state {
                    batch_state.clear();
                    reader.done()?;
                }
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
                        let tone = self.tone(reader.tone(channel, *fields)?);
                        let found = |setting, value: Option<f64>| {
                            let value = value.unwrap_or(0.0);
                            self.found(op, SettingKey::tone(channel, setting), value);
                        };
                        found(Setting::Offset, tone.offset.map(|offset| offset.0));
                        found(Setting::Amplitude, tone.amplitude);
                        states.push(tone);
                    }
                }
                replies.tones(states)
            }
            Op::SetNco { .. } => {
                reader.done()?;
                if let Some(batch_state) = &mut self.batch_state {
                    batch_state.set_nco();
                }
                let nco = self.nco(reader)?;
                self.outcome.found_nco(nco.frequency);
                replies.nco(nco)
            }
            Op::ReadNco { .. } => {
                let nco = self.nco(reader)?;
                self.found(op, SettingKey::NCO, nco.frequency.0);
                replies.nco(nco)
            }
            Op::AcquireMean { acquire, .. } => {
                let samples = self.samples(reader, acquire, Wanted::Means)?;
                let (mean, scatter) = samples.means();
                replies.mean(mean, scatter, samples.overrange, samples.overvoltage)
            }
            Op::AcquireSamples { acquire, .. } => {
                let samples = self.samples(reader, acquire, Wanted::Samples)?;
                let pairs = samples.i.iter().zip(&samples.q);
                let channels = samples.i.len() / samples.length.max(1);
                replies.samples(
                    channels,
                    pairs.map(|(i, q)| Complex64::new(*i, *q)),
                    samples.overrange,
                    samples.overvoltage,
                )
            }
            Op::SetFastStream { .. } => {
                reader.done()?;
                replies.done()
            }
            Op::ReadFastStream { .. } => replies.fast_stream(reader.channels()?),
            Op::ReadClock => replies.clock(reader.clock()?),
            other => Err(
                Error::new(ErrorKind::Unsupported, "this client does not know it")
                    .during(other.to_string()),
            ),
        }
    }

    /// The samples of an acquisition. The answer to the previous call, whose samples only let the
    /// filters settle, is discarded.
    fn samples(
        &self,
        reader: &mut Reader<'_, '_, '_>,
        acquire: &Acquire,
        wanted: Wanted,
    ) -> Result<Samples> {
        if acquire.settle && self.survey.settle_samples > 0 {
            reader.done()?;
        }
        reader.samples(acquire.first, acquire.count, acquire.samples, wanted)
    }

    /// Records a setting that was read back if its value is out of range, so that a caller may
    /// restore this value.
    fn found(&self, op: &Op, key: SettingKey, value: f64) {
        let module = op.module().and_then(|id| self.survey.module(id).ok());
        if let (Some(memory), Some(module)) = (self.memory, module) {
            memory.out_of_range.note(module, key, value);
        }
    }

    /// The tone without the marker, an offset that this client sets on an unused channel to find
    /// out later if the board has restarted. If the channel is off and its offset is the marker, no
    /// caller has set an offset.
    fn tone(&self, tone: ToneState) -> ToneState {
        let marks = |batch_state: BatchState| tone.channel == batch_state.marker_channel();
        let marker_offset = self.memory.map(ModuleMemory::marker_offset);
        match (self.batch_state, tone.offset, marker_offset) {
            (Some(batch_state), Some(offset), Some(marker_offset))
                if marks(batch_state)
                    && !tone.is_on()
                    && (offset.0 - marker_offset).abs() <= 1.0 =>
            {
                ToneState {
                    offset: None,
                    ..tone
                }
            }
            _ => tone,
        }
    }

    fn nco(&self, reader: &mut Reader<'_, '_, '_>) -> Result<NcoState> {
        // A board whose NCO was never set returns no number. Its NCO is at 0 Hz.
        let frequency = Hertz(reader.number()?.unwrap_or(0.0));
        let phase_epoch = self.batch_state.map(|batch_state| batch_state.phase_epoch);
        Ok(NcoState {
            frequency,
            phase_epoch: phase_epoch.unwrap_or_default(),
        })
    }
}
