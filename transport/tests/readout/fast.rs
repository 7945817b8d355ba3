//! Blocks of samples of the PFB stream, and packets whose headers lie.

use std::time::Duration;

use twotone_hal::{
    ChannelId, ErrorKind, ModuleRequest, ReceiveOptions, StreamBlock, StreamReceiver,
    StreamRequest, StreamStatus, Streams, TimeOrigin,
};
use twotone_transport::readout::{SampleTime, Source};
use twotone_transport::{CrsStreams, Host};
use twotone_wire::crs::{PfbHeader, PfbMode, Stamp, StampSource};

use super::sender::{Sender, module, source};
use super::{PATIENT, options};

/// Parts of a second between two samples.
const PERIOD: u64 = 64;

fn channel(number: u16) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn channels(numbers: &[u16]) -> Vec<ChannelId> {
    numbers.iter().map(|number| channel(*number)).collect()
}

/// I and Q of a sample of a channel, in steps. They differ for every channel and sample.
fn steps(channel: u16, sample: u64) -> (i32, i32) {
    let sample = sample as i32;
    (
        1_000_000 * i32::from(channel) + sample,
        -i32::from(channel) - 7 * sample,
    )
}

/// Packets of one module, whose samples follow each other in time.
struct Packets {
    sender: Sender,
    header: PfbHeader,
    /// Number of samples before the next packet.
    sample: u64,
}

impl Packets {
    /// Packets of these channels, which count from 1, in the order of the packets. `index` is the
    /// module, from 0.
    fn new(source: Source, options: &ReceiveOptions, index: u8, slots: &[u16]) -> Self {
        let mut packets = Self {
            sender: Sender::new(source, options),
            header: PfbHeader {
                serial: source.serial,
                module: index,
                sequence: u32::MAX - 2,
                ..PfbHeader::default()
            },
            sample: 0,
        };
        packets.choose(slots);
        packets
    }

    fn choose(&mut self, slots: &[u16]) {
        self.header.mode = match slots.len() {
            1 => PfbMode::One,
            2 => PfbMode::Two,
            _ => PfbMode::Four,
        };
        self.header.slots = [0; 4];
        for (to, channel) in self.header.slots.iter_mut().zip(slots) {
            *to = channel - 1;
        }
    }

    /// Returns the next packet, with this number of samples of each channel.
    fn next(&mut self, samples: u64) -> Vec<u8> {
        self.header.stamp = stamp(self.sample);
        let slots = &self.header.slots[..self.header.mode.slots()];
        let pairs = (self.sample..self.sample + samples)
            .flat_map(|sample| slots.iter().map(move |slot| steps(slot + 1, sample)));
        let pairs: Vec<_> = pairs.collect();
        let mut bytes = vec![0; self.header.buffer_len(pairs.len())];
        self.header.emit(&pairs, &mut bytes).unwrap();
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.sample += samples;
        bytes
    }

    fn send(&mut self, samples: u64) {
        let bytes = self.next(samples);
        self.sender.raw(&bytes);
    }
}

/// Time stamp of a sample. The year ends shortly after the first sample.
fn stamp(sample: u64) -> Stamp {
    let second = u64::from(Stamp::PARTS_PER_SECOND);
    let parts = second - 20_000 * PERIOD + PERIOD * sample;
    let (second, part) = (parts / second, (parts % second) as u32);
    let stamp = match second {
        0 => Stamp {
            year: 26,
            day: 365,
            hour: 23,
            minute: 59,
            second: 59,
            part,
            ..Stamp::default()
        },
        after => Stamp {
            year: 27,
            day: 1,
            second: after as u32 - 1,
            part,
            ..Stamp::default()
        },
    };
    stamp.with_source(StampSource::Sma, true)
}

async fn open(
    source: Source,
    index: u8,
    wanted: Option<&[u16]>,
    options: &ReceiveOptions,
) -> Box<dyn StreamReceiver> {
    let host = Host::new(source.address.to_string(), 80);
    let streams = CrsStreams::new("b", &host, Some(source.serial));
    let fast = streams.fast().unwrap();
    let request = StreamRequest {
        streams: fast.clone(),
        modules: vec![ModuleRequest {
            module: module(index + 1),
            channels: wanted.map(channels),
        }],
    };
    fast.open(&[request], options).await.unwrap()
}

