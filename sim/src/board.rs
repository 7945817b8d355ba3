//! One simulated board: who it is, what it is set to, what befalls it.
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

use crate::counters::{Counters, Tally};
use crate::crs;
use crate::fault::{FaultSet, OnAnswer, OnCall, OnConnect, OnRequest, Scheduled};
use crate::module::Module;
use crate::settings::Settings;
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
    /// When time began, which only real time asks.
    started: Instant,
    settings: Mutex<Settings>,
    modules: Vec<Mutex<Module>>,
    /// The board's time, s, as the bits of a float.
    now_bits: AtomicU64,
    tally: Tally,
    requests: AtomicU64,
    /// Calls since the start, by which faults are scheduled.
    calls: AtomicU64,
    faults: Mutex<FaultSet>,
    /// Whether there are any, so that a sound board takes no lock for them.
    faulty: AtomicBool,
    power: Mutex<Power>,
    changed: Notify,
    shut_down: CancellationToken,
    tasks: TaskTracker,
}

/// Whether the board is up, and since which start.
#[derive(Debug)]
struct Power {
    /// Cancelled when this life of the board ends.
    life: CancellationToken,
    down_until: Option<Instant>,
}

/// An encoded answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// What a board is made of.
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
            started: Instant::now(),
            settings: Mutex::new(Settings::default()),
            modules: parts.modules.into_iter().map(Mutex::new).collect(),
            now_bits: AtomicU64::new(0),
            tally: Tally::new(crs::methods().len()),
            requests: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            faulty: AtomicBool::new(!parts.faults.is_empty()),
            faults: Mutex::new(FaultSet::new(parts.faults)),
            power: Mutex::new(Power {
                life: parts.shut_down.child_token(),
                down_until: None,
            }),
            changed: Notify::new(),
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
        if let Some(seconds) = self.real_seconds() {
            module.wait_until(seconds);
        }
        Some(module)
    }

    /// Seconds since the start, where time is real.
    fn real_seconds(&self) -> Option<f64> {
        match self.time {
            TimeMode::Accelerated => None,
            TimeMode::RealTime { .. } => Some(self.started.elapsed().as_secs_f64()),
        }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.read(crs::methods())
    }

    /// Runs one request. Gives the answer, or none where the board hangs.
    pub(crate) async fn run(&self, head: Head<'_>, body: &[u8]) -> Option<Answer> {
        let answer = crs::run(self, head, body).await;
        if self.faulty.load(Ordering::Relaxed) {
            // A fault of the port may begin or end with the calls just made.
            self.changed.notify_one();
        }
        answer
    }

    /// A number for a request, from 1.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes that a module has acquired up to `seconds`.
    pub(crate) fn reached(&self, seconds: f64) {
        // The bits of floats that are not negative are in their order.
        self.now_bits
            .fetch_max(seconds.to_bits(), Ordering::Relaxed);
    }

    /// The board's time, s since the start: up to where any module has
    /// acquired, or the real time.
    pub(crate) fn now_s(&self) -> f64 {
        let reached = f64::from_bits(self.now_bits.load(Ordering::Relaxed));
        self.real_seconds().unwrap_or(reached)
    }

    pub(crate) fn time(&self) -> TimeMode {
        self.time
    }
}

/// What befalls the board.
impl Board {
    pub(crate) fn inject(&self, fault: Scheduled) {
        lock(&self.faults).push(fault);
        self.faulty.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    pub(crate) fn clear_faults(&self) {
        lock(&self.faults).clear();
        self.faulty.store(false, Ordering::Relaxed);
        self.changed.notify_one();
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

    pub(crate) fn on_answer(&self, answer: &Bytes) -> OnAnswer {
        // The calls that are answered have been counted already.
        self.ask(OnAnswer::Send, |faults, call| {
            faults.on_answer(call.saturating_sub(1), answer)
        })
    }

    /// Counts a call and says what becomes of it.
    pub(crate) fn on_call(&self, method: &str) -> OnCall {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.faulty.load(Ordering::Relaxed) {
            return OnCall::Run;
        }
        lock(&self.faults).on_call(method, call)
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

/// Locks, whatever became of the last holder: every setting is written whole,
/// so that what a panic left behind is still a board.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
