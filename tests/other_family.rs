//! Tests of captures from boards that are not network devices. Their family (kind of board) is
//! defined in this file, and their samples are made in memory. A *capture* writes the sample
//! streams of boards to files. The hardware map is the file that lists the boards.
#![cfg(feature = "arrow")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_ipc::reader::FileReader;
use twotone::capture::{BoardPlan, CaptureOutcome, CaptureParams, capture};
use twotone::hal::{
    ChannelId, ClockSource, ClockSourceKind, Coverage, ModuleRequest, ReceiveOptions,
    ReceiverTotals, Replies, StreamBlock, StreamCounters, StreamReceiver, StreamRequest,
    StreamSource, StreamStatus, Streams, TimeOrigin, async_trait,
};
use twotone::prelude::*;
use twotone::record::RunDirectory;

const CHANNELS: usize = 2;
const PERIOD: Duration = Duration::from_millis(2);
/// Time of the first sample, in nanoseconds since 1970.
const FIRST_NS: i64 = 1_767_225_600_000_000_007;
/// Sequence number of the first sample. It is so large that the sequence numbers overflow in each
/// capture.
const FIRST_SEQUENCE: u32 = u32::MAX - 20;
/// Samples that are lost: those with numbers from the first value up to the second, which is not
/// lost.
const LOST: (u64, u64) = (40, 45);

/// A converter: a board with two channels of real samples, without a mixer and without a network.
/// If `family` is `None`, it has no sample stream.
struct Converter {
    name: &'static str,
    family: Option<&'static str>,
}

#[async_trait]
impl Board for Converter {
    fn name(&self) -> &str {
        self.name
    }

    async fn run(&self, _: &Batch) -> Result<Replies> {
        let why = "a converter has no settings";
        Err(Error::new(ErrorKind::Unsupported, why).on(self.name))
    }

    fn streams(&self) -> Option<Arc<dyn Streams>> {
        let (name, family) = (self.name, self.family?);
        Some(Arc::new(Sampling { name, family }))
    }
}

#[derive(Debug)]
struct Sampling {
    name: &'static str,
    family: &'static str,
}

#[async_trait]
impl Streams for Sampling {
    fn name(&self) -> &str {
        self.name
    }

    fn modules(&self) -> Vec<ModuleId> {
        vec![ModuleId::FIRST]
    }

    async fn locate(&self) -> Result<StreamSource> {
        Ok(StreamSource::new(self.family, 16.0))
    }

    async fn open(
        &self,
        requests: &[StreamRequest],
        options: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>> {
        let mut streams = Vec::new();
        for request in requests {
            let board: &Self = request.streams_as("made")?;
            assert_eq!(board.family, self.family, "families do not mix");
            streams.extend(request.modules.iter().zip(streams.len()..).map(Made::new));
        }
        Ok(Box::new(Receiving {
            streams,
            samples: options.block_samples(CHANNELS, 1.0 / PERIOD.as_secs_f64()),
        }))
    }
}

/// Receiver that makes each sample at the time at which the sample is due.
struct Receiving {
    streams: Vec<Made>,
    /// Number of samples in a full block.
    samples: usize,
}

struct Made {
    channels: Vec<ChannelId>,
    block: StreamBlock,
    coverage: Coverage,
    received: u64,
    end_s: f64,
}

impl Made {
    fn new((request, stream): (&ModuleRequest, usize)) -> Self {
        Self {
            channels: request.channels_of(CHANNELS),
            block: StreamBlock::new(stream),
            coverage: Coverage::at_rate(1.0 / PERIOD.as_secs_f64()),
            received: 0,
            end_s: f64::INFINITY,
        }
    }

