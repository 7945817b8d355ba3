//! Switching of fast streams: on for a capture, and back to their former state afterwards.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use twotone_hal::{Batch, BoardHandle, ChannelId, Error, ErrorKind, ModuleId, Result};

use super::plan::BoardPlan;
use crate::record::Failure;
use crate::run::Deadline;

/// End of a fast stream that was switched on for a capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamerOutcome {
    /// State of the stream after the capture.
    pub state: StreamerState,
    /// Channels that the stream sent before the capture. Empty if it was off.
    pub before: Vec<ChannelId>,
    /// Reason that the stream was not restored, if it was not.
    pub error: Option<Failure>,
}

/// State of a fast stream after a capture, compared with the state before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamerState {
    /// The stream sent the same channels before, and was not set.
    Untouched,
    /// The former channels were set, and read back.
    Restored,
    /// The former channels could not be set or read back, so the state is not known.
    Unknown,
}

impl StreamerOutcome {
    /// True if the stream is known to send the same channels as before the capture.
    pub fn is_restored(&self) -> bool {
        self.state != StreamerState::Unknown
    }

    /// Returns a sentence about a stream that is not known to be restored.
    pub fn doubt(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        let before = match &self.before[..] {
            [] => "off".to_owned(),
            channels => format!("on for channels {}", ChannelId::list(channels)),
        };
        Some(format!(
            "its fast stream was {before} before the capture, and may now be on for others: {error}"
        ))
    }
}

/// Fast streams of a capture that were set, or may have been. The list is complete at each time,
/// also if a task that sets a stream panics.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switched(Arc<Mutex<Vec<SwitchedModule>>>);

impl Switched {
    fn modules(&self) -> MutexGuard<'_, Vec<SwitchedModule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone)]
struct SwitchedModule {
    board: BoardHandle,
    module: ModuleId,
    /// Channels before the capture.
    before: Vec<ChannelId>,
    /// True if the channels of the capture are different ones, so that something was set.
    is_set: bool,
}

/// Sets the fast streams of all boards of a plan to the channels of the plan, at the same time on
/// all boards, each within the time `within`. A board on which this fails is not captured. The
/// result must be given to [`restore`].
pub(crate) async fn switch_on(boards: &mut [BoardPlan], within: Duration) -> Switched {
    let all = Switched::default();
    let setting: Vec<_> = boards
        .iter()
        .map(|board| {
            let modules: Vec<_> = match board.streams {
                Ok(_) => board.modules.iter().map(|plan| plan.to_switch()).collect(),
                Err(_) => Vec::new(),
            };
            let all = all.clone();
            tworoutine::spawn(async move {
                for (board, module, channels) in modules {
                    switch(board, module, &channels, within, &all).await?;
                }
                Ok(())
            })
        })
        .collect();
    for (board, setting) in boards.iter_mut().zip(setting) {
        let set = setting.await.unwrap_or_else(|ended| {
            let error = Error::new(ErrorKind::Panicked, ended.to_string());
            Err(error.on(&board.name))
        });
        if let Err(error) = set {
            board.refuse(Failure::from(&error));
        }
    }
    all
}

/// Sets the fast stream of one module, and reads it back. Adds the module to `switched` as soon as
/// its former channels are known.
async fn switch(
    board: Option<BoardHandle>,
    module: ModuleId,
    channels: &[ChannelId],
    within: Duration,
    switched: &Switched,
) -> Result<()> {
    let board = board.ok_or_else(|| {
        let why = "it does not answer, so its fast stream cannot be switched on";
        Error::new(ErrorKind::Unreachable, why)
    })?;
    let board = BoardHandle::new(Deadline::new(board, within));
    let before = board.fast_streams().read(module).await;
    let before = before.map_err(|error| error.on(board.name()))?;
    let is_set = before != channels;
    switched.modules().push(SwitchedModule {
        board: board.clone(),
        module,
        before,
        is_set,
    });
    match is_set {
        true => set(&board, module, channels).await,
        false => Ok(()),
    }
}

/// Sets the channels of a fast stream, and checks that they are read back.
async fn set(board: &BoardHandle, module: ModuleId, channels: &[ChannelId]) -> Result<()> {
    let mut batch = Batch::new();
    batch.set_fast_stream(module, channels.iter().copied());
    let ticket = batch.read_fast_stream(module);
    let replies = board.run(&batch).await;
    let replies = replies.map_err(|error| error.on(board.name()))?;
    if replies.get(ticket) == channels {
        return Ok(());
    }
    let shown = |channels: &[ChannelId]| match channels {
        [] => "none".to_owned(),
        some => ChannelId::list(some),
    };
    let (asked, found) = (shown(channels), shown(replies.get(ticket)));
    let why = format!("channels {asked} were set, and {found} are read back");
    let error = Error::new(ErrorKind::Protocol, why);
    Err(error
        .during(format!("set the fast stream of module {module}"))
        .on(board.name()))
}

/// A module whose fast stream was switched on for a capture, and the end of the stream.
#[derive(Debug)]
pub(crate) struct StreamerEnd {
    pub(super) board: String,
    pub(super) module: ModuleId,
    pub(super) outcome: StreamerOutcome,
}

impl StreamerEnd {
    /// True if the stream is known to send the same channels as before the capture.
    pub(crate) fn is_restored(&self) -> bool {
        self.outcome.is_restored()
    }