/// Receives until `is_over` is true for the status, and returns all samples as one block.
async fn receive(
    receiver: &mut dyn StreamReceiver,
    is_over: impl Fn(&StreamStatus) -> bool,
) -> StreamBlock {
    let mut blocks = Vec::new();
    for _ in 0..1000 {
        if is_over(&receiver.status(0)) {
            break;
        }
        blocks.extend(receiver.receive(PATIENT).await.unwrap());
    }
    assert!(is_over(&receiver.status(0)), "{:?}", receiver.status(0));
    blocks.extend(receiver.take_rest());
    let mut all = StreamBlock::new(0);
    for block in blocks {
        assert_eq!(block.time_ns.len(), block.samples());
        all.sequence.extend(block.sequence);
        all.lost_before.extend(block.lost_before);
        all.time_ns.extend(block.time_ns);
        all.time_source.extend(block.time_source);
        all.i.extend(block.i);
        all.q.extend(block.q);
    }
    all
}

/// Asserts that the block has these samples of these channels, in order, with their times.
fn check(block: &StreamBlock, channels: &[u16], samples: impl Iterator<Item = u64>) {
    let samples: Vec<_> = samples.collect();
    assert_eq!(block.samples(), samples.len());
    for (row, sample) in samples.into_iter().enumerate() {
        let taken = SampleTime::of_stamp(&stamp(sample)).unwrap();
        assert_eq!(block.time_ns[row], Some(taken.unix_ns()), "sample {sample}");
        assert_eq!(block.time_source[row], Some(TimeOrigin::Stamp));
        for (column, channel) in channels.iter().enumerate() {
            let at = row * channels.len() + column;
            let found = (block.i[at], block.q[at]);
            assert_eq!(found, steps(*channel, sample), "{channel} {sample}");
        }
    }
}

#[tokio::test]
async fn samples_have_their_channels_times_and_numbers_whatever_the_slots() {
    for (test, slots, wanted, samples) in [
        (44, &[7][..], None, 1000),
        (45, &[900, 3], None, 500),
        (46, &[900, 3], Some(&[900][..]), 17),
        (47, &[5, 1024, 2, 77], None, 250),
        (48, &[5, 1024, 2, 77], Some(&[2, 77, 1024]), 1),
    ] {
        let options = options(test);
        let board = source(90, 900);
        let mut receiver = open(board, 2, wanted, &options).await;
        let mut packets = Packets::new(board, &options, 2, slots);
        let first = packets.header.sequence.wrapping_mul(samples as u32);
        // Three packets are lost, one is late and in its place again, and one comes twice.
        for number in 0..40 {
            let bytes = packets.next(samples);
            match number {
                4..7 => {}
                20 => {
                    let later = packets.next(samples);
                    packets.sender.raw(&later);
                    packets.sender.raw(&bytes);
                }
                30 => (0..2).for_each(|_| packets.sender.raw(&bytes)),
                _ => packets.sender.raw(&bytes),
            }
        }
        let came = 41 - 3;
        let block = receive(&mut *receiver, |status| {
            status.counters.received == came * samples && status.counters.duplicate > 0
        })
        .await;
        let mut expected = wanted.unwrap_or(slots).to_vec();
        expected.sort_unstable();
        let found = receiver.channels(0).unwrap();
        assert_eq!(found, channels(&expected), "{slots:?}");
        let lost = 4 * samples..7 * samples;
        let all = (0..41 * samples).filter(|sample| !lost.contains(sample));
        check(&block, &expected, all.clone());
        for (row, sample) in all.enumerate() {
            assert_eq!(block.sequence[row], first.wrapping_add(sample as u32));
            let lost = if sample == 7 * samples {
                3 * samples
            } else {
                0
            };
            assert_eq!(block.lost_before[row], lost);
        }
        let status = receiver.status(0);
        let counters = status.counters;
        assert_eq!(counters.expected, 41 * samples, "{counters:?}");
        assert_eq!(counters.lost, 3 * samples);
        assert_eq!((counters.gaps, counters.duplicate), (1, samples));
        assert_eq!((counters.misfit, status.form_changes), (0, 0));
        assert_eq!((status.malformed, status.foreign), (0, 0));
        let covered = receiver.coverage(0);
        assert_eq!(covered.samples(), 41 * samples);
        let seconds = (41 * samples) as f64 * 256.0 / 625e6;
        assert!((covered.seconds() / seconds - 1.0).abs() < 1e-12);
    }
}

