//! Receivers of sample streams by multicast on the loopback interface: the packets that they
//! return, and their order.

mod blocks;
mod fast;
mod kernel;
mod sender;
mod takes;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;
use twotone_hal::ReceiveOptions;
use twotone_transport::readout::{Receiver, Source, Take};
use twotone_wire::crs::PacketLength;

use sender::{Sender, module, source};

/// Timeout that suffices for any step, even on a busy computer.
const PATIENT: Duration = Duration::from_secs(20);

/// Time within which a call with a shorter timeout must return.
const PROMPT: Duration = Duration::from_secs(2);

/// Returns options with a separate port for each test and a separate multicast group for each
/// process, since tests run at the same time.
fn options(test: u16) -> ReceiveOptions {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let group = [239, 200 + high % 50, middle, low];
    ReceiveOptions::new()
        .group(Ipv4Addr::from(group))
        .port(29_800 + test)
}

/// Receives until this many packets have arrived, or no packet arrives in time. Returns board,
/// module and sequence number of each.
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
    // A packet from a board's address with another serial number, a datagram that is not a packet,
    // and one that is too long.
    to_a.serial = 43;
    to_a.readout(0, 2);
    to_a.serial = 42;
    to_a.raw(b"not a packet");
    to_a.raw(&[0; 9000]);
    // A packet followed by further bytes.
    to_a.length = PacketLength::Long;
    to_a.tail = 1000;
    to_a.readout(0, 2);
    (to_a.length, to_a.tail) = (PacketLength::Short, 0);
    // A packet with the serial number of a board of the receiver, but from an address that the
    // receiver has not joined.
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
    // A second receiver of the same group on this host, and a third one that finds out how many
    // sources a socket can join.
    let mut five = Receiver::open_here(&sources[3..8], &options).unwrap();
    let crowded = options.clone().boards_per_socket(100);
    let crowded = Receiver::open_here(&sources, &crowded).unwrap();
    assert!(crowded.buffers().sockets <= 3);
    let mut senders: Vec<_> = sources.iter().map(|s| Sender::new(*s, &options)).collect();
    const ROUNDS: u32 = 40;
    for round in 0..ROUNDS {
        for (n, sender) in senders.iter_mut().enumerate() {
            // Of each board a different packet is lost, and the sequence numbers of each board
            // begin at a different number.
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
    // Packets that have arrived are returned even if the timeout is zero.
    let mut sender = Sender::new(board, &options);
    sender.readout(0, 1);
    let at_once = async { while receiver.recv(Duration::ZERO).await.unwrap().is_empty() {} };
    timeout(PROMPT, at_once).await.unwrap();
    // A receive that is cancelled loses no packets.
    for sequence in 2..6 {
        let given_up = timeout(Duration::from_millis(5), receiver.recv(PATIENT)).await;
        assert!(given_up.is_err());
        sender.readout(0, sequence);
        assert_eq!(receive(&mut receiver, 1).await, [(board, 1, sequence)]);
    }
    // A packet after a lost one is held back for the whole time of `hold`, so the call takes longer
    // than without a loss.
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
    // The futures of a receiver are `Send`, so they can be tasks of a multi-threaded runtime.
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
    let options = options(11).reordering(4, Duration::MAX);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    sender.readout(0, 1);
    sender.readout(0, 3);
    let first = receiver.recv(Duration::MAX).await.unwrap();
    assert_eq!(first.len(), 1);
    // A packet is held back, with no limit of time.
    assert!(receiver.recv(Duration::ZERO).await.unwrap().is_empty());
    sender.readout(0, 2);
    let take = Take::new(2).of(board, module(1));
    let block = receiver.take(&take, Duration::MAX).await.unwrap().remove(0);
    assert_eq!(block.sequence, 2);
    assert_eq!(receiver.counters().boards[0].module(module(1)).lost, 0);
}
