//! Receives the packets of all boards, until all samples that are due have come.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use twotone_hal::{ModuleId, Result};
use twotone_transport::readout::{Counters, Receiver, SampleTime, Source};

use super::CaptureParams;
use super::clock::{self, ClockOutcome};
use super::module::{Arrival, ModuleIntake};
use super::outcome::{BoardOutcome, CaptureOutcome, ModuleOutcome};
use super::plan::BoardPlan;
use super::write::{Queue, WrittenFile};
use crate::record::{CounterRow, UtcTime};

/// Largest size of a batch of rows, in bytes. With many modules the batches are smaller: all
/// together have a quarter of the size of the queue, so that all can be sent at once.
const BATCH_BYTES: usize = 4 << 20;
/// Longest wait for packets between two looks at the clock.
const GLANCE: Duration = Duration::from_millis(100);
/// Interval at which the counters are written.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Longest silence of a stream that counts as going on, beyond the time for which the receiver
/// holds packets back.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// Time at which the receiver began to listen.
#[derive(Debug, Clone, Copy)]
struct Opened {
    at: Instant,
    utc_s: f64,
}

/// The boards of a capture, and the samples that have come from them.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) boards: Vec<BoardPlan>,
    /// Modules whose streams are joined.
    pub(super) modules: Vec<ModuleIntake>,
    places: HashMap<(Source, ModuleId), usize>,
    began: Option<Instant>,
    elapsed: Duration,
    /// Time for which samples are due.
    asked: Duration,
    /// Time for which it has listened, without the times in which the process was stopped.
    listened: Duration,
    hold: Duration,
    clock_within: Option<Duration>,
    stopped: bool,
}

impl Intake {
    pub(super) fn new(boards: Vec<BoardPlan>, params: &CaptureParams) -> Self {
        let captured = boards.iter().filter(|board| board.source.is_ok());
        let count: usize = captured.map(|board| board.modules.len()).sum();
        let batch_bytes = (params.queue_bytes / (4 * count.max(1))).min(BATCH_BYTES);
        let mut modules = Vec::new();
        let mut places = HashMap::new();
        for (at, board) in boards.iter().enumerate() {
            let Ok(source) = board.source.clone() else {
                continue;
            };
            for plan in &board.modules {
                places.insert((source, plan.in_packets), modules.len());
                modules.push(ModuleIntake::new(at, source, plan.clone(), batch_bytes));
            }
        }
        Self {
            boards,
            modules,
            places,
            began: None,
            elapsed: Duration::ZERO,
            asked: Duration::ZERO,
            listened: Duration::ZERO,
            hold: params.stream.hold,
            clock_within: params.clock_within,
            stopped: false,
        }
    }

