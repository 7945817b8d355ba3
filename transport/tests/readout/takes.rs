//! Tests of samples that are taken from several modules together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::timeout;
use twotone_hal::{ChannelId, Complex64, ErrorKind};
use twotone_transport::readout::{Receiver, Take};
use twotone_wire::crs::PacketLength;

use super::sender::{self, Sender, module, source};
use super::{PATIENT, PROMPT, options};

#[tokio::test]
async fn a_block_is_consecutive_samples() {
    let options = options(5);
    let (a, b) = (source(2, 42), source(3, 43));
    let mut receiver = Receiver::open_here(&[a, b], &options).unwrap();
    let mut senders = [a, b].map(|source| Sender::new(source, &options));
    // Packet 3 of module 1 is lost. Packets 2, 4 and 9 have flags.
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
    // The next block of a module continues where the previous one ended.
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
    // The time stamps advance by one period a packet. So `time` is that of sample 10, and the 3
    // samples after it do not count.
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
    assert!(error.chain().to_string().contains("not recent"), "{error}");
    // The packet whose time stamp is not recent does not block the stream.
    sender.recent = true;
    for sequence in 31..35 {
        sender.readout(0, sequence);
    }
    let block = receiver.take(&take, PATIENT).await.unwrap().remove(0);
    assert_eq!(block.sequence, 31);
}

#[tokio::test]
async fn samples_after_a_setting_are_not_told_by_a_clock_that_goes_wrong() {
    let options = options(14);
    let board = source(2, 42);
    for (stamped, says) in [(4, "stands still"), (900, "set forward")] {
        let mut receiver = Receiver::open_here(&[board], &options).unwrap();
        let mut sender = Sender::new(board, &options);
        for sequence in 0..30 {
            sender.stamped = (sequence > 4).then_some(stamped);
            sender.readout(0, sequence);
        }
        let take = Take::new(4).of(board, module(1));
        let take = take.after(sender::taken_at(10), 3);
        let error = receiver.take(&take, PATIENT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.chain().to_string().contains(says), "{error}");
    }
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
    let message = error.chain().to_string();
    assert!(
        message.contains("1 of 3 consecutive samples of module 1 of serial 0042 at 127.0.0.2"),
        "{message}"
    );
    assert!(message.contains("1 packets were lost"), "{message}");
    let silent = Take::new(3).of(b, module(1));
    let message = receiver
        .take(&silent, soon)
        .await
        .unwrap_err()
        .chain()
        .to_string();
    assert!(message.contains("nothing ever came"), "{message}");
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
    let nowhere = options.interface("203.0.113.1");
    let error = Receiver::open_here(&[a], &nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.chain().to_string().contains("203.0.113.1"), "{error}");
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
async fn samples_that_came_before_the_deadline_are_taken_after_it() {
    let options = options(17);
    let board = source(2, 42);
    let mut receiver = Receiver::open_here(&[board], &options).unwrap();
    let mut sender = Sender::new(board, &options);
    // More packets than one read takes, and fewer than the buffer of any kernel holds.
    for sequence in 0..70 {
        sender.readout(0, sequence);
    }
    let take = Take::new(70).of(board, module(1));
    let blocks = receiver.take(&take, Duration::ZERO).await.unwrap();
    assert_eq!(blocks[0].samples(), 70);
    let late = receiver.take(&take, Duration::ZERO).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
}
