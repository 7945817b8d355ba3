//! One simulated board: its identity, its settings and its faults.
//!
//! Settings that belong to a module lie behind a lock of that module, so that
//! connections to different modules run side by side.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use twotone_wire::tuber::Head;

use crate::clock::Clock;
use crate::counters::{Counters, Tally};
use crate::crs;
use crate::fault::{FaultSet, OnAnswer, OnCall, OnConnect, OnPacket, OnRequest, Packet, Scheduled};
use crate::module::Module;
use crate::settings::Settings;
use crate::stream::{StreamCounters, StreamTally};
use crate::time::TimeMode;

/// Modules of a board: 1-4 on the low analog bank, 5-8 on the high one.
pub(crate) const MODULES: usize = 8;

/// A board of a farm.
#[derive(Debug)]
pub(crate) struct Board {
    name: String,
    serial: u16,
    address: SocketAddr,
    time: TimeMode,
    clock: Clock,
    settings: Mutex<Settings>,
    modules: Vec<Mutex<Module>>,
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

/// Reason that a connection has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Connections are ignored, or were lost.
    Connection,
    /// Requests are neither run nor answered.
    Request,
    /// The request waits, and is answered in the end.
    Late,
    /// A method does not return: its name, and the number of the call.
    Call(&'static str, u64),
    /// The answer to the call of this number is longer than any client reads.
    Answer(u64),
}

/// An encoded answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// Parts that a board is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) serial: u16,
    pub(crate) address: SocketAddr,
    pub(crate) time: TimeMode,
    /// Exactly [`MODULES`] of them.
    pub(crate) modules: Vec<Module>,
    pub(crate) faults: Vec<Scheduled>,
    pub(crate) shut_down: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Board {
    pub(crate) fn new(parts: Parts) -> Self {
        debug_assert_eq!(parts.modules.len(), MODULES);
        Self {
            name: parts.name,
            serial: parts.serial,
            address: parts.address,
            time: parts.time,
            clock: Clock::new(parts.time != TimeMode::Accelerated),
            settings: Mutex::new(Settings::default()),
            modules: parts.modules.into_iter().map(Mutex::new).collect(),
            tally: Tally::new(crs::methods().len()),
            streamed: StreamTally::new(MODULES),
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

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    /// The module at `index`, from 0.
    pub(crate) fn module(&self, index: usize) -> Option<MutexGuard<'_, Module>> {
        let mut module = self.modules.get(index).map(lock)?;
        if let Some(seconds) = self.clock.running_s() {
            module.advance_to(seconds);
        }
        Some(module)
    }

    /// The module at `index`, without advancing its time. The streams use this,
    /// since they send samples of the past.
    pub(crate) fn module_behind(&self, index: usize) -> Option<MutexGuard<'_, Module>> {
        self.modules.get(index).map(lock)
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
        self.tally.read(crs::methods())
    }

    /// Runs one request. Returns the answer, or the reason that there is none yet.
    pub(crate) async fn run(&self, head: Head<'_>, body: &[u8]) -> Result<Answer, Held> {
        let answer = crs::run(self, head, body).await;
        if self.faulty.load(Ordering::Relaxed) {
            // A fault of the port may begin or end with the calls just made.
            self.faults_changed();
        }
        answer
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

    /// Ends the streams: no samples are kept for them any more, and time
    /// advances again as the farm's [`TimeMode`] says.
    pub(crate) fn end_streaming(&self) {
        for module in &self.modules {
            lock(module).end_stream();
        }
        if self.time == TimeMode::Accelerated {
            self.clock.stop();
        }
    }

    pub(crate) fn streamed(&self) -> &StreamTally {
        &self.streamed
    }

    pub(crate) fn stream_counters(&self) -> Vec<StreamCounters> {
        self.streamed.read()
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

    fn faults_changed(&self) {
        self.changed.notify_one();
        self.eased.notify_waiters();
    }

    /// Completes when the fault that holds a connection is over.
    pub(crate) async fn let_go(&self, held: &Held) {
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

    fn ask<T>(&self, sound: T, ask: impl FnOnce(&FaultSet, u64) -> T) -> T {
        if !self.faulty.load(Ordering::Relaxed) {
            return sound;
        }
        ask(&lock(&self.faults), self.calls.load(Ordering::Relaxed))
    }

    pub(crate) fn on_connect(&self) -> OnConnect {
        self.ask(OnConnect::Serve, |faults, call| faults.on_connect(call))
    }

    pub(crate) fn on_request(&self) -> OnRequest {
        self.ask(OnRequest::Run, |faults, call| faults.on_request(call))
    }

    /// Fate of an answer, with the number of the last call before it.
    pub(crate) fn on_answer(&self, answer: &Bytes) -> (u64, OnAnswer) {
        self.ask((0, OnAnswer::Send), |faults, next| {
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

    /// Loses all settings and connections, and takes no new ones for `down`.
    pub(crate) fn reboot(&self, down: Duration) {
        *self.settings() = Settings::default();
        for module in &self.modules {
            lock(module).reboot();
        }
        let mut power = lock(&self.power);
        power.life.cancel();
        power.life = self.shut_down.child_token();
        power.down_until = Some(Instant::now() + down);
        drop(power);
        self.changed.notify_one();
    }

    /// The token that ends when the board next loses its connections.
    pub(crate) fn life(&self) -> CancellationToken {
        lock(&self.power).life.clone()
    }

    pub(crate) fn down_until(&self) -> Option<Instant> {
        lock(&self.power).down_until
    }

    pub(crate) fn come_up(&self) {
        lock(&self.power).down_until = None;
    }

    /// Completes when the port may have to be opened or closed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Locks, even if the last holder panicked: every setting is written whole, so
/// that the board is consistent all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
