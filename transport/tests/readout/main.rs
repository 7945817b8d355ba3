//! Receivers of sample streams on the multicast of loopback: whose packets, how many, in what order.

mod sender;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sender::{Sender, module, source};
use tokio::time::{sleep, timeout};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use twotone_hal::{ChannelId, Complex64, ErrorKind};
use twotone_transport::readout::{PfbReceiver, Receiver, Source, StreamOptions, Take};
use twotone_wire::crs::{PacketLength, PfbMode};

/// Long enough for anything on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);

/// In which a deadline of less is kept.
const PROMPT: Duration = Duration::from_secs(2);

/// A port of each test's own and a group of each process's, for tests run at once.
fn options(test: u16) -> StreamOptions {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let group = [239, 200 + high % 50, middle, low];
    StreamOptions::new().group(group.into()).port(29_800 + test)
}

/// Receives until so many packets have come, or nothing comes any more. Of each: whose, which module,
/// which number.
async fn receive(receiver: &mut Receiver, packets: usize) -> Vec<(Source, u8, u32)> {
    let mut received = Vec::new();
    while received.len() < packets {
        let frames = receiver.recv(PATIENT).await.unwrap();
        if frames.is_empty() {
            break;
        }
        received.extend(frames.map(|frame| {
            let packet = frame.packet;
            assert_eq!(packet.serial(), frame.source.serial);
            (frame.source, frame.module.number(), packet.sequence())
        }));
    }
    received
}

#[tokio::test]
async fn anothers_packets_are_never_data() {
    let options = options(0);
    let (a, b) = (source(2, 42), source(3, 43));
    let mut receiver = Receiver::open_here(&[a, b], &options).unwrap();
    let mut senders = [a, b].map(|source| Sender::new(source, &options));
    let [to_a, to_b] = &mut senders;
    to_a.readout(0, 1);
    to_b.readout(0, 7);
    to_b.readout(3, 1);
    // Another's serial number from a board's address, no packet, and one that is too long.
    to_a.serial = 43;
    to_a.readout(0, 2);
    to_a.serial = 42;
    to_a.raw(b"not a packet");
    to_a.raw(&[0; 9000]);
    // A packet with more behind it.
    to_a.length = PacketLength::Long;
    to_a.tail = 1000;
    to_a.readout(0, 2);
    (to_a.length, to_a.tail) = (PacketLength::Short, 0);
    // An address that was not joined, with a serial number that was.
    Sender::new(source(4, 42), &options).readout(0, 2);
    to_a.readout(0, 2);
    let received = receive(&mut receiver, 4).await;
    assert_eq!(received, [(a, 1, 1), (b, 1, 7), (b, 4, 1), (a, 1, 2)]);
    let counters = receiver.counters();
    let [of_a, of_b] = &counters.boards[..] else {
        panic!("{counters:?}");
    };
    assert_eq!((of_a.foreign, of_a.malformed), (1, 3));
    assert_eq!((of_b.foreign, of_b.malformed), (0, 0));
    assert_eq!(of_a.module(module(1)).received, 2);
    assert_eq!((counters.strangers, counters.kernel_drops), (0, 0));
}

