//! Conversion of the packets of a module to rows.

use std::time::Duration;

use twotone_hal::ChannelId;
use twotone_transport::readout::{
    Frame, JudgedTime, SampleTime, Source, Stamped, Timeline, sample_rate_hz,
};

use super::calibrated::Calibrator;
use super::due::{self, Covered};
use super::form::{Form, Forms};
use super::plan::ModulePlan;
use super::standing::Standing;
use super::write::Queue;
use crate::record::{SampleColumns, SampleRows};

/// Time at which a packet arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// Time for which the receiver has listened, without times in which the process was stopped.
    pub(super) listened: Duration,
    /// Time by this computer's clock.
    pub(super) time: SampleTime,
}

/// A module of a capture.
#[derive(Debug)]
pub(super) struct ModuleIntake {
    /// Index of its board.
    pub(super) board: usize,
    pub(super) source: Source,
    pub(super) plan: ModulePlan,
    /// Columns of its file, known from the first packet on.
    pub(super) columns: Option<SampleColumns>,
    /// Largest size of a batch, in bytes.
    batch_bytes: usize,
    /// Number of rows of a batch.
    batch: usize,
    pub(super) rows: SampleRows,
    pub(super) unwritten: u64,
    /// Number of packets that lacked channels of the file.
    pub(super) misfit: u64,
    /// Number of samples with a converter over its range.
    pub(super) overrange: u64,
    /// Number of samples with an input over its voltage.
    pub(super) overvoltage: u64,
    /// Number of samples since the last one with a row: lost ones, and those that lack channels.
    left_out: u64,
    pub(super) timeline: Timeline,
    pub(super) forms: Forms,
    /// Times of listening at its first packet and at its last one.
    pub(super) heard: Option<(Duration, Duration)>,
    /// Time that its samples cover, lost ones included.
    pub(super) covered: Covered,
    /// Samples from after the end of the capture, which are not taken.
    pub(super) beyond: Beyond,
}

/// Samples from after the end of a capture, which the receiver has counted all the same.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beyond {
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) gaps: u64,
}

impl ModuleIntake {
    pub(super) fn new(board: usize, source: Source, plan: ModulePlan, batch_bytes: usize) -> Self {
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
            covered: Covered::default(),
            beyond: Beyond::default(),
        }
    }

    /// Columns of its file, if packets have `there` channels.
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

    /// Time in seconds for which samples of this module are due, if `asked` is the time of the
    /// capture since `began`, the first packet of any module.
    pub(super) fn due_s(&self, asked: Duration, began: Option<Duration>) -> f64 {
        let late = self
            .heard
            .zip(began)
            .map(|((first, _), began)| first - began);
        due::due_s(asked, late.unwrap_or_default())
    }

    /// Number of samples that were due, and number of them that are missing; `None` if no packet
    /// came, as the rate is then not known.
    pub(super) fn shortfall(
        &self,
        asked: Duration,
        began: Option<Duration>,
        hold: Duration,
    ) -> Option<(u64, u64)> {
        self.heard?;
        let due_s = self.due_s(asked, began);
        Some(self.covered.shortfall(due_s, hold))
    }

    /// True if a packet was sent after the end of the capture. Then neither the packet counts nor
    /// the losses before it that fall after the end.
    pub(super) fn is_beyond(&mut self, frame: &Frame<'_>, due_s: f64) -> bool {
        if self.heard.is_none() {
            return false;
        }
        let lost = self.covered.left(due_s, frame.lost_before);
        if self.covered.left(due_s, frame.lost_before + 1) > frame.lost_before {
            return false;
        }
        self.covered.take(lost);
        self.beyond.received += 1;
        self.beyond.lost += frame.lost_before - lost;
        self.beyond.gaps += u64::from(lost == 0 && frame.lost_before > 0);
        true
    }

    /// Adds the row of a packet, and hands the batch on when it is full.
    pub(super) fn take(&mut self, at: usize, frame: &Frame<'_>, arrival: Arrival, queue: &Queue) {
        let packet = &frame.packet;
        let listened = arrival.listened;
        self.heard.get_or_insert((listened, listened)).1 = listened;
        let there = packet.length().channels();
        let form = Form {
            channels: there,
            stage: packet.stage(),
        };
        if self.forms.take(form, packet.sequence()) {
            let rate_hz = sample_rate_hz(form.stage);
            self.covered.change(Duration::from_secs_f64(1.0 / rate_hz));
        }
        self.covered.take(frame.lost_before + 1);
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
            // A packet that lacks channels gets no row.
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
        // The times of the first samples are known together, a tenth of a second later.
        if rows.len() >= self.batch && rows.time_ns.len() == rows.len() {
            self.hand_on(at, queue);
        }
    }

    /// Sentences about samples for which a converter or an input was driven too hard.
    pub(super) fn overdriven(&self) -> impl Iterator<Item = String> {
        let counts = [
            (self.overrange, "a converter over its range"),
            (self.overvoltage, "an input over its voltage"),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        some.map(|(count, what)| format!("{count} samples were taken with {what}"))
    }

    /// Hands the rows on to be written, or counts them as unwritten.
    pub(super) fn hand_on(&mut self, at: usize, queue: &Queue) {
        let rows = std::mem::take(&mut self.rows);
        let count = rows.len() as u64;
        if count > 0 && !queue.offer(at, rows) {
            self.unwritten += count;
        }
    }
}

impl SampleRows {
    /// Sets the time of the first row that has none yet.
    pub(super) fn push_time(&mut self, judged: Option<JudgedTime>) {
        self.time_ns.push(judged.map(|judged| {
            let (seconds, nanoseconds) = judged.time.unix();
            seconds * 1_000_000_000 + i64::from(nanoseconds)
        }));
        self.time_source.push(judged.map(|judged| judged.origin));
    }
}