#[tokio::test]
async fn a_stream_ends_in_the_middle_of_a_packet_and_of_a_gap() {
    // The end, the samples in the block, and those that are lost before it.
    for (test, end, rows, lost) in [
        (49, 1, 1, 0),
        (50, 299, 299, 0),
        (51, 300, 300, 0),
        (52, 433, 300, 133),
        (53, 601, 301, 300),
    ] {
        let options = options(test);
        let board = source(91, 910);
        let mut receiver = open(board, 0, None, &options).await;
        receiver.end_at(0, f64::from(end) * 256.0 / 625e6);
        let mut packets = Packets::new(board, &options, 0, &[9]);
        for number in 0..6 {
            let bytes = packets.next(150);
            if ![2, 3].contains(&number) {
                packets.sender.raw(&bytes);
            }
        }
        let end = u64::try_from(end).unwrap();
        let covered = |status: &StreamStatus| status.counters.expected == end;
        let block = receive(&mut *receiver, covered).await;
        receiver.receive(Duration::from_millis(50)).await.unwrap();
        let counters = receiver.status(0).counters;
        let found = (counters.received, counters.lost, counters.gaps);
        assert_eq!(found, (rows, lost, u64::from(lost > 0)), "end at {end}");
        let after_gap = (600..).take(rows.saturating_sub(300) as usize);
        check(&block, &[9], (0..rows.min(300)).chain(after_gap));
    }
}