#[tokio::test]
async fn more_boards_than_a_socket_can_join() {
    let options = options(1);
    let sources: Vec<_> = (0..25_u8)
        .map(|n| source(10 + n, 100 + u16::from(n)))
        .collect();
    let mut all = Receiver::open_here(&sources, &options).unwrap();
    assert_eq!(all.buffers().sockets, 3);
    // Another receiver of the same group on this host, and one whose sockets find out for themselves
    // how many sources they can join.
    let mut five = Receiver::open_here(&sources[3..8], &options).unwrap();
    let crowded = options.clone().sources_per_socket(100);
    let crowded = Receiver::open_here(&sources, &crowded).unwrap();
    assert!(crowded.buffers().sockets <= 3);
    let mut senders: Vec<_> = sources.iter().map(|s| Sender::new(*s, &options)).collect();
    const ROUNDS: u32 = 40;
    for round in 0..ROUNDS {
        for (n, sender) in senders.iter_mut().enumerate() {
            // Each board loses a packet of its own, and counts from a number of its own.
            if round != n as u32 + 1 {
                sender.readout(0, (u32::MAX - 30 + n as u32).wrapping_add(round));
            }
            sender.readout(2, round);
        }
    }
    for (receiver, boards) in [(&mut all, &sources[..]), (&mut five, &sources[3..8])] {
        let packets = boards.len() * (2 * ROUNDS as usize - 1);
        let received = receive(receiver, packets).await;
        let mut streams: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for (source, module, sequence) in received {
            streams.entry((source, module)).or_default().push(sequence);
        }
        assert_eq!(streams.len(), 2 * boards.len());
        for ((source, module), sequences) in streams {
            let n = u32::from(source.serial - 100);
            let expected: Vec<_> = if module == 1 {
                let all = (0..ROUNDS).filter(|round| *round != n + 1);
                all.map(|round| (u32::MAX - 30 + n).wrapping_add(round))
                    .collect()
            } else {
                (0..ROUNDS).collect()
            };
            assert_eq!(sequences, expected, "{source} module {module}");
        }
        let counters = receiver.counters();
        assert_eq!((counters.strangers, counters.kernel_drops), (0, 0));
        for board in &counters.boards {
            assert_eq!((board.foreign, board.malformed), (0, 0), "{board:?}");
            let (one, three) = (board.module(module(1)), board.module(module(3)));
            assert_eq!((one.received, one.lost, one.gaps), (39, 1, 1), "{board:?}");
            assert_eq!(
                (three.received, three.lost, three.expected),
                (40, 0, 40),
                "{board:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_receive_ends_at_its_deadline() {
    let options = options(2);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    for within in [0, 30] {
        let frames = receiver.recv(Duration::from_millis(within));
        assert!(timeout(PROMPT, frames).await.unwrap().unwrap().is_empty());
    }
    // What is there is given, however little time there is.
    let mut sender = Sender::new(board, &options);
    sender.readout(0, 1);
    let at_once = async { while receiver.recv(Duration::ZERO).await.unwrap().is_empty() {} };
    timeout(PROMPT, at_once).await.unwrap();
    // A receive that is given up takes nothing with it.
    for sequence in 2..6 {
        let given_up = timeout(Duration::from_millis(5), receiver.recv(PATIENT)).await;
        assert!(given_up.is_err());
        sender.readout(0, sequence);
        assert_eq!(receive(&mut receiver, 1).await, [(board, 1, sequence)]);
    }
    // One packet waits for another in vain, and longer than nothing at all.
    sender.readout(0, 7);
    assert!(receiver.recv(Duration::ZERO).await.unwrap().is_empty());
    let frames = timeout(PROMPT, receiver.recv(PATIENT)).await.unwrap();
    let frames = frames.unwrap();
    assert_eq!(
        frames.map(|frame| frame.lost_before).collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn a_receiver_works_without_a_runtime_and_in_any() {
    let options = options(3);
    let board = source(2, 42);
    let mut receiver = Receiver::open(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    sender.readout(0, 1);
    let received = futures::executor::block_on(receive(&mut receiver, 1));
    assert_eq!(received, [(board, 1, 1)]);
    let of_another = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut receiver = of_another.block_on(async {
        let late = tokio::task::spawn_blocking(move || {
            sender.readout(0, 2);
            sender
        });
        let received = receive(&mut receiver, 1).await;
        assert_eq!(received, [(board, 1, 2)]);
        late.await.unwrap();
        receiver
    });
    drop(of_another);
    // Its futures can be tasks of a runtime of many threads.
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    drop(sendable(receiver.take(&Take::new(1), PATIENT)));
    let nothing = sendable(receiver.recv(Duration::from_millis(1)));
    let nothing = futures::executor::block_on(nothing);
    assert!(nothing.unwrap().is_empty());
}

#[tokio::test]
async fn any_duration_will_do() {
    let options = options(11).patience(4, Duration::MAX);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    for sequence in [1, 3, 4, 2] {
        sender.readout(0, sequence);
    }
    let first = receiver.recv(Duration::MAX).await.unwrap();
    assert!(!first.is_empty());
    for sequence in [5, 7, 6] {
        sender.readout(0, sequence);
    }
    let take = Take::new(2).of(board, module(1));
    let block = receiver.take(&take, Duration::MAX).await.unwrap().remove(0);
    assert!(block.sequence <= 6);
    assert_eq!(receiver.counters().boards[0].module(module(1)).lost, 0);
}

#[tokio::test]
async fn what_lies_in_the_kernel_is_not_given_up() {
    // A socket each: that of the first board is looked at first.
    let options = options(12).sources_per_socket(1);
    let (loud, other) = (source(2, 42), source(3, 43));
    let mut receiver = Receiver::open_here(&[loud, other], &options).unwrap();
    let mut senders = [loud, other].map(|source| Sender::new(source, &options));
    let [to_loud, to_other] = &mut senders;
    to_other.readout(0, 1);
    to_other.readout(0, 3);
    assert_eq!(receive(&mut receiver, 1).await, [(other, 1, 1)]);
    to_other.readout(0, 2);
    // More than is read at once; and the reader is away for longer than the patience.
    for sequence in 0..150 {
        to_loud.readout(0, sequence);
    }
    sleep(2 * options.hold).await;
    let received = receive(&mut receiver, 152).await;
    let of_other = received.iter().filter(|(source, ..)| *source == other);
    let numbers: Vec<_> = of_other.map(|(_, _, sequence)| *sequence).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(receiver.counters().boards[1].module(module(1)).lost, 0);
}

/// Counts the warnings of this crate's receivers.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU64>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let is_ours = event.metadata().target().contains("readout");
        self.0.fetch_add(u64::from(is_ours), Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_buffer_that_the_kernel_does_not_grant_is_warned_of() {
    let options = options(13);
    // The kernel counts no further than a half of 2 GiB, whoever asks.
    for (asked, is_short) in [(4096, false), (3 << 30, true)] {
        let warnings = Warnings::default();
        let options = options.clone().buffer_bytes(asked);
        let open = || Receiver::open_here(&[source(2, 42)], &options).unwrap();
        let receiver = tracing::subscriber::with_default(warnings.clone(), open);
        assert_eq!(receiver.buffers().shortfall().is_some(), is_short);
        assert_eq!(warnings.0.load(Ordering::Relaxed), u64::from(is_short));
    }
}

#[tokio::test]
async fn what_the_kernel_drops_is_lost_and_told() {
    let options = options(4).buffer_bytes(64 << 10);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    const SENT: u32 = 500;
    for flood in 1..=2_u32 {
        for sequence in 0..SENT {
            sender.readout(0, (flood - 1) * SENT + sequence);
        }
        let received = receiver.counters().boards[0].module(module(1)).received;
        while !receiver
            .recv(Duration::from_millis(100))
            .await
            .unwrap()
            .is_empty()
        {}
        let now = receiver.counters().boards[0].module(module(1)).received;
        assert!(
            (1..SENT).contains(&((now - received) as u32)),
            "{received} {now}"
        );
        // The kernel tells with the next packet.
        let last = flood * SENT - 1;
        sender.readout(0, last);
        assert_eq!(receive(&mut receiver, 1).await, [(board, 1, last)]);
        let counters = receiver.counters();
        let of_module = counters.boards[0].module(module(1));
        let (expected, gaps) = (u64::from(flood * SENT), u64::from(flood));
        assert_eq!((of_module.expected, of_module.gaps), (expected, gaps));
        // The last of the flood was dropped too, and then came in its place.
        assert_eq!(of_module.lost + u64::from(flood), counters.kernel_drops);
    }
}

#[tokio::test]
async fn a_block_is_consecutive_samples() {
    let options = options(5);
    let (a, b) = (source(2, 42), source(3, 43));
    let mut receiver = Receiver::open_here(&[a, b], &options).unwrap();
    let mut senders = [a, b].map(|source| Sender::new(source, &options));
    // Of module 1, number 3 is lost, and flags stand on 2, 4 and 9.
    for sequence in 0..20 {
        for sender in &mut senders {
            sender.overrange = [2, 9].contains(&sequence);
            sender.overvoltage = sequence == 4;
            if sequence != 3 {
                sender.readout(0, sequence);
            }
            (sender.overrange, sender.overvoltage) = (false, false);
            sender.readout(1, sequence);
        }
    }
    let five = Take::new(5)
        .of(b, module(2))
        .of(a, module(1))
        .channels(ChannelId::new(3).unwrap(), Some(40));
    let blocks = receiver.take(&five, PATIENT).await.unwrap();
    let [of_b, of_a] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    assert_eq!((of_b.source, of_b.module, of_b.sequence), (b, module(2), 0));
    assert_eq!((of_a.source, of_a.module, of_a.sequence), (a, module(1), 4));
    assert_eq!((of_b.interruptions, of_a.interruptions), (0, 1));
    assert_eq!((of_a.overrange, of_a.overvoltage), (false, true));
    assert_eq!((of_b.overrange, of_b.overvoltage), (false, false));
    for block in &blocks {
        assert_eq!((block.samples(), block.channels(), block.stage), (5, 40, 6));
        let streams = block.streams();
        let means = block.means();
        for channel in 0..40 {
            let sent: Vec<_> = (0..5)
                .map(|n| {
                    let [i, q] =
                        sender::steps(block.source, block.module, block.sequence + n, channel + 2);
                    assert_eq!(block.steps(n as usize)[channel], [i, q]);
                    Complex64::new(f64::from(i) / 256.0, f64::from(q) / 256.0)
                })
                .collect();
            assert_eq!(block.channel(channel).collect::<Vec<_>>(), sent);
            assert_eq!(streams[5 * channel..][..5], sent);
            assert!((means[channel] - sent.iter().sum::<Complex64>() / 5.0).norm() < 1e-9);
        }
        for pair in block.times.windows(2) {
            let [one, next] = [pair[0].unwrap(), pair[1].unwrap()];
            assert!((next.since(one).as_secs_f64() * 596.046_447_75 - 1.0).abs() < 1e-5);
        }
    }
    // The next block of a module follows on the one before.
    let two = Take::new(2).of(a, module(1));
    for sequence in [9, 11] {
        let block = receiver.take(&two, PATIENT).await.unwrap().remove(0);
        assert_eq!((block.sequence, block.channels()), (sequence, 128));
        assert_eq!(block.overrange, sequence == 9);
    }
}

#[tokio::test]
async fn samples_after_a_setting_are_told_by_their_stamps() {
    let options = options(6);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    for sequence in 0..30 {
        sender.readout(0, sequence);
    }
    let first = Take::new(1).of(board, module(1));
    let first = receiver.take(&first, PATIENT).await.unwrap().remove(0);
    // The sender stamps one period a packet: this is the time of sample 10, and 3 more do not count.
    let time = sender::taken_at(10);
    assert_eq!(first.times[0], Ok(sender::taken_at(0)));
    let take = Take::new(4).of(board, module(1)).after(time, 3);
    let block = receiver.take(&take, PATIENT).await.unwrap().remove(0);
    assert_eq!((block.sequence, block.interruptions), (14, 0));
    let late = Take::new(4).of(board, module(1)).after(time, 30);
    let error = receiver
        .take(&late, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.message().contains("0 of 4") && error.message().contains("12 were taken too early")
    );
    sender.recent = false;
    sender.readout(0, 30);
    let error = receiver.take(&take, PATIENT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("not recent"), "{error}");
    // That packet does not stand in the way for ever.
    sender.recent = true;
    for sequence in 31..35 {
        sender.readout(0, sequence);
    }
    let block = receiver.take(&take, PATIENT).await.unwrap().remove(0);
    assert_eq!(block.sequence, 31);
}

#[tokio::test]
async fn a_take_ends_at_its_deadline_whatever_else_comes() {
    let options = options(10);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    let enough = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&enough);
    let others = thread::spawn(move || {
        let mut sequence = 0;
        while !until.load(Ordering::Relaxed) {
            sender.readout(1, sequence);
            sequence += 1;
        }
    });
    let take = Take::new(1).of(board, module(1));
    let taken = timeout(PROMPT, receiver.take(&take, Duration::from_millis(50))).await;
    enough.store(true, Ordering::Relaxed);
    others.join().unwrap();
    let error = taken.expect("it ends by itself").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(receiver.counters().boards[0].module(module(2)).received > 0);
}

#[tokio::test]
async fn errors_of_a_take_say_what_is_missing() {
    let options = options(7);
    let (a, b) = (source(2, 42), source(3, 43));
    let mut receiver = Receiver::open_here(&[a, b], &options).unwrap();
    let mut sender = Sender::new(a, &options);
    let soon = Duration::from_millis(100);
    let one = |take: Take| take.of(a, module(1));
    sender.readout(0, 1);
    sender.readout(0, 3);
    let error = receiver.take(&one(Take::new(3)), soon).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let told = error.to_string();
    assert!(
        told.contains("1 of 3 consecutive samples of module 1 of serial 0042 at 127.0.0.2"),
        "{told}"
    );
    assert!(told.contains("1 packets were lost"), "{told}");
    let silent = Take::new(3).of(b, module(1));
    let told = receiver.take(&silent, soon).await.unwrap_err().to_string();
    assert!(told.contains("nothing ever came"), "{told}");
    let channel = |number| ChannelId::new(number).unwrap();
    let mut sequence = 3;
    for (take, kind) in [
        (Take::new(3), ErrorKind::InvalidArgument),
        (one(Take::new(0)), ErrorKind::InvalidArgument),
        (one(one(Take::new(1))), ErrorKind::InvalidArgument),
        (
            Take::new(1).of(source(9, 42), module(1)),
            ErrorKind::InvalidArgument,
        ),
        (
            one(Take::new(1)).channels(channel(1000), Some(26)),
            ErrorKind::InvalidArgument,
        ),
        (
            one(Take::new(1)).channels(channel(1), Some(0)),
            ErrorKind::InvalidArgument,
        ),
        (
            one(Take::new(1)).channels(channel(100), Some(30)),
            ErrorKind::Unsupported,
        ),
        (
            one(Take::new(1)).channels(channel(129), None),
            ErrorKind::Unsupported,
        ),
    ] {
        sequence += 1;
        sender.readout(0, sequence);
        let error = receiver.take(&take, PATIENT).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    for sources in [&[][..], &[a, b, a]] {
        let error = Receiver::open_here(sources, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    let nowhere = options.interface([203, 0, 113, 1].into());
    let error = Receiver::open_here(&[a], &nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("203.0.113.1"), "{error}");
}

#[tokio::test]
async fn a_change_of_the_packets_begins_a_block_anew() {
    let options = options(8);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    for sequence in 0..12 {
        if sequence == 2 {
            sender.length = PacketLength::Long;
        }
        if sequence == 5 {
            sender.stage = 4;
        }
        sender.readout(0, sequence);
    }
    let take = Take::new(6).of(board, module(1));
    let block = receiver.take(&take, PATIENT).await.unwrap().remove(0);
    assert_eq!(
        (block.sequence, block.stage, block.channels()),
        (5, 4, 1024)
    );
    assert_eq!(block.interruptions, 2);
}

#[tokio::test]
async fn pfb_packets_are_received_alike() {
    let options = options(9);
    let (a, b) = (source(2, 42), source(3, 43));
    let mut receiver = PfbReceiver::open_here(&[a, b], &options).unwrap();
    let mut senders = [a, b].map(|source| Sender::new(source, &options));
    for sequence in [5, 7, 6] {
        for sender in &mut senders {
            sender.pfb(PfbMode::Two, sequence);
        }
    }
    senders[0].readout(0, 8);
    let mut received = Vec::new();
    while received.len() < 6 {
        let frames = receiver.recv(PATIENT).await.unwrap();
        assert!(!frames.is_empty());
        received.extend(frames.map(|frame| {
            assert_eq!(
                frame.time(),
                Ok(sender::stamped_at(frame.packet.sequence()))
            );
            let second = frame.packet.slot_samples(1).next();
            assert_eq!(second, Some((1, -1)));
            (frame.source, frame.packet.sequence())
        }));
    }
    for source in [a, b] {
        let of_source = received.iter().filter(|(of, _)| *of == source);
        assert_eq!(
            of_source.map(|(_, sequence)| *sequence).collect::<Vec<_>>(),
            [5, 6, 7]
        );
    }
    while receiver.counters().boards[0].malformed == 0 {
        receiver.recv(Duration::from_millis(10)).await.unwrap();
    }
}
