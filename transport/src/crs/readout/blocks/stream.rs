//! The samples of one module, from its packets.

use std::collections::VecDeque;

use twotone_hal::{
    ChannelId, Coverage, FormChange, ModuleId, ReceiveOptions, StreamBlock, StreamCounters,
    StreamForm, StreamStatus, TimeOrigin,
};

use crate::crs::readout::intake::Packet;
use crate::crs::readout::packet::AnyPacket;
use crate::crs::readout::spacing::PFB_PERIOD_PARTS;
use crate::crs::readout::{
    BoardCounters, JudgedTime, SampleTime, Spacing, Stamped, StreamKind, Timeline,
};

/// The samples of one module.
#[derive(Debug)]
pub(super) struct Stream {
    /// Index of the module's board in the list of sources of the receiver.
    board: usize,
    module: ModuleId,
    /// Channels, in ascending order: those that were asked for, or those of the first packet.
    channels: Option<Vec<ChannelId>>,
    block: StreamBlock,
    /// Number of samples of a full block.
    block_samples: usize,
    timeline: Timeline,
    /// Numbers of samples of the packets in the block that have no time yet.
    timeless: VecDeque<u32>,
    coverage: Coverage,
    form: Option<StreamForm>,
    form_changes: u64,
    first_form_change: Option<FormChange>,
    /// End of the stream: time in seconds since its first sample. Later samples are not taken.
    end_s: Option<f64>,
    /// Counters of samples up to the end, without those that the board's counters have.
    counters: StreamCounters,
    times: TimeCounters,
    /// Number of packets since the last one in a block: packets that were lost, or that lack
    /// channels.
    left_out: u64,
}

/// Numbers of samples by the origin of their times.
#[derive(Debug, Default)]
struct TimeCounters {
    timeless: u64,
    reconstructed: u64,
}

