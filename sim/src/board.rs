//! Parts of every simulated board, whatever its kind: its identity, address, time, counts, faults
//! and power.
//!
//! | file | content |
//! |---|---|
//! | `kind` | what a kind of boards adds, and the list of kinds |
//! | `address`, `port` | loopback address, and listening socket |
//! | `held` | connections that a fault leaves without an answer |
//! | `time`, `clock` | modes of time, and the board's clock |
//! | `counters` | counts of the control traffic |
//! | `stream` | sample streams: listeners, turns to send, the socket, counts |

pub(crate) mod address;
mod clock;
mod counters;
mod held;
mod kind;
mod port;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
mod time;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::clock::Clock;
pub use self::counters::Counters;
pub(crate) use self::counters::Tally;
pub(crate) use self::held::{Client, Held, Watch, ignore};
pub(crate) use self::kind::{
    Connection, DEFAULT_KIND, Destination, Kind, Origin, Sending, Simulated, Work, kind, kind_names,
};
pub(crate) use self::port::{Port, listen};
pub use self::time::TimeMode;

use self::stream::StreamTally;
use crate::fault::{FaultSet, OnAnswer, OnCall, OnConnect, OnPacket, OnRequest, Packet, Scheduled};

/// Parts of a board that do not depend on its kind.
#[derive(Debug)]
pub(crate) struct Board {
    kind: &'static Kind,
    name: String,
    serial: u16,
    address: SocketAddr,
    time: TimeMode,
    clock: Clock,
    /// Modules that have detectors, and the first; from 1.
    populated: Box<[u8]>,
    tally: Tally,
    streamed: StreamTally,
    requests: AtomicU64,
    /// Calls since the start, by which faults are scheduled.
    calls: AtomicU64,
    faults: Mutex<FaultSet>,
    /// True if there are faults, so that a board without any takes no lock for them.
    faulty: AtomicBool,
    power: Mutex<Power>,
    changed: Notify,
    /// Notified when a fault may be over.
    eased: Notify,
    shut_down: CancellationToken,
    tasks: TaskTracker,
}

/// State of the board's power: its present life, and the end of its downtime.
#[derive(Debug)]
struct Power {
    /// Cancelled when this life of the board ends.
    life: CancellationToken,
    down_until: Option<Instant>,
}

/// Parts that a board is made of.
pub(crate) struct Parts {
    pub(crate) kind: &'static Kind,
    pub(crate) serial: u16,
    pub(crate) address: SocketAddr,
    pub(crate) time: TimeMode,
    /// Modules that have detectors, and the first; from 1.
    pub(crate) populated: Vec<u8>,
    pub(crate) faults: Vec<Scheduled>,
    pub(crate) shut_down: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Board {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            kind: parts.kind,
            name: parts.kind.board_name(parts.serial),
            serial: parts.serial,
            address: parts.address,
            time: parts.time,
            clock: Clock::new(parts.time != TimeMode::Accelerated),
            populated: parts.populated.into(),
            tally: Tally::new(parts.kind.methods),
            streamed: StreamTally::new(parts.kind.modules),
            requests: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            faulty: AtomicBool::new(!parts.faults.is_empty()),
            faults: Mutex::new(FaultSet::new(parts.faults)),
            power: Mutex::new(Power {
                life: parts.shut_down.child_token(),
                down_until: None,
            }),
            changed: Notify::new(),
            eased: Notify::new(),
            shut_down: parts.shut_down,
            tasks: parts.tasks,
        }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Name of the board in the hardware map.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn serial(&self) -> u16 {
        self.serial
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(crate) fn shut_down(&self) -> &CancellationToken {
        &self.shut_down
    }

    /// Modules that have detectors, and the first; from 1.
    pub(crate) fn populated(&self) -> &[u8] {
        &self.populated
    }

    /// The board's clock. It shows the time up to which any module has acquired,
    /// or runs by itself.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.read()
    }

    /// A number for a request, from 1.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn time(&self) -> TimeMode {
        self.time
    }
}

/// Streams.
impl Board {
    /// Lets the board's time run while its streams are received.
    pub(crate) fn begin_streaming(&self) {
        self.clock.start();
    }

    /// Lets time advance again as the farm's [`TimeMode`] says, after the streams have ended.
    pub(crate) fn end_streaming(&self) {
        if self.time == TimeMode::Accelerated {
            self.clock.stop();
        }
    }

    pub(crate) fn streamed(&self) -> &StreamTally {
        &self.streamed
    }

