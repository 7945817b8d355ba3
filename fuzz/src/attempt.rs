//! One run of a target on one input. A target is a function that reads any bytes with a part of the
//! library.

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
    /// Line of the source that panicked (empty if it is unknown), or `memory` if too much memory
    /// was allocated. It is the same for all inputs that fail for the same reason.
    pub at: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.at)
    }
}

/// Largest number of characters of a panic's message that are kept.
const LONGEST: usize = 2000;

/// First panic since the attempt began, on any thread. A panic counts even if an async runtime
/// catches it.
static PANIC: Mutex<Option<Failure>> = Mutex::new(None);

/// Lock that makes attempts run one after the other, because all attempts share [`PANIC`].
static TURN: Mutex<()> = Mutex::new(());

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// Returns the number of attempts that have begun in this process. If the number does not change,
/// an attempt hangs.
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
            // No attempt is running: this panic belongs to other code, such as a test that fails.
            if TURN.try_lock().is_ok() {
                return before(info);
            }
            let payload = info.payload_as_str().unwrap_or("a panic without a message");
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

/// Runs a target on `input`. Returns the outline of its result (see [`Target::run`]).
///
/// [`Failure`] if the target panicked, also within a task of an async runtime. Also if the target
/// allocated more memory in all than [`Target::memory`] allows for an input of this length. Memory
/// that was freed again counts too, so this limit also bounds the work.
pub fn attempt(target: &Target, input: &[u8]) -> Result<String, Failure> {
    let _turn = lock(&TURN);
    watch_panics();
    ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    *lock(&PANIC) = None;
    let mut outcome = None;
    // A panic must not leave the closure, because it would end the measurement of memory.
    let taken = measure(|| {
        outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))).ok();
    });
    if let Some(failure) = lock(&PANIC).take() {
        return Err(failure);
    }
    let allowed = target.memory.allowed(input.len());
    if taken.bytes_total > allowed {
        let what = format!(
            "{} bytes of memory were allocated in all for an input of {} bytes, and {allowed} are \
            allowed",
            taken.bytes_total,
            input.len()
        );
        return Err(Failure {
            what,
            at: "memory".to_owned(),
        });
    }
    // The panic hook records every panic. So this message is used only if a panic did not run the
    // hook.
    outcome.ok_or_else(|| Failure {
        what: "the target panicked, and no message was recorded".to_owned(),
        at: String::new(),
    })
}
