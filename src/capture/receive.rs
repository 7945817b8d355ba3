//! From packets to rows, a second's worth at a time.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use twotone_hal::{ChannelId, ModuleId, Result};
use twotone_transport::readout::{
    Counters, Frame, JudgedTime, Receiver, SampleTime, Source, Stamped, Timeline, sample_rate_hz,
};

use super::CaptureParams;
use super::calibrated::Calibrator;
use super::clock::{self, ClockOutcome};
use super::form::{Form, Forms};
use super::outcome::{BoardOutcome, CaptureOutcome, ModuleOutcome};
use super::plan::{BoardPlan, ModulePlan};
use super::standing::Standing;
use super::write::{Queue, WrittenFile};
use crate::record::{CounterRow, SampleColumns, SampleRows, UtcTime};

/// The most bytes of a batch of rows. Many modules have smaller ones: together a quarter of what the
/// queue holds, so that all can be handed on at once.
const BATCH_BYTES: usize = 4 << 20;
/// How long to wait at the most before looking at the clock.
const GLANCE: Duration = Duration::from_millis(100);
/// How often the counters are written.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How long nothing may come of a stream that goes on, beside what the receiver holds back.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// Time at which a packet came.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    /// Time since the listening began.
    listened: Duration,
    /// By this computer's clock.
    time: SampleTime,
}

/// The boards of a capture, and what has come of them.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) boards: Vec<BoardPlan>,
    /// Those whose streams are joined.
    pub(super) modules: Vec<ModuleIntake>,
    places: HashMap<(Source, ModuleId), usize>,
    began: Option<Instant>,
    elapsed: Duration,
    /// For how long it has listened, the times left out in which it was kept from doing so.
    listened: Duration,
    hold: Duration,
    clock_within: Option<Duration>,
    stopped: bool,
}

