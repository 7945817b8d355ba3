//! Reception of the packets of all boards of a capture, until all samples that are due (that should
//! have come in the time of the capture) have come.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use twotone_hal::{ErrorKind, Result, StreamBlock, StreamStatus};

use super::CaptureParams;
use super::clock::{self, ClockOutcome};
use super::form;
use super::module::{ModuleIntake, overdriven};
use super::outcome::{BoardOutcome, CaptureOutcome, ModuleOutcome};
use super::plan::BoardPlan;
use super::receivers::Receivers;
use super::write::{Queue, WrittenFile};
use crate::record::{CounterRow, Failure};

/// Largest size of a block of samples, in bytes.
const MOST_BLOCK_BYTES: usize = 4 << 20;
/// Longest wait for packets between two readings of the clock.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which the counters of received and lost samples are written.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Longest silence of a stream that still counts as running, in addition to the time for which the
/// receiver holds packets back.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// The boards of a capture, and the samples that have come from them.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) boards: Vec<BoardPlan>,
    /// Modules whose sample streams are received.
    pub(super) modules: Vec<ModuleIntake>,
    began: Option<Instant>,
    elapsed: Duration,
    /// Length of the capture: the time for which samples are due.
    asked: Duration,
    /// Listening time: the time spent in reception, without the times in which the process was
    /// stopped.
    listened: Duration,
    hold: Duration,
    clock_within: Option<Duration>,
    stopped: bool,
}

impl Intake {
    pub(super) fn new(boards: Vec<BoardPlan>, params: &CaptureParams) -> Self {
        let mut modules = Vec::new();
        for (at, board) in boards.iter().enumerate() {
            let Ok(found) = &board.streams else { continue };
            let plans = board.modules.iter().cloned();
            let samples = params.fast.as_ref().and_then(|fast| fast.samples);
            let intake = |plan| ModuleIntake::new(at, plan, found.source.clone(), samples);
            modules.extend(plans.map(intake));
        }
        Self {
            boards,
            modules,
            began: None,
            elapsed: Duration::ZERO,
            asked: Duration::ZERO,
            listened: Duration::ZERO,
            hold: params.stream.hold,
            clock_within: params.clock_within,
            stopped: false,
        }
    }

    /// Ends each stream of which a number of samples is requested after this number.
    pub(super) fn end_requested(&self, receivers: &mut Receivers) {
        for (at, module) in self.modules.iter().enumerate() {
            if let Some(requested_s) = module.requested_s {
                receivers.end_at(at, requested_s);
            }
        }
    }

    /// Receives until the time is over, no first packet comes in time, the capture is stopped, or
    /// an error occurs.
    pub(super) async fn receive(
        &mut self,
        receivers: &mut Receivers,
        queue: &Queue,
        params: &CaptureParams,
    ) -> Result<()> {
        let seconds = self.length(params);
        let opened = Instant::now();
        let mut count_at = opened + COUNT_EVERY;
        let mut received = Ok(());
        loop {
            let now = Instant::now();
            let passed = self.began.map(|began| now.saturating_duration_since(began));
            let left = match passed {
                Some(passed) => seconds.saturating_sub(passed),
                None => params
                    .patience
                    .saturating_sub(now.saturating_duration_since(opened)),
            };
            self.stopped = params.stop.is_cancelled() && !left.is_zero();
            let is_over = left.is_zero() && passed.is_some();
            if is_over || self.stopped || queue.has_failed() {
                break;
            }
            // Reading comes before the next check of the time, so that packets that have already
            // arrived end the wait for the first packet.
            match self
                .receive_some(receivers, queue, left.min(POLL_INTERVAL))
                .await
            {
                Ok(()) if left.is_zero() && self.began.is_none() => break,
                Ok(()) => {}
                Err(error) => {
                    received = Err(error);
                    break;
                }
            }
            let now = Instant::now();
            if now >= count_at {
                count_at = now + COUNT_EVERY;
                self.count(receivers, queue);
            }
        }
        self.asked = match (self.stopped, self.began) {
            (true, Some(began)) => began.elapsed().min(seconds),
            _ => seconds,
        };
        if received.is_ok() && !queue.has_failed() {
            received = self.receive_rest(receivers, queue, params).await;
        }
        self.elapsed = self.began.map(|began| began.elapsed()).unwrap_or_default();
        self.send(receivers.take_rest(), queue);
        self.count(receivers, queue);
        received
    }

