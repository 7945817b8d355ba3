//! State that simulated boards of every kind have: identity, address, time, counters, faults and
//! power.
//!
//! | file | content |
//! |---|---|
//! | `kind` | interface of a kind of boards, and the list of kinds |
//! | `address`, `port` | loopback address, and listening socket |
//! | `held` | connections that a fault keeps open without an answer |
//! | `time`, `clock` | modes of time, and the board's clock |
//! | `counters` | counters of the control traffic |
//! | `stream` | sample streams: listeners, order of sending, the socket, counters |

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
    BootWindow, Connection, DEFAULT_KIND, Destination, Kind, Origin, Sending, Simulated, Work,
    kind, kind_names,
};
pub(crate) use self::port::{Port, listen};
pub use self::time::TimeMode;

use self::stream::StreamTally;
use crate::fault::{
    ConsoleSender, FaultSet, FlashStep, OnAnswer, OnCall, OnConnect, OnConsole, OnFlash, OnPacket,
    OnRequest, Packet, Scheduled,
};

/// State of a board that does not depend on its kind.
#[derive(Debug)]
pub(crate) struct Board {
    kind: &'static Kind,
    name: String,
    serial: u16,
    slot: Option<Slot>,
    address: SocketAddr,
    time: TimeMode,
    clock: Clock,
    /// Numbers (from 1) of the modules that have detectors. Module 1 is always included.
    populated: Box<[u8]>,
    tally: Tally,
    streamed: StreamTally,
    requests: AtomicU64,
    /// Number of calls since the [`Farm`](crate::Farm) started. A reboot does not reset it. Faults
    /// are scheduled by this number.
    calls: AtomicU64,
    faults: Mutex<FaultSet>,
    /// False if there are certainly no faults. With this flag, a board without faults need not
    /// lock `faults`.
    faulty: AtomicBool,
    power: Mutex<Power>,
    changed: Notify,
    /// Notified when a fault may have ended.
    fault_ended: Notify,
    shut_down: CancellationToken,
    tasks: TaskTracker,
}

/// State of the power supply. A run of the board lasts from a start to the next reboot.
#[derive(Debug)]
struct Power {
    /// Cancelled when the present run of the board ends, by a reboot or with the farm.
    life: CancellationToken,
    /// End of the time without power after a reboot; `None` if the board has power.
    down_until: Option<Instant>,
    /// True if the board has a boot window after each start: a time in which it can be flashed.
    has_boot_window: bool,
    /// True from a start until the firmware runs. The port is closed.
    booting: bool,
}

/// Place of a board in a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Serial number of the crate.
    pub(crate) crate_serial: String,
    /// Number of the slot, from 1.
    pub(crate) number: usize,
}

/// Arguments of [`Board::new`].
pub(crate) struct Parts {
    pub(crate) kind: &'static Kind,
    pub(crate) serial: u16,
    /// Place in a crate; `None` for a board without one.
    pub(crate) slot: Option<Slot>,
    pub(crate) address: SocketAddr,
    pub(crate) time: TimeMode,
    /// Numbers (from 1) of the modules that have detectors. Module 1 is always included.
    pub(crate) populated: Vec<u8>,
    pub(crate) faults: Vec<Scheduled>,
    /// True if the board has a boot window after each start.
    pub(crate) has_boot_window: bool,
    pub(crate) shut_down: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Board {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            kind: parts.kind,
            name: parts.kind.board_name(parts.serial),
            serial: parts.serial,
            slot: parts.slot,
            address: parts.address,
            time: parts.time,
            clock: Clock::new(parts.time != TimeMode::Accelerated),
            populated: parts.populated.into(),
            tally: Tally::new(parts.kind.methods),
            streamed: StreamTally::new(parts.kind.modules, parts.kind.streams.len()),
            requests: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            faulty: AtomicBool::new(!parts.faults.is_empty()),
            faults: Mutex::new(FaultSet::new(parts.faults)),
            power: Mutex::new(Power {
                life: parts.shut_down.child_token(),
                down_until: None,
                has_boot_window: parts.has_boot_window,
                booting: parts.has_boot_window,
            }),
            changed: Notify::new(),
            fault_ended: Notify::new(),
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

    /// Place in a crate; `None` for a board without one.
    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
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

    /// Numbers (from 1) of the modules that have detectors. Module 1 is always included.
    pub(crate) fn populated(&self) -> &[u8] {
        &self.populated
    }

    /// Clock of the board. It runs by itself in real time, and while the board sends streams.
    /// Otherwise it shows the latest time up to which a module has acquired.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.read()
    }

