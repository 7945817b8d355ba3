//! Ctrl-C: the first one ends what runs and cleans up, the second one exits at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::output::complain;

/// Watches for interrupts (Ctrl-C and termination).
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    /// Cancelled by the first.
    pub(crate) first: CancellationToken,
    /// Cancelled by the second.
    pub(crate) second: CancellationToken,
}

impl Interrupt {
    /// Watches from now on. `message` is told at the first interrupt.
    pub(crate) fn watch(message: &'static str) -> Self {
        let interrupt = Self::default();
        let watched = interrupt.clone();
        tworoutine::runtime().spawn(async move {
            let (Ok(mut interrupted), Ok(mut terminated)) = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            ) else {
                complain("interrupts cannot be watched for; Ctrl-C will end the program at once");
                return;
            };
            for token in [&watched.first, &watched.second] {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                if !watched.first.is_cancelled() && !message.is_empty() {
                    complain(message);
                }
                token.cancel();
            }
        });
        interrupt
    }

    /// Whether there has been one.
    pub(crate) fn happened(&self) -> bool {
        self.first.is_cancelled()
    }
}
