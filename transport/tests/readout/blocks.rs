//! Blocks of samples of CRS boards, through the traits that all board families share.

use std::sync::Arc;
use std::time::Duration;

use twotone_hal::{
    ChannelId, ErrorKind, ModuleRequest, ReceiveOptions, Result, StreamBlock, StreamReceiver,
    StreamRequest, StreamSource, Streams, TimeOrigin, async_trait,
};
use twotone_transport::readout::{Source, sample_rate_hz};
use twotone_transport::{CrsStreams, Host};
use twotone_wire::crs::PacketLength;

use super::sender::{Sender, module, source, steps, taken_at};
use super::{PATIENT, options};

fn streams(source: Source) -> Arc<CrsStreams> {
    let host = Host::new(source.address.to_string(), 80);
    Arc::new(CrsStreams::new("b", &host, Some(source.serial)))
}

async fn open(
    sources: &[Source],
    modules: &[u8],
    options: &ReceiveOptions,
) -> Result<Box<dyn StreamReceiver>> {
    let requests: Vec<_> = sources
        .iter()
        .map(|source| StreamRequest::new(streams(*source), modules.iter().map(|n| module(*n))))
        .collect();
    requests[0].streams.open(&requests, options).await
}

/// Receives until all streams together have given this many samples. Returns the blocks, also those
/// that are not full.
async fn receive(
    receiver: &mut dyn StreamReceiver,
    streams: usize,
    samples: u64,
) -> Vec<StreamBlock> {
    let mut blocks = Vec::new();
    let received = |receiver: &dyn StreamReceiver| {
        let all = (0..streams).map(|stream| receiver.status(stream).counters.received);
        all.sum::<u64>()
    };
    // Packets of other boards may arrive too.
    for _ in 0..100 {
        if received(receiver) == samples {
            break;
        }
        blocks.extend(receiver.receive(PATIENT).await.unwrap());
    }
    assert_eq!(received(receiver), samples);
    blocks.extend(receiver.take_rest());
    blocks
}

#[tokio::test]
async fn boards_share_a_receiver_and_each_stream_has_its_samples() {
    let options = options(40);
    let sources: Vec<_> = (0..12)
        .map(|n| source(60 + n, 600 + u16::from(n)))
        .collect();
    let mut receiver = open(&sources, &[1, 7], &options.clone()).await.unwrap();
    let mut senders: Vec<_> = sources.iter().map(|s| Sender::new(*s, &options)).collect();
    for sequence in (0..12).filter(|sequence| *sequence != 5) {
        for sender in &mut senders {
            sender.readout(0, sequence);
            sender.readout(2, sequence);
        }
    }
    // Packets of a module that was not requested, and of an unknown board.
    senders[0].readout(1, 3);
    senders[0].serial = 77;
    senders[0].readout(0, 12);
    senders[0].serial = 600;
    let blocks = receive(&mut *receiver, 24, 24 * 11).await;
    assert_eq!(blocks.len(), 24);
    for block in blocks {
        // Module 7 is number 3 of the second bank of four modules.
        let (board, number) = (block.stream / 2, [1, 3][block.stream % 2]);
        assert_eq!((block.samples(), block.channels()), (11, 128));
        assert_eq!(receiver.channels(block.stream).unwrap().len(), 128);
        for (row, sequence) in (0..12).filter(|sequence| *sequence != 5).enumerate() {
            let sequence: u32 = sequence;
            assert_eq!(block.sequence[row], sequence);
            assert_eq!(block.lost_before[row], u64::from(sequence == 6));
            assert_eq!(block.time_ns[row], Some(taken_at(sequence).unix_ns()));
            assert_eq!(block.time_source[row], Some(TimeOrigin::Stamp));
            for channel in [0, 1, 127] {
                let at = row * 128 + channel;
                let sent = steps(sources[board], module(number), sequence, channel);
                assert_eq!([block.i[at], block.q[at]], sent);
            }
        }
        let status = receiver.status(block.stream);
        let counters = status.counters;
        assert_eq!(
            (counters.expected, counters.lost, counters.gaps),
            (12, 1, 1)
        );
        assert_eq!(receiver.coverage(block.stream).samples(), 12);
        let foreign = (board == 0).then_some(77);
        assert_eq!(status.foreign, u64::from(board == 0));
        assert_eq!(status.last_foreign_serial, foreign);
    }
    assert_eq!(receiver.totals().kernel_drops, 0);
    receiver.close().await.unwrap();
}