    /// Fate of a packet. The caller counts it.
    pub(crate) fn on_packet(&self, packet: &Packet) -> OnPacket {
        if !self.faulty.load(Ordering::Relaxed) {
            return OnPacket::Send;
        }
        lock(&self.faults).on_packet(packet)
    }
}

/// Faults and power.
impl Board {
    pub(crate) fn inject(&self, fault: Scheduled) {
        lock(&self.faults).push(fault);
        self.faulty.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Gives the board a fault until [`Board::close_window`]. The calls of the
    /// fault count from now.
    pub(crate) fn open_window(&self, window: u64, mut fault: Scheduled) {
        let calls = self.calls.load(Ordering::Relaxed);
        if !fault.fault.counts_packets() {
            fault.first = fault.first.saturating_add(calls);
        }
        lock(&self.faults).open(window, fault);
        self.faulty.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    pub(crate) fn close_window(&self, window: u64) {
        lock(&self.faults).close(window);
        self.faults_changed();
    }

    pub(crate) fn clear_faults(&self) {
        lock(&self.faults).clear();
        self.faulty.store(false, Ordering::Relaxed);
        self.faults_changed();
    }

    /// Tells the port and the held connections that faults may act, or act no more.
    fn faults_changed(&self) {
        self.changed.notify_one();
        self.eased.notify_waiters();
    }

    /// Tells them after a request has been run: the calls of the request may begin or end a fault.
    pub(crate) fn calls_made(&self) {
        if self.faulty.load(Ordering::Relaxed) {
            self.faults_changed();
        }
    }

    /// Completes when the fault that holds a connection is over.
    pub(crate) async fn released(&self, held: &Held) {
        loop {
            let eased = self.eased.notified();
            if !self.holds(held) {
                return;
            }
            eased.await;
        }
    }

    /// True if the fault that has held a connection still does. A fault of a call or of
    /// its answer is judged by the number of that call, even if later calls have come.
    fn holds(&self, held: &Held) -> bool {
        let faults = lock(&self.faults);
        let next = self.calls.load(Ordering::Relaxed);
        match held {
            Held::Connection => faults.on_connect(next) == OnConnect::Ignore,
            Held::Request => faults.on_request(next) == OnRequest::Never,
            Held::Late => true,
            Held::Call(method, call) => faults.on_call(method, *call) == OnCall::Hang,
            Held::Answer(call) => {
                let fate = faults.on_answer(*call, &Bytes::new());
                matches!(fate, OnAnswer::PadWith(_))
            }
        }
    }

    fn decide<T>(&self, without_faults: T, decide: impl FnOnce(&FaultSet, u64) -> T) -> T {
        if !self.faulty.load(Ordering::Relaxed) {
            return without_faults;
        }
        decide(&lock(&self.faults), self.calls.load(Ordering::Relaxed))
    }

    pub(crate) fn on_connect(&self) -> OnConnect {
        self.decide(OnConnect::Serve, |faults, call| faults.on_connect(call))
    }

    pub(crate) fn on_request(&self) -> OnRequest {
        self.decide(OnRequest::Run, |faults, call| faults.on_request(call))
    }

    /// Fate of an answer, with the number of the last call before it.
    pub(crate) fn on_answer(&self, answer: &Bytes) -> (u64, OnAnswer) {
        self.decide((0, OnAnswer::Send), |faults, next| {
            // The calls that are answered have been counted already.
            let call = next.saturating_sub(1);
            (call, faults.on_answer(call, answer))
        })
    }

    /// Counts a call, and returns its number and its fate.
    pub(crate) fn on_call(&self, method: &str) -> (u64, OnCall) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.faulty.load(Ordering::Relaxed) {
            return (call, OnCall::Run);
        }
        (call, lock(&self.faults).on_call(method, call))
    }

    /// Loses all connections, and takes no new ones for `down`. The kind resets its settings first.
    pub(crate) fn power_cycle(&self, down: Duration) {
        let mut power = lock(&self.power);
        power.life.cancel();
        power.life = self.shut_down.child_token();
        power.down_until = Some(Instant::now() + down);
        drop(power);
        self.changed.notify_one();
    }

    /// Token that is cancelled when the board next loses its connections.
    pub(crate) fn life(&self) -> CancellationToken {
        lock(&self.power).life.clone()
    }

    pub(crate) fn down_until(&self) -> Option<Instant> {
        lock(&self.power).down_until
    }

    pub(crate) fn end_downtime(&self) {
        lock(&self.power).down_until = None;
    }

    /// Completes when the port may have to be opened or closed: faults or the power have changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Locks, even if the last holder panicked: every setting is written whole, so
/// that the board is consistent all the same.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