impl Stream {
    pub(super) fn new(
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
            timeless: VecDeque::new(),
            coverage: Coverage::new(),
            form: None,
            form_changes: 0,
            first_form_change: None,
            end_s: None,
            counters: StreamCounters::default(),
            times: TimeCounters::default(),
            left_out: 0,
        }
    }

    pub(super) fn board(&self) -> usize {
        self.board
    }

    pub(super) fn channels(&self) -> Option<&[ChannelId]> {
        self.channels.as_deref()
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }

    pub(super) fn end_at(&mut self, seconds: f64) {
        self.end_s = Some(seconds);
    }

    /// Takes a packet that was received at the time `received`. Adds blocks that are complete to
    /// `full`.
    pub(super) fn take(
        &mut self,
        kind: StreamKind,
        packet: &Packet<'_>,
        received: Option<SampleTime>,
        options: &ReceiveOptions,
        full: &mut Vec<StreamBlock>,
    ) {
        let lost_packets = packet.lost_before;
        // The head of the packet was read before, so the packet is valid.
        let Some(packet) = AnyPacket::new(kind, packet.bytes) else {
            return;
        };
        let spacing = packet.spacing();
        // The number of samples in a lost packet is not known, so it is that of the packet before.
        let lost = lost_packets.saturating_mul(u64::from(self.packet_samples()));
        if self.coverage.samples() == 0 {
            self.take_form(&packet, spacing);
        }
        let (lost, samples) = self.before_end(lost, spacing.samples());
        self.counters.lost += lost;
        self.counters.gaps += u64::from(lost > 0);
        if samples == 0 {
            self.coverage.add(lost);
            return;
        }
        self.counters.received += u64::from(samples);
        // The rate of lost samples is that of the samples before.
        self.coverage.add(lost);
        self.take_form(&packet, spacing);
        self.coverage.add(u64::from(samples));
        self.left_out += lost_packets;
        let channels = self.channels.get_or_insert_with(|| packet.channels());
        if !packet.has(channels) {
            // The samples are not in a block, but the positions of later ones must include them.
            self.counters.misfit += u64::from(samples);
            self.left_out += 1;
            return;
        }
        let form = self.form.unwrap_or_default();
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
        packet.push(block, channels, samples);
        let (overrange, overvoltage) = packet.flags();
        let sequence = packet.sequence();
        let first_sample = sequence.wrapping_mul(spacing.samples());
        block.push_packet(first_sample, samples, lost, overrange, overvoltage);
        self.counters.overrange += u64::from(overrange);
        self.counters.overvoltage += u64::from(overvoltage);
        let stamped = Stamped {
            sequence,
            lost_before: std::mem::take(&mut self.left_out),
            spacing,
            stamp: packet.stamp(),
            received,
        };
        self.timeless.push_back(samples);
        let (timeless, times) = (&mut self.timeless, &mut self.times);
        self.timeline.take(&stamped, &mut |time| {
            push_times(block, timeless, times, time)
        });
        // The times of the first samples are known only after a tenth of a second, so a block may
        // have more samples than times until then.
        if block.samples() >= self.block_samples && block.time_ns.len() == block.samples() {
            full.push(block.take());
        }
    }

    /// Numbers of samples before the end of the stream, out of `lost` lost samples and `samples`
    /// that follow them.
    fn before_end(&self, lost: u64, samples: u32) -> (u64, u32) {
        // The first sample defines the time of the end, so it is always before the end.
        let is_first = self.coverage.samples() == 0;
        let Some(end_s) = self.end_s else {
            return (lost, samples);
        };
        let all = lost.saturating_add(u64::from(samples));
        let left = self.coverage.samples_left(end_s, all);
        let left = left.max(u64::from(is_first));
        let lost = lost.min(left);
        (lost, (left - lost) as u32)
    }

    /// Number of samples of each channel in the last packet.
    fn packet_samples(&self) -> u32 {
        self.form.map_or(1, |form| form.packet_samples.max(1))
    }

    fn take_form(&mut self, packet: &AnyPacket<'_>, spacing: Spacing) {
        let form = packet.form();
        if self.form == Some(form) {
            return;
        }
        if let Some(before) = self.form.replace(form) {
            self.form_changes += 1;
            self.first_form_change.get_or_insert(FormChange {
                before,
                after: form,
                sequence: packet.sequence().wrapping_mul(spacing.samples()),
            });
        }
        self.coverage.change(form.rate_hz);
    }

    /// Determines the remaining times and returns the block.
    pub(super) fn take_rest(&mut self) -> StreamBlock {
        let (block, timeless, times) = (&mut self.block, &mut self.timeless, &mut self.times);
        self.timeline
            .settle(&mut |time| push_times(block, timeless, times, time));
        block.take()
    }

    /// Counters, times and form so far. `board` has the counters of packets of the board.
    pub(super) fn status(&self, board: &BoardCounters) -> StreamStatus {
        let mut status = StreamStatus::default();
        let packets = board.module(self.module);
        let samples = |packets: u64| packets.saturating_mul(u64::from(self.packet_samples()));
        status.counters = StreamCounters {
            expected: self.counters.received + self.counters.lost,
            late: samples(packets.late),
            duplicate: samples(packets.duplicate),
            stale: samples(packets.stale),
            restarts: packets.restarts,
            ..self.counters
        };
        status.times = self.timeline.findings();
        status.times.timeless = self.times.timeless;
        status.times.reconstructed = self.times.reconstructed;
        status.times.not_lost = samples(status.times.not_lost);
        status.form_changes = self.form_changes;
        status.first_form_change = self.first_form_change;
        status
    }
}

/// Adds the times of the samples of the first packet in the block that has no times yet. `judged`
/// is the time of its first sample.
fn push_times(
    block: &mut StreamBlock,
    timeless: &mut VecDeque<u32>,
    times: &mut TimeCounters,
    judged: Option<JudgedTime>,
) {
    let samples = timeless.pop_front().unwrap_or(1);
    match judged.map(|judged| judged.origin) {
        None => times.timeless += u64::from(samples),
        Some(TimeOrigin::Stamp) => {}
        Some(_) => times.reconstructed += u64::from(samples),
    }
    let first = judged.map(|judged| judged.time.parts());
    for at in 0..i64::from(samples) {
        let time = first.map(|first| {
            // Only packets of the PFB stream have several samples.
            SampleTime::of_parts(first.saturating_add(at * PFB_PERIOD_PARTS)).unix_ns()
        });
        block.push_time(time.zip(judged.map(|judged| judged.origin)));
    }
}
