//! Blocks of samples with their times, made from the packets of a receiver.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::{
    ChannelId, Coverage, FormChange, ModuleId, ReceiveOptions, ReceiverTotals, Result, StreamBlock,
    StreamCounters, StreamForm, StreamReceiver, StreamStatus,
};

use super::{
    Frame, JudgedTime, ModuleCounters, Receiver, SampleTime, Source, Stamped, Timeline,
    sample_rate_hz,
};

/// A module whose samples a [`BlockReceiver`] returns.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) source: Source,
    /// The module, numbered as in packets: from 1 within its analog bank, a group of four modules.
    pub(crate) module: ModuleId,
    /// Channels, in ascending order. `None` for all channels of the first packet.
    pub(crate) channels: Option<Vec<ChannelId>>,
}

/// Collects the samples of a [`Receiver`] in blocks and determines their times.
#[derive(Debug)]
pub(crate) struct BlockReceiver {
    receiver: Receiver,
    streams: Vec<Stream>,
    /// Index of each module in `streams`.
    numbers: HashMap<(Source, ModuleId), usize>,
    options: ReceiveOptions,
    opened: Instant,
}

/// The samples of one module.
#[derive(Debug)]
struct Stream {
    /// Index of the module's board in the list of sources of the receiver.
    board: usize,
    module: ModuleId,
    /// Channels, in ascending order: those that were asked for, or those of the first packet.
    channels: Option<Vec<ChannelId>>,
    block: StreamBlock,
    /// Number of samples of a full block.
    block_samples: usize,
    timeline: Timeline,
    coverage: Coverage,
    form: Option<StreamForm>,
    form_changes: u64,
    first_form_change: Option<FormChange>,
    /// End of the stream: time in seconds since its first sample. Later samples are not taken.
    end_s: Option<f64>,
    beyond_end: BeyondEnd,
    /// Number of packets that lack some of the channels.
    misfit: u64,
    overrange: u64,
    overvoltage: u64,
    /// Number of samples after the last sample that is in a block. They were lost, or lack
    /// channels.
    left_out: u64,
}

/// Counts of the receiver that belong to samples after the end of a stream.
#[derive(Debug, Clone, Copy, Default)]
struct BeyondEnd {
    received: u64,
    lost: u64,
    gaps: u64,
}

impl BlockReceiver {
    /// Receiver of blocks of the modules in `wanted`, each listed once. `receiver` must be newly
    /// opened, for the sources of these modules.
    pub(crate) fn new(receiver: Receiver, wanted: &[Wanted], options: &ReceiveOptions) -> Self {
        let place = |source: Source| {
            let mut sources = receiver.sources().iter();
            sources.position(|known| *known == source).unwrap_or(0)
        };
        let streams = wanted.iter().enumerate().map(|(number, wanted)| {
            let channels = wanted.channels.clone();
            Stream::new(number, place(wanted.source), wanted.module, channels)
        });
        let numbers = wanted.iter().enumerate();
        let numbers = numbers.map(|(number, one)| ((one.source, one.module), number));
        Self {
            streams: streams.collect(),
            numbers: numbers.collect(),
            receiver,
            options: options.clone(),
            opened: Instant::now(),
        }
    }
}

#[async_trait]
impl StreamReceiver for BlockReceiver {
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>> {
        let frames = self.receiver.recv(within).await?;
        let received = self.options.opened_ns.map(|opened_ns| {
            let since = i64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(i64::MAX);
            SampleTime::of_unix_ns(opened_ns.saturating_add(since))
        });
        let mut full = Vec::new();
        for frame in frames {
            if let Some(number) = self.numbers.get(&(frame.source, frame.module)) {
                let stream = &mut self.streams[*number];
                stream.take(&frame, received, &self.options, &mut full);
            }
        }
        Ok(full)
    }

    fn take_rest(&mut self) -> Vec<StreamBlock> {
        let rest = self.streams.iter_mut().map(Stream::take_rest);
        rest.filter(|block| !block.is_empty()).collect()
    }

    fn end_at(&mut self, stream: usize, seconds: f64) {
        self.streams[stream].end_s = Some(seconds);
    }

    fn channels(&self, stream: usize) -> Option<&[ChannelId]> {
        self.streams[stream].channels.as_deref()
    }

    fn coverage(&self, stream: usize) -> Coverage {
        self.streams[stream].coverage
    }

    fn status(&self, stream: usize) -> StreamStatus {
        let stream = &self.streams[stream];
        let board = self.receiver.intake.board(stream.board);
        let mut status = StreamStatus::default();
        status.counters = stream.counters(&board.module(stream.module));
        status.times = stream.timeline.findings();
        status.form_changes = stream.form_changes;
        status.first_form_change = stream.first_form_change;
        status.foreign = board.foreign;
        status.last_foreign_serial = board.last_foreign_serial.map(u32::from);
        status.malformed = board.malformed;
        status
    }

    fn totals(&self) -> ReceiverTotals {
        ReceiverTotals {
            kernel_drops: self.receiver.intake.kernel_drops(),
            buffer_shortfall: self.receiver.buffers().shortfall(),
        }
    }

    fn is_behind(&self) -> bool {
        self.receiver.is_behind()
    }
}

impl Stream {
    fn new(
        number: usize,
        board: usize,
        module: ModuleId,
        channels: Option<Vec<ChannelId>>,
    ) -> Self {
        Self {
            board,
            module,
            channels,
            block: StreamBlock::new(number),
            block_samples: 1,
            timeline: Timeline::new(),
            coverage: Coverage::new(),
            form: None,
            form_changes: 0,
            first_form_change: None,
            end_s: None,
            beyond_end: BeyondEnd::default(),
            misfit: 0,
            overrange: 0,
            overvoltage: 0,
            left_out: 0,
        }
    }