/// Bytes of the fields of the header.
mod field {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 4;
    pub(super) const MODE: usize = 5;
    pub(super) const SERIAL: usize = 6;
    pub(super) const SLOTS: usize = 8;
    pub(super) const PAIRS: usize = 16;
    pub(super) const MODULE: usize = 18;
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Count under which a packet with a lie must appear.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Count {
    Malformed,
    Foreign,
    Misfit,
    /// The packet is of another module, whose stream is not received.
    Elsewhere,
}

#[tokio::test]
async fn headers_that_lie_are_no_data() {
    type Lie = fn(&mut Vec<u8>);
    let lies: &[(Lie, Count)] = &[
        (|bytes| bytes[field::MAGIC] ^= 1, Count::Malformed),
        (|bytes| bytes[field::VERSION] = 2, Count::Malformed),
        (|bytes| bytes[field::MODE] = 3, Count::Malformed),
        (|bytes| bytes[field::MODE] = 255, Count::Malformed),
        // The number of pairs is that of one more or one fewer, of none, of more than fit.
        (|bytes| put(bytes, field::PAIRS, 121), Count::Malformed),
        (|bytes| put(bytes, field::PAIRS, 119), Count::Malformed),
        (|bytes| put(bytes, field::PAIRS, 0), Count::Malformed),
        (|bytes| put(bytes, field::PAIRS, u16::MAX), Count::Malformed),
        // A whole packet without samples.
        (
            |bytes| {
                put(bytes, field::PAIRS, 0);
                bytes.drain(24..24 + 120 * 8);
            },
            Count::Malformed,
        ),
        // A number of pairs that does not fill the slots.
        (
            |bytes| {
                put(bytes, field::PAIRS, 119);
                bytes.drain(24..32);
            },
            Count::Malformed,
        ),
        // Channels that do not exist or come twice, and ones that are not received.
        (|bytes| put(bytes, field::SLOTS, 1024), Count::Malformed),
        (|bytes| put(bytes, field::SLOTS, u16::MAX), Count::Malformed),
        (|bytes| put(bytes, field::SLOTS, 10), Count::Malformed),
        (|bytes| put(bytes, field::SLOTS, 11), Count::Misfit),
        (|bytes| put(bytes, field::SLOTS + 2, 11), Count::Misfit),
        // Fewer slots than the samples are of.
        (|bytes| bytes[field::MODE] = 0, Count::Misfit),
        (|bytes| put(bytes, field::SERIAL, 921), Count::Foreign),
        (|bytes| put(bytes, field::SERIAL, 0), Count::Foreign),
        (|bytes| bytes[field::MODULE] = 0, Count::Elsewhere),
        (|bytes| bytes[field::MODULE] = 4, Count::Malformed),
        (|bytes| bytes[field::MODULE] = 255, Count::Malformed),
        (|bytes| bytes.truncate(23), Count::Malformed),
        (|bytes| bytes.truncate(200), Count::Malformed),
        (|bytes| bytes.push(0), Count::Malformed),
        (Vec::clear, Count::Malformed),
    ];
    let options = options(54);
    let board = source(92, 920);
    let mut receiver = open(board, 1, Some(&[9, 11]), &options).await;
    let mut packets = Packets::new(board, &options, 1, &[9, 11]);
    let mut expected = Vec::new();
    for (lie, count) in lies {
        expected.extend(packets.sample..packets.sample + 60);
        packets.send(60);
        let mut bytes = packets.next(60);
        lie(&mut bytes);
        packets.sender.raw(&bytes);
        if *count != Count::Misfit {
            // The true packet of the same number. Otherwise the number would be lost.
            expected.extend(packets.sample - 60..packets.sample);
            packets.sample -= 60;
            packets.header.sequence = packets.header.sequence.wrapping_sub(1);
            packets.send(60);
        }
    }
    let of = |count| lies.iter().filter(|(_, found)| *found == count).count() as u64;
    let rows = expected.len() as u64;
    let block = receive(&mut *receiver, |status| {
        status.counters.received - status.counters.misfit == rows
    })
    .await;
    check(&block, &[9, 11], expected.into_iter());
    let status = receiver.status(0);
    let counters = status.counters;
    assert_eq!((counters.lost, counters.duplicate), (0, 0), "{counters:?}");
    assert_eq!(status.malformed, of(Count::Malformed));
    assert_eq!(status.foreign, of(Count::Foreign));
    // The packet with one slot claims twice as many samples of one channel.
    assert_eq!(counters.misfit, 60 * of(Count::Misfit) + 60);
    // Each packet with another form changes the form, and the next one changes it back.
    assert_eq!(status.form_changes, 2 * of(Count::Misfit));
}

#[tokio::test]
async fn a_change_of_channels_or_of_size_is_told_with_the_forms() {
    let options = options(55);
    let board = source(93, 930);
    let mut receiver = open(board, 0, Some(&[3]), &options).await;
    let mut packets = Packets::new(board, &options, 0, &[3]);
    packets.send(1000);
    packets.choose(&[700, 3]);
    packets.send(500);
    packets.send(500);
    packets.send(120);
    packets.choose(&[3, 700]);
    packets.send(120);
    packets.choose(&[700]);
    packets.send(120);
    let block = receive(&mut *receiver, |status| status.counters.received == 2360).await;
    check(&block, &[3], 0..2240);
    let status = receiver.status(0);
    assert_eq!((status.form_changes, status.counters.misfit), (4, 120));
    let change = status.first_form_change.unwrap();
    let chosen =
        |form: twotone_hal::StreamForm| form.chosen.into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(chosen(change.before), channels(&[3]));
    assert_eq!(chosen(change.after), channels(&[700, 3]));
    let samples = (change.before.packet_samples, change.after.packet_samples);
    assert_eq!(samples, (1000, 500));
    assert_eq!(change.sequence, (u32::MAX - 1).wrapping_mul(500));
}

#[tokio::test]
async fn the_two_streams_of_a_board_are_apart() {
    let options = options(56);
    let board = source(94, 940);
    let host = Host::new(board.address.to_string(), 80);
    let slow = std::sync::Arc::new(CrsStreams::new("b", &host, Some(board.serial)));
    let fast = slow.fast().unwrap();
    assert!(fast.fast().is_none());
    assert_eq!(fast.locate().await.unwrap().rate_hz, Some(625e6 / 256.0));
    assert_eq!(slow.locate().await.unwrap().rate_hz, None);
    let request = StreamRequest::new(slow.clone(), [module(1)]);
    let refused = fast.open(&[request], &options).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    // Packets of the other stream on the same port are no samples.
    let mut receiver = open(board, 0, None, &options).await;
    let mut packets = Packets::new(board, &options, 0, &[1]);
    packets.sender.readout(0, 5);
    packets.send(10);
    let block = receive(&mut *receiver, |status| status.counters.received == 10).await;
    check(&block, &[1], 0..10);
    assert_eq!(receiver.status(0).malformed, 1);
}
