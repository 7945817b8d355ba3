//! Exchange of requests and answers with the board. A batch is a list of operations, and a segment
//! is the part of it that one request carries. An epoch is a period in which the board keeps its
//! settings.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use twotone_hal::{Batch, Error, ErrorKind, Op, Reading, RepliesBuilder, Result};
use twotone_wire::tuber::Limits;

use super::decode::Decoder;
use super::describe::Survey;
use super::encode::{self, Encoder};
use super::life::{BatchState, ModuleMemory};
use super::segment::Segment;
use super::streamed::Acquired;
use super::survey::{self, Asker};
use super::{CrsBoard, housekeeping, properties};
use crate::deadline;
use crate::http::{Answer, Post};
use crate::link::{OutcomeWriter, Queued, Sent};

/// Largest number of times that a request that only reads is written and queued. The request is
/// written again if an epoch ended while it was queued.
const MOST_EPOCHS: u32 = 3;

/// A segment of a batch that was queued, and the data that are needed to read its answer.
struct Written {
    queued: Option<Queued>,
    calls: usize,
    batch_state: Option<BatchState>,
    outcome: OutcomeWriter,
}

/// A segment of a batch that is to be sent, and its earlier attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    pub(super) segment: Segment,
    /// Number of the earlier attempt among the requests that were written for the module.
    pub(super) number: Option<u64>,
    /// True if the request is sent only if no other request was written for the module after the
    /// earlier attempt.
    pub(super) in_place: bool,
    /// True if the segment changes settings and was sent on a connection that was lost, so that it
    /// may have been executed twice.
    pub(super) was_lost: bool,
}

impl CrsBoard {
    /// Writes the operations of the segment and queues the request. The lock on the writer is held
    /// for both, so that requests are queued in the order in which they were written.
    fn write(
        &self,
        batch: &Batch,
        sending: &mut Sending,
        survey: &Survey,
        began: Instant,
    ) -> Result<Written> {
        let segment = sending.segment;
        let link = self.link(segment.module)?;
        let memory = self.memory(segment.module);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = |memory: &ModuleMemory| sending.number.is_none_or(|one| memory.is_last(one));
        if sending.in_place && !memory.is_some_and(is_last) {
            let why = "another batch has gone out since";
            return Err(Error::new(ErrorKind::Busy, why));
        }
        writer.begin(survey.format);
        let batch_state = memory.map(|memory| memory.batch_state(survey));
        let mut encoder = Encoder {
            out: &mut writer,
            survey,
            memory,
            batch_state,
            streamed: segment.streamed,
            changes: Vec::new(),
        };
        for op in segment.ops(batch) {
            encoder.encode(batch, op);
        }
        let Encoder {
            changes,
            batch_state: after,
            ..
        } = encoder;
        if let (Some(memory), Some(after)) = (memory, after) {
            sending.number = Some(memory.note_written(survey.epoch, after));
        }
        let sent = Arc::new(Sent::new(survey.epoch, changes));
        let mut written = Written {
            queued: None,
            calls: writer.calls(),
            batch_state,
            outcome: OutcomeWriter::new(&sent),
        };
        if written.calls > 0 {
            let post = Post {
                sent: Some(sent),
                acquiring: segment.acquiring,
                ..Post::new(writer.finish(), survey.format)
            };
            let deadline = self.deadline(segment, began);
            written.queued = Some(link.queue(post, segment.safety, deadline)?);
        }
        Ok(written)
    }

    /// Deadline of the answer to `segment` of a batch that began at `began`.
    pub(super) fn deadline(&self, segment: Segment, began: Instant) -> Instant {
        let within = self.options.request_timeout;
        deadline::after(began, within.saturating_add(segment.acquiring))
    }

