//! One run of a target on one input.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use allocation_counter::measure;

use crate::Target;

/// Failure of a target on an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Description, on one line or several.
    pub what: String,
    /// Place in the source, or the bound that was exceeded: the same for all inputs that fail for
    /// the same reason.
    pub at: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.at)
    }
}

/// Largest number of characters of a panic that are kept.
const LONGEST: usize = 2000;

/// First panic since an attempt began, on any thread. Panics that a runtime catches count too.
static PANIC: Mutex<Option<Failure>> = Mutex::new(None);

/// Lock that lets one attempt run at a time, as all share [`PANIC`].
static TURN: Mutex<()> = Mutex::new(());

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// Number of attempts that have begun in this process. It does not change while an input hangs.
pub fn attempts() -> u64 {
    ATTEMPTS.load(Ordering::Relaxed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if TURN.try_lock().is_ok() {
                return before(info);
            }
            let payload = info.payload_as_str().unwrap_or("a panic without a text");
            let at = info
                .location()
                .map_or_else(String::new, ToString::to_string);
            lock(&PANIC).get_or_insert_with(|| Failure {
                what: payload.chars().take(LONGEST).collect(),
                at,
            });
        }));
    });
}

/// Runs a target on `input`. Returns the outline of its result.
///
/// # Errors
/// [`Failure`] if the target panicked, also within a task that a runtime runs, or if more memory
/// was allocated in all than [`Target::memory`] grants an input of this length. Memory that is
/// freed again counts too, so this also bounds the work.
pub fn attempt(target: &Target, input: &[u8]) -> Result<String, Failure> {
    let _turn = lock(&TURN);
    watch_panics();
    ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    *lock(&PANIC) = None;
    let mut outcome = None;
    // A panic would end the measurement, so it is caught inside.
    let taken = measure(|| {
        outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))).ok();
    });
    if let Some(failure) = lock(&PANIC).take() {
        return Err(failure);
    }
    let granted = target.memory.granted(input.len());
    if taken.bytes_total > granted {
        let what = format!(
            "{} bytes of memory were taken in all for an input of {}: {granted} are granted",
            taken.bytes_total,
            input.len()
        );
        return Err(Failure {
            what,
            at: "memory".to_owned(),
        });
    }
    outcome.ok_or_else(|| Failure {
        what: "it panicked without a word".to_owned(),
        at: String::new(),
    })
}