    fn make(&mut self) {
        let at = self.coverage.samples();
        if self.coverage.samples_left(self.end_s, 1) == 0 {
            return;
        }
        self.coverage.add(1);
        if (LOST.0..LOST.1).contains(&at) {
            return;
        }
        self.received += 1;
        let block = &mut self.block;
        block.rate_hz = 1.0 / PERIOD.as_secs_f64();
        let lost = if at == LOST.1 { LOST.1 - LOST.0 } else { 0 };
        block.push(FIRST_SEQUENCE.wrapping_add(at as u32), lost, false, false);
        let since_first = PERIOD.as_nanos() as i64 * at as i64;
        block.push_time(Some((FIRST_NS + since_first, TimeOrigin::Stamp)));
        for channel in &self.channels {
            block.i.push(value(at, channel.index()));
            block.q.push(0);
        }
    }
}

/// Value of sample number `at` of a channel, in the steps of the converter.
fn value(at: u64, channel: usize) -> i32 {
    1000 * (channel as i32 + 1) + at as i32
}

#[async_trait]
impl StreamReceiver for Receiving {
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>> {
        tokio::time::sleep(PERIOD.min(within)).await;
        if within < PERIOD {
            return Ok(Vec::new());
        }
        self.streams.iter_mut().for_each(Made::make);
        let is_full = self.streams[0].block.samples() >= self.samples;
        Ok(if is_full {
            self.take_rest()
        } else {
            Vec::new()
        })
    }

    fn take_rest(&mut self) -> Vec<StreamBlock> {
        let streams = self.streams.iter_mut();
        streams.map(|made| made.block.take()).collect()
    }

    fn end_at(&mut self, stream: usize, seconds: f64) {
        self.streams[stream].end_s = seconds;
    }

    fn channels(&self, stream: usize) -> Option<&[ChannelId]> {
        Some(&self.streams[stream].channels)
    }

    fn coverage(&self, stream: usize) -> Coverage {
        self.streams[stream].coverage
    }

    fn status(&self, stream: usize) -> StreamStatus {
        let made = &self.streams[stream];
        let (expected, received) = (made.coverage.samples(), made.received);
        let mut status = StreamStatus::default();
        status.counters = StreamCounters {
            expected,
            received,
            lost: expected - received,
            ..StreamCounters::default()
        };
        status.times.source = Some(ClockSource {
            name: "crystal",
            kind: ClockSourceKind::MadeUp,
        });
        status
    }