/// A module of a capture.
#[derive(Debug)]
pub(super) struct ModuleIntake {
    /// Place of its board.
    pub(super) board: usize,
    source: Source,
    pub(super) plan: ModulePlan,
    /// Known from the first packet on.
    columns: Option<SampleColumns>,
    /// The most bytes of a batch, and how many rows that is.
    batch_bytes: usize,
    batch: usize,
    rows: SampleRows,
    unwritten: u64,
    /// Packets that lacked channels of the file.
    misfit: u64,
    /// Samples with a converter over its range, and with an input over its voltage.
    overrange: u64,
    overvoltage: u64,
    /// Samples since the last one that has a row: lost, or not fit for one.
    left_out: u64,
    timeline: Timeline,
    forms: Forms,
    /// How long had been listened when its first packet came, and its last.
    heard: Option<(Duration, Duration)>,
    /// Time between its samples.
    period: Duration,
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
            listened: Duration::ZERO,
            hold: params.stream.hold,
            clock_within: params.clock_within,
            stopped: false,
        }
    }

    /// Receives until the time is over, nothing comes, or it is stopped.
    pub(super) async fn receive(
        &mut self,
        receiver: &mut Receiver,
        queue: &Queue,
        params: &CaptureParams,
    ) -> Result<()> {
        let seconds = Duration::try_from_secs_f64(params.seconds).unwrap_or(Duration::MAX);
        let (opened, opened_utc_s) = (Instant::now(), UtcTime::now().unix_seconds());
        let mut count_at = opened + COUNT_EVERY;
        let mut received = Ok(());
        loop {
            let now = Instant::now();
            let left = match self.began {
                Some(began) => seconds.saturating_sub(now.saturating_duration_since(began)),
                None => params
                    .patience
                    .saturating_sub(now.saturating_duration_since(opened)),
            };
            self.stopped = params.stop.is_cancelled() && !left.is_zero();
            if left.is_zero() || self.stopped || queue.has_failed() {
                break;
            }
            let frames = match receiver.recv(left.min(GLANCE)).await {
                Ok(frames) => frames,
                Err(error) => {
                    received = Err(error);
                    break;
                }
            };
            let received = Instant::now();
            self.listened += received.saturating_duration_since(now).min(2 * GLANCE);
            let since_opened = received.saturating_duration_since(opened).as_secs_f64();
            let arrival = Arrival {
                listened: self.listened,
                time: SampleTime::of_unix(opened_utc_s + since_opened),
            };
            for frame in frames {
                if let Some(at) = self.places.get(&(frame.source, frame.module)) {
                    self.began.get_or_insert(now);
                    self.modules[*at].take(*at, &frame, arrival, queue);
                }
            }
            let now = Instant::now();
            if now >= count_at {
                count_at = now + COUNT_EVERY;
                self.count(receiver, queue);
            }
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

    /// Hands the counters on, of the modules that have sent anything.
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
        let found = module.timeline.findings();
        CounterRow {
            elapsed_s: self
                .began
                .map_or(0.0, |began| began.elapsed().as_secs_f64()),
            module: module.plan.module,
            expected: of.expected,
            received: of.received,
            lost: of.lost,
            gaps: of.gaps,
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

    /// What it came to, with the files that were written.
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
            doubts.extend(module.overdriven());
            boards[module.board].modules.push(ModuleOutcome {
                error: file
                    .and_then(|file| file.error.clone())
                    .or_else(|| self.interruption(module, &counters)),
                counters,
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
            let stranger = all.board(source).and_then(|board| board.stranger);
            let found = strangers(foreign, self.named(stranger), board.received());
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

    /// A serial number in words, with the board of the capture that has it.
    fn named(&self, serial: Option<u16>) -> String {
        let Some(serial) = serial else {
            return "another serial number".to_owned();
        };
        let has = |board: &&BoardPlan| board.source.as_ref().is_ok_and(|one| one.serial == serial);
        let of = self.boards.iter().find(has);
        let of = of.map_or_else(String::new, |board| format!(", which is {}", board.name));
        format!("another serial number, {serial:04}{of}")
    }

    /// How a stream was interrupted, beside what its sequence numbers tell.
    fn interruption(&self, module: &ModuleIntake, counters: &CounterRow) -> Option<String> {
        let firsts = self.modules.iter().filter_map(|module| module.heard);
        let began = firsts.map(|(first, _)| first).min();
        let (Some(began), Some((first, last))) = (began, module.heard) else {
            return Some("nothing came from it".to_owned());
        };
        let longest = LONGEST_SILENCE + self.hold + 16 * module.period;
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

/// The fault of a board whose packets are not there, or not alone. `stranger` is the serial
/// number of the foreign ones.
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

impl ModuleIntake {
    fn new(board: usize, source: Source, plan: ModulePlan, batch_bytes: usize) -> Self {
        Self {
            board,
            source,
            plan,
            columns: None,
            batch_bytes,
            batch: 1,
            rows: SampleRows::default(),
            unwritten: 0,
            misfit: 0,
            overrange: 0,
            overvoltage: 0,
            left_out: 0,
            timeline: Timeline::new(),
            forms: Forms::default(),
            heard: None,
            period: Duration::ZERO,
        }
    }

    /// Which columns its file has, once a packet says how many channels there are.
    fn columns(&self, there: usize) -> SampleColumns {
        let channels = self.plan.channels.clone().unwrap_or_else(|| {
            let all = (0..there).filter_map(ChannelId::from_index);
            all.collect()
        });
        let usable = self.plan.calibrated.iter();
        SampleColumns {
            calibrated: usable
                .filter(|one| Calibrator::can_use(&channels, one))
                .copied()
                .collect(),
            channels,
            reference: self.plan.standing.as_ref().and_then(Standing::reference),
        }
    }

    /// Takes a packet.
    fn take(&mut self, at: usize, frame: &Frame<'_>, arrival: Arrival, queue: &Queue) {
        let packet = &frame.packet;
        let listened = arrival.listened;
        self.heard.get_or_insert((listened, listened)).1 = listened;
        let there = packet.length().channels();
        let form = Form {
            channels: there,
            stage: packet.stage(),
        };
        if self.forms.take(form, packet.sequence()) {
            self.period = Duration::from_secs_f64(1.0 / sample_rate_hz(form.stage));
        }
        if self.columns.is_none() {
            let columns = self.columns(there);
            queue.begin(at, columns.clone());
            let row_bytes = 8 * columns.channels.len().max(1);
            let rate = sample_rate_hz(packet.stage());
            self.batch = (rate as usize).clamp(1, (self.batch_bytes / row_bytes).max(1));
            self.columns = Some(columns);
        }
        let Some(columns) = &self.columns else { return };
        self.left_out += frame.lost_before;
        let channels = &columns.channels;
        if channels.last().is_some_and(|last| last.index() >= there) {
            // A row that is not whole is none.
            (self.misfit, self.left_out) = (self.misfit + 1, self.left_out + 1);
            return;
        }
        let rows = &mut self.rows;
        if rows.is_empty() {
            rows.i.reserve(self.batch * channels.len());
            rows.q.reserve(self.batch * channels.len());
        }
        let mut samples = packet.samples();
        let mut passed = 0;
        for channel in channels {
            let (i, q) = samples.nth(channel.index() - passed).unwrap_or((0, 0));
            passed = channel.index() + 1;
            rows.i.push(i);
            rows.q.push(q);
        }
        rows.sequence.push(packet.sequence());
        rows.lost_before.push(frame.lost_before);
        rows.stage.push(packet.stage());
        rows.overrange.push(packet.overrange());
        rows.overvoltage.push(packet.overvoltage());
        self.overrange += u64::from(packet.overrange());
        self.overvoltage += u64::from(packet.overvoltage());
        let stamped = Stamped {
            lost_before: std::mem::take(&mut self.left_out),
            ..Stamped::of(frame, Some(arrival.time))
        };
        self.timeline
            .take(&stamped, &mut |time| rows.push_time(time));
        // The times of the first samples come together, a tenth of a second later.
        if rows.len() >= self.batch && rows.time_ns.len() == rows.len() {
            self.hand_on(at, queue);
        }
    }

    /// Sentences about samples whose input was driven too hard.
    fn overdriven(&self) -> impl Iterator<Item = String> {
        let counts = [
            (self.overrange, "a converter over its range"),
            (self.overvoltage, "an input over its voltage"),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        some.map(|(count, what)| format!("{count} samples were taken with {what}"))
    }

    /// Hands the rows on to be written, or counts them as unwritten.
    fn hand_on(&mut self, at: usize, queue: &Queue) {
        let rows = std::mem::take(&mut self.rows);
        let count = rows.len() as u64;
        if count > 0 && !queue.offer(at, rows) {
            self.unwritten += count;
        }
    }
}

impl SampleRows {
    /// The time of the first row that has none yet.
    fn push_time(&mut self, judged: Option<JudgedTime>) {
        self.time_ns.push(judged.map(|judged| {
            let (seconds, nanoseconds) = judged.time.unix();
            seconds * 1_000_000_000 + i64::from(nanoseconds)
        }));
        self.time_source.push(judged.map(|judged| judged.origin));
    }
}