    /// Takes a packet that was received at the time `received`. Adds blocks that are complete to
    /// `full`.
    fn take(
        &mut self,
        frame: &Frame<'_>,
        received: Option<SampleTime>,
        options: &ReceiveOptions,
        full: &mut Vec<StreamBlock>,
    ) {
        if self.is_beyond_end(frame) {
            return;
        }
        let packet = &frame.packet;
        let form = StreamForm {
            channels: packet.length().channels(),
            stage: packet.stage(),
            rate_hz: sample_rate_hz(packet.stage()),
        };
        self.take_form(form, packet.sequence());
        self.coverage.add(frame.lost_before + 1);
        let all = || ChannelId::FIRST.range(form.channels).collect();
        let channels = self.channels.get_or_insert_with(all);
        self.left_out += frame.lost_before;
        if channels
            .last()
            .is_some_and(|last| last.index() >= form.channels)
        {
            // The sample is not in a block, but the positions of later samples must include it.
            (self.misfit, self.left_out) = (self.misfit + 1, self.left_out + 1);
            return;
        }
        if !self.block.is_empty() && self.block.stage != form.stage {
            full.push(self.take_rest());
        }
        let channels = self.channels.as_deref().unwrap_or_default();
        let block = &mut self.block;
        if block.is_empty() {
            (block.stage, block.rate_hz) = (form.stage, form.rate_hz);
            self.block_samples = options.block_samples(channels.len(), form.rate_hz);
            block.i.reserve(self.block_samples * channels.len());
            block.q.reserve(self.block_samples * channels.len());
        }
        push_samples(block, packet.samples(), channels);
        let (overrange, overvoltage) = (packet.overrange(), packet.overvoltage());
        block.push(packet.sequence(), frame.lost_before, overrange, overvoltage);
        self.overrange += u64::from(overrange);
        self.overvoltage += u64::from(overvoltage);
        let stamped = Stamped {
            lost_before: std::mem::take(&mut self.left_out),
            ..Stamped::of(frame, received)
        };
        self.timeline
            .take(&stamped, &mut |time| push_time(block, time));
        // The times of the first samples are known only after a tenth of a second, so a block may
        // have more samples than times until then.
        if block.samples() >= self.block_samples && block.time_ns.len() == block.samples() {
            full.push(block.take());
        }
    }

    /// True if a packet comes after the end of the stream. The packet is then not counted, and
    /// neither are lost packets after the end.
    fn is_beyond_end(&mut self, frame: &Frame<'_>) -> bool {
        let Some(end_s) = self.end_s else {
            return false;
        };
        // Before the first sample the sample rate is not known.
        if self.coverage.samples() == 0 {
            return false;
        }
        let lost = self.coverage.samples_left(end_s, frame.lost_before);
        if self.coverage.samples_left(end_s, frame.lost_before + 1) > frame.lost_before {
            return false;
        }
        self.coverage.add(lost);
        self.beyond_end.received += 1;
        self.beyond_end.lost += frame.lost_before - lost;
        self.beyond_end.gaps += u64::from(lost == 0 && frame.lost_before > 0);
        true
    }

    fn take_form(&mut self, form: StreamForm, sequence: u32) {
        if self.form == Some(form) {
            return;
        }
        if let Some(before) = self.form.replace(form) {
            self.form_changes += 1;
            self.first_form_change.get_or_insert(FormChange {
                before,
                after: form,
                sequence,
            });
        }
        let period = Duration::from_secs_f64(1.0 / form.rate_hz);
        self.coverage.change(period);
    }

    /// Determines the remaining times and returns the block.
    fn take_rest(&mut self) -> StreamBlock {
        let block = &mut self.block;
        self.timeline.settle(&mut |time| push_time(block, time));
        block.take()
    }

    /// Counters of the stream up to its end.
    fn counters(&self, of: &ModuleCounters) -> StreamCounters {
        let beyond = self.beyond_end;
        StreamCounters {
            expected: of.expected - beyond.received - beyond.lost,
            received: of.received - beyond.received,
            lost: of.lost - beyond.lost,
            gaps: of.gaps - beyond.gaps,
            late: of.late,
            duplicate: of.duplicate,
            stale: of.stale,
            restarts: of.restarts,
            misfit: self.misfit,
            overrange: self.overrange,
            overvoltage: self.overvoltage,
        }
    }
}

/// Adds the time of the first sample of the block that has no time yet.
fn push_time(block: &mut StreamBlock, judged: Option<JudgedTime>) {
    block.push_time(judged.map(|judged| (judged.time.unix_ns(), judged.origin)));
}

/// Adds the samples of `channels`, which are in ascending order, from the samples of all channels
/// in a packet.
fn push_samples(
    block: &mut StreamBlock,
    mut samples: impl Iterator<Item = (i32, i32)>,
    channels: &[ChannelId],
) {
    let from = block.i.len();
    block.i.resize(from + channels.len(), 0);
    block.q.resize(from + channels.len(), 0);
    let places = block.i[from..].iter_mut().zip(&mut block.q[from..]);
    let (Some(first), Some(last)) = (channels.first(), channels.last()) else {
        return;
    };
    let mut passed = first.index();
    if passed > 0 {
        samples.nth(passed - 1);
    }
    if last.index() + 1 - first.index() == channels.len() {
        // Contiguous channels are the usual case, unless a caller selects the channels that have
        // tones. This loop takes most of the time of a capture, so it does not search for channels.
        for ((i, q), sample) in places.zip(samples) {
            (*i, *q) = sample;
        }
        return;
    }
    for ((i, q), channel) in places.zip(channels) {
        (*i, *q) = samples.nth(channel.index() - passed).unwrap_or_default();
        passed = channel.index() + 1;
    }
}