    /// Returns the number of a new request, from 1.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn time(&self) -> TimeMode {
        self.time
    }
}

/// Streams.
impl Board {
    /// Starts the clock of the board, because its time is real while it sends its streams.
    pub(crate) fn begin_streaming(&self) {
        self.clock.start();
    }

    /// Stops the clock after the streams have ended, if the [`TimeMode`] of the farm is
    /// accelerated.
    pub(crate) fn end_streaming(&self) {
        if self.time == TimeMode::Accelerated {
            self.clock.stop();
        }
    }

    pub(crate) fn streamed(&self) -> &StreamTally {
        &self.streamed
    }

    /// Decision of the faults about a packet. The caller counts the packet.
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

    /// Adds a fault for a window of time, which [`Board::close_window`] removes. The fault counts
    /// calls from now on. A fault of the streams acts on all packets from now on.
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

    /// Notifies the port and the held connections that faults may have begun or ended.
    fn faults_changed(&self) {
        self.changed.notify_one();
        self.fault_ended.notify_waiters();
    }

    /// Notifies the port and the held connections after a request, because the calls of the request
    /// may have begun or ended a fault.
    pub(crate) fn calls_made(&self) {
        if self.faulty.load(Ordering::Relaxed) {
            self.faults_changed();
        }
    }

    /// Waits until the fault that holds a connection has ended.
    pub(crate) async fn released(&self, held: &Held) {
        loop {
            let fault_ended = self.fault_ended.notified();
            if !self.holds(held) {
                return;
            }
            fault_ended.await;
        }
    }

    /// True if a fault still holds the connection. A fault of a call or of its answer is checked
    /// with the number of this call, even if the board has received later calls.
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

    /// Decision of the faults about a step of the flash.
    pub(crate) fn on_flash(&self, step: FlashStep) -> OnFlash {
        self.decide(OnFlash::Work, |faults, call| faults.on_flash(step, call))
    }

    /// Decision of the faults about a datagram of the console. `nth` counts those of this sender.
    pub(crate) fn on_console(&self, sender: ConsoleSender, nth: u64) -> OnConsole {
        self.decide(OnConsole::Pass, |faults, call| {
            faults.on_console(sender, nth, call)
        })
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

    /// Decision of the faults about an answer, with the number of the last call before it.
    pub(crate) fn on_answer(&self, answer: &Bytes) -> (u64, OnAnswer) {
        self.decide((0, OnAnswer::Send), |faults, next| {
            // `next` already includes the calls of this answer.
            let call = next.saturating_sub(1);
            (call, faults.on_answer(call, answer))
        })
    }

    /// Counts a call, and returns its number and the decision of the faults about it.
    pub(crate) fn on_call(&self, method: &str) -> (u64, OnCall) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.faulty.load(Ordering::Relaxed) {
            return (call, OnCall::Run);
        }
        (call, lock(&self.faults).on_call(method, call))
    }

    /// Closes all connections, and accepts no new connections for the time `down`. The caller
    /// resets the settings first.
    pub(crate) fn power_cycle(&self, down: Duration) {
        let mut power = lock(&self.power);
        power.life.cancel();
        power.life = self.shut_down.child_token();
        power.down_until = Some(Instant::now() + down);
        power.booting = power.has_boot_window;
        drop(power);
        self.changed.notify_one();
    }

    /// Token that is cancelled when the present run of the board ends.
    pub(crate) fn life(&self) -> CancellationToken {
        lock(&self.power).life.clone()
    }

    pub(crate) fn down_until(&self) -> Option<Instant> {
        lock(&self.power).down_until
    }

    pub(crate) fn end_downtime(&self) {
        lock(&self.power).down_until = None;
    }

    /// True if the board has power and its firmware runs.
    pub(crate) fn is_up(&self) -> bool {
        let power = lock(&self.power);
        power.down_until.is_none() && !power.booting
    }

    /// Opens the port at the end of a boot window.
    pub(crate) fn end_boot(&self) {
        lock(&self.power).booting = false;
        self.changed.notify_one();
    }

    /// Waits until faults or the power have changed, so that the port may have to be opened or
    /// closed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Locks a mutex even if its last holder panicked. The state is consistent, because each setting is
/// written in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
