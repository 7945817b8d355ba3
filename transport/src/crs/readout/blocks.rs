//! Blocks of samples with their times, made from the packets of a receiver.

mod stream;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::{
    ChannelId, Coverage, ModuleId, ReceiveOptions, ReceiverTotals, Result, StreamBlock,
    StreamReceiver, StreamStatus,
};

use self::stream::Stream;
use super::intake::Intake;
use super::{SampleTime, Source, StreamKind};
use crate::deadline;

/// A module whose samples a [`BlockReceiver`] returns.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) source: Source,
    /// The module, numbered as in packets: from 1 within its analog bank, a group of four modules.
    pub(crate) module: ModuleId,
    /// Channels, in ascending order. `None` for all channels of the first packet.
    pub(crate) channels: Option<Vec<ChannelId>>,
}

/// Collects the samples of a stream of some boards in blocks and determines their times.
#[derive(Debug)]
pub(crate) struct BlockReceiver {
    kind: StreamKind,
    intake: Intake,
    streams: Vec<Stream>,
    /// Index of each module in `streams`.
    numbers: HashMap<(Source, ModuleId), usize>,
    options: ReceiveOptions,
    opened: Instant,
}

impl BlockReceiver {
    /// Opens a receiver of blocks of the modules in `wanted`, each listed once, whose boards are in
    /// `sources`.
    ///
    /// # Errors
    /// As [`Receiver::open`](super::Receiver::open).
    pub(crate) fn open(
        kind: StreamKind,
        sources: &[Source],
        wanted: &[Wanted],
        options: &ReceiveOptions,
    ) -> Result<Self> {
        let runtime = tworoutine::runtime().clone();
        let intake = Intake::open(sources, kind.port(), kind.read_head(), options, runtime)
            .map_err(|error| error.during("open a receiver"))?;
        let place = |source: Source| {
            let mut sources = sources.iter();
            sources.position(|known| *known == source).unwrap_or(0)
        };
        let streams = wanted.iter().enumerate().map(|(number, wanted)| {
            let channels = wanted.channels.clone();
            Stream::new(number, place(wanted.source), wanted.module, channels)
        });
        let numbers = wanted.iter().enumerate();
        let numbers = numbers.map(|(number, one)| ((one.source, one.module), number));
        Ok(Self {
            kind,
            intake,
            streams: streams.collect(),
            numbers: numbers.collect(),
            options: options.clone(),
            opened: Instant::now(),
        })
    }
}

#[async_trait]
impl StreamReceiver for BlockReceiver {
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>> {
        self.intake.fill(deadline::within(within)).await?;
        let received = self.options.opened_ns.map(|opened_ns| {
            let since = i64::try_from(self.opened.elapsed().as_nanos()).unwrap_or(i64::MAX);
            SampleTime::of_unix_ns(opened_ns.saturating_add(since))
        });
        let mut full = Vec::new();
        let packets = self.intake.hand_over();
        for packet in (0..packets.len()).filter_map(|at| packets.get(at)) {
            if let Some(number) = self.numbers.get(&(packet.source, packet.module)) {
                let stream = &mut self.streams[*number];
                stream.take(self.kind, &packet, received, &self.options, &mut full);
            }
        }
        Ok(full)
    }

    fn take_rest(&mut self) -> Vec<StreamBlock> {
        let rest = self.streams.iter_mut().map(Stream::take_rest);
        rest.filter(|block| !block.is_empty()).collect()
    }

    fn end_at(&mut self, stream: usize, seconds: f64) {
        self.streams[stream].end_at(seconds);
    }

    fn channels(&self, stream: usize) -> Option<&[ChannelId]> {
        self.streams[stream].channels()
    }

    fn coverage(&self, stream: usize) -> Coverage {
        self.streams[stream].coverage()
    }

    fn status(&self, stream: usize) -> StreamStatus {
        let stream = &self.streams[stream];
        let board = self.intake.board(stream.board());
        let mut status = stream.status(&board);
        status.foreign = board.foreign;
        status.last_foreign_serial = board.last_foreign_serial.map(u32::from);
        status.malformed = board.malformed;
        status
    }

    fn totals(&self) -> ReceiverTotals {
        ReceiverTotals {
            kernel_drops: self.intake.kernel_drops(),
            buffer_shortfall: self.intake.buffers().shortfall(),
        }
    }

    fn is_behind(&self) -> bool {
        self.intake.is_behind()
    }
}