    /// Receives until the time is over, no first packet comes, it is stopped, or an error ends it.
    pub(super) async fn receive(
        &mut self,
        receiver: &mut Receiver,
        queue: &Queue,
        params: &CaptureParams,
    ) -> Result<()> {
        let seconds = Duration::try_from_secs_f64(params.seconds).unwrap_or(Duration::MAX);
        let opened = Opened {
            at: Instant::now(),
            utc_s: UtcTime::now().unix_seconds(),
        };
        let mut count_at = opened.at + COUNT_EVERY;
        let mut received = Ok(());
        loop {
            let now = Instant::now();
            let passed = self.began.map(|began| now.saturating_duration_since(began));
            let left = match passed {
                Some(passed) => seconds.saturating_sub(passed),
                None => params
                    .patience
                    .saturating_sub(now.saturating_duration_since(opened.at)),
            };
            self.stopped = params.stop.is_cancelled() && !left.is_zero();
            let is_over = left.is_zero() && passed.is_some();
            if is_over || self.stopped || queue.has_failed() {
                break;
            }
            // Packets that have arrived are read before the wait for the first one is given up.
            match self
                .receive_some(receiver, queue, left.min(GLANCE), opened, None)
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
                self.count(receiver, queue);
            }
        }
        self.asked = match (self.stopped, self.began) {
            (true, Some(began)) => began.elapsed().min(seconds),
            _ => seconds,
        };
        if received.is_ok() && !queue.has_failed() {
            received = self.receive_rest(receiver, queue, params, opened).await;
        }
        self.elapsed = self.began.map(|began| began.elapsed()).unwrap_or_default();
        for (at, module) in self.modules.iter_mut().enumerate() {
            module
                .timeline
                .settle(&mut |time| module.rows.push_time(time));
            module.hand_on(at, queue);
        }
        self.count(receiver, queue);
        received
    }

    /// Receives the packets that come `within` this time. If `due` is set, the capture is over, and
    /// only samples of these first `due` seconds are taken.
    async fn receive_some(
        &mut self,
        receiver: &mut Receiver,
        queue: &Queue,
        within: Duration,
        opened: Opened,
        due: Option<Duration>,
    ) -> Result<()> {
        let now = Instant::now();
        let frames = receiver.recv(within).await?;
        let received = Instant::now();
        self.listened += received.saturating_duration_since(now).min(2 * GLANCE);
        let since_opened = received.saturating_duration_since(opened.at).as_secs_f64();
        let arrival = Arrival {
            listened: self.listened,
            time: SampleTime::of_unix(opened.utc_s + since_opened),
        };
        let began = self.heard_first();
        for frame in frames {
            if let Some(at) = self.places.get(&(frame.source, frame.module)) {
                self.began.get_or_insert(now);
                let module = &mut self.modules[*at];
                if let Some(asked) = due {
                    let due_s = module.due_s(asked, began);
                    if module.is_beyond(&frame, due_s) {
                        continue;
                    }
                }
                module.take(*at, &frame, arrival, queue);
            }
        }
        Ok(())
    }

    /// Receives the samples that are due and were not read in time: those that the kernel has held
    /// while this process was stopped, and those that are under way.
    async fn receive_rest(
        &mut self,
        receiver: &mut Receiver,
        queue: &Queue,
        params: &CaptureParams,
        opened: Opened,
    ) -> Result<()> {
        let mut waited = Duration::ZERO;
        while waited < LONGEST_SILENCE
            && self.is_due()
            && !queue.has_failed()
            && !params.abandon.is_cancelled()
        {
            let before = self.listened;
            self.receive_some(receiver, queue, GLANCE, opened, Some(self.asked))
                .await?;
            // Reading packets that came long ago does not count as waiting.
            if !receiver.is_behind() {
                waited += self.listened - before;
            }
        }
        Ok(())
    }

    /// True if samples are due of a stream that goes on.
    fn is_due(&self) -> bool {
        let began = self.heard_first();
        self.modules.iter().any(|module| {
            let goes_on = |(_, last)| self.listened.saturating_sub(last) <= self.longest(module);
            let due_s = module.due_s(self.asked, began);
            module.heard.is_some_and(goes_on) && module.covered.left(due_s, 1) > 0
        })
    }

    /// Time of listening at the first packet of any module.
    fn heard_first(&self) -> Option<Duration> {
        let firsts = self.modules.iter().filter_map(|module| module.heard);
        firsts.map(|(first, _)| first).min()
    }

    /// Longest time without a packet in a stream that counts as going on.
    fn longest(&self, module: &ModuleIntake) -> Duration {
        LONGEST_SILENCE + self.hold + 16 * module.covered.period
    }

    /// Sends the counters of the modules that have sent anything to the writer.
    fn count(&self, receiver: &Receiver, queue: &Queue) {
        let all = receiver.counters();
        for board in 0..self.boards.len() {
            let modules = self.modules.iter().filter(|module| module.board == board);
            let rows: Vec<_> = modules
                .map(|module| self.counters(module, &all))
                .filter(|row| row.expected > 0)
                .collect();
            if !rows.is_empty() {
                queue.count(board, rows);
            }
        }
    }

    fn counters(&self, module: &ModuleIntake, all: &Counters) -> CounterRow {
        let board = all.board(module.source);
        let of = board.map(|board| board.module(module.plan.in_packets));
        let of = of.unwrap_or_default();
        let beyond = module.beyond;
        let found = module.timeline.findings();
        CounterRow {
            elapsed_s: self
                .began
                .map_or(0.0, |began| began.elapsed().as_secs_f64()),
            module: module.plan.module,
            expected: of.expected - beyond.received - beyond.lost,
            received: of.received - beyond.received,
            lost: of.lost - beyond.lost,
            gaps: of.gaps - beyond.gaps,
            late: of.late,
            duplicate: of.duplicate,
            stale: of.stale,
            restarts: of.restarts,
            unwritten: module.unwritten,
            misfit: module.misfit,
            form_changes: module.forms.changes(),
            overrange: module.overrange,
            overvoltage: module.overvoltage,
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
            foreign: board.map_or(0, |board| board.foreign),
            malformed: board.map_or(0, |board| board.malformed),
        }
    }

    /// Outcome of the capture, with the files that were written.
    pub(super) fn outcome(
        self,
        receiver: &Receiver,
        files: &HashMap<usize, WrittenFile>,
    ) -> CaptureOutcome {
        let all = receiver.counters();
        let mut boards: Vec<_> = self
            .boards
            .iter()
            .map(|board| BoardOutcome {
                name: board.name.clone(),
                error: board.error(),
                modules: Vec::new(),
            })
            .collect();
        for (at, module) in self.modules.iter().enumerate() {
            let file = files.get(&at);
            let mut counters = self.counters(module, &all);
            counters.unwritten += file.map_or(0, |file| file.unwritten);
            if counters.received == 0 && !module.plan.is_expected {
                continue;
            }
            let columns = module.columns.as_ref();
            let found = module.timeline.findings();
            let mut doubts = clock::doubts(&found, self.clock_within);
            doubts.extend(module.forms.doubt(module.misfit));
            let shortfall = module.shortfall(self.asked, self.heard_first(), self.hold);
            doubts.extend(shortfall.and_then(|(due, missing)| missed(due, missing)));
            doubts.extend(module.overdriven());
            boards[module.board].modules.push(ModuleOutcome {
                error: file
                    .and_then(|file| file.error.clone())
                    .or_else(|| self.interruption(module, &counters)),
                counters,
                due: shortfall.map(|(due, _)| due),
                missing: shortfall.map_or(0, |(_, missing)| missing),
                clock: ClockOutcome::of(&found),
                doubts,
                file: file.map(|file| file.name.clone()),
                channels: columns.map_or(0, |columns| columns.channels.len()),
                calibrated: columns.map_or(0, |columns| columns.calibrated.len()),
                tune: module.plan.standing.clone(),
                tune_after: None,
                plan: module.plan.clone(),
            });
        }
        for (board, planned) in boards.iter_mut().zip(&self.boards) {
            clock::compare(&mut board.modules);
            let Ok(source) = planned.source else { continue };
            let foreign = all.board(source).map_or(0, |board| board.foreign);
            let last = all
                .board(source)
                .and_then(|board| board.last_foreign_serial);
            let found = strangers(foreign, self.named(last), board.received());
            let problems = found.into_iter().chain(planned.unanswered.clone());
            let problems: Vec<_> = problems.collect();
            board.error = (!problems.is_empty()).then(|| problems.join("; "));
        }
        CaptureOutcome {
            elapsed_s: self.elapsed.as_secs_f64(),
            stopped: self.stopped,
            kernel_drops: all.kernel_drops,
            buffer_shortfall: receiver
                .buffers()
                .shortfall()
                .map(|short| short.to_string()),
            not_received: None,
            not_written: None,
            boards,
        }
    }

    /// Describes a serial number, with the board of the capture that has it.
    fn named(&self, serial: Option<u16>) -> String {
        let Some(serial) = serial else {
            return "another serial number".to_owned();
        };
        let has = |board: &&BoardPlan| board.source.as_ref().is_ok_and(|one| one.serial == serial);
        let of = self.boards.iter().find(has);
        let of = of.map_or_else(String::new, |board| format!(", which is {}", board.name));
        format!("another serial number, {serial:04}{of}")
    }

    /// Interruption of a stream that its sequence numbers do not show, in words.
    fn interruption(&self, module: &ModuleIntake, counters: &CounterRow) -> Option<String> {
        let (Some(began), Some((first, last))) = (self.heard_first(), module.heard) else {
            return Some("nothing came from it".to_owned());
        };
        let longest = self.longest(module);
        let (before, after) = (first - began, self.listened - last);
        if after > longest {
            let after = after.as_secs_f64();
            Some(format!("its stream ended {after:.1} s before the end"))
        } else if before > longest {
            let before = before.as_secs_f64();
            Some(format!("its stream began {before:.1} s after the start"))
        } else if counters.restarts > 0 {
            Some("its stream began anew, and what was lost then is not known".to_owned())
        } else {
            None
        }
    }
}

/// Fault of a board from whose address no packets of its own came, or also packets of another
/// board. `stranger` is the serial number of the latter.
fn strangers(foreign: u64, stranger: String, own: u64) -> Option<String> {
    let bear = format!("{foreign} packets from its address bear {stranger}");
    match (own, foreign) {
        (0, 0) => Some("nothing came from it: does it stream, and to this interface?".to_owned()),
        (0, _) => Some(format!("nothing came from it; {bear}")),
        (_, 0) => None,
        _ => Some(format!(
            "{bear}: another board sends from there, or has taken its place"
        )),
    }
}

/// Sentence about samples that did not come and that no sequence number shows.
fn missed(due: u64, missing: u64) -> Option<String> {
    (missing > 0).then(|| {
        format!(
            "{missing} of {due} samples that were due did not come, beside those that are counted as lost"
        )
    })
}
