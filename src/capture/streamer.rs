//! Switching of fast streams: on for a capture, and back to their former state afterwards.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use twotone_hal::{Batch, BoardHandle, ChannelId, Error, ErrorKind, ModuleId, Result};

use super::CaptureOutcome;
use super::plan::BoardPlan;
use crate::record::{Failure, RunDirectory};

/// End of a fast stream that was switched on for a capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamerOutcome {
    /// State of the stream after the capture.
    pub state: StreamerState,
    /// Channels that the stream sent before the capture. Empty if it was off, or if it could not
    /// be read.
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
            channels => {
                let channels: Vec<_> = channels.iter().map(ToString::to_string).collect();
                format!("on for channels {}", channels.join(", "))
            }
        };
        Some(format!(
            "its fast stream was {before} before the capture, and may now be on for others: {error}"
        ))
    }
}

/// Fast streams of a capture that were set.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    modules: Vec<SwitchedModule>,
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
    let setting: Vec<_> = boards
        .iter()
        .map(|board| {
            let modules: Vec<_> = match board.streams {
                Ok(_) => board.modules.iter().map(|plan| plan.to_switch()).collect(),
                Err(_) => Vec::new(),
            };
            tworoutine::spawn(async move {
                let (mut switched, mut set) = (Vec::new(), Ok(()));
                for (board, module, channels) in modules {
                    if set.is_ok() {
                        set = switch(board, module, &channels, within, &mut switched).await;
                    }
                }
                (switched, set)
            })
        })
        .collect();
    let mut all = Switched::default();
    for (board, setting) in boards.iter_mut().zip(setting) {
        let ended = setting.await;
        let (switched, set) = ended.unwrap_or_else(|ended| {
            let error = Error::new(ErrorKind::Panicked, ended.to_string());
            (Vec::new(), Err(error.on(&board.name)))
        });
        all.modules.extend(switched);
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
    switched: &mut Vec<SwitchedModule>,
) -> Result<()> {
    let board = board.ok_or_else(|| {
        let why = "it does not answer, so its fast stream cannot be switched on";
        Error::new(ErrorKind::Unreachable, why)
    })?;
    let before = in_time(within, board.fast_streams().read(module)).await;
    let before = before.map_err(|error| error.on(board.name()))?;
    let is_set = before != channels;
    switched.push(SwitchedModule {
        board: board.clone(),
        module,
        before,
        is_set,
    });
    match is_set {
        true => set(&board, module, channels, within).await,
        false => Ok(()),
    }
}

/// Sets the channels of a fast stream, and checks that they are read back.
async fn set(
    board: &BoardHandle,
    module: ModuleId,
    channels: &[ChannelId],
    within: Duration,
) -> Result<()> {
    let mut batch = Batch::new();
    batch.set_fast_stream(module, channels.iter().copied());
    let ticket = batch.read_fast_stream(module);
    let replies = in_time(within, board.run(&batch)).await;
    let replies = replies.map_err(|error| error.on(board.name()))?;
    if replies.get(ticket) == channels {
        return Ok(());
    }
    let shown = |channels: &[ChannelId]| match channels {
        [] => "none".to_owned(),
        some => {
            let some: Vec<_> = some.iter().map(ToString::to_string).collect();
            some.join(", ")
        }
    };
    let (asked, found) = (shown(channels), shown(replies.get(ticket)));
    let why = format!("channels {asked} were set, and {found} are read back");
    let error = Error::new(ErrorKind::Protocol, why);
    Err(error
        .during(format!("set the fast stream of module {module}"))
        .on(board.name()))
}

async fn in_time<T>(within: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(within, work).await.unwrap_or_else(|_| {
        let within = within.as_secs_f64();
        let why = format!("no answer came within {within:.1} s");
        Err(Error::new(ErrorKind::Timeout, why))
    })
}

/// Restores the fast streams that [`switch_on`] has set, on all boards at the same time, and writes
/// the result into the modules of the outcome of the capture. If the capture failed, the result
/// becomes a part of its error.
pub(crate) async fn restore(
    switched: Switched,
    mut captured: Result<(RunDirectory, CaptureOutcome)>,
    within: Duration,
) -> Result<(RunDirectory, CaptureOutcome)> {
    let restoring: Vec<_> = switched
        .modules
        .into_iter()
        .map(|one| {
            let kept = one.clone();
            let restored = tworoutine::spawn(async move {
                match one.is_set {
                    true => set(&one.board, one.module, &one.before, within).await,
                    false => Ok(()),
                }
            });
            (kept, restored)
        })
        .collect();
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
        let end = StreamerOutcome {
            state,
            before: one.before,
            error: restored.as_ref().err().map(Failure::from),
        };
        captured = match captured {
            Ok((run, mut outcome)) => {
                outcome.note_streamer(one.board.name(), one.module, end);
                Ok((run, outcome))
            }
            Err(error) => Err(match end.doubt() {
                Some(doubt) => {
                    let (board, module) = (one.board.name(), one.module);
                    let (kind, causes) = (error.kind(), error.causes());
                    let why = format!("{causes}; board {board} module {module}: {doubt}");
                    Error::new(kind, why).during("capture")
                }
                None => error,
            }),
        };
    }
    captured
}
