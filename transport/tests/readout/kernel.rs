//! Packets in the kernel's buffers, and packets that the kernel drops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use twotone_transport::readout::Receiver;

use super::sender::{Sender, module, source};
use super::{options, receive};

#[tokio::test]
async fn packets_in_the_kernel_do_not_count_as_lost() {
    // Each board has a socket of its own. The socket of the first board is read first.
    let options = options(12).boards_per_socket(1);
    let (loud, other) = (source(2, 42), source(3, 43));
    let mut receiver = Receiver::open_here(&[loud, other], &options).unwrap();
    let mut senders = [loud, other].map(|source| Sender::new(source, &options));
    let [to_loud, to_other] = &mut senders;
    to_other.readout(0, 1);
    to_other.readout(0, 3);
    assert_eq!(receive(&mut receiver, 1).await, [(other, 1, 1)]);
    to_other.readout(0, 2);
    // More packets come than one read takes. The receiver is not called for longer than the time
    // for which it holds packets back.
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

/// Log subscriber that counts the warnings of the receivers.
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
    // The kernel limits the size of a buffer to 1 GiB, even for privileged processes.
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
async fn packets_that_the_kernel_drops_are_lost_and_counted() {
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
        // The kernel reports dropped packets with the next packet.
        let last = flood * SENT - 1;
        sender.readout(0, last);
        assert_eq!(receive(&mut receiver, 1).await, [(board, 1, last)]);
        let counters = receiver.counters();
        let of_module = counters.boards[0].module(module(1));
        let (expected, gaps) = (u64::from(flood * SENT), u64::from(flood));
        assert_eq!((of_module.expected, of_module.gaps), (expected, gaps));
        // The last packet of the flood was dropped too, and was then sent again.
        assert_eq!(of_module.lost + u64::from(flood), counters.kernel_drops);
    }
}