    /// Returns a sentence about a stream that is not known to be restored.
    pub(crate) fn doubt(&self) -> Option<String> {
        let doubt = self.outcome.doubt()?;
        Some(format!(
            "board {} module {}: {doubt}",
            self.board, self.module
        ))
    }
}

/// Restores the fast streams that [`switch_on`] has set, on all boards at the same time, each
/// within the time that `switch_on` had for it.
pub(crate) async fn restore(switched: Switched) -> Vec<StreamerEnd> {
    let modules = std::mem::take(&mut *switched.modules());
    let restoring: Vec<_> = modules
        .into_iter()
        .map(|one| {
            let kept = one.clone();
            let restored = tworoutine::spawn(async move {
                match one.is_set {
                    true => set(&one.board, one.module, &one.before).await,
                    false => Ok(()),
                }
            });
            (kept, restored)
        })
        .collect();
    let mut ends = Vec::with_capacity(restoring.len());
    for (one, restored) in restoring {
        let restored = restored.await.unwrap_or_else(|ended| {
            let error = Error::new(ErrorKind::Panicked, ended.to_string());
            Err(error.on(one.board.name()))
        });
        let state = match (&restored, one.is_set) {
            (Ok(()), false) => StreamerState::Untouched,
            (Ok(()), true) => StreamerState::Restored,
            (Err(_), _) => StreamerState::Unknown,
        };
        ends.push(StreamerEnd {
            board: one.board.name().to_owned(),
            module: one.module,
            outcome: StreamerOutcome {
                state,
                before: one.before,
                error: restored.as_ref().err().map(Failure::from),
            },
        });
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use twotone_hal::{Board, Replies, RepliesBuilder, async_trait};

    use super::*;
    use crate::capture::{CaptureParams, FastParams};
    use crate::run::locked;

    /// Board whose fast stream is off, and that warns in every answer. Its first setting panics.
    #[derive(Debug, Default)]
    struct Panicking(AtomicBool);

    #[async_trait]
    impl Board for Panicking {
        fn name(&self) -> &str {
            "b1"
        }

        async fn run(&self, batch: &Batch) -> Result<Replies> {
            let mut replies = RepliesBuilder::new(batch);
            replies.warned("the fan is slow");
            while let Some(op) = replies.next_op() {
                if op.safety().writes() {
                    let has_panicked = self.0.swap(true, Ordering::Relaxed);
                    assert!(has_panicked, "the first setting");
                    replies.done()?;
                } else {
                    replies.fast_stream(Vec::new())?;
                }
            }
            replies.finish()
        }
    }

    #[tworoutine::test(start_paused = true)]
    async fn a_stream_is_restored_after_a_panic_while_it_was_set() {
        let channels = [(ModuleId::FIRST, vec![ChannelId::FIRST])];
        let params = CaptureParams {
            fast: Some(FastParams {
                channels: channels.into(),
                is_set: true,
                ..FastParams::default()
            }),
            ..CaptureParams::default()
        };
        let board = BoardHandle::new(Panicking::default());
        let plan = BoardPlan::of(&board, [ModuleId::FIRST], &params).await;
        let (board, module, channels) = plan.modules[0].to_switch();
        let all = Switched::default();
        let of_task = all.clone();
        let setting = tworoutine::spawn(async move {
            switch(board, module, &channels, Duration::from_secs(1), &of_task).await
        });
        assert!(setting.await.is_err());
        let ends = restore(all).await;
        assert_eq!(ends.len(), 1);
        assert_eq!(ends[0].outcome.state, StreamerState::Restored);
        assert_eq!(locked(&plan.counted).warnings, ["the fan is slow"]);
    }
}
