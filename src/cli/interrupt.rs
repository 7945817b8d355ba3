//! Interrupts (Ctrl-C) of a campaign, which is a tune, sweep, capture or switch-off of many boards.
//! The first interrupt ends the campaign. Its clean-up then brings each module to its declared
//! state, which is the `safe_state` that the hardware map gives. The second interrupt skips the
//! rest of the clean-up.

use std::future::Future;
use std::iter::repeat;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use twotone::run::{HardwareState, Outcome};

use super::job;
use super::output::complain;

static COUNT: AtomicU32 = AtomicU32::new(0);
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// Number of interrupts since the program began to watch for them.
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

/// Waits for `time`, so that the runtime can notice interrupts. Does nothing if the program does
/// not watch for them. A program with a single thread notices interrupts only while this thread
/// runs the runtime, as it does here.
pub(crate) fn listen(time: Duration) {
    if IS_WATCHED.load(Ordering::Relaxed) {
        tworoutine::wait(async move { tokio::time::sleep(time).await });
    }
}

/// Watcher for interrupts, which are the signals of Ctrl-C, of a request to terminate, and of the
/// loss of the terminal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    /// Token that the first interrupt cancels.
    pub(crate) first: CancellationToken,
    /// Token that the second interrupt cancels.
    pub(crate) second: CancellationToken,
}

impl Interrupt {
    /// Starts to watch for interrupts. `message` is printed at the first interrupt.
    pub(crate) fn watch(message: &'static str) -> Self {
        if let Some(here) = job::current() {
            here.job.on_cancel(message);
            return Self {
                first: here.job.cancel.clone(),
                second: here.job.abandon.clone(),
            };
        }
        let interrupt = Self::default();
        let watched = interrupt.clone();
        // This function returns only after the signals are watched, so that no interrupt is missed.
        let _runtime = tworoutine::runtime().enter();
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [Ok(mut interrupted), Ok(mut terminated), Ok(mut hung_up)] = kinds.map(signal) else {
            complain("interrupts cannot be watched for; Ctrl-C will end the program at once");
            return interrupt;
        };
        IS_WATCHED.store(true, Ordering::Relaxed);
        tworoutine::runtime().spawn(async move {
            for token in [&watched.first, &watched.second]
                .into_iter()
                .chain(repeat(&watched.second))
            {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                    _ = hung_up.recv() => {}
                }
                if !watched.first.is_cancelled() && !message.is_empty() {
                    complain(message);
                }
                token.cancel();
                COUNT.fetch_add(1, Ordering::Relaxed);
            }
        });
        interrupt
    }

    /// Waits for `future`. Returns `None` if there is an interrupt first.
    pub(crate) fn unless<T>(&self, future: impl Future<Output = T> + Send) -> Option<T> {
        let first = self.first.clone();
        tworoutine::wait(async move {
            tokio::select! {
                biased;
                () = first.cancelled() => None,
                done = future => Some(done),
            }
        })
    }

    /// True if there has been an interrupt.
    pub(crate) fn happened(&self) -> bool {
        self.first.is_cancelled()
    }
}

/// Prints the states in which an interrupted run has left the modules.
pub(crate) fn complain_of_hardware<T>(outcomes: &[Outcome<T>]) {
    let (mut restored, mut kept) = (0, 0);
    let left = || {
        outcomes
            .iter()
            .any(|outcome| !outcome.hardware.is_settled())
    };
    for outcome in outcomes {
        if outcome.hardware == HardwareState::Kept {
            kept += 1;
        } else if outcome.hardware.is_settled() {
            restored += 1;
        } else {
            complain(&format!(
                "board {} module {}: {}",
                outcome.board, outcome.module, outcome.hardware
            ));
        }
    }
    complain(&format!(
        "{restored} of {} modules are in their declared state",
        outcomes.len()
    ));
    if kept > 0 {
        complain(&format!(
            "{kept} were done before the interrupt and keep their tones on"
        ));
    }
    if kept > 0 || left() {
        complain("`twotone off` switches off what is on, and reads back that it is");
    }
}
