//! A receiver that several tasks share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{Error, ErrorKind, Result};

use super::take::Collection;
use super::{Block, Receiver, Source, Take, intake};
use crate::deadline;

/// A receiver from which several tasks take samples at the same time. Each packet goes to all tasks
/// that want it. One of the waiting tasks reads the receiver for all of them.
#[derive(Debug)]
pub(crate) struct SharedReceiver {
    sources: Vec<Source>,
    receiver: tokio::sync::Mutex<Receiver>,
    waiting: Mutex<Waiting>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    takers: Vec<Taker>,
}

/// A task that takes samples, and the samples that were collected for it.
#[derive(Debug)]
struct Taker {
    id: u64,
    collection: Collection,
    done: oneshot::Sender<Result<Vec<Block>>>,
}

/// Removes the taker with this number when this value is dropped, so that no more samples are
/// collected for it.
struct RemoveTaker<'a> {
    shared: &'a SharedReceiver,
    id: u64,
}

impl Drop for RemoveTaker<'_> {
    fn drop(&mut self) {
        self.shared.remove(self.id);
    }
}

impl SharedReceiver {
    /// Shares a receiver whose sockets `runtime` drives.
    pub(crate) fn new(receiver: Receiver, runtime: Handle) -> Self {
        Self {
            sources: receiver.sources().to_vec(),
            receiver: tokio::sync::Mutex::new(receiver),
            waiting: Mutex::default(),
            runtime,
        }
    }

    /// As [`Receiver::take`]. If this future is dropped, the samples collected for it are lost.
    pub(crate) async fn take(&self, take: &Take, within: Duration) -> Result<Vec<Block>> {
        let failed = |error: Error| error.during(take.to_string());
        let deadline = deadline::within(within);
        let (done, mut answer) = oneshot::channel();
        let taker = self.enter(take, done).map_err(failed)?;
        let mut gives_up = deadline;
        let taken = loop {
            let passed = {
                let _runtime = self.runtime.enter();
                sleep_until(gives_up)
            };
            tokio::select! {
                biased;
                taken = &mut answer => break taken.unwrap_or_else(|_| Err(too_late())),
                driven = self.drive(taker.id, deadline) => match driven {
                    Ok(()) if self.is_waiting(taker.id) => break Err(self.late(taker.id, within)),
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                // Another task reads the receiver, and its deadline is later. If this timer fires
                // late, the process may have been stopped, and the kernel may hold packets that
                // came in time. So the other task gets as much time to read them as this timer was
                // late, up to 0.5 s.
                () = passed => {
                    let grace = deadline::grace(deadline);
                    if gives_up > deadline || grace.is_zero() {
                        break Err(self.late(taker.id, within));
                    }
                    gives_up = deadline::within(grace);
                }
            }
        };
        taken.map_err(failed)
    }

    fn enter(
        &self,
        take: &Take,
        done: oneshot::Sender<Result<Vec<Block>>>,
    ) -> Result<RemoveTaker<'_>> {
        let collection = Collection::begin(take, &self.sources)?;
        let mut waiting = self.waiting();
        waiting.next += 1;
        let id = waiting.next;
        waiting.takers.push(Taker {
            id,
            collection,
            done,
        });
        Ok(RemoveTaker { shared: self, id })
    }

    /// Reads packets for all takers, until taker `id` is done or the deadline has passed. Packets
    /// that the kernel holds at the deadline are still read.
    async fn drive(&self, id: u64, deadline: Instant) -> Result<()> {
        let mut receiver = self.receiver.lock().await;
        let mut reads = receiver.intake.most_reads();
        while self.is_waiting(id) {
            receiver.intake.fill(deadline).await?;
            self.give_out(&mut receiver);
            if Instant::now() >= deadline {
                if !receiver.is_behind() || reads == 0 {
                    break;
                }
                reads -= 1;
            }
        }
        Ok(())
    }

    /// Offers every packet that is ready to each taker.
    fn give_out(&self, receiver: &mut Receiver) {
        let mut waiting = self.waiting();
        while let Some(packet) = receiver.intake.peek() {
            waiting.offer(&packet);
            receiver.intake.skip();
        }
    }

    /// The error for taker `id` after its deadline.
    fn late(&self, id: u64, within: Duration) -> Error {
        let Some(taker) = self.remove(id) else {
            return too_late();
        };
        // If another task reads the receiver, the error has no counters.
        let counters = self.receiver.try_lock().ok();
        let counters = counters.map(|receiver| receiver.counters());
        taker.collection.late(within, counters.as_ref())
    }