    /// Returns the length of the capture. It is at least the time that the requested number of
    /// samples covers.
    fn length(&self, params: &CaptureParams) -> Duration {
        let requested = self.modules.iter().filter_map(|module| module.requested_s);
        let seconds = requested
            .reduce(f64::max)
            .map_or(params.seconds, |seconds| {
                // A duration has whole nanoseconds.
                seconds + 1e-9
            });
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Receives the samples that come in the time `within`.
    async fn receive_some(
        &mut self,
        receivers: &mut Receivers,
        queue: &Queue,
        within: Duration,
    ) -> Result<()> {
        let before = Instant::now();
        let blocks = receivers.receive(within).await?;
        self.listened += before.elapsed().min(2 * POLL_INTERVAL);
        // A file must begin before its rows are sent.
        for (at, module) in self.modules.iter_mut().enumerate() {
            module.follow(at, receivers, self.listened, queue);
        }
        if self.heard_first().is_some() {
            self.began.get_or_insert(before);
        }
        self.send(blocks, queue);
        Ok(())
    }

    /// Sends blocks of samples to the writer.
    fn send(&mut self, blocks: Vec<StreamBlock>, queue: &Queue) {
        for block in blocks {
            let at = block.stream;
            self.modules[at].send(at, block, queue);
        }
    }

    /// Receives the samples that are due and were not read in time: those that the kernel has held
    /// while this process was stopped, and those that are on their way.
    async fn receive_rest(
        &mut self,
        receivers: &mut Receivers,
        queue: &Queue,
        params: &CaptureParams,
    ) -> Result<()> {
        let mut waited = Duration::ZERO;
        while waited < LONGEST_SILENCE
            && self.is_due()
            && !queue.has_failed()
            && !params.abandon.is_cancelled()
        {
            let before = self.listened;
            self.end_streams(receivers);
            self.receive_some(receivers, queue, POLL_INTERVAL).await?;
            // The time for reading packets that came long ago does not count as waiting.
            if !receivers.is_behind() {
                waited += self.listened - before;
            }
        }
        Ok(())
    }

    /// Ends each stream when its samples cover the time for which they are due.
    fn end_streams(&self, receivers: &mut Receivers) {
        let began = self.heard_first();
        for (at, module) in self.modules.iter().enumerate() {
            // The time for which samples of a stream are due is known only after its beginning.
            if module.heard.is_some() {
                receivers.end_at(at, module.due_s(self.asked, began));
            }
        }
    }

    /// True if samples are still due from a stream that is running or may still begin.
    fn is_due(&self) -> bool {
        let began = self.heard_first();
        self.modules.iter().any(|module| {
            let goes_on = |(_, last)| self.listened.saturating_sub(last) <= self.longest(module);
            let due_s = module.due_s(self.asked, began);
            match module.heard {
                // A requested number of samples is due from streams that begin later, too.
                None => began.is_some() && module.requested_within(self.asked).is_some(),
                Some(heard) => goes_on(heard) && module.covered.samples_left(due_s, 1) > 0,
            }
        })
    }

    /// Returns the listening time at the first packet of any module.
    fn heard_first(&self) -> Option<Duration> {
        let firsts = self.modules.iter().filter_map(|module| module.heard);
        firsts.map(|(first, _)| first).min()
    }

    /// Returns the longest time without a packet in a stream that still counts as running.
    fn longest(&self, module: &ModuleIntake) -> Duration {
        let sixteen = Duration::from_secs_f64(16.0 * module.covered.period_s());
        LONGEST_SILENCE + self.hold + sixteen
    }

    /// Sends the counters of all modules with samples to the writer.
    fn count(&self, receivers: &Receivers, queue: &Queue) {
        for board in 0..self.boards.len() {
            let modules = self.modules.iter().enumerate();
            let modules = modules.filter(|(_, module)| module.board == board);
            let rows: Vec<_> = modules
                .map(|(at, module)| self.counters(module, &receivers.status(at)))
                .filter(|row| row.expected > 0)
                .collect();
            if !rows.is_empty() {
                queue.count(board, rows);
            }
        }
    }

    fn counters(&self, module: &ModuleIntake, status: &StreamStatus) -> CounterRow {
        let (counters, found) = (&status.counters, &status.times);
        CounterRow {
            elapsed_s: self
                .began
                .map_or(0.0, |began| began.elapsed().as_secs_f64()),
            module: module.plan.module,
            expected: counters.expected,
            received: counters.received,
            lost: counters.lost,
            gaps: counters.gaps,
            late: counters.late,
            duplicate: counters.duplicate,
            stale: counters.stale,
            restarts: counters.restarts,
            unwritten: module.unwritten,
            misfit: counters.misfit,
            form_changes: status.form_changes,
            overrange: counters.overrange,
            overvoltage: counters.overvoltage,
            timeless: found.timeless,
            reconstructed: found.reconstructed,
            clock_steps: found.steps,
            clock_drifts: found.drifts,
            clock_source_changes: found.source_changes,
            leap_seconds: found.leap_seconds,
            stamps_not_recent: found.not_recent,
            stamps_frozen: found.frozen,
            stamps_stray: found.stray,
            stamps_no_such_day: found.no_such_day,
            stamps_out_of_range: found.out_of_range,
            stamps_out_of_reach: found.out_of_reach,
            stamps_at_odds: found.at_odds,
            foreign: status.foreign,
            malformed: status.malformed,
        }
    }

    /// Returns the outcome of the capture, with the files that were written.
    pub(super) fn outcome(
        self,
        receivers: &Receivers,
        files: &HashMap<usize, WrittenFile>,
    ) -> CaptureOutcome {
        let mut boards: Vec<_> = self
            .boards
            .iter()
            .map(|board| BoardOutcome {
                name: board.name.clone(),
                error: board.error(),
                modules: Vec::new(),
                counted: board.counted.clone(),
            })
            .collect();
        for (at, module) in self.modules.iter().enumerate() {
            let file = files.get(&at);
            let status = receivers.status(at);
            let mut counters = self.counters(module, &status);
            counters.unwritten += file.map_or(0, |file| file.unwritten);
            if counters.received == 0 && !module.plan.is_expected {
                continue;
            }
            let columns = module.columns.as_ref();
            let mut doubts = clock::doubts(&status.times, self.clock_within);
            doubts.extend(form::doubt(&status));
            let shortfall = module.shortfall(self.asked, self.heard_first(), self.hold);
            doubts.extend(shortfall.and_then(|(due, missing)| missed(due, missing)));
            doubts.extend(overdriven(&status.counters));
            boards[module.board].modules.push(ModuleOutcome {
                error: file
                    .and_then(|file| file.error.clone())
                    .or_else(|| self.interruption(module, &counters)),
                counters,
                due: shortfall.map(|(due, _)| due),
                missing: shortfall.map_or(0, |(_, missing)| missing),
                clock: ClockOutcome::of(&status.times),
                doubts,
                file: file.map(|file| file.name.clone()),
                channels: columns.map_or(0, |columns| columns.channels.len()),
                calibrated: columns.map_or(0, |columns| columns.calibrated.len()),
                tune: module.plan.standing.clone(),
                tune_after: None,
                streamer: None,
                plan: module.plan.clone(),
            });
        }
        for (at, (board, planned)) in boards.iter_mut().zip(&self.boards).enumerate() {
            clock::compare(&mut board.modules);
            let of_board = self.modules.iter().position(|module| module.board == at);
            let Some(status) = of_board.map(|module| receivers.status(module)) else {
                continue;
            };
            let stranger = self.named(status.last_foreign_serial);
            let found = strangers(status.foreign, stranger, board.received());
            // A doubt that was known before is more specific, so it comes first.
            board.error = match (planned.doubt(), found) {
                (Some(doubt), Some(found)) => Some(doubt.and(found.message)),
                (doubt, found) => doubt.or(found),
            };
        }
        let totals = receivers.totals();
        CaptureOutcome {
            elapsed_s: self.elapsed.as_secs_f64(),
            stopped: self.stopped,
            kernel_drops: totals.kernel_drops,
            buffer_shortfall: totals.buffer_shortfall,
            not_received: None,
            not_written: None,
            boards,
        }
    }

    /// Describes a foreign serial number, with the board of the capture to which it belongs.
    fn named(&self, serial: Option<u32>) -> String {
        let Some(serial) = serial else {
            return "another serial number".to_owned();
        };
        let has = |board: &&BoardPlan| {
            let found = board.streams.as_ref();
            found.is_ok_and(|found| found.source.serial == Some(serial))
        };
        let of = self.boards.iter().find(has);
        let of = of.map_or_else(String::new, |board| format!(", which is {}", board.name));
        format!("another serial number, {serial:04}{of}")
    }

    /// Returns the failure of a stream that sent nothing, began late, ended early or began anew.
    /// Gaps in the sequence numbers do not show these failures.
    fn interruption(&self, module: &ModuleIntake, counters: &CounterRow) -> Option<Failure> {
        let (Some(began), Some((first, last))) = (self.heard_first(), module.heard) else {
            return Some(Failure::of_kind(ErrorKind::Timeout, "nothing came from it"));
        };
        let longest = self.longest(module);
        let (before, after) = (first - began, self.listened - last);
        let words = if after > longest {
            let after = after.as_secs_f64();
            format!("its stream ended {after:.1} s before the end")
        } else if before > longest {
            let before = before.as_secs_f64();
            format!("its stream began {before:.1} s after the start")
        } else if counters.restarts > 0 {
            "its stream began anew, and it is not known how much was lost then".to_owned()
        } else {
            return None;
        };
        Some(Failure::of_kind(ErrorKind::ConnectionLost, words))
    }
}

/// Returns the fault of a board if no packets of its own came from its address, or if packets of
/// another board came from there. `stranger` describes the serial number of the other board.
fn strangers(foreign: u64, stranger: String, own: u64) -> Option<Failure> {
    let bear = format!("{foreign} packets from its address bear {stranger}");
    let (kind, words) = match (own, foreign) {
        (0, 0) => {
            let words = "nothing came from it: does it stream, and to this interface?";
            (ErrorKind::Timeout, words.to_owned())
        }
        (0, _) => (
            ErrorKind::InvalidArgument,
            format!("nothing came from it; {bear}"),
        ),
        (_, 0) => return None,
        // The check that a board is the one in the map has the same kind of error.
        _ => (
            ErrorKind::InvalidArgument,
            format!("{bear}: another board sends from there, or has taken its place"),
        ),
    };
    Some(Failure::of_kind(kind, words))
}

/// Returns a sentence about samples that did not come and whose absence no sequence number shows.
fn missed(due: u64, missing: u64) -> Option<String> {
    (missing > 0).then(|| {
        format!(
            "{missing} of {due} samples that were due did not come, beside those that are counted as lost"
        )
    })
}

/// Returns the largest size of a block in bytes. The blocks of all modules together take at most a
/// quarter of the queue, so that all of them can be sent at once.
pub(super) fn block_bytes(boards: &[BoardPlan], params: &CaptureParams) -> usize {
    let captured = boards.iter().filter(|board| board.streams.is_ok());
    let count: usize = captured.map(|board| board.modules.len()).sum();
    (params.queue_bytes / (4 * count.max(1))).min(MOST_BLOCK_BYTES)
}