    /// Sends the operations of a segment and adds their replies to `replies`.
    pub(super) async fn run_segment(
        &self,
        batch: &Batch,
        sending: &mut Sending,
        checked: &Arc<Survey>,
        began: Instant,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let mut epochs = 0;
        loop {
            let survey = self.survey().await?;
            let streamed = self.streamed.as_ref().filter(|one| one.is_usable());
            let segment = Segment::of(batch, sending.segment.from, &survey, streamed.is_some());
            sending.segment = segment;
            if !Arc::ptr_eq(&survey, checked) {
                for op in segment.ops(batch) {
                    encode::check(&survey, self.memory(op.module()), batch, op)?;
                }
            }
            if segment.is_housekeeping(batch) {
                let deadline = self.deadline(segment, began);
                let (readings, repeats) = self.read_housekeeping(&survey, deadline).await?;
                replies.repeated(repeats);
                return replies.readings(readings);
            }
            if let [op] = segment.ops(batch)
                && properties::is_one(op)
            {
                let deadline = self.deadline(segment, began);
                let done = self.property(op, &survey, deadline, replies).await;
                return done.map_err(|error| error.after(replies.answered()));
            }
            if let [Op::Wait { module, time }] = segment.ops(batch) {
                return self
                    .wait_on_board(*module, *time, &survey, replies)
                    .await
                    .map_err(|error| error.after(replies.answered()));
            }
            if let (Some(streamed), Some(module), true) =
                (streamed, segment.module, segment.streamed)
            {
                let joined = deadline::after(began, self.options.request_timeout);
                (streamed.join(&self.connector, &self.runtime, module, joined)).await?;
            }
            let memory = self.memory(segment.module);
            if let Some(memory) = memory {
                memory.note_use(survey.epoch);
                if segment.needs_its_epoch() && memory.must_report(survey.epoch) {
                    memory.note_reported(survey.epoch);
                    return Err(self.life.epochs().changed());
                }
            }
            let Written {
                queued,
                calls,
                batch_state,
                outcome,
            } = self.write(batch, sending, &survey, began)?;
            let answer = match queued {
                None => Ok(Answer::empty()),
                Some(queued) => queued.answer().await,
            };
            let answer = match answer {
                Err(error) if error.kind() == ErrorKind::EpochChanged => {
                    if segment.needs_its_epoch() {
                        memory.inspect(|memory| memory.note_reported(self.life.epochs().present()));
                        return Err(error);
                    }
                    epochs += 1;
                    if epochs < MOST_EPOCHS {
                        continue;
                    }
                    return Err(error);
                }
                answer => answer?,
            };
            replies.repeated(answer.repeats);
            sending.was_lost = segment.sets() && answer.was_lost;
            let limits = Limits {
                body_bytes: self.options.answer_limit,
                ..Limits::ANSWER
            };
            let mut decoder = Decoder {
                batch,
                segment,
                survey: &survey,
                memory,
                batch_state,
                outcome: &outcome,
            };
            let time = match decoder.decode(calls, &answer, &limits, replies) {
                Ok(time) => time,
                Err(error) => {
                    // Calls after a refused one were not executed.
                    if let (ErrorKind::Rejected, Some(memory), Some(number), Some(batch_state)) =
                        (error.kind(), memory, sending.number, decoder.batch_state)
                    {
                        memory.note_stopped_at(number, survey.epoch, batch_state);
                    }
                    return Err(error);
                }
            };
            outcome.executed();
            let (Some(time), Some(streamed)) = (time, streamed) else {
                return Ok(());
            };
            let time = match time {
                Ok(time) => time,
                Err(why) => {
                    streamed.give_up(&why);
                    return Ok(());
                }
            };
            let acquired = Acquired {
                op: &batch.ops()[segment.to - 1],
                time,
                survey: &survey,
                deadline: self.deadline(segment, began),
            };
            let link = self.link(segment.module)?;
            let taken = streamed.take(&acquired, &link, &self.life, replies).await;
            return taken.map_err(|error| {
                if error.kind() == ErrorKind::EpochChanged {
                    memory.inspect(|memory| memory.note_reported(self.life.epochs().present()));
                }
                error.after(replies.answered())
            });
        }
    }

    /// Reads every sensor and rail on a separate connection, so that a sensor without an answer
    /// delays nothing else. The connection is kept for the next reading. A reading that begins
    /// while another is under way opens a connection of its own, and so does the first reading
    /// after one that failed or was dropped.
    async fn read_housekeeping(
        &self,
        survey: &Survey,
        deadline: Instant,
    ) -> Result<(Vec<Reading>, u32)> {
        let of_sensors = || {
            self.of_sensors
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let (connector, options, runtime) = (&self.connector, &self.options, &self.runtime);
        let kept = of_sensors().take();
        let link = kept.unwrap_or_else(|| survey::link(connector, options, runtime));
        let mut asker = Asker::on(link, connector, options, runtime, survey.format, deadline);
        let read = housekeeping::read(survey, &mut asker).await?;
        *of_sensors() = Some(asker.link);
        Ok(read)
    }

    /// Waits for `time`, under any executor: the timer belongs to the runtime of the board.
    pub(super) async fn wait(&self, time: Duration) {
        let waiting = {
            let _runtime = self.runtime.enter();
            sleep(time)
        };
        waiting.await;
    }
}