#[tokio::test]
async fn blocks_are_full_by_time_and_size_and_have_one_stage() {
    let board = source(80, 80);
    let rate_hz = sample_rate_hz(6);
    for (test, channels, time_s, block_bytes, full) in [
        (41, None, 4.5 / rate_hz, 100 * (32 + 8 * 128), 4),
        (42, Some([3, 128]), 1.0, 6 * (32 + 8 * 2), 6),
    ] {
        let options = options(test);
        let receive_options = options
            .clone()
            .block_time(Duration::from_secs_f64(time_s))
            .block_bytes(block_bytes);
        let channels = channels.map(|numbers| {
            let numbers = numbers.into_iter();
            numbers
                .map(|n| ChannelId::new(n).unwrap())
                .collect::<Vec<_>>()
        });
        let width = channels.as_ref().map_or(128, Vec::len);
        let module = module(1);
        let request = StreamRequest {
            streams: streams(board),
            modules: vec![ModuleRequest { module, channels }],
        };
        let opening = request
            .streams
            .open(std::slice::from_ref(&request), &receive_options);
        let mut receiver = opening.await.unwrap();
        let mut sender = Sender::new(board, &options);
        for sequence in 0..97 {
            sender.stage = if sequence < 90 { 6 } else { 5 };
            sender.readout(0, sequence);
        }
        let blocks = receive(&mut *receiver, 1, 97).await;
        let all: Vec<u32> = blocks
            .iter()
            .flat_map(|block| block.sequence.clone())
            .collect();
        assert_eq!(all, (0..97).collect::<Vec<_>>());
        let shape = |block: &StreamBlock| (block.stage, block.samples(), block.channels());
        // The times of the samples of the first tenth of a second are determined together, so the
        // first block has all these samples.
        let [first, middle @ .., before, after] = &blocks[..] else {
            panic!("{} blocks", blocks.len());
        };
        assert!((59..=60).contains(&first.samples()), "{}", first.samples());
        assert!(middle.len() > 3 && middle.iter().all(|block| shape(block) == (6, full, width)));
        assert!(before.samples() <= full && before.stage == 6);
        assert_eq!(shape(after), (5, 7, width));
        let status = receiver.status(0);
        assert_eq!(status.form_changes, 1);
        let change = status.first_form_change.unwrap();
        assert_eq!(
            (change.before.stage, change.after.stage, change.sequence),
            (6, 5, 90)
        );
        let covered = 90.0 / change.before.rate_hz + 7.0 / change.after.rate_hz;
        assert!((receiver.coverage(0).seconds() - covered).abs() < 1e-6);
    }
}

#[tokio::test]
async fn a_stream_ends_where_it_is_told_and_counts_nothing_beyond() {
    let options = options(43);
    let board = source(81, 81);
    let mut receiver = open(&[board], &[2], &options.clone()).await.unwrap();
    let mut sender = Sender::new(board, &options);
    sender.readout(1, 0);
    receive(&mut *receiver, 1, 1).await;
    let period = receiver.coverage(0).period_s();
    receiver.end_at(0, 10.0 * period);
    // The stream ends after sample 9. Samples 7 to 9 are lost before its end, 10 and 11 after it.
    // Samples 12 and 13 arrive after the end.
    for sequence in [1, 2, 3, 4, 5, 6, 12, 13] {
        sender.readout(1, sequence);
    }
    let mut all = Vec::new();
    while receiver.coverage(0).samples() < 10 {
        all.extend(receiver.receive(PATIENT).await.unwrap());
    }
    all.extend(receiver.take_rest());
    let all: Vec<u32> = all
        .iter()
        .flat_map(|block| block.sequence.clone())
        .collect();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    let counters = receiver.status(0).counters;
    let found = (counters.expected, counters.received, counters.lost);
    assert_eq!(found, (10, 7, 3), "{counters:?}");
}

#[tokio::test]
async fn samples_that_lack_channels_are_counted_and_in_no_block() {
    let options = options(44);
    let board = source(82, 82);
    let mut receiver = open(&[board], &[1], &options.clone()).await.unwrap();
    let mut sender = Sender::new(board, &options);
    for (sequence, length) in [
        (0, PacketLength::Long),
        (1, PacketLength::Short),
        (2, PacketLength::Long),
    ] {
        sender.length = length;
        sender.readout(0, sequence);
    }
    let blocks = receive(&mut *receiver, 1, 3).await;
    assert_eq!(blocks.len(), 1);
    assert_eq!(
        (&blocks[0].sequence[..], blocks[0].channels()),
        (&[0, 2][..], 1024)
    );
    let status = receiver.status(0);
    assert_eq!((status.counters.received, status.counters.misfit), (3, 1));
    assert_eq!(status.form_changes, 2);
}

/// Streams of another board family.
#[derive(Debug)]
struct Other;

#[async_trait]
impl Streams for Other {
    fn name(&self) -> &str {
        "other"
    }

    fn modules(&self) -> Vec<twotone_hal::ModuleId> {
        Vec::new()
    }

    async fn locate(&self) -> Result<StreamSource> {
        Ok(StreamSource::new("other", 1.0))
    }

    async fn open(
        &self,
        _: &[StreamRequest],
        _: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>> {
        unreachable!("nothing of it is opened")
    }
}

#[tokio::test]
async fn requests_that_cannot_be_received_are_refused() {
    let shared = options(45);
    let board = source(83, 83);
    let nobody = Arc::new(CrsStreams::new("b", &Host::new("127.0.0.83", 80), None));
    let refused = |opened: Result<Box<dyn StreamReceiver>>| match opened {
        Ok(_) => panic!("it was opened"),
        Err(error) => (error.kind(), error.to_string()),
    };
    let of = |streams: Arc<dyn Streams>| StreamRequest::new(streams, [module(1)]);
    let known = streams(board);
    for (opened, words) in [
        (
            open(&[board], &[1, 5], &shared).await,
            "modules 1 and 5 have the same packets",
        ),
        (
            open(&[board, board], &[1], &shared).await,
            "was given twice",
        ),
        (known.open(&[], &shared).await, "no board to receive from"),
        (
            known.open(&[of(Arc::new(Other))], &shared).await,
            "it is no CRS board",
        ),
        (
            known.open(&[of(nobody.clone())], &shared).await,
            "serial number, which is not given",
        ),
        (
            open(&[board], &[1], &shared.clone().group("nowhere")).await,
            "`nowhere` is no IPv4 address",
        ),
    ] {
        let (kind, message) = refused(opened);
        assert_eq!(kind, ErrorKind::InvalidArgument, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let unnamed = nobody.locate().await.unwrap_err();
    assert_eq!(unnamed.kind(), ErrorKind::InvalidArgument);
    let found = known.locate().await.unwrap();
    assert_eq!(found, StreamSource::new("crs", 256.0).serial(83));
}