    fn is_waiting(&self, id: u64) -> bool {
        self.waiting().takers.iter().any(|taker| taker.id == id)
    }

    fn remove(&self, id: u64) -> Option<Taker> {
        let mut waiting = self.waiting();
        let at = waiting.takers.iter().position(|taker| taker.id == id)?;
        Some(waiting.takers.swap_remove(at))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Offers a packet to all takers. A taker that has all its samples, or that fails, is removed
    /// and gets its result.
    fn offer(&mut self, packet: &intake::Packet<'_>) {
        let mut at = 0;
        while let Some(taker) = self.takers.get_mut(at) {
            let offered = taker.collection.offer(packet);
            if offered.is_ok() && !taker.collection.is_complete() {
                at += 1;
                continue;
            }
            let taker = self.takers.swap_remove(at);
            let taken = offered.map(|()| taker.collection.finish());
            // The task of the taker may have been dropped.
            let _ = taker.done.send(taken);
        }
    }
}

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout, "the samples came too late")
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use twotone_hal::{ModuleId, ReceiveOptions};
    use twotone_wire::crs::{PacketLength, ReadoutHeader};

    use futures::poll;
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    const BOARD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 251, 3, 9);
    /// Number of packets that needs more than one read and fits into the buffer of any kernel.
    const SENT: u32 = 70;

    fn shared(port: u16) -> (Source, SharedReceiver) {
        let options = ReceiveOptions::new().group(GROUP).port(port);
        let source = Source::new(BOARD, 1);
        let receiver = Receiver::open_here(&[source], &options).unwrap();
        (source, SharedReceiver::new(receiver, Handle::current()))
    }

    fn send(port: u16) {
        let sender = UdpSocket::bind((BOARD, 0)).unwrap();
        for sequence in 0..SENT {
            let header = ReadoutHeader {
                length: PacketLength::Short,
                serial: 1,
                modules: 4,
                sequence,
                ..ReadoutHeader::default()
            };
            let samples = vec![(0, 0); PacketLength::Short.channels()];
            let mut bytes = vec![0; header.buffer_len()];
            header.emit(&samples, &mut bytes).unwrap();
            sender.send_to(&bytes, (GROUP, port)).unwrap();
        }
    }

    #[tokio::test]
    async fn samples_that_came_before_the_deadline_are_taken_after_it() {
        let (source, shared) = shared(29_791);
        send(29_791);
        let take = Take::new(SENT as usize).of(source, ModuleId::FIRST);
        let taken = shared.take(&take, Duration::ZERO).await;
        assert_eq!(taken.unwrap()[0].samples(), SENT as usize);
    }

    /// Two tasks take samples, and the first one reads the receiver. Then time advances by
    /// `stopped`, past the deadline of the second task. Returns the result of the second task.
    async fn second_of_two(port: u16, within: Duration, stopped: Duration) -> Result<Vec<Block>> {
        let (source, shared) = shared(port);
        let more = Take::new(2 * SENT as usize).of(source, ModuleId::FIRST);
        let take = Take::new(SENT as usize).of(source, ModuleId::FIRST);
        let mut first = Box::pin(shared.take(&more, Duration::from_secs(1000)));
        assert!(poll!(&mut first).is_pending());
        let mut second = Box::pin(shared.take(&take, within));
        assert!(poll!(&mut second).is_pending());
        send(port);
        advance(stopped).await;
        // The paused clock does not advance while a task is ready.
        loop {
            if let std::task::Poll::Ready(taken) = poll!(&mut second) {
                return taken;
            }
            assert!(poll!(&mut first).is_pending());
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn samples_that_came_are_taken_by_a_task_that_does_not_drive() {
        let second = Duration::from_secs(1);
        for (port, stopped) in [
            (29_792, second * 600),
            (29_793, second * 2),
            (29_794, second * 13 / 10),
        ] {
            let taken = second_of_two(port, second, stopped).await;
            assert_eq!(taken.unwrap()[0].samples(), SENT as usize, "{stopped:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_does_not_drive_gives_up_in_time() {
        let (source, shared) = shared(29_795);
        let take = Take::new(SENT as usize).of(source, ModuleId::FIRST);
        let first = shared.take(&take, Duration::from_secs(1000));
        let second = shared.take(&take, Duration::from_secs(1));
        let began = Instant::now();
        tokio::select! {
            biased;
            _ = first => panic!("nothing was sent"),
            taken = second => assert_eq!(taken.unwrap_err().kind(), ErrorKind::Timeout),
        }
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