    fn totals(&self) -> ReceiverTotals {
        ReceiverTotals::default()
    }
}

fn board(name: &'static str, family: Option<&'static str>) -> BoardHandle {
    BoardHandle::new(Converter { name, family })
}

/// Captures the first module of each board for half a second of virtual time.
async fn captured(boards: &[BoardHandle], run: &Path, channels: Option<u16>) -> CaptureOutcome {
    let params = CaptureParams {
        seconds: 0.5,
        channels,
        ..CaptureParams::default()
    };
    let mut plans = Vec::new();
    for board in boards {
        plans.push(BoardPlan::of(board, [ModuleId::FIRST], &params).await);
    }
    let directory = RunDirectory::prepare(run).unwrap();
    let (directory, outcome) = capture(plans, directory, &params, &Default::default())
        .await
        .unwrap();
    directory.commit().unwrap();
    outcome
}

fn batches(file: &Path) -> Vec<RecordBatch> {
    let reader = FileReader::try_new(File::open(file).unwrap(), None).unwrap();
    reader.map(Result::unwrap).collect()
}

/// Asserts that a file has the samples that were made, with their sequence numbers, losses and
/// times. Returns the number of samples.
fn check_file(file: &Path, channels: usize) -> u64 {
    let (mut rows, mut lost) = (0, 0);
    for batch in batches(file) {
        let unit = &batch.schema().field_with_name("i").unwrap().metadata()["unit"].clone();
        assert_eq!(unit, "count/16");
        let times = batch["time"].as_primitive::<TimestampNanosecondType>();
        let [i, q] = ["i", "q"].map(|name| {
            let list = batch[name].as_fixed_size_list();
            assert_eq!(list.value_length() as usize, channels);
            list.values().as_primitive::<Int32Type>().values().to_vec()
        });
        assert!(q.iter().all(|q| *q == 0), "the samples are real numbers");
        for row in 0..batch.num_rows() {
            lost += batch["lost_before"].as_primitive::<UInt64Type>().value(row);
            let at = rows + lost;
            let sequence = batch["sequence"].as_primitive::<UInt32Type>().value(row);
            assert_eq!(sequence, FIRST_SEQUENCE.wrapping_add(at as u32));
            assert_eq!(times.value(row), FIRST_NS + 2_000_000 * at as i64);
            let made: Vec<i32> = (0..channels).map(|channel| value(at, channel)).collect();
            assert_eq!(i[row * channels..][..channels], made);
            rows += 1;
        }
    }
    assert_eq!(lost, LOST.1 - LOST.0);
    rows
}

#[tworoutine::test(start_paused = true)]
async fn boards_of_any_families_are_captured_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let one = [board("a1", Some("a"))];
    let many = [
        board("a1", Some("a")),
        board("b1", Some("b")),
        board("a2", Some("a")),
    ];
    for (name, boards, channels) in [
        ("one", &one[..], None),
        ("many", &many[..], None),
        ("narrow", &many[..], Some(1)),
    ] {
        let run = folder.path().join(name);
        let outcome = captured(boards, &run, channels).await;
        assert_eq!(outcome.boards.len(), boards.len(), "{name}");
        for board in &outcome.boards {
            let module = &board.modules[0];
            let counters = &module.counters;
            assert_eq!((&board.error, &module.error), (&None, &None), "{name}");
            assert_eq!(module.clock.clock_source, Some("crystal"));
            assert_eq!((counters.lost, module.missing), (5, 0), "{counters:?}");
            assert_eq!(module.due, Some(counters.expected), "{counters:?}");
            let file = run.join(module.file.as_ref().unwrap());
            let channels = channels.map_or(CHANNELS, usize::from);
            assert_eq!(check_file(&file, channels), counters.received, "{name}");
            assert!((240..=250).contains(&counters.expected), "{counters:?}");
        }
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_board_without_a_sample_stream_is_refused_and_the_others_are_captured() {
    let folder = tempfile::tempdir().unwrap();
    let bare = board("bare", None);
    let says =
        "board bare: not supported: the board has no sample stream: nothing of it can be captured";
    let alone = captured(
        std::slice::from_ref(&bare),
        &folder.path().join("alone"),
        None,
    )
    .await;
    assert_eq!(alone.received(), 0);
    let both = [bare, board("a1", Some("a"))];
    let both = captured(&both, &folder.path().join("both"), None).await;
    for outcome in [&alone, &both] {
        let bare = &outcome.boards[0];
        let error = bare.error.as_ref().unwrap();
        assert_eq!(error.to_string(), says);
        assert_eq!(error.kind, Some(ErrorKind::Unsupported));
        assert!(bare.modules.is_empty() && !outcome.is_whole());
    }
    assert!(both.boards[1].received() > 200);
}

/// Tests that the streams of a board can be reached through everything that wraps the board: the
/// wrapper that locks it, the wrapper that checks the limits of the map, and the layers of the
/// runner.
#[cfg(feature = "sim")]
#[test]
fn wrappers_have_the_streams_of_their_board() {
    let farm = Farm::builder().boards(1).detectors(1).start_blocking();
    let farm = farm.unwrap();
    let map = HardwareMap::try_from(&farm).unwrap();
    let name = map.boards()[0].name.clone();
    let [mut ours, mut others] = [(), ()].map(|()| Array::connect(&map).wait());
    ours.lock(&map, false).wait();
    others.lock(&map, false).wait();
    let of = |array: &Array| array.answered(&name).unwrap().handle().clone();
    let check = |wrapper: &str, board: &BoardHandle| {
        let streams = board.streams();
        let streams = streams.unwrap_or_else(|| panic!("{wrapper} has no streams"));
        assert_eq!(streams.name(), name, "{wrapper}");
    };
    check("a board that is locked", &of(&ours));
    check("a board that another program has", &of(&others));
    check("a board with limits", &ours.board(&name).wait().unwrap());
    let has = |board: BoardHandle, _| async move { Ok::<_, Error>(board.streams().is_some()) };
    let outcomes = Runner::new().run(ours.targets(), has).wait();
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome.result.as_ref().unwrap())
    );
}
